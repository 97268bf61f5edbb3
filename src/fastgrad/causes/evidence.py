"""What is known about a wrong gradient, block by block, and when a guess matches it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.counts import Counts, counts_of, penalties_of
from fastgrad.causes.reverse import Reverse, stretched
from fastgrad.params import Nest
from fastgrad.program import leaves

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: A guess must leave less than this share of the discrepancy.
_LEFT = 1e-3
#: What two ways to compute one gradient may differ by: roundings, and relatively, by
#: rules or by differences.
_ROUNDINGS, _EQUAL, _MEASURED = 32, 1e-9, 3e-6
#: Entries by which a guess about a block is known; and with which one stands alone.
_FEW, _MANY = 3, 1000
#: Bits from which on a guess is only taken for want of another.
_ODD = 9.0
_PIECE = 2**15  # entries that are compared at once


@dataclass(frozen=True)
class Measured:
    """A gradient under test beside what was measured; one element for each entry.

    Attributes
    ----------
    given : ndarray of float64
        The gradient under test.
    numerical, error : ndarray of float64
        The derivatives measured, and their bars; nan and inf where they were not.
    wrong, smooth : ndarray of bool
        Whether an entry is wrong; whether it is not at a kink of the loss.
    eps : ndarray of float64
        Rounding unit of `given`, one element for each block.
    """

    given: Array
    numerical: Array
    error: Array
    wrong: Flags
    smooth: Flags
    eps: Array


#: All of the parameters and of the gradient, where a part is looked at.
Whole = tuple[Nest, Array, Measured]


@dataclass
class Block:
    """One wrong or right block of a gradient.

    What it should be is known by reverse mode over the program, where that agrees with
    the differences; else by the differences.
    """

    name: str
    theta: Array
    given: Array
    right: Array
    bar: Array  # how far `given` may be from a guess that is true
    known: Flags  # where `right` is known and smooth
    wrong: Flags
    eps: float  # rounding unit of the gradient under test
    spread: tuple[int, ...] = ()  # how often, over axes of what lengths, it is used
    equal: float = _EQUAL  # what two ways to compute an entry may differ by
    whole: "Block | None" = None  # all of it, as it was measured, if this is a part

    @property
    def everywhere(self) -> "Block":
        """All of the block."""
        return self.whole or self

    @property
    def off(self) -> Array:
        """Given minus right."""
        return self.given - self.right

    @property
    def relative_bar(self) -> float:
        """What roundings may leave, of the largest entry."""
        return _EQUAL + _ROUNDINGS * self.eps

    @property
    def is_wrong(self) -> bool:
        """Whether any entry is."""
        return bool(self.wrong.any())

    def residual(self, guess: Any) -> float | None:
        """What is left of the error if the gradient is `guess`; None if too much.

        Relative to `guess`. A guess that the error bars cannot tell from the right
        gradient is none.
        """
        guess = np.broadcast_to(guess, self.given.shape)
        largest, rightly = self._largest(guess), self._largest(self.right)
        unit = self._largest(self.given, self.right)
        if not (np.isfinite(largest) and 0 < unit < np.inf):
            return None
        # The roundings of a gradient that is smaller throughout are smaller, too.
        spared = self.relative_bar * max(0.0, rightly - largest)
        parts = self.given, guess, self.right, self.bar, self.known
        count, most, squares = 0, 0.0, np.zeros(3)
        for given, guessed, right, bar, known in pieces(*parts):
            with np.errstate(all="ignore"):
                left = np.abs(given - guessed)[known]
                rounding = self._rounding(np.abs(guessed[known]), largest)
                limit = np.maximum(bar[known] - spared, rounding)
                error = (given - right)[known]
            if not (left <= limit).all():
                return None
            count += left.size
            most = max(most, float(left.max(initial=0.0)))
            shares = (part / unit for part in (left, limit, error))  # none overflows
            squares += [share @ share for share in shares]
        if not count or count < min(_FEW, self.given.size):
            return None
        left_over, allowed, whole = np.sqrt(squares)
        if left_over > _LEFT * whole or allowed > 0.3 * whole:
            return None
        return most / largest if largest else 0.0

    def undone(self, guess: Array, factor: Array) -> bool:
        """Whether the gradient divided by these factors is right in every entry."""
        with np.errstate(all="ignore"):
            left, size = np.abs(self.given - guess), np.abs(guess)
            rounding = self._rounding(size, self._largest(guess))
            off = left > self.bar * np.abs(factor) + rounding
        return not (off & self.known).any()

    def _largest(self, *terms: Any) -> float:
        """The largest size, or difference, where the right one is known; or nan."""
        parts = pieces(self.known, *terms)
        off = ((known, one - sum(other)) for known, one, *other in parts)
        sizes = [np.abs(one[known]) for known, one in off]
        return float(np.max([size.max(initial=0.0) for size in sizes], initial=0.0))

    def agrees(self, given: Any) -> bool:
        """Whether another gradient is right, as far as can be told."""
        with np.errstate(all="ignore"):
            off = np.abs(given - self.right)
            size = np.abs(self.right)
            rounding = self._rounding(size, size.max(initial=0.0))
            limit = np.maximum(self.bar, rounding)
        return bool(self.known.any() and (off <= limit)[self.known].all())

    def _rounding(self, size: Array, largest: float) -> Array:
        return _ROUNDINGS * self.eps * largest + self.equal * size


def pieces(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Yield arrays of one shape part by part, as views, along their longest axis."""
    arrays = tuple(map(np.atleast_1d, arrays))
    if arrays[0].size <= _PIECE:
        yield arrays
        return
    shape = arrays[0].shape
    axis = int(np.argmax(shape))
    turned = [np.moveaxis(array, axis, 0) for array in arrays]
    step = max(1, _PIECE * shape[axis] // max(1, arrays[0].size))
    for start in range(0, shape[axis], step):
        yield tuple(array[start : start + step] for array in turned)


@dataclass
class Guess:
    """A supposed mistake that matches some blocks."""

    code: str
    blocks: dict[int, float]  # those it explains, and the residual in each
    text: str  # what is wrong
    advice: str = ""  # what to do about it
    bits: float = 12.0  # of its description: the shortest wins
    key: Any = None  # of one code and key in different blocks it is one guess
    node: Any = None  # the operation it blames
    against: int = 0  # blocks that it changes and that are not so
    factor: float | None = None  # what the blocks are multiplied by, if that is all
    place: Any = None  # where the user's gradient code is wrong
    # The operations that send something else, and what, if it is about some.
    edited: dict[Any, Any] = field(default_factory=dict)
    rivals: list[str] = field(default_factory=list)  # codes that give the same numbers


def explained(guesses: Iterable[Guess], wrong: Iterable[int]) -> bool:
    """Whether a guess explains all that is wrong, and is not odd."""
    blocks = set(wrong)
    return any(
        one.bits < _ODD and not one.against and blocks <= one.blocks.keys()
        for one in guesses
    )


@dataclass
class Evidence:
    """All blocks, and what is known about the loss."""

    blocks: list[Block]
    counts: Counts = field(default_factory=Counts)
    # What the loss's penalties on parameters multiply these by in their gradients.
    penalties: list[float] = field(default_factory=list)
    exact: bool = False  # whether `right` comes from the program

    @property
    def wrong(self) -> list[int]:
        """Numbers of the wrong blocks."""
        return [b for b, block in enumerate(self.blocks) if block.is_wrong]

    @property
    def is_single(self) -> bool:
        """Whether one entry is wrong, and so many are right that it stands alone."""
        flags = [block.everywhere.wrong for block in self.blocks]
        wrong = sum(map(np.count_nonzero, flags))
        return wrong == 1 and sum(one.size for one in flags) > _MANY

    def better_point(self, blocks: Iterable[int]) -> str | None:
        """Return where mistakes in these blocks differ that here need not.

        Of equal parameters any function is a factor, and so it is of equal derivatives.
        Zeros do not count, as those of an identity matrix.
        """
        some = [self.blocks[b] for b in blocks]
        if all(are_equal(_nonzero(block.theta[block.known])) for block in some):
            return "parameters drawn at random"
        if all(are_equal(block.right[block.known]) for block in some):
            return "data or parameters at which the derivatives differ from each other"
        return None

    def share(self, blocks: Iterable[int]) -> float:
        """Return how much of the whole discrepancy is in these blocks."""
        with np.errstate(all="ignore"):
            sizes = [np.nansum(b.off[b.known] ** 2) for b in self.blocks]
        whole = float(np.sum(sizes))
        return float(sum(sizes[b] for b in blocks)) / whole if whole else 0.0


def _nonzero(values: Array) -> Array:
    """Those that are not zero, unless all are."""
    return values[values != 0] if np.any(values) else values


def are_equal(values: Array) -> bool:
    """Whether these numbers are one number, to rounding."""
    if not values.size:
        return False
    return bool(np.ptp(values) <= 1e-9 * np.abs(values).max())


def gather(
    nest: Nest,
    theta: Array,
    measured: Measured,
    reverse: Reverse | None,
    everything: Whole | None = None,
    at_ties: bool = False,
) -> Evidence:
    """Return the evidence, with the program's own gradient if it agrees.

    At ties that is one of several that are right, and nothing is known there; unless it
    is taken for the right one.
    """
    known = np.isfinite(measured.numerical + measured.error) & measured.smooth
    right, bar = measured.numerical, 3 * measured.error
    exact = False
    if reverse is not None:
        own = _program_gradient(nest, reverse)
        exact = _agrees(own[known], measured.numerical[known], bar[known])
        if exact:
            right, known = own, measured.smooth | at_ties
            bar = np.broadcast_to(0.0, own.shape)  # which takes no memory
    vectors = (theta, measured.given, right, bar, known, measured.wrong)
    blocks = []
    for b, parts in enumerate(zip(*map(nest.split, vectors), strict=True)):
        at, given, rightly, bars, seen, wrong = parts
        eps, spread = float(measured.eps[b]), _spread(reverse, b)
        name = nest.names[b]
        block = Block(name, at, given, rightly, bars, seen, wrong, eps, spread)
        largest = np.max(np.abs(block.right), initial=0, where=block.known)
        rounding = block.relative_bar * largest
        block.bar = (
            np.broadcast_to(rounding, bars.shape) if exact else block.bar + rounding
        )
        if exact and at_ties:
            block.wrong = wrong & (np.abs(block.off) > block.bar)
        blocks.append(block)
    counts, penalties = counts_of(reverse, nest), penalties_of(reverse)
    evidence = Evidence(blocks, counts, penalties, exact)
    if everything is not None:
        for block, whole in zip(blocks, _whole(*everything), strict=True):
            block.whole = whole
    if exact:
        _add_unseen(evidence, nest.split(np.isnan(measured.numerical)))
    return evidence


def _whole(nest: Nest, theta: Array, measured: Measured) -> Iterator[Block]:
    """All of each block, as it was measured: views."""
    known = np.isfinite(measured.numerical)
    known &= measured.smooth
    of = (theta, measured.given, measured.numerical, measured.error)
    vectors = (*of, known, measured.wrong)
    parts = zip(*map(nest.split, vectors), strict=True)
    for name, eps, one in zip(nest.names, measured.eps, parts, strict=True):
        at, given, right, bar, seen, wrong = one
        block = Block(name, at, given, right, bar, seen, wrong, float(eps))
        yield replace(block, equal=_MEASURED)


def _agrees(own: Array, numerical: Array, bar: Array) -> bool:
    with np.errstate(all="ignore"):
        off = np.abs(own - numerical) > bar + 1e-5 * np.abs(own)
    return bool(np.isfinite(own).all() and (not off.size or off.mean() <= 0.01))


def _add_unseen(evidence: Evidence, unseen: list[Flags]) -> None:
    """In blocks that are wrong, what was not measured is compared with the program."""
    for block, flags in zip(evidence.blocks, unseen, strict=True):
        if block.is_wrong and flags.any():
            off = np.abs(block.off) > 100 * block.bar + 1e-6 * np.abs(block.right)
            block.wrong = block.wrong | (flags & off)


def _program_gradient(nest: Nest, reverse: Reverse) -> Array:
    found, parameters = reverse.gradient, reverse.program.parameters
    return nest.join(leaves(found, parameters))


def _spread(reverse: Reverse | None, b: int) -> tuple[int, ...]:
    """In how many operations block `b` is used, and over what axes it is repeated."""
    if reverse is None:
        return ()
    x = reverse.program.parameters[b]
    while [n.op for n, _ in reverse.users.get(x, ())] in (["reshape"], ["view"]):
        user, i = reverse.users[x][0]
        if stretched(user, i) or user.value.size != x.value.size:
            break
        x = user
    users = reverse.users.get(x, [])
    ways = {
        (n.source.site, n.label, tuple(n.shape[d] for d in stretched(n, i)))
        for n, i in users
    }
    return (len(users), *min(ways)[-1]) if len(ways) == 1 else ()


def fit(target: Array, *terms: Array) -> Array | None:
    """Least-squares coefficients of `terms`; None if they are too alike."""
    units = [float(np.max(np.abs(part), initial=0.0)) for part in (target, *terms)]
    if not all(np.isfinite(unit) and unit > 0 for unit in units):
        return None
    target, *columns = (
        np.ravel(part / unit)
        for part, unit in zip((target, *terms), units, strict=True)
    )
    sizes = [float(np.linalg.norm(column)) for column in columns]
    if target.size < len(terms) or not all(np.isfinite(s) and s > 0 for s in sizes):
        return None
    matrix = np.stack([c / s for c, s in zip(columns, sizes, strict=True)], axis=1)
    if np.linalg.cond(matrix) > 1e7:
        return None
    found = np.linalg.lstsq(matrix, target, rcond=None)[0]
    with np.errstate(all="ignore"):
        scaled: Array = found / np.array(sizes) * (units[0] / np.array(units[1:]))
    return scaled if np.isfinite(scaled).all() else None


def join(names: Sequence[str]) -> str:
    """``W1, b1 and W2``; the middle of long lists is left out."""
    names = list(names)
    if len(names) > 6:
        names = [*names[:4], f"{len(names) - 4} more blocks"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def merge(guesses: Iterable[Guess]) -> list[Guess]:
    """Join guesses about different blocks that say the same thing."""
    merged: dict[Any, Guess] = {}
    for guess in guesses:
        same = merged.setdefault((guess.code, guess.key), guess)
        if same is not guess:
            same.blocks.update(guess.blocks)
            same.bits = max(same.bits, guess.bits)
            if guess.advice != same.advice:  # a number that not all blocks have
                same.advice = same.advice.split(", or ")[0]
    return list(merged.values())
