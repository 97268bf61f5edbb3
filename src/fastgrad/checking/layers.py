"""Layers as losses: what checks a forward and a backward pass."""

from typing import Any

import numpy as np

from fastgrad._arguments import function, generator
from fastgrad._public import public
from fastgrad.params import Vector
from fastgrad.program import around


@public
def layer_loss(forward: Any, backward: Any, *, seed: int = 0) -> tuple[Any, Any]:
    """Return the loss and the gradient that check a layer: sum(dy * forward).

    A layer has no loss of its own. Weighting its output with fixed random numbers dy
    makes one, and makes dy the upstream gradient: never ones, with which a backward
    pass that ignores its upstream passes, and never constant along an axis, for which
    the gradient of a normalisation is zero. A pair of functions, and not an option of
    the checks, as this is all there is to it, and both `check_variations` and, for
    layers without data, `check_gradient` take the pair as it is.

    Parameters
    ----------
    forward : callable
        ``forward(params, *data)`` returns the output, an array.
    backward : callable
        ``backward(params, *data, dy)`` returns the gradient of ``sum(dy * output)`` in
        the structure of `params`.
    seed : int
        Of dy, which is standard normal, of the dtype of the output. Its first rows are
        the same for all batches.

    Returns
    -------
    loss, grads : callable
        The first two functions that `check_variations` takes.

    See Also
    --------
    check_jacobian : Checks ``vjp`` for all upstream gradients, output by output.

    Notes
    -----
    To have dy follow its samples, so that identities such as that for another order of
    the samples apply, make it data: ``lambda p, x, dy: np.sum(dy * forward(p, x))``
    with ``grads=backward`` and ``data=(x, dy)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgrad import check_variations
    >>> def forward(p):
    ...     return p["gamma"] * np.tanh(p["x"])
    >>> def backward(p, dy):  # without gamma: right as long as it is 1
    ...     a = np.tanh(p["x"])
    ...     return {"x": dy * (1 - a**2), "gamma": (dy * a).sum(axis=0)}
    >>> params = {"x": np.array([[0.5, -1.0], [0.2, 0.9]]), "gamma": np.ones(2)}
    >>> loss, grads = layer_loss(forward, backward)
    >>> report = check_variations(loss, params, grads, per_sample={"x": 0})
    >>> print(report.summary)
    Gradient WRONG: wrong only with parameters off their defaults and other parameters.
    """
    function("forward", forward)
    function("backward", backward)
    generator("seed", seed)

    def upstream(shape: tuple[int, ...]) -> Vector:
        return np.random.default_rng(seed).standard_normal(shape)

    def loss(params: Any, *data: Any) -> Any:
        y = forward(params, *data)
        with around(forward):
            return np.sum(upstream(y.shape) * y)

    def grads(params: Any, *data: Any) -> Any:
        y = np.asarray(forward(params, *data))
        return backward(params, *data, upstream(y.shape).astype(y.dtype))

    return loss, grads
