"""A value used several times: its gradient is the sum of what the uses send."""

from collections.abc import Iterator

from fastgrad.causes.mistakes import Mistake
from fastgrad.causes.reverse import Instead, Reverse, Sends, nothing
from fastgrad.program.graph import Node

_MOST = 12  # uses
_MOVES = ("view", "reshape", "place")


def lone_uses(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Only one of the uses counts, as when a gradient is assigned, not added to."""
    node = group[0]
    if len(group) > 1:
        return
    firsts = [x for x in node.inputs if x.op == "parameter"]
    for x in (node, *(x for x in firsts if reverse.users[x][0][0] is node)):
        uses = _uses(reverse, x)
        if not 2 < len(uses) <= _MOST or len({n for n, _ in uses}) < len(uses):
            continue
        last = max(reverse.number[n] for n, _ in uses)
        for kept in uses:
            broken: dict[Node, Sends] = {
                n: Instead(i, nothing) for n, i in uses if (n, i) != kept
            }
            which = "last" if reverse.number[kept[0]] == last else kept[0].label
            what = x.label if x is not node else "{op}"
            text = f"of the {len(uses)} uses of {what} only one counts, the {which}"
            yield Mistake("accumulation", text, broken, 3.4)


def _uses(reverse: Reverse, x: Node) -> list[tuple[Node, int]]:
    """The operations that use a value, or a part of it that has only been moved."""
    found = []
    for user, i in reverse.users[x]:
        found += _uses(reverse, user) if user.op in _MOVES else [(user, i)]
    return found
