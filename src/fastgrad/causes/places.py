"""Right numbers in the wrong places, or wrong numbers in some places only."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import arrangements
from fastgrad.causes.evidence import Array, Block, Evidence, Guess, fit, join
from fastgrad.causes.signatures import Edit, Kind

_LONGEST = 4096  # rows whose order is looked for
_SOME = 64  # entries that are compared before all are


def _misarranged(evidence: Evidence, block: Block) -> Iterator[Edit]:
    """The gradient as a whole transposed, moved, cut, summed."""
    if block.given.size < 3:
        return
    at = np.random.default_rng(0).integers(block.given.size, size=_SOME)
    given, bar = block.given.flat[at], block.bar.flat[at]
    checked = block.known.flat[at]
    for one in arrangements(block.given.shape, parts=False):
        made = one.turn(block.right)
        near = np.abs(made.flat[at] - given) <= bar + 1e-6 * np.abs(given)
        if near[checked].all():
            undo = f"`{one.undo}`" if one.undo else "give each entry its own"
            text = f"the gradient is {one.how}".rstrip(",")
            yield Edit(one.code, text, made, undo, 2.1)


def _permuted(evidence: Evidence, block: Block) -> Iterator[Edit]:
    """Rows (columns, planes) in another order."""
    for axis, n in enumerate(block.given.shape):
        given, right = (
            np.moveaxis(x, axis, 0).reshape(n, -1) for x in (block.given, block.right)
        )
        order = order_of(given, right) if n > 1 else None
        if order is not None:
            back = np.argsort(order).tolist()
            text = f"the gradient is right but permuted along axis {axis}"
            undo = f"`np.take(grads, {back}, {axis})`" if n < 20 else "put it in order"
            made = np.take(block.right, order, axis=axis)
            yield Edit("layout", text, made, undo, 2.3)


def order_of(given: Array, right: Array) -> NDArray[np.intp] | None:
    """For each row of `given` the row of `right` that it equals; None if not so."""
    if len(given) > _LONGEST:
        return None
    probe = np.random.default_rng(0).standard_normal(given.shape[1])
    a, r = given @ probe, right @ probe
    ra, rr = np.argsort(a), np.argsort(r)
    if not np.allclose(a[ra], r[rr], rtol=1e-6, atol=1e-6 * np.abs(r).max(initial=0)):
        return None
    order = np.empty(len(a), dtype=int)
    order[ra] = rr
    return order


def _mixed(evidence: Evidence, block: Block) -> Iterator[Edit]:
    """A mixture of the gradient and its transpose."""
    right = block.right
    if right.ndim != 2 or right.shape[0] != right.shape[1] or right.shape[0] < 3:
        return
    c = fit(block.given[block.known], right[block.known], right.T[block.known])
    if c is not None and abs(c[1]) > 1e-6:
        text = f"the gradient is {c[0]:.4g} of itself plus {c[1]:.4g} of its transpose"
        made = c[0] * right + c[1] * right.T
        yield Edit("layout", text, made, "do not symmetrise", 2.5)


def _of_another_block(evidence: Evidence, block: Block) -> Iterator[Edit]:
    for source in evidence.blocks:
        if source is block or source.right.size != block.given.size:
            continue
        for turned in (source.right, source.right.T) if block.given.size > 1 else ():
            text = f"{block.name} holds the gradient of {source.name}"
            made = turned.reshape(block.given.shape)
            undo = "return each gradient under its own name"
            yield Edit("layout", text, made, undo, 1.8, "another block")


def _conjugate(evidence: Evidence, block: Block) -> Iterator[Edit]:
    """Imaginary parts negated, real parts right: in the last axis, or as two blocks."""
    shape = block.given.shape
    if shape and shape[-1] == 2 and block.given.size > 2:
        text = "the second of each pair is negated: a conjugate is missing"
        made, undo = block.right * np.array([1.0, -1.0]), "`grads * [1, -1]`"
        yield Edit("conjugate", text, made, undo, 1.5)
    imaginary = block.name.split(".")[-1].lower().strip("_")
    if imaginary in ("im", "imag", "imaginary") or imaginary.endswith("_im"):
        text = "the imaginary part is negated: a conjugate is missing"
        yield Edit("conjugate", text, -block.right, "`-grads`", 1.5)


# ---- parts ---------------------------------------------------------------------------


def partial(evidence: Evidence, block: Block) -> Iterator[Edit]:
    """One entry wrong; or some rows (columns, ...) zero or scaled; right elsewhere."""
    wrong = block.wrong & block.known
    where = whereabouts(block)
    if block.given.size < 3 or where is None:
        return
    if int(wrong.sum()) == 1:
        text = f"one entry is wrong, {where}"
        yield Edit("partial", text, None, "look at what sets it", 3)
        return
    c = fit(block.given[wrong], block.right[wrong])
    k = float(c[0]) if c is not None else 0.0
    zero = not np.any(block.given[wrong])
    how = "zero" if zero else f"{k:.6g} times what it should be"
    text = f"the gradient is {how} {where}, and right elsewhere"
    made = np.where(wrong, k * block.right, block.right)
    yield Edit("partial", text, made, "look at what sets it", 4.0 if zero else 4.4)


def whereabouts(block: Block) -> str | None:
    """Where in a block it is wrong, if that is one entry or a few rows or columns."""
    wrong = block.wrong & block.known
    count = int(wrong.sum())
    if count == 0 or count > 0.55 * wrong.size:
        return None
    where = np.argwhere(wrong)
    if count == 1:
        return f"at {where[0].tolist()}"
    region = [np.unique(column) for column in where.T]
    full = [len(r) == n for r, n in zip(region, wrong.shape, strict=True)]
    whole = int(np.prod([len(r) for r in region])) == count
    if whole and sum(full) == len(full) - 1:
        axis = full.index(False)
        shown = ", ".join(map(str, region[axis][:6].tolist()))
        return f"at index {shown}{', ...' * (len(region[axis]) > 6)} of axis {axis}"
    return None


def _border(evidence: Evidence, block: Block) -> Iterator[Edit]:
    """Right in the interior, wrong all around."""
    wrong = block.wrong & block.known
    axes = [d for d, n in enumerate(wrong.shape) if n > 2]
    inner = tuple(slice(1, -1) if d in axes else slice(None) for d in range(wrong.ndim))
    border = np.ones_like(wrong)
    border[inner] = False
    if len(axes) > 1 and not wrong[inner].any() and wrong[border].mean() > 0.9:
        text = f"only the border along axes {tuple(axes)} is wrong"
        yield Edit("geometry", text, None, "check the padding", 3)


# ---- several blocks ------------------------------------------------------------------


def shared(evidence: Evidence) -> Iterator[Guess]:
    """Yield arrays under several names, each with the gradient of some of its uses."""
    alike: dict[Any, list[int]] = {}
    for b, block in enumerate(evidence.blocks):
        alike.setdefault((block.theta.shape, block.theta.tobytes()), []).append(b)
    for names in alike.values():
        some = [evidence.blocks[b] for b in names]
        total = np.sum([block.given for block in some], axis=0)
        if len(some) > 1 and some[0].is_wrong and all(x.agrees(total) for x in some):
            text = f"{join([block.name for block in some])} are one array, and each "
            text += "has the gradient of some of its uses: their sum is right"
            undo = "give the sum under each name"
            yield Guess(
                "accumulation", dict.fromkeys(names, 0.0), text, undo, bits=-7.0
            )


KINDS: tuple[Kind, ...] = (
    _misarranged,
    _permuted,
    _mixed,
    _of_another_block,
    _conjugate,
    partial,
    _border,
)
