"""A report as text that can be read in ten seconds.

The verdict first; then a table of blocks, the worst entries, the causes; then how it
was computed.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence

from fastgrad.reports.gradient import Block, GradientReport

SHOWN = 10  # of the wrong entries, and of blocks when there are very many
_MAX_BLOCKS = 60
_WIDTH = 88


def render(report: GradientReport) -> str:
    """Return the report as text."""
    sections = [
        [headline(report), *usual_reading(report)],
        _block_table(report.blocks),
        list(_worst_entries(report)),
        list(_causes(report)),
        list(_how(report)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def headline(report: GradientReport) -> str:
    """Return the verdict with the numbers behind it."""
    total = sum(block.size for block in report.blocks)
    checked = f"{report.checked:,} of {total:,} entries checked"
    if report.checked == total:
        checked = f"all {total:,} entries checked"
    counts = [f"{len(report.wrong):,} wrong"] + [
        f"{sum(count):,} {word}" for word, count in _rare_counts(report.blocks).items()
    ]
    return f"Gradient {report.verdict.upper()}: {checked}, {', '.join(counts)}"


def usual_reading(report: GradientReport) -> Iterator[str]:
    """Yield the textbook's number beside the values people compare it with."""
    if report.checked:
        yield (
            f"relative error |n - a| / (|n| + |a|) = {report.relative_error:.1e} "
            "(1e-7 great, 1e-5 look again, 1e-3 a bug)"
        )


def table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return rows of cells as aligned lines, the first `left` columns to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def block_rows(blocks: Sequence[Block]) -> list[list[str]]:
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
                "correct" if block.verdict == "correct" else block.verdict.upper(),
                *(f"{count:,}" for count in counts),
                _short(block.relative_error),
                _short(block.detection_limit),
            ]
        )
    return rows


def entry_rows(report: GradientReport, shown: int) -> list[list[str]]:
    """Return the table of wrong entries, its heading first."""
    rows = [["entry", "analytic", "numerical", "difference", "error bar"]]
    for entry in report.wrong[:shown]:
        numbers = (entry.analytic, entry.numerical, entry.difference)
        rows.append(
            [entry.name, *(f"{x:.6e}" for x in numbers), f"± {entry.error:.0e}"]
        )
    return rows


def how_lines(report: GradientReport) -> Iterator[str]:
    """Yield how the numbers were computed, and what else there is to know."""
    step = "steps chosen by block" if report.step is None else f"step {report.step:g}"
    differences = f"{report.method} differences, {step}"
    threads = f"{report.threads} thread{'s' * (report.threads != 1)}"
    yield (
        f"{differences if report.checked else 'no differences taken'}; "
        f"{report.engine} engine, {threads}, {report.evaluations:,} evaluations of "
        f"the loss in {report.seconds:.2g} s"
    )
    if report.fallback is not None:
        yield f"not compiled: {report.fallback}"
    yield from report.notes


def _rare_counts(blocks: Sequence[Block]) -> dict[str, list[int]]:
    """Return the counts that are usually zero, where they are not, by block."""
    counts = {
        "undecided": [block.undecided for block in blocks],
        "at a kink": [block.at_kink for block in blocks],
        "unobservable": [block.unobservable for block in blocks],
    }
    return {word: count for word, count in counts.items() if any(count)}


def _block_table(blocks: Sequence[Block]) -> list[str]:
    if len(blocks) <= _MAX_BLOCKS:
        return table(block_rows(blocks), left=3)
    suspicious = [b for b in blocks if b.verdict != "correct"][:_MAX_BLOCKS]
    shown = suspicious or blocks[:SHOWN]
    more = f"... {len(blocks) - len(shown):,} more blocks in `report.blocks`"
    return [*table(block_rows(shown), left=3), more]


def _worst_entries(report: GradientReport) -> Iterator[str]:
    if report.wrong:
        yield "Worst entries"
        yield from table(entry_rows(report, SHOWN))
        if len(report.wrong) > SHOWN:
            yield f"... {len(report.wrong) - SHOWN:,} more in `report.wrong`"


def _causes(report: GradientReport) -> Iterator[str]:
    for number, cause in enumerate(report.causes):
        yield "Cause" if number == 0 else "or"
        where = f" ({', '.join(cause.blocks)})" if cause.blocks else ""
        yield from _wrapped(f"{cause.code}{where}: {cause.message}")
        if cause.source_line:
            yield f"    {cause.source_line}"
        if cause.residual is not None:
            yield f"    relative error left when undone: {cause.residual:.0e}"


def _how(report: GradientReport) -> Iterator[str]:
    yield "How"
    for line in how_lines(report):
        yield from _wrapped(line)


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1e}"
