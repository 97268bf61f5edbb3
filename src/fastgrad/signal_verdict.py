"""What is wrong with a network's signals: thresholds, causes, fixes in numbers.

Every rule looks at the measured layers and yields the faults it finds. Thresholds are
in units of what is expected of a healthy network of this depth, width and batch:

- Growth over the whole depth counts from a factor of 2^6 = 64 on, plus four deviations
  between networks of these widths. One layer counts if its gain differs from that of
  its peers by more than a factor of 2 and six deviations.
- Units count as dead beyond the share that symmetric weights leave in such a batch.
- Samples have collapsed if 1 - correlation is below 1e-4 and a thousandth of what it is
  in the first layer: He-initialised ReLU networks, where it falls as 4.5 / depth²
  whatever is done, get there beyond a depth of 200.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad.gains import critical_init
from fastgrad.meanfield import batch_norm_growth
from fastgrad.program.graph import Node
from fastgrad.signal_layers import Layer
from fastgrad.signal_measure import Growth
from fastgrad.signal_report import Fault, SignalLayer
from fastgrad.signal_scaled import Scaled
from fastgrad.signal_theory import Weights, moments_at, slope_spread, units

#: Log2 of the growth over the whole depth that is a fault.
LIMIT = 6.0
_UNNORMALISED = math.log2(10), -10.0
_LN2 = math.log(2)
_LARGEST = {"float16": 65504.0, "float32": 3.4028235e38}


@dataclass(frozen=True)
class Evidence:
    """Everything that the rules look at."""

    nodes: Sequence[Node]
    values: Mapping[Node, Scaled]
    structure: Sequence[Layer]
    layers: Sequence[SignalLayer]
    weights: Sequence[Weights]
    forward: Growth
    backward: Growth
    dtypes: Mapping[str, str]  # of each block
    reached: frozenset[str]  # blocks with a gradient that is not 0

    @property
    def gains(self) -> NDArray[np.float64]:
        """Log2 of (pre-activation / what the weight multiplies), by layer."""
        return np.array(
            [
                layer.forward_log2 - w.log_signal / (2 * _LN2)
                for layer, w in zip(self.layers, self.weights, strict=True)
            ]
        )

    @property
    def span(self) -> int:
        """Number of layers that growth acts over."""
        depths = [layer.depth for layer in self.layers]
        return max(depths) - min(depths)

    def share(self, flags: Sequence[bool]) -> float:
        """Return how many of the layers but the last a flag is set for."""
        hidden = flags[:-1] or flags
        return sum(hidden) / len(hidden)


def find_faults(e: Evidence) -> list[Fault]:
    """Return all faults, most important first."""
    faults = [fault for rule in _RULES for fault in rule(e)]
    exploded = [f for f in faults if f.kind == "exploding" and f.direction == "forward"]
    invalid = [f for f in faults if f.kind == "non-finite"]
    if exploded and invalid and not _is_nan_parameter(e):
        # What is infinite for having exploded is a consequence.
        faults.sort(key=lambda f: f not in exploded)
    return faults


def _is_nan_parameter(e: Evidence) -> bool:
    return any(n.op == "parameter" and not np.isfinite(n.value).all() for n in e.nodes)


# ---- values that are not numbers ----------------------------------------------------


def non_finite(e: Evidence) -> Iterator[Fault]:
    """Yield the first array that is not finite at any scale."""
    for node in e.nodes:
        if not np.isfinite(e.values[node].mantissa).all():
            name = node.label if node.op == "parameter" else _layer_before(e, node)
            what = f"the parameter {name}" if node.op == "parameter" else node.label
            bad = "nan" if np.isnan(e.values[node].mantissa).any() else "infinite"
            line = "" if node.op == "parameter" else _line(node)
            if node.op == "parameter":
                users = [x.name for x in e.structure if _uses(x, node)]
                name = users[0] if users else name
            yield Fault(
                "non-finite",
                "forward",
                name,
                "invalid operation",
                f"{what} is {bad} in {_count_bad(e.values[node])} entries, and nothing "
                f"before it is.",
                f"keep {what} finite: look at what it is computed from in this line"
                if line
                else f"initialise {name} again",
                line,
            )
            return
    for layer, found in zip(reversed(e.structure), reversed(e.layers), strict=True):
        if math.isnan(found.backward_log2) or found.backward_log2 == math.inf:
            yield Fault(
                "non-finite",
                "backward",
                found.name,
                "invalid operation",
                f"The gradient at {found.name} is not finite, though the signal is.",
                "look for a root, a logarithm or a division at 0 after this layer",
                _line(layer.pre),
            )
            return


def _count_bad(x: Scaled) -> str:
    bad = int((~np.isfinite(x.mantissa)).sum())
    return f"{bad:,} of {x.mantissa.size:,}"


def _uses(layer: Layer, parameter: Node) -> bool:
    return any(product.block == parameter.label for product in layer.products)


def _layer_before(e: Evidence, node: Node) -> str:
    """Return the name of the last layer that an array comes from."""
    pres = {layer.pre: layer for layer in e.structure}
    products = {p.node: layer for layer in e.structure for p in layer.products}
    stack, seen, found = [node], {node}, []
    while stack:
        x = stack.pop()
        if x in pres or x in products:
            found.append(pres.get(x) or products[x])
            continue
        new = [y for y in x.inputs if y not in seen]
        seen.update(new)
        stack += new
    return max(found, key=lambda layer: layer.depth, default=e.structure[0]).name


# ---- blocks without a gradient ------------------------------------------------------


def zero_weights(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer that lets nothing pass because its weights are 0."""
    for layer in e.structure:
        zero = not e.values[_weight(layer)].mantissa.any()
        if not zero or layer.residual or layer.post is None:
            continue
        deviation = _critical(layer) / math.sqrt(layer.products[0].fan_in)
        yield Fault(
            "vanishing", "forward", layer.name, "weight scale",
            f"All weights of {layer.name} are 0: no signal, and no gradient, passes.",
            f"initialise {layer.name} with deviation {deviation:.3g}",
            _line(layer.pre),
        )  # fmt: skip
        return


def disconnected(e: Evidence) -> Iterator[Fault]:
    """Yield blocks that the loss does not depend on."""
    known = any(layer.dead > 0.99 for layer in e.layers) or any(
        not e.values[_weight(layer)].mantissa.any() for layer in e.structure
    )
    if known or _any_invalid(e):
        return
    used = {n.label for n in e.nodes if n.op == "parameter"}
    for name in e.dtypes:
        if name not in used:
            yield Fault(
                "vanishing", "backward", name, "disconnected",
                f"{name} is not used on the way to the loss.",
                f"use {name}, or remove it",
            )  # fmt: skip
    # The last layer without a gradient is where it stops.
    cut = [x for x in e.structure if x.name not in e.reached]
    for layer in cut[-1:]:
        after = layer.outgoing.name if layer.outgoing is not None else "what"
        yield Fault(
            "vanishing", "backward", layer.name, "disconnected",
            f"The gradient of {layer.name} is exactly 0 in every entry, and so is that "
            f"of {len(cut) - 1} layers before it.",
            f"replace {after}, which follows it, by something with a derivative",
            _line(layer.post or layer.pre),
        )  # fmt: skip


def _weight(layer: Layer) -> Node:
    return layer.products[0].weight


def _any_invalid(e: Evidence) -> bool:
    return any(not np.isfinite(e.values[x.pre].mantissa).all() for x in e.structure)


# ---- units --------------------------------------------------------------------------


def dead(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer with more dead units than chance leaves."""
    for layer, found, w in zip(e.structure, e.layers, e.weights, strict=True):
        p, n = found.dead_expected, units(layer)
        usual = p + 0.3 + 5 * math.sqrt(p * (1 - p) / n)
        mean = found.mean * 2**found.forward_log2
        if found.dead < min(usual, 0.999):
            continue
        low = [b for b in w.biases if float(np.mean(b.value)) < 0]
        bias = _block(low[0]) if low and found.mean < -0.5 else None
        yield Fault(
            "dead", "forward", found.name,
            "dead bias" if bias else "activation",
            f"{found.dead:.0%} of the units of {found.name} are 0 in every sample "
            f"({p:.2g} expected)"
            + (f"; its pre-activations have mean {mean:.3g}." if mean == mean else "."),
            f"set {bias} to 0 (now {float(np.mean(low[0].value)):.3g} on average)"
            if bias
            else f"use a leaky activation after {found.name}, or initialise it with "
            f"zero mean",
            _line(layer.pre),
        )  # fmt: skip
        return


def saturated(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer whose activation has hardly any slope left."""
    for i, (layer, found) in enumerate(zip(e.structure, e.layers, strict=True)):
        if found.saturated <= 0.5:
            continue
        first = layer.previous is None
        signal = e.weights[i].log_signal / (2 * _LN2)
        rms = 2**found.forward_log2
        if first and signal > _UNNORMALISED[0]:
            cause, fix = "input not normalised", _divide_input(signal)
        elif e.weights[i].sigma_b > 2 * _exp2(e.gains[i]) * _exp2(signal) / 3:
            cause, fix = "dead bias", f"set the bias of {found.name} to 0"
        else:
            cause = "weight scale"
            fix = f"scale {found.name} by {_number(1 / rms)}"
        yield Fault(
            "saturated", "forward", found.name, cause,
            f"{found.saturated:.0%} of the outputs of {found.name} are where "
            f"{found.activation} has less than 5 % of its slope; its pre-activations "
            f"have size {rms:.3g}.",
            fix, _line(layer.pre),
        )  # fmt: skip
        return


def input_size(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer if it reads data of an unusual size."""
    for i, layer in enumerate(e.structure):
        if layer.previous is not None or layer.source is None or layer.source.active:
            continue
        signal = e.values[layer.source]
        size = signal.log2_rms
        nonzero = size - math.log2(max(np.count_nonzero(signal.mantissa), 1)) / 2
        nonzero += math.log2(max(signal.mantissa.size, 1)) / 2
        large, small = size > _UNNORMALISED[0], nonzero < _UNNORMALISED[1]
        if large or small and size > -math.inf:
            yield Fault(
                "exploding" if large else "vanishing", "forward",
                e.layers[i].name, "input not normalised",
                f"The data that {e.layers[i].name} multiplies have size "
                f"{_exp2(size):.3g}.",
                _divide_input(size), _line(layer.pre),
            )  # fmt: skip
            return


def _divide_input(log2: float) -> str:
    return (
        f"subtract the mean of each input and divide by its deviation; "
        f"dividing all by {_exp2(log2):.3g} is a start"
    )


def collapsed(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer in which all samples have become the same."""
    start: float | None = None
    for layer, found in zip(e.structure, e.layers, strict=True):
        apart = found.decorrelation
        if apart is None:
            continue
        start = apart if start is None else start
        if apart < 1e-4 and apart < 1e-3 * start:
            bias = found.sigma_b > 0.3 * _exp2(found.forward_log2)
            yield Fault(
                "collapsed", "forward", found.name,
                "weight scale" if bias else "activation",
                f"Samples differ by 1 - correlation = {apart:.1e} at {found.name}, "
                f"{start:.1e} in the first layer.",
                "set the biases to 0: they outweigh the signal" if bias
                else "use residual connections, or an activation closer to the "
                "identity (leaky ReLU, tanh with orthogonal weights)",
                _line(layer.pre),
            )  # fmt: skip
            return


# ---- growth of one layer ------------------------------------------------------------


def odd_layers(e: Evidence) -> Iterator[Fault]:
    """Yield layers whose gain differs from that of their peers."""
    gains = e.gains
    use = np.array([math.isfinite(g) and not x.normalized and not x.residual
                    for g, x in zip(gains, e.structure, strict=True)])  # fmt: skip
    if use.sum() < 4:
        return
    usual = float(np.median(gains[use]))
    spread = 1.4826 * float(np.median(np.abs(gains[use] - usual)))
    for i in map(int, np.flatnonzero(use)):
        away = float(gains[i]) - usual
        width = 2 / math.sqrt(units(e.structure[i]))
        if abs(away) < 1 or abs(away) < 6 * max(spread, width / 2):
            continue
        name = e.layers[i].name
        if _input_explains(e, i):
            continue
        yield Fault(
            "exploding" if away > 0 else "vanishing",
            "forward, backward" if e.structure[i].previous else "forward",
            name, "weight scale",
            f"{name} makes the signal {_number(_exp2(float(gains[i])))} times as large, "
            f"its peers {_number(_exp2(usual))} times." + _transposed(e, i, away),
            f"scale {name} by {_number(_exp2(-away))}: "
            f"{'gradient at layer 1' if i else 'signal after it'} x "
            f"{_number(_exp2(-away))}",
            _line(e.structure[i].pre),
        )  # fmt: skip


def _input_explains(e: Evidence, i: int) -> bool:
    """Whether it is the bias or non-random input that makes the gain, not the weight."""
    w = e.weights[i]
    return bool(abs(e.gains[i] - w.log_square / (2 * _LN2)) > 1)


def _transposed(e: Evidence, i: int, away: float) -> str:
    layer = e.structure[i]
    fan_out = units(layer)
    ratio = 0.5 * math.log2(e.weights[i].fan_in / max(fan_out, 1))
    if fan_out != e.weights[i].fan_in and abs(away - ratio) < 0.3:
        return " It is as if scaled by its fan-out instead of its fan-in."
    return ""


def missing_activation(e: Evidence) -> Iterator[Fault]:
    """Yield the one layer without an activation where all others have the same."""
    inner = [x for x in e.structure if x.outgoing is not None and not x.normalized]
    names = [x.outgoing.name for x in inner if x.outgoing is not None]
    if len(inner) < 4 or len(set(names)) != 2 or names.count("linear") != 1:
        return
    layer = inner[names.index("linear")]
    square = len(set(layer.pre.shape)) == 1 or units(layer) == layer.products[0].fan_in
    other = next(
        x.outgoing for x in inner if x.outgoing and x.outgoing.name != "linear"
    )
    m = moments_at(other, 0.0)
    if layer.residual or not square or m is None or m.square >= 1:
        return
    lost = m.square**-0.5
    yield Fault(
        "exploding", "forward", layer.name, "activation",
        f"Nothing is applied to {layer.name}, where {other.name} follows all other "
        f"layers: its outputs are {lost:.3g} times as large.",
        f"apply {other.name} after {layer.name}",
        _line(layer.pre),
    )  # fmt: skip


# ---- growth with depth --------------------------------------------------------------


def forward_growth(e: Evidence) -> Iterator[Fault]:
    """Yield growth or decay of the signal over the depth."""
    total = e.forward.slope * e.span
    if not _is_growth(e, total, _mean_field_growth(e, backward=False)):
        return
    cause, message, fix = _explain_growth(e, total, "signal at the last layer")
    steps = np.append(e.gains[:1], np.diff([x.forward_log2 for x in e.layers]))
    i = _first(e, steps, e.forward.slope)
    yield Fault(
        "exploding" if total > 0 else "vanishing", "forward", e.layers[i].name, cause,
        f"The signal changes by 2^{e.forward.slope:.4g} a layer, 2^{total:.4g} over "
        f"{e.span} layers. {message}",
        fix, _line(e.structure[i].pre),
    )  # fmt: skip


def backward_growth(e: Evidence) -> Iterator[Fault]:
    """Yield growth or decay of the gradient towards the input."""
    total = e.backward.slope * e.span
    if not _is_growth(e, total, _mean_field_growth(e, backward=True)):
        return
    cause, message, fix = _explain_growth(e, total, "gradient at layer 1")
    # Weights of layer i take the gradient to layer i - 1.
    steps = np.append(0.0, -np.diff([x.norm_log2 for x in e.layers]))
    i = _first(e, steps, e.backward.slope)
    yield Fault(
        "exploding" if total > 0 else "vanishing", "backward", e.layers[i].name, cause,
        f"The gradient changes by 2^{e.backward.slope:.4g} a layer towards the input, "
        f"2^{total:.4g} over {e.span} layers. {message}",
        fix, _line(e.structure[i].pre),
    )  # fmt: skip


def _first(e: Evidence, steps: NDArray[np.float64], slope: float) -> int:
    """Return the first layer that does at least half of what layers do on average."""
    guilty = np.flatnonzero(np.nan_to_num(steps / slope) >= 0.5)
    first = int(guilty[0]) if len(guilty) else 0
    scale = [w.log_square / 2 / _LN2 for w in e.weights[:2]]
    if first == 1 and abs(scale[0] - scale[1]) < 0.25:
        return 0  # the same fault, though it does not show there
    return first


def _is_growth(e: Evidence, total: float, explained: float) -> bool:
    """Whether growth is beyond the limit, and expected so or beyond chance."""
    if not abs(total) > LIMIT:
        return False
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
            q = 2 * _LN2 * e.layers[before.index].forward_log2
            m = moments_at(layer.incoming, q)
            change = 0.0 if m is None else m.slope_square if backward else m.square
            if change and not backward and not layer.incoming.homogeneous:
                change *= math.exp(-min(max(q, -600.0), 600.0))
            if change:
                growths.append((w.log_square + math.log(change)) / 2 / _LN2)
    return math.fsum(growths) / len(growths) * e.span if growths else 0.0


def _depth_spread(e: Evidence) -> float:
    """Return the deviation of log2 of sizes between networks of these widths."""
    variance = 0.0
    for layer in e.structure:
        m = moments_at(layer.incoming, 0.0)
        if layer.previous is not None and m is not None and m.slope_square:
            variance += slope_spread(m, units(layer.previous)).variance
    return 0.5 * math.sqrt(variance) / _LN2


def _weight_excess(e: Evidence) -> float:
    """Return log2 of (sigma_w / the one that keeps gradients), mean over layers."""
    away = [
        w.log_square / 2 / _LN2 - math.log2(_critical(layer))
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
            f"{blocks**-0.5:.3g}: {where} x {_exp2(0.72 - total):.2g}",
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
    used = next(x.incoming for x in reversed(e.structure) if x.incoming is not None)
    if used.examined is None or _has_no_critical_point(e):
        return (
            "activation",
            f"{used.name} has no critical initialisation: no scale of the weights "
            f"keeps both signal and gradient.",
            f"use tanh or relu instead of {used.name}, with xavier or he weights",
        )
    if abs(mean) * steps >= 0.4 * abs(total) and mean * total > 0:
        factor = _exp2(-mean)
        return (
            "weight scale",
            f"Weights of mean square sigma_w² / fan_in, sigma_w = "
            f"{_exp2(mean) * _critical(e.structure[-1]):.4g}, where "
            f"{_critical(e.structure[-1]):.4g} keeps it.",
            f"scale every weight by {_number(factor)}: {where} x "
            f"{_number(_exp2(-mean * steps), -mean * steps)}",
        )
    if used.homogeneous:
        beta = sum(1 / units(layer) for layer in e.structure)
        return (
            "depth x width",
            f"The scale of the weights is right, but the sum of 1 / width over the "
            f"layers is {beta:.2g}.",
            f"make layers {math.ceil(beta * 4)} times as wide, or use orthogonal weights",
        )
    return (
        "activation",
        f"The weights have the usual scale for {used.name}, whose gradients grow or "
        f"shrink even so.",
        "use relu with he weights, or residual connections, at this depth",
    )


def _critical(layer: Layer) -> float:
    """Return the sigma_w that keeps gradients at the activation that was measured."""
    m = moments_at(layer.incoming, 0.0)
    if layer.previous is None or m is None or not m.slope_square:
        return 1.0
    return float(m.slope_square**-0.5)


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


# ---- what number formats hold, and steps that are too large -------------------------


def number_formats(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer whose values its parameters' own dtype cannot hold."""
    for layer, found in zip(e.structure, e.layers, strict=True):
        dtype = e.dtypes.get(found.name, "float64")
        largest = _LARGEST.get(dtype, math.inf)
        if found.log2_max > math.log2(largest):
            yield Fault(
                "exploding", "forward", found.name, "dtype range",
                f"Pre-activations of {found.name} reach 2^{found.log2_max:.3g}; "
                f"{dtype} overflows at {largest:g}.",
                f"scale {found.name} by {_number(largest / 8 / _exp2(found.log2_max))},"
                f" or compute in bfloat16 or float32",
                _line(layer.pre),
            )  # fmt: skip
            return


def large_steps(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer that one step changes by more than its own size."""
    for layer, found in zip(e.structure, e.layers, strict=True):
        if found.update_ratio is not None and found.update_ratio > 1:
            yield Fault(
                "exploding", "backward", found.name, "learning rate",
                f"One step changes {found.name} by {found.update_ratio:.3g} times its "
                f"own size; 1e-3 is usual.",
                f"multiply the learning rate by {1e-3 / found.update_ratio:.1g}",
                _line(layer.pre),
            )  # fmt: skip
            return


_RULES = (
    non_finite,
    number_formats,
    zero_weights,
    dead,
    disconnected,
    saturated,
    input_size,
    odd_layers,
    missing_activation,
    forward_growth,
    backward_growth,
    collapsed,
    large_steps,
)


def _line(node: Node) -> str:
    code = node.source.code
    return f"{node.source}: {code}" if code else str(node.source)


def _block(node: Node) -> str:
    """Return the parameter that a bias is made from."""
    while node.op != "parameter" and node.inputs:
        node = next((x for x in node.inputs if x.active), node.inputs[0])
    return node.label


def _exp2(x: float) -> float:
    return 2.0**x if x < 1023 else math.inf


def _number(x: float, log2: float | None = None) -> str:
    """Return a factor, as a power of two if it is long."""
    if log2 is not None and abs(log2) > 20:
        return f"2^{log2:.4g}"
    return f"{x:.4g}"
