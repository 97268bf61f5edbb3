"""Mistakes of place: right numbers where they do not belong, or wrong only in parts."""

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.evidence import Array, Block, Evidence, Guess, fit


def _transposed(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Axes in another order, or elements in another order under the same shape."""
    right, shape = block.right, block.given.shape
    if right.ndim < 2 or right.ndim > 5:
        return
    for axes in list(permutations(range(right.ndim)))[1:]:
        moved = right.transpose(axes)
        residual = block.residual(moved.reshape(shape))
        if residual is not None:
            how = (
                "is transposed" if right.ndim == 2 else f"has its axes in order {axes}"
            )
            advice = "transpose it"
            if moved.shape != shape:
                how, advice = "has its elements in Fortran order", "reshape in C order"
            yield Guess("layout", {b: residual}, f"the gradient {how}", advice, cost=2)
            return
    fortran = right.ravel().reshape(shape, order="F")
    residual = block.residual(fortran)
    if residual is not None:
        text = "the gradient has its elements in Fortran order"
        yield Guess("layout", {b: residual}, text, "reshape in C order", cost=2)


def _symmetric(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """A mixture of the gradient and its transpose; twice off the diagonal."""
    right = block.right
    if right.ndim != 2 or right.shape[0] != right.shape[1] or right.shape[0] < 3:
        return
    off = right + right.T - np.diag(np.diag(right))
    twice = 2 * right - np.diag(np.diag(right))
    named = {
        "counts off-diagonal entries twice, as for a symmetric matrix": twice,
        "is the sum of the two triangles, as for a symmetric matrix": off,
    }
    for text, guess in named.items():
        residual = block.residual(guess)
        if residual is not None:
            code = "accumulation" if guess is twice else "layout"
            yield Guess(code, {b: residual}, f"the gradient {text}", cost=2)
            return
    c = fit(block.given, right, right.T)
    if c is not None and abs(c[1]) > 1e-6:
        residual = block.residual(c[0] * right + c[1] * right.T)
        if residual is not None:
            text = (
                f"the gradient is {c[0]:.4g} of itself plus {c[1]:.4g} of its transpose"
            )
            yield Guess("layout", {b: residual}, text, "do not symmetrise", cost=2.5)


def _permuted(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Rows (columns, planes) in another order, shifted or reversed along an axis."""
    for axis, n in enumerate(block.given.shape):
        if n < 2:
            continue
        given = np.moveaxis(block.given, axis, 0).reshape(n, -1)
        right = np.moveaxis(block.right, axis, 0).reshape(n, -1)
        order = order_of(given, right)
        if order is None:
            continue
        moved = np.take(block.right, order, axis=axis)
        residual = block.residual(moved)
        if residual is None:
            continue
        shift = int(order[0]) if (np.diff(order) % n == 1).all() else 0
        code, how = "layout", f"permuted along axis {axis}"
        if shift:
            shift = min(shift, shift - n, key=abs)
            how = f"shifted by {-shift} along axis {axis}"
            code = "layout" if block.given.ndim == 1 else "geometry"
        elif np.array_equal(order, np.arange(n)[::-1]):
            code, how = "geometry", f"reversed along axis {axis}"
        text = f"the gradient is right but {how}"
        yield Guess(code, {b: residual}, text, cost=2.2, key=how)
        return
    yield from _rotated(b, block)
    yield from _shifted(b, block)


def order_of(given: Array, right: Array) -> NDArray[np.intp] | None:
    """For each row of `given` the row of `right` that it equals; None if not so."""
    if len(given) > 4096:
        return None
    probe = np.random.default_rng(0).standard_normal(given.shape[1])
    a, r = given @ probe, right @ probe
    ra, rr = np.argsort(a), np.argsort(r)
    if not np.allclose(a[ra], r[rr], rtol=1e-6, atol=1e-6 * np.abs(r).max(initial=0)):
        return None
    order = np.empty(len(a), dtype=int)
    order[ra] = rr
    return order


def _rotated(b: int, block: Block) -> Iterator[Guess]:
    long = [d for d, n in enumerate(block.given.shape) if n > 1]
    for n in range(2, len(long) + 1):
        for axes in combinations(long, n):
            residual = block.residual(np.flip(block.right, axes))
            if residual is not None:
                text = f"the gradient is right but reversed along axes {axes}"
                yield Guess("geometry", {b: residual}, text, cost=2.2)
                return


def _shifted(b: int, block: Block) -> Iterator[Guess]:
    """Shifted along an axis, with zeros coming in."""
    for axis, n in enumerate(block.given.shape):
        for shift in (1, -1, 2, -2):
            if n <= abs(shift) or block.given.size < 3:
                continue
            moved = np.roll(block.right, shift, axis)
            edge = slice(None, shift) if shift > 0 else slice(shift, None)
            np.moveaxis(moved, axis, 0)[edge] = 0
            residual = block.residual(moved)
            if residual is not None:
                text = f"the gradient is shifted by {shift} along axis {axis}"
                yield Guess("geometry", {b: residual}, text, cost=2.3)
                return


def _of_another_block(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    for other, source in enumerate(evidence.blocks):
        if other == b or source.right.size != block.given.size or block.given.size < 2:
            continue
        for turned in (source.right, source.right.T):
            residual = block.residual(turned.reshape(block.given.shape))
            if residual is not None:
                yield Guess(
                    "layout",
                    {b: residual},
                    f"{block.name} holds the gradient of {source.name}",
                    "return each gradient under its own name",
                    cost=1.8,
                    key="another block",
                )
                return


def _conjugate(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Imaginary parts negated, real parts right: in the last axis, or as two blocks."""
    shape = block.given.shape
    if shape and shape[-1] == 2 and block.given.size > 2:
        residual = block.residual(block.right * np.array([1.0, -1.0]))
        if residual is not None:
            text = "the second of each pair is negated: a conjugate is missing"
            yield Guess("conjugate", {b: residual}, text, cost=1.5)
    imaginary = block.name.split(".")[-1].lower().strip("_")
    if imaginary in ("im", "imag", "imaginary") or imaginary.endswith("_im"):
        residual = block.residual(-block.right)
        if residual is not None:
            text = "the imaginary part is negated: a conjugate is missing"
            yield Guess("conjugate", {b: residual}, text, "conjugate", cost=1.5)


def partial(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """One entry wrong; or some rows (columns, ...) zero or scaled; right elsewhere."""
    wrong, size = block.wrong & block.known, block.given.size
    count = int(wrong.sum())
    where = whereabouts(block)
    if size < 3 or where is None:
        return
    if count == 1:
        text = f"one entry is wrong, {where}"
        yield Guess("partial", {b: float("nan")}, text, "look at what sets it", cost=3)
        return
    c = fit(block.given[wrong], block.right[wrong])
    k = float(c[0]) if c is not None else 0.0
    guess = np.where(wrong, k * block.right, block.right)
    residual = block.residual(guess)
    if residual is not None:
        how = (
            f"{k:.6g} times what it should be" if np.any(block.given[wrong]) else "zero"
        )
        text = f"the gradient is {how} {where}, and right elsewhere"
        cost = 4.0 if how == "zero" else 4.4
        yield Guess("partial", {b: residual}, text, "look at what sets it", cost)


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


def _diagonal_only(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    if block.given.ndim != 2 or min(block.given.shape) < 2:
        return
    for name, kept in (
        ("diagonal", np.eye(*block.given.shape) > 0),
        ("lower triangle", np.tri(*block.given.shape) > 0),
        ("upper triangle", np.triu(np.ones(block.given.shape)) > 0),
    ):
        residual = block.residual(np.where(kept, block.right, 0.0))
        if residual is not None:
            text = f"only the {name} receives a gradient"
            yield Guess("partial", {b: residual}, text, cost=2.5)
            return


def _border(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Right in the interior, wrong all around."""
    wrong = block.wrong & block.known
    axes = [d for d, n in enumerate(block.given.shape) if n > 2]
    if len(axes) < 2:
        return
    inner = tuple(
        slice(1, -1) if d in axes else slice(None) for d in range(block.given.ndim)
    )
    if wrong[inner].any():
        return
    border = np.ones_like(wrong)
    border[inner] = False
    if wrong[border].mean() > 0.9:
        text = f"only the border along axes {tuple(axes)} is wrong"
        yield Guess("geometry", {b: float("nan")}, text, "check the padding", cost=3)


PLACES = (
    _transposed,
    _symmetric,
    _permuted,
    _of_another_block,
    _conjugate,
    partial,
    _diagonal_only,
    _border,
)
