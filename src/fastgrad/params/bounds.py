"""Numbers for each parameter: bounds, steps; given as one, or as nests of them."""

from typing import Any

import numpy as np

from fastgrad._arguments import refusal
from fastgrad.params.nest import Nest, Vector
from fastgrad.params.structure import rebuild, walk


def limits(nest: Nest, bounds: Any, what: str = "params") -> tuple[Vector, Vector]:
    """Return the lower and the upper bound of every entry.

    Parameters
    ----------
    nest : Nest
    bounds : (lower, upper), scipy.optimize.Bounds or None
        Each a number, None for none, or built like the parameters of these; they are
        broadcast.
    what : str
        The argument's name, for messages.

    Raises
    ------
    TypeError, ValueError
        If they are built otherwise, are not numbers, or do not hold the parameters.

    Examples
    --------
    >>> nest = Nest({"W": np.ones(2), "s": 0.5})
    >>> limits(nest, ({"W": [-1, 0], "s": None}, None))
    (array([ -1.,   0., -inf]), array([inf, inf, inf]))
    """
    if bounds is None:
        bounds = (None, None)
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        bounds = bounds.lb, bounds.ub
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        must = "be a pair (lower, upper), as `tuple(zip(*pairs))` of pairs"
        raise refusal(TypeError, "bounds", must, bounds)
    lower = spread(nest, bounds[0], "bounds[0]", -np.inf)
    upper = spread(nest, bounds[1], "bounds[1]", np.inf)
    crossed = np.flatnonzero(lower > upper)
    if crossed.size:
        k = int(crossed[0])
        must = f"have its lower number below the upper one at {nest.label(k)}"
        raise refusal(ValueError, "bounds", must, (float(lower[k]), float(upper[k])))
    x = nest.join(nest.leaves)
    outside = np.flatnonzero(~((lower <= x) & (x <= upper)))
    if outside.size:
        k = int(outside[0])
        raise ValueError(
            f"`{what}` must be within `bounds`, got {nest.label(k)} = {x[k]}, where "
            f"they are {lower[k]} and {upper[k]}."
        )
    return lower, upper


def spread(nest: Nest, side: Any, what: str, otherwise: float | None = None) -> Vector:
    """Return a number, or what is built like the parameters, as numbers for each entry.

    Parameters
    ----------
    nest : Nest
    side : float, None, or a nest of these and of arrays
        Broadcast to the blocks.
    what : str
        The argument's name, for messages.
    otherwise : float, optional
        What None is; without it, it is refused.
    """
    whole = np.full(nest.size, np.nan if otherwise is None else otherwise)
    if side is None and otherwise is not None:
        return whole
    if not isinstance(side, dict | list | tuple) and np.ndim(side) == 0:
        found = [(side, what)] * len(nest.leaves)
    else:
        leaves = (otherwise if leaf is None else leaf for *_, leaf in walk(side))
        found = nest.members(rebuild(side, leaves), what)
    for part, (value, label) in zip(nest.split(whole), found, strict=True):
        try:
            part[...] = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            must = f"be numbers of shape {part.shape}"
            raise refusal(TypeError, label, must, value) from None
    return whole
