"""All mistakes that are looked for at an operation."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.conjugates import conjugates
from fastgrad.causes.cumulations import cumulative_products, cumulative_sums
from fastgrad.causes.data import misarranged_data
from fastgrad.causes.functions import chains, derivatives, prelus, sigmoids
from fastgrad.causes.gathers import gathers, labels
from fastgrad.causes.masks import masked
from fastgrad.causes.matrices import choleskys, determinants, solutions
from fastgrad.causes.messages import filtered, messages
from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.normalizations import normalizations
from fastgrad.causes.operands import (
    branches,
    factors,
    kinks,
    mean_of_means,
    powers,
    quotients,
)
from fastgrad.causes.products import paddings, products, reshapes, views
from fastgrad.causes.reductions import (
    broadcasts,
    maxima,
    sums,
)
from fastgrad.causes.reverse import Instead, Reverse
from fastgrad.causes.softmax import log_softmaxes, logs_of_softmaxes, softmaxes
from fastgrad.causes.updates import updates
from fastgrad.causes.uses import lone_uses
from fastgrad.causes.weights import (
    log_sums,
    log_sums_of_two,
    softmax_weights,
    two_classes,
)
from fastgrad.causes.windows import (
    overlapping_windows,
    window_reductions,
    window_reshapes,
)
from fastgrad.program.graph import Node

Array = NDArray[np.float64]


Kind = Callable[[Reverse, list[Node]], Iterator[Mistake]]


def mistakes_at(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes at operations that are the same piece of code."""
    for kind in (*_BY_OPERATION.get(group[0].op, ()), *_ANYWHERE):
        yield from kind(reverse, group)


def _upstream(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    node = group[0]
    if node.value.ndim == 0:
        return

    def ones(n: Node, g: Array) -> list[tuple[Node, Any]]:
        return reverse.rightly(n, np.ones(n.shape))

    text = "the gradient that comes down to {op} is taken to be ones"
    yield Mistake("upstream", text, everywhere(group, ones), 3.9)


_OF_VALUE: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("exp", lambda v: np.exp(-v)),
    ("log", lambda v: v),
    ("square", lambda v: 1 / (2 * v)),
)


def _of_function(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The gradient with respect to a function of the value, not to the value."""
    for name, slope in _OF_VALUE:

        def sends(n: Node, g: Array, slope: Any = slope) -> list[tuple[Node, Any]]:
            with np.errstate(all="ignore"):
                return reverse.rightly(n, g * slope(n.value))

        text = f"the gradient is that of the {name} of {{op}}, not of its value"
        yield Mistake("reparametrized", text, everywhere(group, sends), 3.9)


#: Round numbers that gradients are clipped to.
_LIMITS = [m * 10.0**e for e in range(-4, 2) for m in (1, 2, 5)]


def _clipped(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """What is carried from turn to turn of a loop is clipped on its way."""
    if len(group) < 2:
        return
    for i, x in enumerate(group[-1].inputs):
        if not x.active or x.op == "parameter":
            continue
        later = [n for n in group[1:] if n.inputs[i].active]
        size = max(float(np.abs(reverse.part(n, i)).max(initial=0)) for n in later)
        for limit in _LIMITS:
            if limit > 2 * size:
                break

            def part(n: Node, g: Array, i: int = i, limit: float = limit) -> Any:
                return np.clip(reverse.send(n, g)[i], -limit, limit)

            carried = [n for n in group if n.inputs[i].active]
            text = f"what {{op}} passes back is clipped to {limit:g}"
            yield Mistake("clipped", text, everywhere(carried, Instead(i, part)), 3.4)


_ANYWHERE: tuple[Kind, ...] = (
    derivatives,
    chains,
    sigmoids,
    softmaxes,
    log_softmaxes,
    normalizations,
    broadcasts,
    masked,
    lone_uses,
    misarranged_data,
    _upstream,
    _of_function,
    _clipped,
)
_BY_OPERATION: dict[str, tuple[Kind, ...]] = {
    "add": (prelus, messages, filtered),
    "multiply": (factors, mean_of_means, updates),
    "divide": (quotients, logs_of_softmaxes, softmax_weights, two_classes),
    "reciprocal": (two_classes,),
    "exp": (log_sums,),
    "logaddexp": (log_sums_of_two,),
    "solve": (solutions,),
    "det": (determinants,),
    "logabsdet": (determinants,),
    "cholesky": (choleskys,),
    "negative": (conjugates,),
    "power": (powers,),
    "maximum": (kinks,),
    "minimum": (kinks,),
    "where": (branches,),
    "sum": (sums, window_reductions),
    "max": (maxima, window_reductions),
    "cumsum": (cumulative_sums,),
    "cumprod": (cumulative_products,),
    "contract": (products, updates, overlapping_windows),
    "take": (gathers, labels),
    "reshape": (reshapes, window_reshapes),
    "view": (views, window_reshapes),
    "place": (paddings,),
}
