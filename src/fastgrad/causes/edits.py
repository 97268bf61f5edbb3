"""The grammar of edits: at a site, what may stand there in place of what is due.

An edit is what people get wrong: a rule left out or that of another function, a wrong
operand, a sign, a factor, an axis, a transpose, part of the indices, a use that is not
added. Kinds are generators in the table of `LEVELS`. At each site the commoner come
first, and the length of an edit's description is the logarithm of its number there.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import arrangements
from fastgrad.causes.indices import index_edits
from fastgrad.causes.kinds import COUPLED, expression_edits
from fastgrad.causes.operands import substitutes
from fastgrad.causes.patterns import is_statistic
from fastgrad.causes.reverse import Reverse, stretched
from fastgrad.causes.sites import Edit, Site
from fastgrad.causes.words import WHAT
from fastgrad.program import Node

Array = NDArray[np.float64]
_HUGE = 300_000  # entries of arrays that are left as they are
_MASKS = 8  # of one shape, that are tried


Kind = Callable[[Reverse, Site], Iterator[Edit]]


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
        if site.role == "edge" and is_statistic(site.node, site.i or 0):
            code = "cross_term"
        elif code == "partial" and site.i is not None and stretched(site.node, site.i):
            code = "reduction"
        text = f"{WHAT[site.role]} is used {one.how}".rstrip(",")
        yield Edit(code, text, new, "" if site.role == "operand" else "named")


def _upstream(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Ones; or what counts only where a mask of the loss is on, or off."""
    text = "the gradient that comes down to {op} is taken to be ones"
    yield Edit("upstream", text, lambda n, g: np.ones(n.shape))
    for mask in [m for m in reverse.masks if m.shape == site.node.shape][:_MASKS]:
        for on, where in ((mask != 0, "on"), (mask == 0, "off")):
            text = f"what comes down to {{op}} counts only where a mask is {where}"
            yield Edit("mask", text, partial(_where, on))


def _of_uses(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """A rule that couples terms, mistaken for what one use sends, or the others."""
    users = reverse.users.get(site.node, ())
    coupled = any(rule.name in COUPLED for rule in (site.rules or {}).values())
    if not coupled or len(site.nodes) > 1 or len(users) < 2:
        return
    for user, i in users:
        part = np.broadcast_to(reverse.part(user, i), site.node.shape)
        for some in (part, reverse.gradient[site.node] - part):
            for edit in expression_edits(reverse, site):
                new = partial(_for_some, site, edit, some)
                text = f"{edit.text}, for one of its uses"
                yield edit._replace(text=text, new=new, free="")


def _for_some(site: Site, edit: Edit, some: Array, n: Node, g: Array) -> Any:
    """An edit for a part of what comes down."""
    return site.due(n, g - some) + edit.new(n, some)


def _where(on: Array, n: Node, g: Array) -> Array:
    return g * on


def _updated(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """The other factor after a step along the gradient."""
    i = site.i
    assert i is not None
    for p, moved in reverse.updated.items():
        if p.value.size > 1 and all(n.inputs[1 - i] in moved for n in site.nodes):

            def new(n: Node, g: Array, moved: Any = moved) -> Array:
                return np.asarray(moved[n.inputs[1 - i]])

            text = f"the derivative of {{op}} uses {p.label} after it has been updated"
            yield Edit("stale", text, new, "step")


#: By role of the site; the plainer kinds before the odder ones.
LEVELS: tuple[dict[str, tuple[Kind, ...]], ...] = (
    {},
    {"rule": (expression_edits,), "sent": (index_edits,), "upstream": (_upstream,)},
    {
        "sent": (_arranged,),
        "operand": (_arranged, _updated),
        "edge": (_arranged,),
        "upstream": (_arranged,),
    },
    {
        **dict.fromkeys(("operand", "edge", "upstream"), (substitutes,)),
        "rule": (_of_uses, substitutes),
    },
)
