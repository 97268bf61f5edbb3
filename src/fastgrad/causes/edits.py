"""The grammar of edits: at a site, what may stand there in place of what is due.

An edit is what people get wrong: a rule left out or that of another function, a wrong
operand, a sign, a factor, an axis, a transpose, part of the indices, a use that is not
added. Kinds are generators; adding one is adding a function to `_KINDS`. At each site
the commoner come first, and the length of an edit's description is the logarithm of its
number there.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import arrangements
from fastgrad.causes.indices import index_edits
from fastgrad.causes.kinds import expression_edits
from fastgrad.causes.operands import substitutes
from fastgrad.causes.reverse import Reverse, stretched
from fastgrad.causes.sites import New, Site, independent
from fastgrad.causes.words import WHAT
from fastgrad.program import Node

Array = NDArray[np.float64]
_HUGE = 300_000  # entries of arrays that are left as they are
_RARE = 4.0  # bits of functions of a value that few values tell from nothing
_MASKS = 8  # of one shape, that are tried


class Edit(NamedTuple):
    """What may stand at a site.

    Attributes
    ----------
    code, text : str
        The cause code, and what is wrong, `{op}` standing for the operation.
    new : callable
        Of a node and what comes down to it: what stands there.
    free : str
        "factor" if a number may be wrong besides, "named" if one that is known, "step"
        if any multiple of the change is the same mistake.
    odd : float
        Bits by which it is further fetched than its place among the edits of the site.
    """

    code: str
    text: str
    new: New
    free: str = ""
    odd: float = 0.0


Kind = Callable[[Reverse, Site], Iterator[Edit]]


def _expressions(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """The rule with a part left out, exchanged, repeated, or another function's."""
    for code, text, new, scaled in expression_edits(site):
        yield Edit(code, text, new, "factor" if scaled else "")


def _arranged(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """The right array transposed, moved, cut, summed."""
    shape = site.due(site.node, reverse.gradient[site.node]).shape
    if int(np.prod(shape)) > _HUGE or not shape:
        return
    for one in arrangements(shape):

        def new(n: Node, g: Array, turn: Any = one.turn) -> Array:
            return np.asarray(turn(site.due(n, g)))

        code = one.code
        if site.role == "operand" and code == "mask":
            code = "local_derivative"
        if code == "partial" and site.i is not None and stretched(site.node, site.i):
            code = "reduction"
        text = f"{WHAT[site.role]} is used {one.how}".rstrip(",")
        yield Edit(code, text, new, "" if site.role == "operand" else "named")


def _masked(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """What counts only where a mask of the loss is on, or off."""
    shape = site.node.shape
    for mask in [m for m in reverse.masks if m.shape == shape][:_MASKS]:
        for on, where in ((mask != 0, "on"), (mask == 0, "off")):

            def new(n: Node, g: Array, on: Any = on) -> Array:
                return np.asarray(g * on)

            text = f"what comes down to {{op}} counts only where a mask is {where}"
            yield Edit("mask", text, new)


def _other_upstream(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Ones, or the gradient with respect to a function of the value."""
    text = "the gradient that comes down to {op} is taken to be ones"
    yield Edit("upstream", text, lambda n, g: np.ones(n.shape))
    functions: dict[str, Callable[[Array], Array]] = {
        "exp": lambda v: np.exp(-v),
        "log": lambda v: v,
        "square": lambda v: 1 / (2 * v),
    }
    for name, slope in functions.items():

        def new(n: Node, g: Array, slope: Any = slope) -> Array:
            return np.asarray(g * slope(n.value))

        text = f"the gradient is that of the {name} of {{op}}, not of its value"
        yield Edit("reparametrized", text, new, odd=_RARE)

    def exponential(n: Node, g: Array) -> Array:
        return np.asarray(g * np.exp(n.value))

    text = "the derivative of the exponential of {op} is used, not that of its value"
    yield Edit("local_derivative", text, exponential, odd=_RARE)


def _another(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Another array of the program."""
    yield from (Edit(*one) for one in substitutes(reverse, site))


def _moved(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Rows, windows, paddings and maxima whose gradient goes elsewhere."""
    for code, text, new in index_edits(reverse, site):
        yield Edit(code, text, new)


def _updated(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """The other factor after a step along the gradient."""
    i = site.i
    assert i is not None
    for p in reverse.program.parameters:
        if p not in reverse.gradient or p.value.size < 2:
            continue
        moved = reverse.updated(p)
        if not all(n.inputs[1 - i] in moved for n in site.nodes):
            continue

        def new(n: Node, g: Array, moved: Any = moved) -> Array:
            return np.asarray(moved[n.inputs[1 - i]])

        text = f"the derivative of {{op}} uses {p.label} after it has been updated"
        yield Edit("stale", text, new, "step")


#: Round numbers that gradients are clipped to.
_LIMITS = [m * 10.0**e for e in range(-4, 2) for m in (1, 2, 5)]


def _clipped(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """What is carried from turn to turn of a loop, clipped on its way."""
    if len(site.nodes) < 2 or independent(reverse, site):
        return
    largest = [
        float(np.abs(site.due(n, reverse.gradient[n])).max(initial=0))
        for n in site.nodes
    ]
    for limit in [c for c in _LIMITS if c < 2 * max(largest[1:])]:

        def new(n: Node, g: Array, limit: float = limit) -> Array:
            return np.clip(site.due(n, g), -limit, limit)

        text = f"what {{op}} passes back is clipped to {limit:g}"
        yield Edit("clipped", text, new)


#: By role of the site; the plainer kinds before the odder ones.
LEVELS: tuple[dict[str, tuple[Kind, ...]], ...] = (
    {},
    {
        "rule": (_expressions,),
        "sent": (_moved, _clipped),
        "upstream": (_masked, _other_upstream),
    },
    {
        "sent": (_arranged,),
        "operand": (_arranged, _updated),
        "edge": (_arranged,),
        "upstream": (_arranged,),
    },
    {
        "rule": (_another,),
        "operand": (_another,),
        "edge": (_another,),
        "upstream": (_another,),
    },
)
