"""A report as one page of HTML, with maps of where the wrong entries are."""

import base64
import html
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fastgrad.reports.gradient import Block, GradientReport, WrongEntry
from fastgrad.reports.text import (
    block_rows,
    entry_rows,
    headline,
    how_lines,
    usual_reading,
)

_SHOWN = 1000  # wrong entries in the table
_MAX_MAPS = 12
_MAX_PIXELS = 256  # along each side of a map

_STYLE = """
.fastgrad { font: 14px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto;
  color: #1a1a1a; }
.fastgrad h1 { font-size: 1.3em; padding: .5em .8em; border-radius: .3em; }
.fastgrad h1.correct { background: #d8f0dd; }
.fastgrad h1.wrong { background: #f8d6d2; }
.fastgrad h1.undecided { background: #fcecc4; }
.fastgrad table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.fastgrad th, .fastgrad td { padding: .15em .8em; text-align: right;
  border-bottom: 1px solid #ddd; }
.fastgrad th:first-child, .fastgrad td:first-child { text-align: left; }
.fastgrad tr.wrong td { background: #fbe9e7; }
.fastgrad tr.undecided td { background: #fdf6e3; }
.fastgrad .scroll { max-height: 24em; overflow: auto; }
.fastgrad figure { display: inline-block; margin: 0 1.5em 1em 0; }
.fastgrad img { image-rendering: pixelated; border: 1px solid #999; width: 16em;
  min-height: 2em; }
.fastgrad code { background: #f3f3f3; padding: .1em .3em; }
"""


def render(report: GradientReport) -> str:
    """Return a whole page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(headline(report))}</title></head>"
        f"<body>{body(report)}</body></html>\n"
    )


def body(report: GradientReport) -> str:
    """Return the report as an element to be put in a page."""
    parts = [
        f"<style>{_STYLE}</style>",
        f'<h1 class="{report.verdict}">{html.escape(headline(report))}</h1>',
        *(f"<p>{html.escape(line)}</p>" for line in usual_reading(report)),
        *_causes(report),
        "<h2>Blocks</h2>",
        _table(block_rows(report.blocks), [block.verdict for block in report.blocks]),
        *_maps(report),
        *_entries(report),
        "<h2>How it was computed</h2>",
        *(f"<p>{html.escape(line)}</p>" for line in how_lines(report)),
    ]
    return f'<div class="fastgrad">{"".join(parts)}</div>'


def _causes(report: GradientReport) -> Iterator[str]:
    if report.causes:
        yield "<h2>Causes</h2><ol>"
        for cause in report.causes:
            where = f" ({', '.join(cause.blocks)})" if cause.blocks else ""
            yield f"<li><b>{html.escape(cause.code + where)}</b>: "
            yield html.escape(cause.message)
            if cause.source_line:
                yield f"<br><code>{html.escape(cause.source_line)}</code>"
            if cause.residual is not None:
                yield f"<br>relative error left when undone: {cause.residual:.0e}"
            yield "</li>"
        yield "</ol>"


def _entries(report: GradientReport) -> Iterator[str]:
    if report.wrong:
        yield f"<h2>Wrong entries ({len(report.wrong):,})</h2>"
        yield f'<div class="scroll">{_table(entry_rows(report, _SHOWN))}</div>'
        if len(report.wrong) > _SHOWN:
            yield f"<p>The worst {_SHOWN:,}; <code>report.wrong</code> has all.</p>"


def _table(rows: Sequence[Sequence[str]], classes: Sequence[str] = ()) -> str:
    def line(cells: Sequence[str], tag: str, css: str = "") -> str:
        inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        return f'<tr class="{css}">{inner}</tr>'

    heading, *rest = rows
    classes = classes or [""] * len(rest)
    lines = [line(row, "td", css) for row, css in zip(rest, classes, strict=True)]
    return f"<table>{line(heading, 'th')}{''.join(lines)}</table>"


def _maps(report: GradientReport) -> Iterator[str]:
    """Yield a picture of each wrong block: a wrong row or column is seen at once."""
    blocks = [block for block in report.blocks if block.wrong and block.shape]
    for block in blocks[:_MAX_MAPS]:
        entries = [entry for entry in report.wrong if entry.block == block.name]
        picture = base64.b64encode(_png(wrong_map(block, entries))).decode()
        name = html.escape(block.name)
        yield (
            f'<figure><img alt="where {name} is wrong" '
            f'src="data:image/png;base64,{picture}">'
            f"<figcaption>{name}: wrong entries are red</figcaption></figure>"
        )


def wrong_map(block: Block, entries: Sequence[WrongEntry]) -> NDArray[np.bool_]:
    """Return a picture, at most 256 pixels a side, of where entries are wrong.

    The first axis goes down, all others across. A pixel is set if any entry in it is
    wrong.
    """
    rows = block.shape[0] if len(block.shape) > 1 else 1
    columns = block.size // rows
    picture = np.zeros((min(rows, _MAX_PIXELS), min(columns, _MAX_PIXELS)), dtype=bool)
    flat = np.array(
        [np.ravel_multi_index(entry.index, block.shape) for entry in entries],
        dtype=np.int64,
    )
    row, column = np.divmod(flat, columns)
    height, width = picture.shape
    picture[row * height // rows, column * width // columns] = True
    return picture


def _png(picture: NDArray[np.bool_]) -> bytes:
    """Return the picture as a two-colour PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    height, width = picture.shape
    lines = np.packbits(picture, axis=1)
    filtered = np.insert(lines, 0, 0, axis=1)  # filter type "none" before every line
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
            chunk(b"PLTE", bytes((240, 244, 240, 200, 40, 30))),
            chunk(b"IDAT", zlib.compress(filtered.tobytes())),
            chunk(b"IEND", b""),
        )
    )
