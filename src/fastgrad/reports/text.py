"""A document as text that can be read in ten seconds."""

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from fastgrad.reports.document import Document, Findings, Lines, Part, Table

_WIDTH = 88


def render(document: Document) -> str:
    """Return the document as text; what is a picture is left out."""
    first = [*textwrap.wrap(document.headline, _WIDTH), *document.summary]
    sections = [first, *(list(_section(part)) for part in document.parts)]
    return written("\n\n".join("\n".join(lines) for lines in sections if lines))


def written(text: str) -> str:
    """Return text that every file and terminal takes as text.

    A name may hold half a surrogate pair, or codes that a terminal obeys.
    """
    return "".join(map(_written, text))


def _written(character: str) -> str:
    obeyed = unicodedata.category(character)[0] == "C" and character != "\n"
    return character.encode("unicode-escape").decode() if obeyed else character


def _section(part: Part) -> Iterator[str]:
    if isinstance(part, Lines):
        yield from _titled(part.title, _indented(part.lines))
    elif isinstance(part, Table):
        yield from _titled(part.title, aligned(part.rows, part.left))
        if part.more:
            yield part.more
    elif isinstance(part, Findings):
        yield from _titled(part.title, list(_findings(part)))


def _titled(title: str, lines: Sequence[str]) -> Iterator[str]:
    if title and lines:
        yield title
    yield from lines


def _findings(findings: Findings) -> Iterator[str]:
    for item in findings.items:
        if item.joint:
            yield item.joint
        yield from _indented([f"{item.name}: {item.message}"])
        if item.source_line:
            yield "    " + textwrap.shorten(item.source_line, 2 * _WIDTH)
        for note in item.notes:
            yield from textwrap.wrap(
                note, _WIDTH, initial_indent="    ", subsequent_indent="      "
            )


def _indented(lines: Sequence[str]) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line, _WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    ]


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return rows of cells as aligned lines, the first `left` columns to the left."""
    rows = [[written(cell).replace("\n", "\\n") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
