"""Whether a change of the gradient is the error, told block by block as it comes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad.causes.evidence import Array, Block, Evidence, Guess, fit
from fastgrad.program.graph import Node

Change = Sequence[Array | None]


class Watch:
    """Compares each block's change with its error as soon as it is known.

    The gradient of a block is guessed to be ``right + base + factor * (moved - base)``.

    Parameters
    ----------
    factor : float or None
        None where it follows from the first block that it explains.
    base : sequence of ndarray or None, optional
    strict : bool
        Whether to give up at the first block that is not explained.
    """

    def __init__(
        self,
        evidence: Evidence,
        factor: float | None,
        *,
        base: Change | None = None,
        strict: bool = True,
    ) -> None:
        self.evidence = evidence
        self.factor = factor
        self.explained: dict[int, float] = {}
        self.entries = 0
        self.change: dict[int, Array] = {}
        self.against = 0
        self.strict = strict
        self._base = base or [None] * len(evidence.blocks)

    def __call__(self, b: int, moved: Array | None) -> bool:
        """Say whether to go on."""
        go_on = self._compare(b, moved)
        if not go_on or self.against > len(self.explained) + 1:
            self.explained.clear()
        return go_on

    def _compare(self, b: int, moved: Array | None) -> bool:
        block, base = self.evidence.blocks[b], self._base[b]
        base = np.zeros(()) if base is None else base
        moved = base if moved is None else moved
        if not block.is_wrong:
            self.against += self._moves(block, base, moved)
        elif not np.any(moved) and not np.any(base):
            return not self.strict
        elif not self._explains(b, block, base, moved):
            self.against += 1
            if not self.strict and self.factor is not None:
                self.change[b] = base + self.factor * (moved - base)
        if self.strict:
            return not self.against
        return self.against <= len(self.explained) + 1

    def _moves(self, block: Block, base: Any, moved: Any) -> bool:
        factor = 1.0 if self.factor is None else self.factor
        with np.errstate(all="ignore"):
            change = np.abs(base + factor * (moved - base))
        return not bool((change <= 3 * block.bar).all())

    def _explains(self, b: int, block: Block, base: Any, moved: Any) -> bool:
        factor = self.factor
        with np.errstate(all="ignore"):
            step, off = moved - base, block.off - base
            if factor is None:
                if not np.isfinite(step).all() or not np.isfinite(off).all():
                    return False
                step = np.broadcast_to(step, off.shape)
                c = fit(off[block.known], step[block.known])
                if c is None:
                    return False
                factor = 1.0 if abs(c[0] - 1) < 1e-6 else float(c[0])
            residual = block.residual(block.right + base + factor * step)
        if residual is None:
            return False
        self.factor = factor
        self.explained[b] = residual
        self.entries += int(np.count_nonzero(step))
        return True

    @property
    def certain(self) -> bool:
        """Whether a factor found is more than one number read off another."""
        factor = self.factor or 0.0
        if abs(factor) < 1e-6:
            return False
        return self.entries > 3 or self.evidence.factor(factor) is not None

    def guess(self, code: str, text: str, cost: float, node: Node) -> Guess:
        """Return what has been found."""
        return Guess(
            code,
            self.explained,
            text,
            cost=cost,
            node=node,
            against=self.against,
            change=self.change,
        )
