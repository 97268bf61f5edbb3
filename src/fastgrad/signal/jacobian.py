"""The Jacobian of a chain of layers for one sample: extremes and growth rates."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program import Node
from fastgrad.reports import Jacobian
from fastgrad.signal.layers import Layer
from fastgrad.signal.scaled import Scaled, backpropagate


def jacobian(layers: Sequence[Layer], values: Mapping[Node, Scaled]) -> Jacobian:
    """Return extreme singular values and Lyapunov exponents.

    The Jacobian is a product of one matrix per layer, W diag(phi'). It is multiplied
    up with a power of two of its own; the smallest singular value comes from the
    product of the inverses. Lyapunov exponents come from QR decompositions at every
    layer (Benettin et al., 1980). Takes O(depth width³).
    """
    factors = [_factor(layer, values) for layer in layers]
    square = all(m.shape[0] == m.shape[1] for m, _ in factors)
    top, bottom = _extremes(factors)
    if square:
        try:
            inverses = [(_inverse(m), -e) for m, e in reversed(factors)]
            bottom = -_extremes(inverses)[0]
        except np.linalg.LinAlgError:
            bottom = -math.inf
    return Jacobian(top, bottom, _lyapunov(factors))


def _factor(layer: Layer, values: Mapping[Node, Scaled]) -> tuple[Array, int]:
    """Return W diag(phi') of one layer as a mantissa and an exponent."""
    (product, *others) = layer.products
    weight = values[product.weight]
    plain = not others and weight.mantissa.ndim == 2 and product.node is not None
    if not plain or (layer.previous is not None and not layer.chained):
        raise ValueError(
            f"`jacobian` must be False unless every layer multiplies a matrix with "
            f"what an activation made of the layer before; {layer.name} does not."
        )
    matrix = weight.mantissa if product.weight_is_rows else weight.mantissa.T
    if layer.previous is None or layer.incoming is None or layer.source is None:
        return matrix, weight.exponent
    pre = layer.previous.pre
    steps = [pre, *layer.steps]
    gradient = backpropagate(steps, layer.source, values, {pre})[pre]
    axes = layer.previous.axes or ""
    first = tuple(0 if a == "s" else slice(None) for a in axes)
    slope = gradient.mantissa[first].reshape(-1)
    return matrix * slope, weight.exponent + gradient.exponent


def _inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _extremes(factors: Sequence[tuple[Array, int]]) -> tuple[float, float]:
    """Return log2 of the largest and smallest singular value of a product."""
    total, exponent = np.eye(factors[0][0].shape[1]), 0
    for matrix, e in factors:
        total = matrix @ total
        largest = float(np.abs(total).max())
        if not largest:
            return -math.inf, -math.inf
        shift = math.frexp(largest)[1]
        total, exponent = np.ldexp(total, -shift), exponent + e + shift
    s = np.linalg.svd(total, compute_uv=False)
    small = s[-1] if s[-1] > 1e-14 * s[0] else 0.0
    return exponent + math.log2(s[0]), exponent + math.log2(
        small
    ) if small else -math.inf


def _lyapunov(factors: Sequence[tuple[Array, int]]) -> tuple[float, ...]:
    size = min(min(matrix.shape) for matrix, _ in factors)
    q = np.eye(factors[0][0].shape[1], size)
    total = np.zeros(size)
    for matrix, e in factors:
        q, r = np.linalg.qr(matrix @ q)
        stretch = np.abs(np.diag(r))
        with np.errstate(divide="ignore"):
            # Beyond rounding, a direction is lost.
            total += np.log2(np.where(stretch > 1e-14 * stretch.max(), stretch, 0)) + e
    return tuple((np.sort(total)[::-1] / len(factors)).tolist())
