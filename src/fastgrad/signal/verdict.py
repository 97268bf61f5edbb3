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
from collections.abc import Iterator

import numpy as np

from fastgrad.program import Node
from fastgrad.reports import Fault, SignalLayer
from fastgrad.signal.evidence import LN2, Evidence, critical, exp2, number, source_line
from fastgrad.signal.growth import backward_growth, forward_growth
from fastgrad.signal.layers import Layer
from fastgrad.signal.scaled import Scaled
from fastgrad.signal.theory import Weights, moments_at, samples, units

_UNNORMALISED = math.log2(10), -10.0
_LARGEST = {"float16": 65504.0, "float32": 3.4028235e38}


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
            line = "" if node.op == "parameter" else source_line(node)
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
                source_line(layer.pre),
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
        deviation = critical(layer) / math.sqrt(layer.products[0].fan_in)
        yield Fault(
            "vanishing", "forward", layer.name, "weight scale",
            f"All weights of {layer.name} are 0: no signal, and no gradient, passes.",
            f"initialise {layer.name} with deviation {deviation:.3g}",
            source_line(layer.pre),
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
            source_line(layer.post or layer.pre),
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
        mean = found.mean * exp2(found.forward_log2)
        if found.dead < min(usual, 0.999):
            continue
        cause, fix = _why_dead(e, found, w, p**n)
        yield Fault(
            "dead", "forward", found.name, cause,
            f"{found.dead:.0%} of the units of {found.name} are 0 in every sample "
            f"({p:.2g} expected)"
            + (f"; its pre-activations have mean {mean:.3g}." if mean == mean else "."),
            fix, source_line(layer.pre),
        )  # fmt: skip
        return


def _why_dead(
    e: Evidence, found: SignalLayer, w: Weights, chance: float
) -> tuple[str, str]:
    """Return cause and fix; `chance` is the probability that a whole layer is dead."""
    low = [x for x, sign in w.biases.items() if sign * float(np.mean(x.value)) < 0]
    if low and found.sigma_b > 0.5 * exp2(found.forward_log2):
        now = float(np.mean(low[0].value))
        return "dead bias", f"set {_block(low[0])} to 0 (now {now:.3g} on average)"
    if found.dead > 0.999 and chance * len(e.layers) > 1e-3:
        return (
            "depth x width",
            f"make layers wider: by chance all units of one are dead in "
            f"{chance:.2g} of layers, and there are {len(e.layers)}",
        )
    return (
        "activation",
        f"use a leaky activation after {found.name}, or initialise it with zero mean",
    )


def saturated(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer whose activation has hardly any slope left."""
    for i, (layer, found) in enumerate(zip(e.structure, e.layers, strict=True)):
        if found.saturated <= 0.5 + layer.pre.value.size**-0.5:
            continue
        first = layer.previous is None
        signal = e.weights[i].log_signal / (2 * LN2)
        rms = exp2(found.forward_log2)
        if first and signal > _UNNORMALISED[0]:
            cause, fix = "input not normalised", _divide_input(signal)
        elif e.weights[i].sigma_b > 2 * exp2(e.gains[i]) * exp2(signal) / 3:
            cause, fix = "dead bias", f"set the bias of {found.name} to 0"
        else:
            cause = "weight scale"
            fix = f"scale {found.name} by {number(1 / rms)}"
        yield Fault(
            "saturated", "forward", found.name, cause,
            f"{found.saturated:.0%} of the outputs of {found.name} are where "
            f"{found.activation} has less than 5 % of its slope; its pre-activations "
            f"have size {rms:.3g}.",
            fix, source_line(layer.pre),
        )  # fmt: skip
        return


def input_size(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer if it reads data of an unusual size."""
    for i, layer in enumerate(e.structure):
        if layer.previous is not None or layer.source is None or layer.source.active:
            continue
        signal = e.values[layer.source]
        size = signal.log2_rms
        nonzero = size - math.log2(max(int(np.count_nonzero(signal.mantissa)), 1)) / 2
        nonzero += math.log2(max(signal.mantissa.size, 1)) / 2
        large, small = size > _UNNORMALISED[0], nonzero < _UNNORMALISED[1]
        if large or (small and size > -math.inf):
            yield Fault(
                "exploding" if large else "vanishing", "forward",
                e.layers[i].name, "input not normalised",
                f"The data that {e.layers[i].name} multiplies have size "
                f"{exp2(size):.3g}.",
                _divide_input(size), source_line(layer.pre),
            )  # fmt: skip
            return


def _divide_input(log2: float) -> str:
    return (
        f"subtract the mean of each input and divide by its deviation; "
        f"dividing all by {exp2(log2):.3g} is a start"
    )


def collapsed(e: Evidence) -> Iterator[Fault]:
    """Yield the first layer in which all samples have become the same."""
    start: float | None = None
    for layer, found in zip(e.structure, e.layers, strict=True):
        apart = found.decorrelation
        if apart is None or samples(layer) < 4:
            continue
        start = apart if start is None else start
        if apart < 1e-4 and apart < 1e-3 * start:
            bias = found.sigma_b > 0.3 * exp2(found.forward_log2)
            yield Fault(
                "collapsed", "forward", found.name,
                "weight scale" if bias else "activation",
                f"Samples differ by 1 - correlation = {apart:.1e} at {found.name}, "
                f"{start:.1e} in the first layer.",
                "set the biases to 0: they outweigh the signal" if bias
                else "use residual connections, or an activation closer to the "
                "identity (leaky ReLU, tanh with orthogonal weights)",
                source_line(layer.pre),
            )  # fmt: skip
            return


# ---- growth of one layer ------------------------------------------------------------


def odd_layers(e: Evidence) -> Iterator[Fault]:
    """Yield layers whose gain differs from that of their peers."""
    for i, away in e.odd_gains.items():
        layer, name = e.structure[i], e.layers[i].name
        gain = float(e.gains[i])
        yield Fault(
            "exploding" if away > 0 else "vanishing",
            "forward, backward" if layer.previous else "forward",
            name, "weight scale",
            f"{name} makes the signal {number(exp2(gain))} times as large, its peers "
            f"{number(exp2(gain - away))} times." + _transposed(e, i, away),
            f"scale {name} by {number(exp2(-away))}: "
            f"{'gradient at layer 1' if layer.previous else 'signal after it'} x "
            f"{number(exp2(-away))}",
            source_line(layer.pre),
        )  # fmt: skip


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
        source_line(layer.pre),
    )  # fmt: skip


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
                f"scale {found.name} by {number(largest / 8 / exp2(found.log2_max))},"
                f" or compute in bfloat16 or float32",
                source_line(layer.pre),
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
                source_line(layer.pre),
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


def _block(node: Node) -> str:
    """Return the parameter that a bias is made from."""
    while node.op != "parameter" and node.inputs:
        node = next((x for x in node.inputs if x.active), node.inputs[0])
    return node.label
