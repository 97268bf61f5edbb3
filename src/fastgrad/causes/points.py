"""The right rules with other values: of the forward pass, or of what comes down."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastgrad.causes.evidence import Array, Evidence, Guess
from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.patterns import miscounted, plain
from fastgrad.causes.reverse import Instead, Reverse, product_part
from fastgrad.causes.watch import Watch
from fastgrad.program.graph import Node


def other_points(
    evidence: Evidence, reverse: Reverse, groups: list[list[Node]]
) -> Iterator[Guess]:
    """Yield values that lack a term of the forward pass, as noise or data."""
    for node in (n for group in groups if len(group) == 1 for n in group):
        for what, value in miscounted(node):
            if np.array_equal(value, node.value):
                continue
            reverse.budget.check()
            try:
                gradient = reverse.replayed({node: value})
            except np.linalg.LinAlgError:
                continue  # no matrix that could be factorised
            watch = Watch(evidence, 1.0)
            if all(
                watch(b, gradient[b] - block.right)
                for b, block in enumerate(evidence.blocks)
            ):
                # Noise that is added to the parameters makes another point of them.
                noisy = any(plain(x).op == "parameter" for x in node.inputs)
                code = "stale" if noisy else "local_derivative"
                text = f"the gradient is taken at {{op}} {what}"
                yield watch.guess(code, text, 3.6, node)


def updates(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield products whose other factor has moved along its gradient already.

    A step along the right gradient moves the values behind it. Where one of them is a
    factor of a product, the gradient of the other factor is off by a multiple of what it
    would be with the movement in place of the value; the multiple is the step's length.
    """
    if group[0].op not in ("multiply", "contract"):
        return
    for i in (0, 1):
        some = [n for n in group if n.inputs[i].active]
        for p in reverse.program.parameters:
            # Of a number any multiple is a step.
            if not some or p not in reverse.gradient or p.value.size < 2:
                continue
            moved = reverse.updated(p)
            if not all(n.inputs[1 - i] in moved for n in some):
                continue

            def part(n: Node, g: Array, i: int = i, moved: Any = moved) -> Any:
                other = n.inputs[1 - i]
                return _part(n, i, g, other.value) + _part(n, i, g, moved[other])

            text = f"the derivative of {{op}} uses {p.label} after it has been updated"
            broken = everywhere(some, Instead(i, part))
            yield Mistake("stale", text, broken, 3.6, step=True)


def _part(node: Node, i: int, g: Array, other: Array) -> Array:
    """What input `i` of a product receives with this for the other one."""
    if node.op == "multiply":
        return g * other
    return product_part(node, i, g, other)


#: Round numbers that gradients are clipped to.
_LIMITS = [m * 10.0**e for e in range(-4, 2) for m in (1, 2, 5)]


def clipped(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield what is carried from turn to turn of a loop and clipped on its way."""
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
