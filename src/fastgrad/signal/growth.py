"""Growth and decay with depth: whether it counts, which layer starts it, and why."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastgrad.initializers import critical_init
from fastgrad.reports import Fault
from fastgrad.signal.evidence import LN2, Evidence, critical, exp2, number, source_line
from fastgrad.signal.meanfield import batch_norm_growth
from fastgrad.signal.measure import Growth
from fastgrad.signal.theory import moments_at, slope_spread, units

#: Log2 of the growth over the whole depth that is a fault.
LIMIT = 6.0


def forward_growth(e: Evidence) -> Iterator[Fault]:
    """Yield growth or decay of the signal over the depth."""
    steps = np.append(e.gains[:1], np.diff([x.forward_log2 for x in e.layers]))
    yield from _growth(e, e.forward, steps, "signal", "at the last layer", "a layer")


def backward_growth(e: Evidence) -> Iterator[Fault]:
    """Yield growth or decay of the gradient towards the input."""
    # Weights of layer i take the gradient to layer i - 1.
    steps = np.append(0.0, -np.diff([x.norm_log2 for x in e.layers]))
    each = "a layer towards the input"
    yield from _growth(e, e.backward, steps, "gradient", "at layer 1", each)


def _growth(
    e: Evidence,
    growth: Growth,
    steps: NDArray[np.float64],
    what: str,
    where: str,
    each: str,
) -> Iterator[Fault]:
    """Yield growth or decay, where there is any; `steps` are those of the layers."""
    total, backward = growth.slope * e.span, growth is e.backward
    if not _is_growth(e, growth, _mean_field_growth(e, backward=backward)):
        return
    cause, message, fix = _explain_growth(e, total, f"{what} {where}")
    i = _first(e, steps, growth.slope)
    yield Fault(
        "exploding" if total > 0 else "vanishing",
        "backward" if backward else "forward",
        e.layers[i].name,
        cause,
        f"The {what} changes by 2^{growth.slope:.4g} {each}, 2^{total:.4g} over "
        f"{e.span} layers. {message}",
        fix,
        source_line(e.structure[i].pre),
    )


def _first(e: Evidence, steps: NDArray[np.float64], slope: float) -> int:
    """Return the first layer that does at least half of what layers do on average."""
    guilty = np.flatnonzero(np.nan_to_num(steps / slope) >= 0.5)
    first = int(guilty[0]) if len(guilty) else 0
    scale = [w.log_square / 2 / LN2 for w in e.weights[:2]]
    if first == 1 and abs(scale[0] - scale[1]) < 0.25:
        return 0  # the same fault, though it does not show there
    return first


def _is_growth(e: Evidence, growth: Growth, explained: float) -> bool:
    """Whether growth is beyond the limit, and expected so or beyond chance."""
    total = growth.slope * e.span
    if not abs(total) > LIMIT:
        return False
    odd = math.fsum(away for i, away in e.odd_gains.items() if e.structure[i].previous)
    if odd and abs(growth.total - odd) < LIMIT:
        return False  # that layer is a fault of its own
    if explained * total > 0 and abs(explained) > 0.4 * abs(total):
        return True
    return abs(total) > LIMIT + 4 * _depth_spread(e)


def _mean_field_growth(e: Evidence, *, backward: bool) -> float:
    """Return log2 of the growth over the depth that infinite width would have."""
    growths = []
    for i, layer in enumerate(e.structure):
        before, w = layer.previous, e.weights[i]
        if before is None or layer.incoming is None or layer.incoming.examined is None:
            continue
        if before.normalized:
            known = batch_norm_growth(layer.incoming.examined) if backward else 1.0
            growths.append(math.log2(known) / 2)
        elif layer.chained and math.isfinite(w.log_square):
            q = 2 * LN2 * e.layers[before.index].forward_log2
            m = moments_at(layer.incoming, q)
            change = 0.0 if m is None else m.slope_square if backward else m.square
            if change and not backward and not layer.incoming.homogeneous:
                change *= math.exp(-min(max(q, -600.0), 600.0))
            if change:
                growths.append((w.log_square + math.log(change)) / 2 / LN2)
    return math.fsum(growths) / len(growths) * e.span if growths else 0.0


def _depth_spread(e: Evidence) -> float:
    """Return the deviation of log2 of sizes between networks of these widths."""
    variance = 0.0
    for layer in e.structure:
        m = moments_at(layer.incoming, 0.0)
        if layer.previous is not None and m is not None and m.slope_square:
            variance += slope_spread(m, units(layer.previous)).variance
    return 0.5 * math.sqrt(variance) / LN2


def _weight_excess(e: Evidence) -> float:
    """Return log2 of (sigma_w / the one that keeps gradients), mean over layers."""
    away = [
        w.log_square / 2 / LN2 - math.log2(critical(layer))
        for layer, w in zip(e.structure, e.weights, strict=True)
        if layer.previous is not None and math.isfinite(w.log_square)
    ]
    return math.fsum(away) / len(away) if away else 0.0


def _explain_growth(e: Evidence, total: float, where: str) -> tuple[str, str, str]:
    """Return cause, evidence and fix of growth with depth."""
    if total > 0 and e.share([x.residual for x in e.structure]) >= 0.3:
        blocks = sum(x.residual for x in e.structure)
        return (
            "residual growth",
            f"{blocks} residual branches add to it.",
            f"scale the last weight of each branch by 1/sqrt({blocks}) = "
            f"{blocks**-0.5:.3g}: {where} x {exp2(0.72 - total):.2g}",
        )
    if total > 0 and e.share([x.normalized for x in e.structure]) >= 0.5:
        return (
            "batch-norm gradient growth",
            "Batch normalisation with this activation makes gradients grow whatever "
            "the weights (by 2^0.276 a layer with ReLU).",
            "use residual connections around normalised layers, or an activation "
            "closer to the identity",
        )
    return _explain_weights(e, total, where)


def _explain_weights(e: Evidence, total: float, where: str) -> tuple[str, str, str]:
    mean, steps = _weight_excess(e), e.span
    if total > 0 and e.share([w.has_mean for w in e.weights]) > 0.5:
        return (
            "weight scale",
            "The weights do not have mean zero: signals of one sign add up.",
            "draw the weights with mean zero (randn, not rand)",
        )
    used = next(x.incoming for x in reversed(e.structure) if x.incoming is not None)
    if used.examined is None or _has_no_critical_point(e):
        return (
            "activation",
            f"{used.name} has no critical initialisation: no scale of the weights "
            f"keeps both signal and gradient.",
            f"use tanh or relu instead of {used.name}, with xavier or he weights",
        )
    if abs(mean) * steps >= 0.4 * abs(total) and mean * total > 0:
        factor = exp2(-mean)
        return (
            "weight scale",
            f"Weights of mean square sigma_w² / fan_in, sigma_w = "
            f"{exp2(mean) * critical(e.structure[-1]):.4g}, where "
            f"{critical(e.structure[-1]):.4g} keeps it.",
            f"scale every weight by {number(factor)}: {where} x "
            f"{number(exp2(-mean * steps), -mean * steps)}",
        )
    if used.homogeneous:
        beta = sum(1 / units(layer) for layer in e.structure)
        width = float(np.median([units(layer) for layer in e.structure]))
        return (
            "depth x width",
            f"The scale of the weights is right, but the sum of 1 / width over the "
            f"layers is {beta:.2g}.",
            f"make layers about {4 * beta * width:.0f} wide, or use orthogonal weights",
        )
    return (
        "activation",
        f"The weights have the usual scale for {used.name}, whose gradients grow or "
        f"shrink even so.",
        "use relu with he weights, or residual connections, at this depth",
    )


def _has_no_critical_point(e: Evidence) -> bool:
    functions = {x.incoming for x in e.structure if x.previous is not None}
    return any(
        f is not None
        and f.examined is not None
        and not f.homogeneous
        and critical_init(f.examined, sigma_b=0.0) is None
        and critical_init(f.examined) is None
        for f in functions
    )
