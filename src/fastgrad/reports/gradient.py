"""What a gradient check found: frozen results, and how they are handed on.

`fastgrad.checking.check.check_gradient` fills these in; nothing is computed here. How a
report reads is in `text` and `html`, how it is drawn in `plots`.
"""

import dataclasses
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from fastgrad.params.nest import entry_name
from fastgrad.params.structure import named_leaves

Verdict = Literal["correct", "wrong", "undecided"]


@dataclass(frozen=True)
class WrongEntry:
    """One entry of the gradient that is wrong.

    Attributes
    ----------
    block : str
        Name of the block.
    index : tuple of int
        Place in the block.
    analytic, numerical : float
        The gradient that was given, and the one that was measured.
    error : float
        Error bar of `numerical`.
    """

    block: str
    index: tuple[int, ...]
    analytic: float
    numerical: float
    error: float

    @property
    def name(self) -> str:
        """``W1[3, 17]``."""
        return entry_name(self.block, self.index)

    @property
    def difference(self) -> float:
        """Analytic minus numerical."""
        return self.analytic - self.numerical


@dataclass(frozen=True, eq=False, repr=False)
class WrongEntries(Sequence[WrongEntry]):
    """Wrong entries, each made when it is looked at: there may be very many.

    Attributes
    ----------
    names, shapes : tuple
        Of the blocks.
    block, place : ndarray of int64, shape (n,)
        The block of each entry, and its place there in C order.
    numbers : ndarray of float64, shape (3, n)
        Analytic, numerical, error bar.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    block: NDArray[np.int64]
    place: NDArray[np.int64]
    numbers: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.block)

    @overload
    def __getitem__(self, which: int) -> WrongEntry: ...
    @overload
    def __getitem__(self, which: slice) -> "WrongEntries": ...
    def __getitem__(self, which: int | slice) -> "WrongEntry | WrongEntries":
        block, place = self.block[which], self.place[which]
        numbers = self.numbers[:, which]
        if isinstance(which, slice):
            return WrongEntries(self.names, self.shapes, block, place, numbers)
        name, shape = self.names[block], self.shapes[block]
        where = tuple(int(i) for i in np.unravel_index(place, shape))
        return WrongEntry(name, where, *numbers.tolist())

    def __iter__(self) -> Iterator[WrongEntry]:
        where: list[tuple[int, ...]] = [()] * len(self)
        for b in np.unique(self.block).tolist():
            here = np.flatnonzero(self.block == b)
            axes = np.unravel_index(self.place[here], self.shapes[b] or (1,))
            found = zip(*(axis.tolist() for axis in axes), strict=True)
            for k, index in zip(here.tolist(), found, strict=True):
                where[k] = index if self.shapes[b] else ()
        every = zip(self.block.tolist(), where, self.numbers.T.tolist(), strict=True)
        for b, index, numbers in every:
            yield WrongEntry(self.names[b], index, *numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | list | WrongEntries):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{len(self):,} wrong entries, the worst first: {list(self[:3])}>"


@dataclass(frozen=True)
class Block:
    """The result for one array of the parameters.

    Attributes
    ----------
    name : str
        Path in the nest, ``encoder.0.W``.
    shape : tuple of int
        Of the array.
    verdict : {"correct", "wrong", "undecided"}
        Wrong if any entry is.
    relative_error : float
        ``norm(n - a) / (norm(n) + norm(a))`` over the entries checked.
    checked : int
        Number of entries checked; the counts below are parts of it.
    wrong, undecided, at_kink, unobservable : int
        Entries outside their error bars; entries whose error bar is wider than the
        difference that matters; entries at a kink of the loss, where any slope between
        the one-sided ones is accepted; entries whose gradient is zero on both sides,
        about which the check says nothing.
    detection_limit : float
        The smallest error, absolute, that would have been caught in a typical entry.
    step : float or None
        Typical step of the differences.
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    relative_error: float
    checked: int
    wrong: int = 0
    undecided: int = 0
    at_kink: int = 0
    unobservable: int = 0
    detection_limit: float = math.nan
    step: float | None = None

    @property
    def size(self) -> int:
        """Number of entries of the array."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Cause:
    """Why the gradient is wrong, or why nothing can be said about it.

    Attributes
    ----------
    code : str
        One word, as listed in the documentation: ``sign``, ``scale``, ``zero``, ...
    blocks : tuple of str
        The blocks it explains.
    message : str
        What is wrong, with its evidence, and what to do.
    source_line : str or None
        The line of the loss it points at, ``model.py:12: a1 = np.tanh(z1)``.
    residual : float or None
        Relative error that is left when the supposed mistake is undone.
    """

    code: str
    blocks: tuple[str, ...]
    message: str
    source_line: str | None = None
    residual: float | None = None


class GradientError(AssertionError):
    """A gradient did not pass its check, or its battery; `report` says why."""

    def __init__(self, report: Any) -> None:
        super().__init__(f"\n{report}")
        self.report = report

    def __reduce__(self) -> Any:
        return type(self), (self.report,)


@dataclass(frozen=True, eq=False)
class GradientReport:
    """Whether a gradient is right, where it is not, and why.

    True in a condition if the verdict is ``"correct"``; printed, a table.

    Attributes
    ----------
    verdict : {"correct", "wrong", "undecided"}
        Undecided means that the numerical gradient is not good enough to tell.
    relative_error : float
        The textbook's ``norm(n - a) / (norm(n) + norm(a))``, all blocks together.
        Usually 1e-7 is called great, 1e-5 worth a look and 1e-3 a bug; the verdict
        does not depend on it.
    blocks : tuple of Block
        One per array of the parameters, in order.
    wrong : sequence of WrongEntry
        All of them, worst first.
    causes : tuple of Cause
        Most of the discrepancy explained first.
    numerical, analytic : nest of arrays
        The gradients compared, in the structure of the parameters; nan where an entry
        was not checked.
    error : nest of arrays or None
        Error bars of `numerical`.
    evaluations : int
        How often the loss was evaluated, all included.
    engine : {"compiled", "callback", "vectorized", "python", "workers"}
        How.
    seconds : float
        Wall-clock time.
    threads : int
        Threads of fastgrad's own kernels.
    method : str
        The difference formula, ``"central"``.
    step : float or None
        The step that was asked for; None where it was chosen per block.
    fallback : str or None
        Why the loss was not compiled: the line that stopped it and the reason.
    notes : tuple of str
        Anything else worth knowing.
    """

    verdict: Verdict
    relative_error: float
    blocks: tuple[Block, ...]
    wrong: Sequence[WrongEntry] = ()
    causes: tuple[Cause, ...] = ()
    numerical: Any = None
    analytic: Any = None
    error: Any = None
    evaluations: int = 0
    engine: str = "python"
    seconds: float = 0.0
    threads: int = 1
    method: str = "central"
    step: float | None = None
    fallback: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the verdict is "correct"."""
        return self.verdict == "correct"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        from fastgrad.reports.text import render

        return render(self)

    def __repr__(self) -> str:
        return (
            f"<GradientReport: {self.verdict}, {len(self.wrong)} of "
            f"{self.checked} entries wrong>"
        )

    @property
    def checked(self) -> int:
        """Number of entries checked."""
        return sum(block.checked for block in self.blocks)

    def raise_if_wrong(self) -> None:
        """Raise `GradientError`, an AssertionError, unless the verdict is "correct".

        An undecided check raises too: nothing was verified.
        """
        if not self.ok:
            raise GradientError(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers."""
        result = {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }
        result["ok"] = self.ok
        for name in ("numerical", "analytic", "error"):
            nest = getattr(self, name)
            result[name] = None if nest is None else _arrays(nest)
        return result

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON; what is not finite becomes a string, ``"nan"``."""
        import json

        return json.dumps(_finite(self.to_dict()), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return a page of HTML that needs no other file."""
        from fastgrad.reports.html import render

        return render(self)

    def _repr_html_(self) -> str:
        from fastgrad.reports.html import body

        return body(self)

    def plot(self) -> Any:
        """Return a matplotlib figure: the error of every entry, and where it is.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from fastgrad.reports.plots import plot_gradient_report

        return plot_gradient_report(self)


def _arrays(nest: Any) -> dict[str, Any]:
    return {name: np.asarray(leaf).tolist() for name, leaf in named_leaves(nest)}


def _plain(value: Any) -> Any:
    """Return a field of a report as what JSON knows."""
    if isinstance(value, tuple | WrongEntries):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    return value.item() if isinstance(value, np.generic) else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
