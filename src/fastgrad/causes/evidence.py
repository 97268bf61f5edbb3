"""What is known about a wrong gradient, block by block, and when a guess matches it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.reverse import Reverse, stretched
from fastgrad.params import Nest
from fastgrad.program import Node

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: A guess must leave less than this share of the discrepancy.
_LEFT = 1e-3
#: What two ways to compute one gradient may differ by: roundings, and relatively.
_ROUNDINGS, _EQUAL = 32, 1e-9
#: Entries by which a guess about a block is known; and with which one stands alone.
_FEW, _MANY = 3, 1000


_PIECE = 2**15  # entries that are compared at once
_MOST_COUNTED = 1e12  # of things that are counted
#: Factors for which no loss need have a reason.
_USUAL = [(2.0, "2"), (0.5, "1/2"), (1.0, "1"), (3.0, "3"), (1 / 3, "1/3")]


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


@dataclass
class Block:
    """One wrong or right block of a gradient.

    Attributes
    ----------
    name : str
    theta, given, right : ndarray
        The parameters, the gradient under test, and what it should be: by reverse mode
        over the program, where that agrees with the differences; else the differences.
    bar : ndarray
        How far `given` may be from a guess that is true.
    known : ndarray of bool
        Entries where `right` is known and smooth.
    wrong : ndarray of bool
    eps : float
        Rounding unit of the gradient under test.
    spread : tuple of int
        Axis lengths over which the program repeats this block; () if it does not.
    is_factor : bool
        Whether all that the program does with it is to multiply.
    """

    name: str
    theta: Array
    given: Array
    right: Array
    bar: Array
    known: Flags
    wrong: Flags
    eps: float
    spread: tuple[int, ...] = ()
    is_factor: bool = False

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
        sizes = (np.abs(one[known]) for one, known in pieces(guess, self.known))
        largest = max((float(size.max(initial=0.0)) for size in sizes), default=0.0)
        parts = self.given, guess, self.right, self.bar, self.known
        count, most, squares = 0, 0.0, np.zeros(3)
        for given, guessed, right, bar, known in pieces(*parts):
            with np.errstate(all="ignore"):
                left = np.abs(given - guessed)[known]
                rounding = self._rounding(np.abs(guessed[known]), largest)
                limit = np.maximum(bar[known], rounding)
                error = (given - right)[known]
            if not (left <= limit).all():
                return None
            count += left.size
            most = max(most, float(left.max(initial=0.0)))
            squares += [part @ part for part in (left, limit, error)]
        if not count or count < min(_FEW, self.given.size):
            return None
        left_over, allowed, whole = np.sqrt(squares)
        if left_over > _LEFT * whole or allowed > 0.3 * whole:
            return None
        return most / largest if largest else 0.0

    def agrees(self, given: Any) -> bool:
        """Whether another gradient is right, as far as can be told."""
        with np.errstate(all="ignore"):
            off = np.abs(given - self.right)
            size = np.abs(self.right)
            rounding = self._rounding(size, size.max(initial=0.0))
            limit = np.maximum(self.bar, rounding)
        return bool(self.known.any() and (off <= limit)[self.known].all())

    def _rounding(self, size: Array, largest: float) -> Array:
        return _ROUNDINGS * self.eps * largest + _EQUAL * size


def pieces(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Yield arrays of one shape part by part, as views, along their longest axis."""
    arrays = tuple(map(np.atleast_1d, arrays))
    shape = arrays[0].shape
    axis = int(np.argmax(shape))
    turned = [np.moveaxis(array, axis, 0) for array in arrays]
    step = max(1, _PIECE * shape[axis] // max(1, arrays[0].size))
    for start in range(0, shape[axis], step):
        yield tuple(array[start : start + step] for array in turned)


@dataclass
class Guess:
    """A supposed mistake that matches some blocks.

    Attributes
    ----------
    code : str
        The cause code.
    blocks : dict of int to float
        Blocks it explains, and the residual in each.
    text : str
        What is wrong.
    advice : str
        What to do about it.
    bits : float
        Length of the description; the shortest wins among guesses that explain as much.
    key : object
        Guesses of one code and key in different blocks are one guess.
    node : Node or None
        The operation it blames.
    against : int
        Blocks that it changes and that are not so.
    factor : float or None
        What the blocks are multiplied by, if that is all.
    edited : dict
        The operations that send something else, and what, if it is about some.
    rivals : list of str
        Codes of other mistakes shown that give the same numbers.
    """

    code: str
    blocks: dict[int, float]
    text: str
    advice: str = ""
    bits: float = 12.0
    key: Any = None
    node: Any = None
    against: int = 0
    factor: float | None = None
    edited: dict[Any, Any] = field(default_factory=dict)
    rivals: list[str] = field(default_factory=list)


@dataclass
class Evidence:
    """All blocks, and what is known about the loss.

    Attributes
    ----------
    blocks : list of Block
    counts : dict of float to str
        Numbers a factor may equal, and what they are: ``{32.0: "32, an axis of z1"}``.
    penalties : list of float
        What the loss's penalties on parameters multiply these by in their gradients.
    exact : bool
        Whether `right` comes from the program, and so is known to rounding.
    """

    blocks: list[Block]
    counts: dict[float, str] = field(default_factory=dict)
    penalties: list[float] = field(default_factory=list)
    exact: bool = False

    def gathered(self, changed: dict[int, "Block"]) -> "Evidence":
        """The same with other blocks in some places, and nothing else wrong."""
        blocks = [
            changed.get(b, replace(block, wrong=np.zeros_like(block.wrong)))
            for b, block in enumerate(self.blocks)
        ]
        return replace(self, blocks=blocks)

    @property
    def wrong(self) -> list[int]:
        """Numbers of the wrong blocks."""
        return [b for b, block in enumerate(self.blocks) if block.is_wrong]

    @property
    def is_single(self) -> bool:
        """Whether one entry is wrong, and so many are right that it stands alone."""
        wrong = sum(int(block.wrong.sum()) for block in self.blocks)
        return wrong == 1 and sum(block.wrong.size for block in self.blocks) > _MANY

    def better_point(self, blocks: Iterable[int]) -> str | None:
        """Return where mistakes in these blocks differ that here need not.

        Of equal parameters any function is a factor, and so it is of equal derivatives.
        """
        some = [self.blocks[b] for b in blocks]
        if all(_are_equal(block.theta[block.known]) for block in some):
            return "parameters drawn at random"
        if all(_are_equal(block.right[block.known]) for block in some):
            return "data or parameters at which the derivatives differ from each other"
        return None

    def share(self, blocks: Iterable[int]) -> float:
        """Return how much of the whole discrepancy is in these blocks."""
        with np.errstate(all="ignore"):
            sizes = [np.nansum(b.off[b.known] ** 2) for b in self.blocks]
        whole = float(np.sum(sizes))
        return float(sum(sizes[b] for b in blocks)) / whole if whole else 0.0

    def factor(self, k: float, tolerance: float = 1e-6) -> str | None:
        """Return what a factor equals, None if nothing known."""
        if not np.isfinite(k) or k == 0:
            return None
        size = abs(k)
        known = [*_USUAL, *self._derived()]
        for value, name in known:
            if abs(size - value) <= tolerance * value:
                return name if k > 0 else f"-{name}"
        return None

    def is_plain(self, k: float, tolerance: float = 1e-6) -> bool:
        """Whether a factor is 1/2, 2 or one of the counts or its inverse."""
        known = [2.0, *self.counts]
        return any(
            abs(abs(k) - value) <= tolerance * value
            for n in known
            if n
            for value in (n, 1 / n)
        )

    def _derived(self) -> Iterable[tuple[float, str]]:
        for n, name in self.counts.items():
            yield n, name
            if n and n != 1:
                yield 1 / n, f"1 / {name}"
        for n, name in self.counts.items():
            if 1 < n < _MOST_COUNTED and n == round(n):
                yield n / (n - 1), f"n / (n - 1) for n = {name}"
                yield (n - 1) / n, f"(n - 1) / n for n = {name}"
                yield n**0.5, f"the root of {name}"
                yield n**-0.5, f"1 / the root of {name}"
                yield n / 2, f"{name}, halved"
                yield 2 / n, f"2 / {name}"
                yield n**2, f"the square of {name}"
                yield n**-2, f"1 / the square of {name}"


def _are_equal(values: Array) -> bool:
    """Whether these numbers are one number, to rounding."""
    if not values.size:
        return False
    return bool(np.ptp(values) <= 1e-9 * np.abs(values).max())


def gather(
    nest: Nest, theta: Array, measured: Measured, reverse: Reverse | None
) -> Evidence:
    """Return the evidence, with the program's own gradient if it agrees."""
    known = np.isfinite(measured.numerical + measured.error) & measured.smooth
    right, bar = measured.numerical, 3 * measured.error
    exact = False
    if reverse is not None:
        own = _program_gradient(nest, reverse)
        exact = _agrees(own[known], measured.numerical[known], bar[known])
        if exact:
            right, known = own, measured.smooth
            bar = np.broadcast_to(0.0, own.shape)  # which takes no memory
    vectors = (theta, measured.given, right, bar, known, measured.wrong)
    blocks = []
    for b, parts in enumerate(zip(*map(nest.split, vectors), strict=True)):
        at, given, rightly, bars, seen, wrong = parts
        eps, spread = float(measured.eps[b]), _spread(reverse, b)
        block = Block(
            nest.names[b],
            at,
            given,
            rightly,
            bars,
            seen,
            wrong,
            eps,
            spread,
            _is_factor(reverse, b),
        )
        largest = np.max(np.abs(block.right), initial=0, where=block.known)
        rounding = block.relative_bar * largest
        block.bar = (
            np.broadcast_to(rounding, bars.shape) if exact else block.bar + rounding
        )
        blocks.append(block)
    evidence = Evidence(blocks, _counts(reverse, nest), _penalties(reverse), exact)
    if exact:
        _add_unseen(evidence, nest.split(np.isnan(measured.numerical)))
    return evidence


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
    return nest.join([found.get(p, np.zeros(p.shape)) for p in parameters])


def _spread(reverse: Reverse | None, b: int) -> tuple[int, ...]:
    """Over how many places the program repeats block `b`, one number per axis."""
    if reverse is None:
        return ()
    return _repeated(reverse, reverse.program.parameters[b])


def _is_factor(reverse: Reverse | None, b: int) -> bool:
    if reverse is None:
        return False
    users = reverse.users.get(reverse.program.parameters[b], [])
    return bool(users) and all(user.op == "multiply" for user, _ in users)


def _repeated(reverse: Reverse, x: Node) -> tuple[int, ...]:
    for node, i in reverse.users.get(x, ()):
        axes = stretched(node, i)
        if axes:
            return tuple(node.shape[d] for d in axes)
        if node.value.size == x.value.size and node.op in ("reshape", "view"):
            return _repeated(reverse, node)
    return ()


def _penalties(reverse: Reverse | None) -> list[float]:
    """The c of gradients c * theta that parameters get from some of their uses."""
    found = set()
    if reverse is None:
        return []
    for p in reverse.program.parameters:
        for user, i in reverse.users.get(p, ()):
            part = reverse.part(user, i)
            on = part != 0
            if on.sum() > 1 and (p.value[on] != 0).all():
                c = part[on] / p.value[on]
                if np.ptp(c) <= 1e-12 * np.abs(c).max():
                    found.add(float(c.flat[0]))
    return sorted(found)


def _counts(reverse: Reverse | None, nest: Nest) -> dict[float, str]:
    """Numbers that a factor may equal: axis lengths and constants of the loss."""
    counts: dict[float, str] = {}
    if reverse is None:
        for name, shape in zip(nest.names, nest.shapes, strict=True):
            for axis, n in enumerate(shape):
                counts.setdefault(float(n), f"{n}, axis {axis} of {name}")
        counts = {float(n): f"{n}" for n in range(2, 4097)} | counts
        return {
            n: name
            for n, name in counts.items()
            if np.isfinite(n) and n not in (0.0, 1.0, 2.0)
        }
    for n in _batch_sizes(reverse, nest):
        counts[float(n)] = f"the batch size, {n}"
    for node in reverse.nodes:
        for x in node.inputs:
            if not x.active and x.value.ndim == 0:
                c = float(abs(x.value))
                counts.setdefault(c, f"{c:.6g}, a constant in {x.source}")
    for node in reverse.nodes:
        for axis, n in enumerate(node.shape):
            counts.setdefault(float(n), f"{n}, axis {axis} of {node.label}")
        counts.setdefault(
            float(node.value.size), f"{node.value.size}, all of {node.label}"
        )
    return {
        n: name
        for n, name in counts.items()
        if np.isfinite(n) and n not in (0.0, 1.0, 2.0)
    }


def _batch_sizes(reverse: Reverse, nest: Nest) -> set[int]:
    """The one length that all arrays of data have in common, and no parameter has."""
    data = [
        set(x.shape)
        for node in reverse.nodes
        for x in node.inputs
        if not x.active and x.value.size > 1
    ]
    own = {1, *(n for shape in nest.shapes for n in shape)}
    common = set.intersection(*data) - own if data else set()
    return common if len(common) == 1 else set()


def fit(target: Array, *terms: Array) -> Array | None:
    """Least-squares coefficients of `terms`; None if they are too alike."""
    columns = [np.ravel(term) for term in terms]
    sizes = [float(np.linalg.norm(column)) for column in columns]
    if target.size < len(terms) or not all(np.isfinite(s) and s > 0 for s in sizes):
        return None
    matrix = np.stack([c / s for c, s in zip(columns, sizes, strict=True)], axis=1)
    if np.linalg.cond(matrix) > 1e7:
        return None
    found = np.linalg.lstsq(matrix, np.ravel(target), rcond=None)[0]
    return np.asarray(found / np.array(sizes))


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
    return list(merged.values())
