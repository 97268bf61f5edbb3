"""Which mistakes may explain an error at all, told before they are propagated.

If input `x` of an operation receives `d` more than it should, the gradient of a block
changes along a direction `r` by ``<x', d>``, where ``x'`` says how `x` moves when the
block moves along `r`. So the program is run forward once for each wrong block and
direction, and a dot product at the broken operation tells whether a mistake there may
be the error of the block. Almost none passes by chance: there are two directions.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fastgrad.causes.evidence import Array, Evidence
from fastgrad.causes.reverse import Instead, Reverse, Sends
from fastgrad.program.graph import Node

_DIRECTIONS = 2
CLOSE = 1e-6  # of the terms of a dot product, what they must agree to
_COST = 0.2  # of a look, in operations propagated

#: What some values are to receive beyond what is right.
Extra = Sequence[tuple[Node, Array]]


class Probe:
    """The error of one wrong block, seen along some directions of its parameters."""

    def __init__(self, evidence: Evidence, reverse: Reverse, b: int) -> None:
        block = evidence.blocks[b]
        rng = np.random.default_rng(b)
        usable = block.known & np.isfinite(block.off)
        off = np.where(usable, block.off, 0.0)
        self.seen: list[float] = []
        self.tangents: list[dict[Node, Array]] = []
        for _ in range(_DIRECTIONS):
            r = np.where(usable, rng.standard_normal(off.shape), 0.0)
            self.seen.append(float(np.vdot(r, off)))
            self.tangents.append(reverse.tangents({reverse.program.parameters[b]: r}))


class Sieve:
    """All wrong blocks, and what may explain one of them."""

    def __init__(self, evidence: Evidence, reverse: Reverse) -> None:
        self.reverse = reverse
        self.probes = [Probe(evidence, reverse, b) for b in evidence.wrong]

    def passes(
        self,
        broken: Mapping[Node, Sends],
        factor: float | None,
        dropped: Mapping[Node, Sends] | None = None,
    ) -> bool:
        """Whether these broken operations may explain a block.

        By this factor, or any; beyond what it is to send nothing, if `dropped`.
        """
        if not independent(self.reverse, {n: _input(s) for n, s in broken.items()}):
            return True  # a loop: what one turn sends goes through the next, broken too
        extra = self._extra(broken)
        base = [] if dropped is None else self._extra(dropped)
        self.reverse.budget.check()
        return any(
            _explains(
                [weighed(extra, t) for t in probe.tangents],
                [weighed(base, t) for t in probe.tangents],
                probe.seen,
                factor,
            )
            for probe in self.probes
        )

    def _extra(self, broken: Mapping[Node, Sends]) -> Extra:
        with np.errstate(all="ignore"):
            return [
                (x, np.asarray(part))
                for node, sends in broken.items()
                for x, part in self.reverse.sent(node, None, sends)
                if x.active and part is not None and x not in self.reverse.neutral
            ]


def independent(reverse: Reverse, broken: Mapping[Node, int | None]) -> bool:
    """Whether nothing that these operations send goes through another one of them.

    To this input of each; to all, if None.
    """
    if len(broken) < 2:
        return True
    own = behind = 0
    for node, i in broken.items():
        own |= 1 << reverse.number[node]
        for x in node.inputs if i is None else (node.inputs[i],):
            behind |= reverse.behind.get(x, 0)
    return not own & behind


def _input(sends: Sends) -> int | None:
    return sends.i if isinstance(sends, Instead) else None


def weighed(extra: Extra, tangents: Mapping[Node, Array]) -> tuple[float, float]:
    """The dot product, and the sum of the sizes of its terms."""
    return dot((part, tangents.get(x)) for x, part in extra)


def dot(pairs: Iterable[tuple[Array, Array | None]]) -> tuple[float, float]:
    """The same, of arrays one by one; None is nothing but zeros."""
    total = size = 0.0
    for one, other in pairs:
        if other is not None:
            with np.errstate(all="ignore"):
                terms = one * other
                total += float(terms.sum())
                size += float(np.abs(terms).sum())
    return total, size


def _explains(
    moved: list[tuple[float, float]],
    base: list[tuple[float, float]],
    seen: list[float],
    factor: float | None,
) -> bool:
    """Whether ``base + factor * (moved - base)`` is what is seen, in all directions."""
    steps = [m[0] - b[0] for m, b in zip(moved, base, strict=True)]
    if factor is None:
        k = int(np.argmax(np.abs(steps)))
        if not steps[k]:
            return False
        factor = (seen[k] - base[k][0]) / steps[k]
    for (_, size), (start, other), step, target in zip(
        moved, base, steps, seen, strict=True
    ):
        scale = abs(factor) * (size + other) + other + abs(target)
        if not abs(start + factor * step - target) <= CLOSE * scale:
            return False
    return True
