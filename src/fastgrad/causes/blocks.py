"""Edits of a block's whole gradient, tried one by one: no program is needed."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from fastgrad.causes import numbers
from fastgrad.causes.arrangements import Arrangement, arrangements, moves
from fastgrad.causes.budget import Budget
from fastgrad.causes.evidence import (
    Array,
    Block,
    Evidence,
    Flags,
    Guess,
    fit,
    join,
    merge,
    pieces,
)
from fastgrad.causes.numbers import Kind, Made
from fastgrad.causes.permutations import permuted

_SOME = 64  # entries that are compared before all are
_ENTRY = 9.5  # bits of one entry that is wrong: why, that does not say
_MANY = 2**15  # entries that say by what factor they are off
_SHARE = 0.55  # of a block that is wrong, if it is a part of it
_HIDDEN = 0.1  # of the largest error, and of the entry: a bar that may hide another
#: Bits of how it is arranged, by any step, in any order: what explains that is plainer.
_PLAIN, _MOVED, _ORDER = -1.5, 4.0, 6.0


def block_edits(evidence: Evidence, budget: Budget) -> list[Guess]:
    """Return the edits of whole blocks that give the gradient under test."""
    found: list[Guess] = []
    for b in evidence.wrong:
        block = evidence.blocks[b]
        kinds = (numbers.known_penalty, _partial) if evidence.is_single else _KINDS
        if not np.isfinite(block.everywhere.given).all():
            kinds = (numbers.nonfinite,)
        for kind in kinds:
            budget.collect(_first(evidence, b, block, kind), found)
    found = merge(found)
    for several in (numbers.clipped_by_norm, _shared):
        budget.collect(several(evidence), found)
    return found


def _first(evidence: Evidence, b: int, block: Block, kind: Kind) -> Iterator[Guess]:
    """The first edit of a kind that fits."""
    if kind in _OF_ALL:
        block = block.everywhere
    for made, one in kind(evidence, block):
        residual = float("nan") if made is None else block.residual(made)
        if residual is not None:
            one.blocks[b] = residual
            one.key = one.text if one.key is None else one.key
            yield one
            return


# ---- right numbers in the wrong places -----------------------------------------------


def _misarranged(evidence: Evidence, block: Block) -> Iterator[Made]:
    """The gradient as a whole transposed, moved, cut, summed; or in another order."""
    at = np.random.default_rng(0).integers(block.given.size, size=_SOME)
    step = max(1, round((block.given.size / _MANY) ** (1 / max(1, block.given.ndim))))
    rows = (slice(None, None, step),) * block.given.ndim
    shape, several = block.given.shape, block.given.size > 2
    plain = ((one, _PLAIN) for one in arrangements(shape, parts=False))
    moved = ((one, _MOVED) for one in _moved(block))
    for one, bits in chain(plain, moved) if several else ():
        if one.commutes and not _is_near(block, one.turn(block.right[rows]), rows):
            continue
        made = one.turn(block.right)
        near = _is_near(block, made.flat[at], np.unravel_index(at, block.given.shape))
        # A symmetric matrix, added to its transpose, is twice what it was.
        if near and not (np.abs(made - 2 * block.right) <= 2 * block.bar).all():
            undo = f"`{one.undo}`" if one.undo else "give each entry its own"
            text = f"the gradient is {one.how}".rstrip(",")
            yield made, Guess(one.code, {}, text, undo, bits)
        del made  # as large as the block
    for made, how, undo in permuted(block):
        yield made, Guess("layout", {}, f"the gradient is {how}", undo, _ORDER)


def _moved(block: Block) -> Iterator[Arrangement]:
    """By the steps between the largest entries, along the axes or as it is flat."""
    shape, known = block.given.shape, block.known.ravel()
    sizes = (
        np.where(known, np.abs(x).ravel(), 0.0) for x in (block.given, block.right)
    )
    to, start = (int(size.argmax()) for size in sizes)
    for axes in (shape, (known.size,)) if len(shape) > 1 else (shape,):
        places = (np.array(np.unravel_index(k, axes)) for k in (to, start))
        yield from moves(shape, list(next(places) - next(places)))


def _is_near(block: Block, made: Array, at: Any) -> bool:
    """Whether what is made of some entries is about what is given there."""
    given = block.given[at]
    near = np.abs(made - given) <= block.bar[at] + 1e-6 * np.abs(given)
    return bool(near[block.known[at]].all())


def _of_another_block(evidence: Evidence, block: Block) -> Iterator[Made]:
    for source in evidence.blocks:
        right = source.everywhere.right
        if source.name == block.name or right.size != block.given.size:
            continue
        for turned in (right, right.T) if block.given.size > 1 else ():
            text = f"{block.name} holds the gradient of {source.name}"
            made = turned.reshape(block.given.shape)
            undo = "return each gradient under its own name"
            yield made, Guess("layout", {}, text, undo, -3, "another block")


def _conjugate(evidence: Evidence, block: Block) -> Iterator[Made]:
    """Imaginary parts negated, real parts right: in the last axis, or as two blocks."""
    shape = block.given.shape
    if shape and shape[-1] == 2 and block.given.size > 2:
        text = "the second of each pair is negated: a conjugate is missing"
        made, undo = block.right * np.array([1.0, -1.0]), "`grads * [1, -1]`"
        yield made, Guess("conjugate", {}, text, undo, -4.5)
    imaginary = block.name.split(".")[-1].lower().strip("_")
    if imaginary in ("im", "imag", "imaginary") or imaginary.endswith("_im"):
        text = "the imaginary part is negated: a conjugate is missing"
        yield -block.right, Guess("conjugate", {}, text, "`-grads`", -4.5)


def _partial(evidence: Evidence, block: Block) -> Iterator[Made]:
    """One entry wrong; or some rows (columns, ...) zero or scaled; right elsewhere."""
    found = whereabouts(block)
    if block.given.size < 3 or found is None:
        return
    where, there = found
    some = np.flatnonzero(there & block.known)[:_MANY]
    c = fit(block.given.ravel()[some], block.right.ravel()[some])
    k = float(c[0]) if c is not None else 0.0
    told = np.abs((k - 1) * block.right) > block.bar
    if not (told & ~there).any():  # elsewhere it may be as wrong
        return
    undo = "look at what sets it"
    if int(there.sum()) == 1:
        yield None, Guess("partial", {}, f"one entry is wrong, {where}", undo, _ENTRY)
        return
    zero = not np.any(block.given[there])
    how = "zero" if zero else f"{k:.6g} times what it should be"
    text = f"the gradient is {how} {where}, and right elsewhere"
    made = np.where(there, k * block.right, block.right)
    yield made, Guess("partial", {}, text, undo, 8 if zero else 10)


def whereabouts(block: Block) -> tuple[str, Flags] | None:
    """Where in a block it is wrong, if that is one entry or a few rows or columns.

    Most of these are wrong, and no other entry is: not one that may be off as much.
    """
    wrong = block.wrong
    count, most = int(wrong.sum()), _SHARE * wrong.size
    if not 0 < count <= most:
        return None
    largest = np.abs(block.off[wrong]).max()
    for given, bar, seen in pieces(block.given, block.bar, wrong):
        hides = bar > _HIDDEN * np.fmax(np.abs(given), largest)
        if (hides & (given != 0) & ~seen).any():
            return None
    if count == 1:
        return f"at {[int(k[0]) for k in np.nonzero(wrong)]}", wrong
    axes = range(wrong.ndim)
    others = [tuple(k for k in axes if k != d) for d in axes]
    along = [wrong.any(axis=rest, keepdims=True) for rest in others]
    axis = int(np.argmin([some.mean() for some in along]))
    there = np.broadcast_to(along[axis], wrong.shape)
    if not there.sum() <= min(most, 2 * count):
        return None
    index = np.flatnonzero(along[axis])
    shown = ", ".join(map(str, index[:6].tolist()))
    return f"at index {shown}{', ...' * (len(index) > 6)} of axis {axis}", there


def _shared(evidence: Evidence) -> Iterator[Guess]:
    """Arrays under several names, each with the gradient of some of its uses.

    Or views of one, transposed or of another shape: its elements in either order.
    """
    alike: dict[bytes, list[tuple[int, Any]]] = {}
    for b, block in enumerate(evidence.blocks):
        order: Any = "F" if block.theta.tobytes("F") in alike else "C"
        alike.setdefault(block.theta.tobytes(order), []).append((b, order))
    for names in alike.values():
        some = [(evidence.blocks[b], order) for b, order in names]
        total = np.sum([block.given.ravel(order) for block, order in some], axis=0)
        right = (x.agrees(total.reshape(x.given.shape, order=by)) for x, by in some)
        if len(some) > 1 and some[0][0].is_wrong and all(right):
            text = f"{join([x.name for x, _ in some])} are one array, and each "
            text += "has the gradient of some of its uses: their sum is right"
            known = dict.fromkeys((b for b, _ in names), 0.0)
            undo = "give the sum under each name"
            yield Guess("accumulation", known, text, undo, -7.0)


_KINDS: tuple[Kind, ...] = (
    *numbers.KINDS,
    _misarranged,
    _of_another_block,
    _conjugate,
    _partial,
)
#: Those that a part of a block does not show.
_OF_ALL: set[Kind] = {
    *(numbers.nonfinite, numbers.clipped_rows),
    *(_misarranged, _of_another_block, _partial),
}
