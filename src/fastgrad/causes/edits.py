"""The grammar of edits: at a site, what may stand there in place of what is due.

An edit is what people get wrong: a rule left out or that of another function, a wrong
operand, a sign, a factor, an axis, a transpose, part of the indices, a use that is not
added. Kinds are generators in the table of `LEVELS`. At each site the commoner come
first, and the length of an edit's description is the logarithm of its number there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import arrangements
from fastgrad.causes.indices import index_edits
from fastgrad.causes.kinds import COUPLED, expression_edits
from fastgrad.causes.patterns import is_statistic
from fastgrad.causes.readings import BITS, Point, Reading, Readings
from fastgrad.causes.reverse import Reverse, is_mask, stretched
from fastgrad.causes.sites import Edit, New, Site, independent
from fastgrad.causes.words import WHAT
from fastgrad.program import Node

Array = NDArray[np.float64]
_HUGE = 300_000  # entries of arrays that are left as they are
#: Operations that hand their gradient down as it is.
_IDENTITIES = ("add", "reshape", "view")
#: Operations of which any part of the rule may be another array.
_OF_MATRICES = ("solve", "det", "logabsdet")


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
    """Ones."""
    text = "the gradient that comes down to {op} is taken to be ones"
    yield Edit("upstream", text, lambda n, g: np.ones(n.shape))


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


def _others(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Another array of the program for what is due.

    A backward pass is full of arrays of one shape: values, slopes, data, gradients; in
    a loop those of the turn before and after.
    """
    due = [site.due(n, reverse.gradient[n]).shape for n in site.nodes]
    for one, called, new in _read(reverse, site.nodes, due):
        odd = BITS[one.role] - BITS["value"]
        if site.role == "operand":
            late = one.is_late and not independent(reverse, site)
            code = "stale" if late else "local_derivative"
            text = f"the derivative of {{op}} uses {called}"
            text += " where its other operand is due"
            yield Edit(code, text, new, odd=odd)
        elif one.role != "gradient":  # values that have nothing to do with it
            text = f"{{op}} is handed {called} in place of the gradient from above"
            yield Edit("upstream", text, new, "named", odd + 2)
        elif code := _of_skipped(reverse, site.node, one.node):
            text = f"{called} is used where that of {{op}} is due"
            more = ": not all that uses it is counted" * (code == "accumulation")
            yield Edit(code, text + more, new, "named", odd)


def _read(
    reverse: Reverse, nodes: Sequence[Node], shapes: Sequence[tuple[int, ...]]
) -> Iterator[tuple[Reading, str, New]]:
    """Yield what has these shapes in the turns of a loop, and its name."""
    point = Point({}, reverse, ())
    if reverse.readings is None:
        reverse.readings = Readings(point, (), gradients=True)
    some, _ = reverse.readings.of(len(shapes)).get(tuple(shapes), ([], None))
    for one in some if any(np.prod(shape) > 1 for shape in shapes) else ():
        arrays = (one.of(point, k) for k in range(len(shapes)))
        at = f" ({one.node.source})" if one.node.inputs else ""
        put = dict(zip(nodes, arrays, strict=True))
        yield one, reverse.readings.called(one) + at, partial(_put, put)


def _put(put: Mapping[Node, Array], n: Node, g: Array) -> Array:
    return put[n]


def _of_skipped(reverse: Reverse, one: Node, two: Node) -> str:
    """The code of what is between two values, none or one operation; "" if more is.

    Those that hand their gradient down as it is do not count.
    """
    for start, end in ((one, two), (two, one)):
        found, stack = {start: "accumulation"}, [start]
        while stack:
            here = stack.pop()
            for user, _ in reverse.users.get(here, ()):
                code = found[here]
                if user.op not in _IDENTITIES:
                    if code != "accumulation":
                        continue
                    masks = any(is_mask(x.value) for x in user.inputs if not x.active)
                    code = "mask" if masks else "local_derivative"
                if user not in found or code == "accumulation" != found[user]:
                    found[user] = code
                    stack.append(user)
        if end in found:
            return found[end]
    return ""


def _symbols(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Another array for a symbol of a rule with matrices."""
    rules = site.rules or {}
    if site.node.op not in _OF_MATRICES:
        return
    parts = [t for _, t in rules[site.node].sent.parts()]
    named = {t.name: t.shape for t in parts if t.name not in ("", "g")}
    for name, shape in named.items():
        for _, called, new in _read(reverse, list(rules), [shape] * len(rules)):
            text = f"the derivative of {{op}} uses {called} where {name} is due"
            yield Edit("local_derivative", text, partial(_sent, rules, name, new))


def _sent(rules: Any, name: str, new: New, n: Node, g: Array) -> Any:
    return rules[n].sent.compute({"g": g, name: new(n, g)})


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
        **dict.fromkeys(("operand", "edge", "upstream"), (_others,)),
        "rule": (_of_uses, _symbols),
    },
)
