"""A document as one page of HTML that needs no other file.

Elements are built as trees, so that all text is escaped and all tags are closed;
`page.html` is the frame and `page.css` the style, light and dark.
"""

import itertools
import linecache
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from string import Template
from xml.etree import ElementTree

from fastgrad.reports.document import (
    Approach,
    Curve,
    Document,
    Finding,
    Findings,
    Lines,
    Map,
    Part,
    Table,
)
from fastgrad.reports.pictures import Element, approach, curve, element, picture
from fastgrad.reports.text import written

Figure = Map | Curve | Approach


def page(*documents: Document) -> str:
    """Return a whole page."""
    title = _written(element("span", documents[0].headline))
    title = title.removeprefix("<span>").removesuffix("</span>")
    content = "\n".join(map(body, documents))
    return Template(_file("page.html")).substitute(title=title, body=content)


def body(document: Document) -> str:
    """Return the document as an element to be put in a page, its style with it."""
    content = [element("h1", document.headline, class_=document.verdict)]
    content += [element("p", line) for line in document.summary]
    for _, group in itertools.groupby(document.parts, key=type):
        parts = list(group)
        figures = [_figure(p) for p in parts if isinstance(p, Figure)]
        if figures:
            content.append(element("div", *figures, class_="maps"))
        content += [tag for part in parts for tag in _section(part)]
    style = f"<style>{_file('page.css')}</style>"
    return style + _written(element("div", *content, class_="fastgrad"))


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _written(tag: Element) -> str:
    return written(ElementTree.tostring(tag, encoding="unicode", method="html"))


def _section(part: Part) -> Iterator[Element]:
    if isinstance(part, Lines):
        yield from _titled(part.title, [element("p", line) for line in part.lines])
    elif isinstance(part, Table):
        yield from _titled(part.title, _tabled(part) if len(part.rows) > 1 else [])
        if part.more:
            yield element("p", part.more, class_="soft")
    elif isinstance(part, Findings) and part.items:
        items = [_finding(item) for item in part.items]
        yield from _titled(part.title, [element("ol", *items)])


def _titled(title: str, content: Sequence[Element]) -> Iterable[Element]:
    return [element("h2", title), *content] if title and content else content


def _tabled(table: Table) -> list[Element]:
    """Return a table; with a switch, if only some of its rows are marked."""
    shown = [_table(table)]
    if "" in table.marks and any(table.marks):
        box = element("input", type="checkbox")
        shown.insert(0, element("label", box, " only what is not correct"))
    return shown


def _table(table: Table) -> Element:
    heading, *rows = table.rows
    marks = table.marks or [""] * len(rows)

    def cells(row: Sequence[str], tag: str, **attributes: str) -> list[Element]:
        kinds = ["word" if k < table.left else "" for k in range(len(row))]
        pairs = zip(row, kinds, strict=True)
        return [element(tag, cell, class_=kind, **attributes) for cell, kind in pairs]

    head = element("thead", element("tr", *cells(heading, "th", scope="col")))
    lines = []
    for row, mark in zip(rows, marks, strict=True):
        name = element("th", row[0], class_="word", scope="row")
        others = cells(row, "td")[1:]
        lines.append(element("tr", name, *others, class_=mark))
    label = table.title or heading[0]
    # Reached with the keyboard, as what scrolls must be.
    return element(
        "div",
        element("table", head, element("tbody", *lines)),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=label,
    )


def _finding(finding: Finding) -> Element:
    joint = f"({finding.joint}) " if finding.joint else ""
    content: list[Element | str] = [
        joint,
        element("strong", finding.name),
        f": {finding.message}",
    ]
    if finding.source_line:
        content += _source(finding.source_line)
    content += [element("div", note) for note in finding.notes]
    return element("li", *content)


_AROUND = 2  # lines


def _source(source_line: str) -> Iterator[Element]:
    """Yield a line, ``model.py:12: code``, marked among its neighbours if there are."""
    place, colon, code = source_line.partition(": ")
    file, _, number = place.rpartition(":")
    line = int(number) if number.isdecimal() else 0
    lines = linecache.getlines(file)
    if not (0 < line <= len(lines) and lines[line - 1].strip() == code):
        where = element("span", place + colon, class_="soft")
        yield element("pre", where, element("mark", code))
        return
    first = max(1, line - _AROUND)
    around = lines[first - 1 : line + _AROUND]
    shown: list[Element | str] = []
    for k, text in enumerate(textwrap.dedent("".join(around)).splitlines(), first):
        shown.append(element("span", f"{k:>5}  ", class_="soft"))
        shown += [element("mark", text) if k == line else text, "\n"]
    yield element("div", place, class_="soft")
    yield element("pre", *shown)


def _figure(part: Figure) -> Element:
    if isinstance(part, Map):
        drawn = picture(part)
    else:
        drawn = curve(part) if isinstance(part, Curve) else approach(part)
    return element("figure", drawn, element("figcaption", part.caption))
