"""How far a gradient is right, where no mistake is known that gives it."""

import numpy as np

from fastgrad.causes.blocks import whereabouts
from fastgrad.causes.evidence import Evidence
from fastgrad.causes.reverse import Reverse
from fastgrad.program import Node


def proved(
    evidence: Evidence, reverse: Reverse | None, wrong: list[int]
) -> tuple[str, Node | None]:
    """Return what can be said for certain about wrong blocks, and the operation."""
    said = ""
    for block in (evidence.blocks[b] for b in wrong):
        found = whereabouts(block.everywhere)
        said += f"; {block.name} is wrong only {found[0]}" if found else ""
    if reverse is None:
        return said, None
    node = entered(evidence, reverse, wrong)
    above, whole = _right_above(evidence, reverse, wrong)
    if node is not None:
        said += f"; if it is one mistake, what comes down to {name(node)} is wrong"
    if above is not None:
        said += f"; what comes down to {name(above)} is right"
        if whole:
            said += f": the error enters at or behind line {above.source.line}, and "
            said += "everything nearer the loss is right"
    return said, node or above


def name(node: Node) -> str:
    """An operation, as it is called in messages."""
    return f"{node.label} ({node.source})"


def _right_above(
    evidence: Evidence, reverse: Reverse, wrong: list[int]
) -> tuple[Node | None, bool]:
    """The last value before all wrong blocks whose gradient is right.

    Every way to some right block passes it, so its gradient is a factor of that of the
    block. And whether every way to the wrong ones does.
    """
    passed, parameters = reverse.passed, reverse.program.parameters
    known = 0
    for p, block in zip(parameters, evidence.blocks, strict=True):
        if not block.is_wrong and np.any(block.right):
            known |= passed.get(p, 0) & ~(1 << reverse.number.get(p, 0))
    bits = sum(1 << b for b in wrong)
    for k, node in enumerate(reverse.nodes[:-1]):
        if known >> k & 1 and reverse.reached[node] & bits == bits:
            whole = all(passed.get(parameters[b], 0) >> k & 1 for b in wrong)
            return node, whole
    return None, False


def entered(evidence: Evidence, reverse: Reverse, wrong: list[int]) -> Node | None:
    """Return the value whose gradient is wrong wherever one mistake entered.

    It enters in the gradient of a value that all wrong blocks lead to, and no right one
    whose gradient is not zero; it has passed the value that all of these come from.
    """
    bits = sum(1 << b for b in wrong)
    right = sum(
        1 << b
        for b, block in enumerate(evidence.blocks)
        if not block.is_wrong and np.any(block.right)
    )
    entries = [
        node
        for node in reverse.nodes
        if reverse.reached[node] & bits == bits and not reverse.reached[node] & right
    ]
    if not entries or not entries[0].inputs:
        return None
    first = reverse.behind[entries[0]]
    passed = all(reverse.behind[node] & first == first for node in entries)
    return entries[0] if passed else None
