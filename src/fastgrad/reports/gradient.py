"""What a gradient check found, and how it reads.

`fastgrad.checking` fills these in; nothing is computed here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.params import named_leaves
from fastgrad.reports.base import Report, short
from fastgrad.reports.blocks import Block, Blocks, Cause, GradientError, Verdict
from fastgrad.reports.document import (
    Approach,
    Document,
    Finding,
    Findings,
    Lines,
    Map,
    Table,
)
from fastgrad.reports.entries import Entry, Ladder
from fastgrad.reports.gradients import whole


@dataclass(frozen=True, eq=False)
class GradientReport(Report):
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
    blocks : sequence of Block
        One per array of the parameters, in order; ``blocks["W1"]`` by name.
    wrong : sequence of Entry
        All of them, worst first.
    causes : tuple of Cause
        Most of the discrepancy explained first.
    ladders : tuple of Ladder
        Slopes by step, of some of the worst entries.
    gradients : tuple
        What `numerical`, `analytic` and `error` are made of when they are asked for.
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
    step : float, nest or None
        The step that was asked for; None where it was chosen per block.
    fallback : str or None
        Why the loss was not compiled: the line that stopped it and the reason.
    guarded : int
        Evaluations that a compiled loss left to the function because a branch, a mask
        or an index had another outcome there.
    python_operations : tuple of str
        Functions a compiled loss calls in Python wherever they are reached, with
        their lines.
    notes : tuple of str
        Anything else worth knowing.
    subject : str
        What was checked, ``"Gradient"``, ``"Jacobian"`` or ``"Hessian"``.
    """

    verdict: Verdict
    relative_error: float
    blocks: Blocks
    wrong: Sequence[Entry] = ()
    causes: tuple[Cause, ...] = ()
    ladders: tuple[Ladder, ...] = ()
    gradients: tuple[Any, Any, Any] = (None, None, None)
    evaluations: int = 0
    engine: str = "python"
    seconds: float = 0.0
    threads: int = 1
    method: str = "central"
    step: Any = None
    fallback: str | None = None
    guarded: int = 0
    python_operations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    subject: str = "Gradient"

    @property
    def numerical(self) -> Any:
        """The gradient measured, built like the parameters; nan where not checked."""
        return whole(self.gradients[0])

    @property
    def analytic(self) -> Any:
        """The gradient under test, in the same way."""
        return whole(self.gradients[1])

    @property
    def error(self) -> Any:
        """Error bars of `numerical`, in the same way."""
        return whole(self.gradients[2])

    @property
    def ok(self) -> bool:
        """Whether the verdict is "correct"."""
        return self.verdict == "correct"

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
        __tracebackhide__ = True
        if not self.ok:
            raise GradientError(self)

    def _values(self) -> dict[str, Any]:
        """Gradients by the name of their block."""
        values = super()._values()
        for name in ("numerical", "analytic", "error"):
            nest = getattr(self, name)
            values[name] = nest if nest is None else dict(_gradients(nest))
        del values["gradients"]
        return values

    def plot(self) -> Any:
        """Return a matplotlib figure: the error of each entry, where, and by step.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from fastgrad.reports import figures

        numerical, analytic = (
            {name: _entries(leaf) for name, leaf in _gradients(nest)}
            for nest in (self.numerical, self.analytic)
        )
        worst = max(self.blocks, key=lambda block: block.wrong)
        parts: list[Map | Approach] = list(map(_approach, self.ladders[:1]))
        if worst.wrong and worst.shape:
            parts.insert(0, _map(self, worst))
        return figures.errors(headline(self), numerical, analytic, parts)

    def _document(self, *, brief: bool = False) -> Document:
        blocks = _blocks_part(self.blocks, brief)
        entries = _entries_part(self, _SHOWN if brief else _LISTED)
        findings = list(_findings(self))
        causes = Findings("Cause" + "s" * (len(findings) > 1), findings)
        how = Lines(list(_how(self)), "How")
        wrong = [block for block in self.blocks if block.wrong and block.shape]
        maps = [_map(self, block) for block in wrong[:_MAPS]] if not brief else []
        return Document(
            headline(self),
            self.verdict,
            list(_usual_reading(self)),
            [blocks, entries, causes, how]
            if brief
            else [causes, blocks, *maps, entries, *map(_approach, self.ladders), how],
        )


_SHOWN, _LISTED = 10, 1000  # of the wrong entries, in text and on a page
_MAX_BLOCKS = 60
_UNITS = (
    "rel. error: of the block; "
    "detects from: least absolute error seen in a typical entry"
)
_MAPS = 12
_USUALLY_A_BUG = 1e-3  # relative error
_PIXELS = 256  # along each side of a map


def _entries(leaf: Any) -> NDArray[Any]:
    """Return the entries of an array, of those of a sparse one that it has."""
    entries: NDArray[Any] = leaf.data if hasattr(leaf, "tocoo") else np.ravel(leaf)
    return entries


def headline(report: GradientReport) -> str:
    """Return the verdict with the numbers behind it."""
    total = sum(block.size for block in report.blocks)
    checked = f"{report.checked:,} of {total:,} entries checked"
    if report.checked == total:
        checked = "1 entry checked" if total == 1 else f"all {total:,} entries checked"
    counts = [f"{len(report.wrong):,} wrong"] + [
        f"{sum(count):,} {word}" for word, count in _rare_counts(report.blocks).items()
    ]
    verdict = report.verdict.upper()
    return f"{report.subject} {verdict}: {checked}, {', '.join(counts)}"


def _usual_reading(report: GradientReport) -> Iterator[str]:
    """Yield the textbook's number beside the values people compare it with."""
    if report.checked:
        usual = "1e-7 great, 1e-5 look again, 1e-3 a bug"
        if report.wrong and report.relative_error < _USUALLY_A_BUG:
            usual = "small over all entries together: see those that are wrong"
        yield (
            f"relative error |n - a| / (|n| + |a|) = {report.relative_error:.1e} "
            f"({usual})"
        )


def _blocks_part(blocks: Sequence[Block], brief: bool) -> Table:
    shown, more = blocks, _UNITS
    if brief and len(blocks) > _MAX_BLOCKS:
        suspicious = [b for b in blocks if b.verdict != "correct"][:_MAX_BLOCKS]
        shown = suspicious or blocks[:_SHOWN]
        left = f"{len(blocks) - len(shown):,} more blocks in `report.blocks`"
        more = f"... {left}\n{_UNITS}"
    fit = [block.verdict == "correct" or block.zero for block in shown]
    marks = ["" if f else b.verdict for f, b in zip(fit, shown, strict=True)]
    title = "" if brief else "Blocks"
    return Table(_block_rows(shown), title, left=3, marks=marks, more=more)


def _gradients(nest: Any) -> list[tuple[str, Any]]:
    """Return the name and gradient of each block; leaves that are none are None."""
    return [(name, leaf) for name, leaf in named_leaves(nest) if leaf is not None]


def _block_rows(blocks: Sequence[Block]) -> list[list[str]]:
    """Return the table of blocks, its heading first."""
    rare = _rare_counts(blocks)
    first = ["block", "shape", "verdict", "checked", "wrong"]
    rows = [[*first, *rare, "rel. error", "detects from"]]
    for k, block in enumerate(blocks):
        counts = [block.checked, block.wrong, *(count[k] for count in rare.values())]
        rows.append(
            [
                block.name,
                "×".join(map(str, block.shape)) or "scalar",
                _verdict_cell(block),
                *(f"{count:,}" for count in counts),
                short(block.relative_error),
                short(block.detection_limit),
            ]
        )
    return rows


def _verdict_cell(block: Block) -> str:
    """Return the verdict, loud unless the block is fit to pass."""
    if block.zero:
        return "zero" if block.checked else "empty"
    return "correct" if block.verdict == "correct" else block.verdict.upper()


def _rare_counts(blocks: Sequence[Block]) -> dict[str, list[int]]:
    """Return the counts that are usually zero, where they are not, by block."""
    counts = {
        "undecided": [block.undecided for block in blocks],
        "at a kink": [block.at_kink for block in blocks],
        "unobservable": [block.unobservable for block in blocks],
    }
    return {word: count for word, count in counts.items() if any(count)}


def _entries_part(report: GradientReport, count: int) -> Table:
    rows = [["entry", "analytic", "numerical", "difference", "error bar"]]
    for entry in report.wrong[:count]:
        numbers = (entry.analytic, entry.numerical, entry.difference)
        rows.append(
            [entry.name, *(f"{x:.6e}" for x in numbers), f"± {entry.error:.0e}"]
        )
    left = len(report.wrong) - count
    more = f"... {left:,} more in `report.wrong`" if left > 0 else ""
    return Table(rows if report.wrong else [], "Worst entries", more=more)


def _findings(report: GradientReport) -> Iterator[Finding]:
    explained: set[str] = set()
    for number, cause in enumerate(report.causes):
        where = f" ({', '.join(cause.blocks)})" if cause.blocks else ""
        left = (
            f"left of the gradient, relatively, when undone: {cause.residual or 0:.0e}"
        )
        again = not cause.blocks or explained.intersection(cause.blocks)
        yield Finding(
            cause.code + where,
            cause.message,
            cause.source_line or "",
            [left] if cause.residual is not None else [],
            joint=("or" if again else "and") if number else "",
        )
        explained.update(cause.blocks)


def _how(report: GradientReport) -> Iterator[str]:
    """Yield how the numbers were computed, and what else there is to know."""
    step = "steps chosen by block"
    if report.step is not None:
        alike = isinstance(report.step, float | int)
        step = f"step {report.step:g}" if alike else "steps as given"
    differences = f"{report.method} differences, {step}"
    threads = f"{report.threads} thread{'s' * (report.threads != 1)}"
    what = "loss" if report.subject == "Gradient" else "function"
    yield (
        f"{differences if report.checked else 'no differences taken'}; "
        f"{report.engine} engine, {threads}, {report.evaluations:,} evaluations of "
        f"the {what} in {report.seconds:.2g} s"
    )
    if report.fallback is not None:
        yield (
            f"not compiled: {report.fallback}; slower, and causes are named from the "
            "numbers alone"
        )
    if report.guarded:
        yield (
            f"{report.guarded:,} evaluation{'s' * (report.guarded != 1)} by the "
            "function itself: a branch, a mask or an index had another outcome there"
        )
    if report.python_operations:
        calls = ", ".join(report.python_operations)
        yield f"called in Python wherever it is reached: {calls}"
    yield from report.notes


_LEAST = 1e-17  # relative distance that is drawn


@np.errstate(all="ignore")  # what is too far or too near is not drawn
def _approach(ladder: Ladder) -> Approach:
    """Return how the slopes of a wrong entry approach what is right."""
    size = max(abs(ladder.analytic), abs(ladder.numerical)) or 1.0
    off = np.abs(ladder.slope - [[ladder.analytic], [ladder.numerical]]) / size
    caption = (
        f"{ladder.name}: how far central differences are from the analytic derivative "
        "(thick) and from the numerical one (dashed), relatively, by step"
    )
    return Approach(caption, ladder.step, *np.fmax(off, _LEAST))


def _map(report: GradientReport, block: Block) -> Map:
    """Return where a block is wrong, and how much: each pixel shows its worst entry."""
    wrong = [entry for entry in report.wrong if entry.block == block.name]
    sizes = np.array([(e.difference, e.analytic, e.numerical) for e in wrong])
    with np.errstate(all="ignore"):
        error, *both = np.abs(sizes.T)
        relative = np.nan_to_num(error / np.maximum(*both), nan=1.0, posinf=1.0)
    place = np.array([np.ravel_multi_index(e.index, block.shape) for e in wrong])
    long = [n for n in block.shape if n > 1]  # a column lies down, as vectors do
    rows = block.shape[0] if len(long) > 1 else 1
    columns = block.size // rows
    height, width = min(rows, _PIXELS), min(columns, _PIXELS)
    row, column = np.divmod(place, columns)
    pixel = (row * height // rows) * width + column * width // columns
    strength = np.full(height * width, -1.0)
    np.maximum.at(strength, pixel, _contrast(relative))
    strength[strength < 0] = np.nan
    least, most = short(relative.min()), short(relative.max())
    by = most if least == most else f"{least} (light) to {most} (dark)"
    caption = (
        f"{block.name}: {block.wrong:,} of {block.checked:,} entries wrong, by {by} "
        "of their size"
    )
    return Map(caption, (rows, columns), strength.reshape(height, width))


def _contrast(relative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sizes as shades from 0 to 1 that show what there is to tell apart."""
    size = np.log(np.maximum(relative, 1e-300))
    low, high = np.quantile(size, [0.02, 0.98])
    if high - low < 0.02:  # all the same
        return np.ones_like(size)
    shade: NDArray[np.float64] = np.clip((size - low) / (high - low), 0.0, 1.0)
    return shade
