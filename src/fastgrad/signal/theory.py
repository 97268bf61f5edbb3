"""What mean-field theory expects of each layer of one network, from its weights' scale.

`meanfield` treats networks of equal layers; here every layer has its own weights,
width and activation. Expectations follow each other from layer to layer as long as
nothing but an activation is between them; elsewhere (a residual sum, a normalisation)
they start again from the signal that was measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastgrad._arguments import integer, number
from fastgrad.initializers.gaussian import Moments, moments
from fastgrad.program import Node
from fastgrad.signal.finite_width import Spread, layer_spread
from fastgrad.signal.layers import Elementwise, Layer
from fastgrad.signal.meanfield import Curves, MeanField
from fastgrad.signal.scaled import Scaled
from fastgrad.signal.structure import holds

_LINEAR = moments("linear")
_layer_spread = lru_cache(maxsize=1024)(layer_spread)


class Expected(NamedTuple):
    """The logarithm, to base 2, of a root mean square: its mean and deviation."""

    log2: float
    deviation: float

    def z(self, measured: float) -> float:
        """Return by how many deviations a measured value differs."""
        return (measured - self.log2) / self.deviation


@dataclass(frozen=True)
class Weights:
    """The scale of a layer's weights and biases; logarithms are natural."""

    fan_in: int
    log_square: float  # of sigma_w, all products that meet together
    log_signal: float  # mean square of what they multiply
    log_changed: float  # that relative to the array it is views of, padded or masked
    log_bias: float  # mean square of the biases
    log_mean: float  # gain of a constant signal, fan_in * mean of the weights
    biases: Mapping[Node, int]  # 1, or -1 of those that are subtracted

    @property
    def sigma_w(self) -> float:
        """The weights have the mean square sigma_w² / fan_in."""
        return _exp(self.log_square / 2)

    @property
    def has_mean(self) -> bool:
        """Whether their mean does more to a signal than their deviation."""
        return self.log_mean > self.log_square / 2 + math.log(2)

    @property
    def sigma_b(self) -> float:
        """Root of the biases' mean square."""
        return _exp(self.log_bias / 2)


def weigh(layer: Layer, values: Mapping[Node, Scaled]) -> Weights:
    """Return the measured scale of a layer's weights and biases."""
    factor, biases = _beside(layer, values)
    fans = [product.fan_in for product in layer.products]
    signal = [_log_square(values[product.signal]) for product in layer.products]
    gains = [
        math.log(max(fan, 1)) + _log_square(values[product.weight]) + 2 * factor
        for fan, product in zip(fans, layer.products, strict=True)
    ]
    mean_signal = _log_add(signal) - math.log(len(signal))
    log_square = (
        _log_add(np.add(gains, signal)) - mean_signal
        if math.isfinite(mean_signal)
        else _log_add(gains)
    )
    first = layer.products[0]
    mean = float(values[first.weight].mantissa.mean())
    log_mean = factor + math.log(2) * values[first.weight].exponent
    log_mean += math.log(max(first.fan_in * abs(mean), 1e-300))
    return Weights(
        sum(fans),
        log_square,
        mean_signal,
        mean_signal - _log_square(values[layer.source]) if layer.source else 0.0,
        _log_add([_log_square(values[bias]) for bias in biases]),
        log_mean,
        biases,
    )


def _beside(
    layer: Layer, values: Mapping[Node, Scaled]
) -> tuple[float, dict[Node, int]]:
    """Return log of the factors after the products, and the biases with their sign."""
    products = {product.node for product in layer.products}
    factor, biases = 0.0, dict[Node, int]()
    stack, seen = [layer.pre], {layer.pre}
    while stack:
        node = stack.pop()
        if node in products:
            continue
        for x in dict.fromkeys(node.inputs):
            if holds(x, products):
                stack += [x] if x not in seen else []
                seen.add(x)
            elif node.op in ("multiply", "divide"):
                sign = 1 if node.op == "multiply" else -1
                factor += sign * _log_square(values[x]) / 2
            elif node.op in ("add", "subtract") and x.value.any():
                subtracted = node.op == "subtract" and x is node.inputs[1]
                biases[x] = -1 if subtracted else 1
    return factor, biases


# ---- forward ------------------------------------------------------------------------


class _State(NamedTuple):
    """Mean and variance of log q, the mean square of a pre-activation."""

    mean: float
    variance: float


def expect_forward(
    layers: Sequence[Layer],
    weights: Sequence[Weights],
    averaging: Sequence[float],
) -> list[Expected | None]:
    """Return the expected size of each pre-activation.

    Parameters
    ----------
    layers, weights : sequences
    averaging : sequence of float
        By which the variance of a mean over samples is smaller than of one sample.
    """
    states: dict[Layer, _State] = {}
    found: list[Expected | None] = []
    for layer, w, part in zip(layers, weights, averaging, strict=True):
        before = layer.previous
        if before is not None and layer.chained and before in states:
            state = _next(states[before], layer, w, units(before), part)
        else:
            q = np.logaddexp(w.log_square + w.log_signal, w.log_bias)
            state = _State(float(q), 0.0)
        if state is None or not math.isfinite(state.mean):
            found.append(None)
            continue
        states[layer] = state
        own = _layer_spread(_LINEAR, units(layer))
        found.append(
            _expected(
                state.mean + part * own.mean, state.variance + part * own.variance
            )
        )
    return found


def _next(
    state: _State, layer: Layer, w: Weights, width: int, part: float
) -> _State | None:
    m = moments_at(layer.incoming, state.mean)
    if m is None or not m.square:
        return None
    signal = w.log_square + w.log_changed + math.log(m.square)
    if layer.incoming is not None and layer.incoming.homogeneous:
        signal += state.mean
    after = float(np.logaddexp(signal, w.log_bias))
    share = math.exp(signal - after)
    spread = _layer_spread(m, width)
    return _State(
        after + part * share * spread.mean,
        (share * m.elasticity) ** 2 * state.variance
        + part * share**2 * spread.variance,
    )


def moments_at(function: Elementwise | None, log_q: float) -> Moments | None:
    """Return the moments at this variance; of a homogeneous function, at 1.

    None where there is no theory of the function, or no variance.
    """
    if function is None or function.examined is None:
        return None
    if function.homogeneous:
        return moments(function.examined)
    if math.isnan(log_q):
        return None
    return moments(function.examined, math.exp(min(max(log_q, -600.0), 600.0)))


# ---- backward -----------------------------------------------------------------------


def expect_backward(
    layers: Sequence[Layer],
    weights: Sequence[Weights],
    forward: Sequence[float],
    backward: Sequence[float],
    averaging: Sequence[float],
) -> list[Expected | None]:
    """Return the expected size of the gradient at each pre-activation.

    From the size measured at the last layer; `forward` and `backward` are logs of mean
    squares.
    """
    number = {layer: i for i, layer in enumerate(layers)}
    after: dict[Layer, list[Layer]] = {layer: [] for layer in layers}
    for layer in layers:
        if layer.previous is not None:
            after[layer.previous].append(layer)
    states: dict[Layer, _State] = {}
    found: list[Expected | None] = [None] * len(layers)
    for layer in reversed(layers):
        i = number[layer]
        state: _State | None = None
        if len(after[layer]) == 1 and after[layer][0].chained:
            (user,) = after[layer]
            w = weights[number[user]]
            state = _previous(states[user], layer, user, w, forward[i], averaging[i])
        if state is not None and math.isfinite(state.mean):
            found[i] = _expected(*state)
        states[layer] = state or _State(backward[i], _dependence(layer, after[layer]))
    return found


def _dependence(layer: Layer, after: Sequence[Layer]) -> float:
    """Return the variance that stands for the gradient's dependence on the weights.

    The theory takes them to be independent. The gradient of most losses is partly the
    output itself, a share of about outputs / width of the last weights' squares.
    """
    width = layer.products[0].fan_in
    return 0.0 if after else (units(layer) / max(width, 1)) ** 2


def _previous(
    state: _State, layer: Layer, user: Layer, w: Weights, log_q: float, part: float
) -> _State | None:
    m = moments_at(user.incoming, log_q)
    if m is None or not m.slope_square or user.source is None or user.pooled:
        return None
    fan_out_over_in = user.pre.value.size / user.source.value.size
    spread = slope_spread(m, units(layer))
    return _State(
        state.mean
        + w.log_square
        + w.log_changed
        + math.log(fan_out_over_in * m.slope_square)
        + part * spread.mean,
        state.variance + part * spread.variance,
    )


def slope_spread(m: Moments, width: int) -> Spread:
    """Return the spread of the log of a mean square gradient after an activation."""
    # The gradient from above is normal, of kurtosis 3, and independent of the slope.
    slopes = m._replace(square=m.slope_square, kurtosis=3 * m.slope_kurtosis)
    return _layer_spread(slopes, width)


# ---- equal layers -------------------------------------------------------------------


def theory(
    activation: Any,
    sigma_w: float,
    sigma_b: float,
    depth: int,
    *,
    q: float = 1.0,
    correlation: float = 0.0,
) -> "Theory":
    """Return what mean-field theory expects of a wide network of equal layers.

    Parameters
    ----------
    activation : str or callable
        As for `initializers.gain`.
    sigma_w, sigma_b : float
        Weights have variance ``sigma_w**2 / fan_in``, biases ``sigma_b**2``.
    depth : int
    q : float
        Pre-activation variance in the first layer.
    correlation : float
        Of two samples there.

    Returns
    -------
    Theory

    Examples
    --------
    >>> curves = theory("relu", 2**0.5, 0.0, 3)
    >>> curves.q.round(12).tolist(), curves.chi.round(12).tolist()
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    >>> curves.c.round(10).tolist()
    [0.0, 0.3183098862, 0.4937310902]
    """
    depth = integer("depth", depth, least=1)
    correlation = number("correlation", correlation, least=-1, most=1)
    field = MeanField(activation, sigma_w, sigma_b)
    curves = field.propagate(depth, q=q)
    with np.errstate(over="ignore", under="ignore"):
        lengths = np.exp2(curves.log2_q)
    c = np.full(depth, float(correlation))
    for i in range(1, depth):
        here = float(lengths[i - 1])
        inside = 1e-300 < here < 1e300
        c[i] = min(field.correlate(float(c[i - 1]), here), 1.0) if inside else c[i - 1]
    return Theory(lengths, c, curves.chi, curves)


class Theory:
    """Expected sizes by layer, arrays of shape (depth,).

    Attributes
    ----------
    q : ndarray
        Variance of pre-activations.
    c : ndarray
        Correlation of two samples.
    chi : ndarray
        Growth of squared gradients through each layer.
    curves : Curves
        Their logarithms, which over- and underflow leaves.
    """

    def __init__(self, q: Any, c: Any, chi: Any, curves: Curves) -> None:
        self.q, self.c, self.chi, self.curves = q, c, chi, curves

    def __repr__(self) -> str:
        return f"<Theory: {len(self.q)} layers, chi {self.chi[-1]:.6g} in the last>"


# ---- small things -------------------------------------------------------------------


def samples(layer: Layer) -> int:
    """Return the number of samples, positions in images included."""
    if layer.axes is None:
        return 1
    sizes = zip(layer.pre.shape, layer.axes, strict=True)
    return math.prod(n for n, axis in sizes if axis == "s")


def units(layer: Layer) -> int:
    """Return the number of units of a layer."""
    if layer.axes is None:
        return max(int(layer.pre.shape[-1]) if layer.pre.shape else 1, 1)
    sizes = zip(layer.pre.shape, layer.axes, strict=True)
    return math.prod(n for n, axis in sizes if axis == "u")


def _expected(mean: float, variance: float) -> Expected:
    to_log2 = 0.5 / math.log(2)
    return Expected(mean * to_log2, max(math.sqrt(variance) * to_log2, 1e-9))


def _log_square(x: Scaled) -> float:
    return 2 * math.log(2) * x.log2_rms


def _log_add(values: Any) -> float:
    return float(np.logaddexp.reduce(values)) if len(values) else -math.inf


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf
