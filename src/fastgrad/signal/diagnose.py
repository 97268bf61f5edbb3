"""Vanishing and exploding signals and gradients: which layer, why, and what to do.

`diagnose_signal` measures a network, the loss that `check_gradient` takes, at its
parameters; `theory` says what to expect of a wide network of equal layers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastgrad._arguments import choice, flag, function, number
from fastgrad._public import public
from fastgrad.losses import global_generator_kept
from fastgrad.params import Nest, claimed, rebuild, walk
from fastgrad.program import Node, topological, trace_graph
from fastgrad.reports import Fault, Jacobian, SignalLayer, SignalReport
from fastgrad.signal.evidence import LN2, Evidence, source_line
from fastgrad.signal.jacobian import jacobian as find_jacobian
from fastgrad.signal.layers import Layer
from fastgrad.signal.meanfield import dead_probability, first_depth_outside
from fastgrad.signal.measure import (
    Growth,
    Size,
    concentration,
    dead_share,
    growth,
    measure,
    saturated_shares,
)
from fastgrad.signal.scaled import Scaled, backpropagate, evaluate
from fastgrad.signal.structure import find_layers
from fastgrad.signal.theory import (
    Expected,
    Weights,
    expect_backward,
    expect_forward,
    moments_at,
    samples,
    weigh,
)
from fastgrad.signal.verdict import find_faults

_DTYPES = ("float16", "bfloat16", "float32", "float64")
_NOTHING = Size(math.nan, math.nan, math.nan, math.nan, None, None)


@public
def diagnose_signal(
    loss: Callable[[Any], Any],
    params: Any,
    *,
    reduction: str | None = None,
    learning_rate: float | None = None,
    jacobian: bool = False,
) -> SignalReport:
    """Measure how signals and gradients grow from layer to layer, and say why.

    The loss is traced: called once, with arrays that record what NumPy is asked to do.
    A layer is a product of a parameter with a signal, and what is applied to it.

    Parameters
    ----------
    loss : callable
        ``loss(params)``, written in NumPy, as for `check_gradient`.
    params : array or nest of arrays
        The network to diagnose; nan and infinite entries are allowed, and found.
    reduction : {"mean", "sum"}, optional
        If the loss returns an array of per-sample losses.
    learning_rate : float, optional
        Of plain gradient descent: the report then has the size of its first step.
    jacobian : bool
        Also find extreme singular values and Lyapunov exponents of the Jacobian, at
        the first sample. Only for chains of dense layers; O(depth width³).

    Returns
    -------
    SignalReport
        True in a condition if healthy; printed, a table of layers.

    Raises
    ------
    TraceError
        If the loss does something that cannot be traced: it says what and where.
    ValueError
        If no parameter is multiplied with anything, or an argument makes no sense.

    Notes
    -----
    Sizes are carried as mantissa and exponent where float64 does not hold them, so that
    5000 layers that each halve the signal report a growth of -1.0, log2 per layer.
    Takes about the time of one evaluation of the loss and of its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.ones((2, 1))
    >>> def loss(weights):
    ...     a = X
    ...     for W in weights:
    ...         a = W @ a
    ...     return np.mean(a**2)
    >>> report = diagnose_signal(loss, [0.5 * np.eye(2)] * 50)
    >>> report.verdict, report.first_layer, report.cause
    ('vanishing (forward, backward)', '0', 'weight scale')
    >>> report.layers[-1].forward_log2, round(report.forward_growth, 12)
    (-50.0, -1.0)
    >>> report.fix
    'scale every weight by 2: signal at the last layer x 2^49'
    """
    function("loss", loss)
    if learning_rate is not None:
        learning_rate = number("learning_rate", learning_rate, least=0)
    choice("reduction", reduction, ("mean", "sum", None))
    flag("jacobian", jacobian)
    with claimed(params), global_generator_kept():
        nest = _nest(params)
        graph = trace_graph(loss, nest, reduction)
    parameters, result = graph.parameters, graph.result
    nodes = topological(result)
    structure = find_layers(nodes)
    if not structure:
        raise ValueError(
            "`loss` must multiply (matmul, dot, einsum) a parameter with something: "
            "no layer was found."
        )
    values = evaluate(nodes)
    keep = {*parameters, *(layer.pre for layer in structure)}
    gradients = backpropagate(nodes, result, values, keep)
    with np.errstate(all="ignore"):
        weights = [weigh(layer, values) for layer in structure]
        network = _Network(structure, weights, values, gradients)
        layers = _measure_layers(network, parameters, learning_rate)
        along, against = _growths(layers)
        reached = {p.label for p in parameters if _reaches(gradients.get(p))}
        dtypes = {n: str(d) for n, d in zip(nest.names, nest.dtypes, strict=True)}
        evidence = Evidence(
            nodes, values, structure, layers, weights, along, against, dtypes,
            frozenset(reached),
        )  # fmt: skip
        faults = find_faults(evidence)
    asked = find_jacobian(structure, values) if jacobian else None
    return _reported(evidence, faults, asked)


def _reported(
    evidence: Evidence, faults: Sequence[Fault], jacobian: Jacobian | None
) -> SignalReport:
    along, against = evidence.forward, evidence.backward
    first = faults[0] if faults else None
    return SignalReport(
        verdict=_verdict(faults),
        layers=tuple(evidence.layers),
        forward_growth=along.slope,
        backward_growth=against.slope,
        forward_growth_error=along.error,
        backward_growth_error=against.error,
        first_layer=first.layer if first else None,
        cause=first.cause if first else None,
        fix=first.fix if first else None,
        faults=tuple(faults),
        range_depth=_range_depth(along, against),
        input_log2=evidence.weights[0].log_signal / (2 * LN2),
        jacobian=jacobian,
        notes=_notes(evidence.layers, evidence.weights),
    )


def _nest(params: Any) -> Nest:
    """Return a nest of the parameters; nan and infinities, which it refuses, later."""
    leaves = [np.asarray(value) for _, _, value in walk(params)]
    kinds = all(leaf.dtype.kind == "f" for leaf in leaves)
    if not kinds or all(np.isfinite(leaf).all() for leaf in leaves):
        return Nest(params)
    nest = Nest(rebuild(params, iter([np.nan_to_num(leaf) for leaf in leaves])))
    nest.leaves = leaves
    return nest


# ---- one record for each layer ------------------------------------------------------


class _Network(NamedTuple):
    """The layers of a network, and the values and gradients of all its arrays."""

    structure: Sequence[Layer]
    weights: Sequence[Weights]
    values: Mapping[Node, Scaled]
    gradients: Mapping[Node, Scaled]


def _measure_layers(
    network: _Network, parameters: Sequence[Node], learning_rate: float | None
) -> list[SignalLayer]:
    structure, weights, values, gradients = network
    blocks = {p.label: p for p in parameters}
    sizes = [measure(values[layer.pre], layer.axes) for layer in structure]
    back = [
        gradients[layer.pre].log2_rms if layer.pre in gradients else -math.inf
        for layer in structure
    ]
    ahead, behind = _expectations(network, sizes, back)
    return [
        SignalLayer(
            name=layer.name,
            depth=layer.depth,
            shape=layer.pre.shape,
            source_line=source_line(layer.products[0].node),
            forward_log2=size.log2_rms,
            backward_log2=back[i],
            mean=size.mean,
            kurtosis=size.kurtosis,
            correlation=size.correlation,
            decorrelation=size.decorrelation,
            log2_max=size.log2_max,
            sigma_w=weights[i].sigma_w,
            sigma_b=weights[i].sigma_b,
            fan_in=weights[i].fan_in,
            **_outcome(layer, size, values, weights[i].sigma_b),
            **_expectation("forward", ahead[i], size.log2_rms),
            **_expectation("backward", behind[i], back[i]),
            **_ratios(network, blocks[layer.name], learning_rate),
        )
        for i, (layer, size) in enumerate(zip(structure, sizes, strict=True))
    ]


def _expectations(
    network: _Network, sizes: Sequence[Size], back: Sequence[float]
) -> tuple[list[Expected | None], list[Expected | None]]:
    """Return the expected size of the signal and of the gradient, by layer."""
    structure, weights, values, gradients = network
    signal = [concentration(values[x.pre].mantissa, x.axes) for x in structure]
    gradient = [
        concentration(gradients[x.pre].mantissa, x.axes) if x.pre in gradients else 1.0
        for x in structure
    ]
    return (
        expect_forward(structure, weights, signal),
        expect_backward(
            structure,
            weights,
            [2 * LN2 * size.log2_rms for size in sizes],
            [2 * LN2 * b for b in back],
            gradient,
        ),
    )


def _outcome(
    layer: Layer, size: Size, values: Mapping[Node, Scaled], sigma_b: float
) -> dict[str, Any]:
    """Return what is to be said about the activation after a layer."""
    function, post = layer.outgoing, layer.post
    found = measure(values[post], None) if post is not None else _NOTHING
    dead = expected = saturated = whole = 0.0
    same = post is not None and post.shape == layer.pre.shape
    axes = layer.axes if same else None
    if function is not None and post is not None and function.steps:
        m = moments_at(function, 0.0)
        silent = m.silent if m is not None else 0.0
        if axes and silent:
            dead = dead_share(values[post], axes)
            c = _unbiased(size, sigma_b)
            expected = dead_probability(samples(layer), c) if dead else 0.0
        if function.flat is not None and layer.activated is not None:
            z = values[layer.activated]
            saturated, whole = saturated_shares(z, function.flat, axes)
    return {
        "activation": function.name if function is not None else "linear",
        "post_log2": found.log2_rms,
        "post_mean": found.mean,
        "post_kurtosis": found.kurtosis,
        "dead": dead,
        "dead_expected": expected,
        "saturated": saturated,
        "saturated_units": whole,
    }


def _unbiased(size: Size, sigma_b: float) -> float:
    """Return the correlation of the samples but for the biases they have in common.

    What biases do to units is not chance.
    """
    with np.errstate(all="ignore"):
        share = float(np.exp2(2 * (np.log2(sigma_b) - size.log2_rms)))
    c = size.correlation or 0.0
    return min(max((c - share) / (1 - share), 0.0), 1.0) if share < 1 else 0.0


def _expectation(
    direction: str, expected: Expected | None, measured: float
) -> dict[str, Any]:
    known = expected is not None and math.isfinite(measured)
    return {
        f"expected_{direction}_log2": expected.log2 if expected else None,
        f"{direction}_spread": expected.deviation if expected else None,
        f"{direction}_z": expected.z(measured) if expected and known else None,
    }


def _ratios(
    network: _Network, weight: Node, learning_rate: float | None
) -> dict[str, Any]:
    """Return how large the gradient of a weight is, beside the weight."""
    size, gradients = network.values[weight].log2_rms, network.gradients
    ratio = -math.inf
    if weight in gradients:
        slope = gradients[weight].log2_rms
        ratio = slope - size if size > -math.inf else math.inf
    update = None
    if learning_rate is not None:
        with np.errstate(over="ignore"):
            update = float(learning_rate * np.exp2(ratio))
    return {"gradient_ratio_log2": ratio, "update_ratio": update}


# ---- the network as a whole ---------------------------------------------------------


def _growths(layers: Sequence[SignalLayer]) -> tuple[Growth, Growth]:
    """Return growth of the signal with depth, and of its gradient against it."""
    depth = np.array([float(layer.depth) for layer in layers])
    forward = np.array([layer.forward_log2 for layer in layers])
    norm = np.array([layer.norm_log2 for layer in layers])
    return growth(depth, forward), growth(-depth, norm)


def _range_depth(along: Growth, against: Growth) -> dict[str, dict[str, int | None]]:
    return {
        dtype: {
            "forward": _outside(along, dtype),
            "backward": _outside(against, dtype),
        }
        for dtype in _DTYPES
    }


def _outside(growth: Growth, dtype: str) -> int | None:
    slope = growth.slope
    certain = abs(slope) > max(
        1e-9, growth.error if growth.error == growth.error else 0
    )
    return first_depth_outside(slope, dtype) if certain else None


def _reaches(gradient: Scaled | None) -> bool:
    return gradient is not None and bool(gradient.mantissa.any())


def _verdict(faults: Sequence[Fault]) -> str:
    directions: dict[str, dict[str, None]] = {}
    for fault in faults:
        words = directions.setdefault(fault.kind, {})
        words.update(dict.fromkeys(fault.direction.split(", ")))
    parts = [f"{kind} ({', '.join(words)})" for kind, words in directions.items()]
    return "; ".join(parts) or "healthy"


def _notes(
    layers: Sequence[SignalLayer], weights: Sequence[Weights]
) -> tuple[str, ...]:
    notes = [
        f"the weights of {layer.name} do not have mean zero: a constant signal is "
        f"multiplied by {math.exp(w.log_mean):.3g}, one of mean zero by {w.sigma_w:.3g}"
        for layer, w in zip(layers, weights, strict=True)
        if w.has_mean and w.log_mean < 700
    ]
    return tuple(notes[:5])
