"""Edits of a block's whole gradient, tried one by one: no program is needed."""

from collections.abc import Iterator

import numpy as np

from fastgrad.causes import numbers, places
from fastgrad.causes.budget import Budget
from fastgrad.causes.evidence import Block, Evidence, Guess, merge
from fastgrad.causes.signatures import Kind


def block_edits(evidence: Evidence, budget: Budget) -> list[Guess]:
    """Return the edits of whole blocks that give the gradient under test."""
    found: list[Guess] = []
    for b in evidence.wrong:
        block = evidence.blocks[b]
        if not np.isfinite(block.given).all():
            kinds: tuple[Kind, ...] = (numbers.nonfinite,)
        elif evidence.is_single:
            kinds = (numbers.known_penalty, places.partial)
        else:
            kinds = (*numbers.KINDS, *places.KINDS)
        for kind in kinds:
            budget.collect(_first(evidence, b, block, kind), found)
    found = merge(found)
    for several in (numbers.clipped_by_norm, places.shared):
        budget.collect(several(evidence), found)
    return found


def _first(evidence: Evidence, b: int, block: Block, kind: Kind) -> Iterator[Guess]:
    """The first edit of a kind that fits."""
    for edit in kind(evidence, block):
        residual = float("nan") if edit.made is None else block.residual(edit.made)
        if residual is not None:
            yield Guess(
                edit.code,
                {b: residual},
                edit.text,
                edit.undo,
                5 * (edit.cost - 2.4),
                key=edit.text if edit.key is None else edit.key,
                factor=edit.factor,
            )
            return
