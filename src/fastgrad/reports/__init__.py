"""What was found: frozen results that read as text, JSON, a page, a figure.

A report is a dataclass of plain fields, filled in by whoever measured them: of a
gradient (`gradient`: its `blocks`, `entries` and `gradients`), of a battery of
variations (`variations`), of a network's signals (`signal`, with its `layers`). What
all have in common is in `base`.

::

    fields -> Document (headline, tables, findings, maps, curves)
                 |-> text     print(report)
                 |-> html     to_html(), a notebook; page.html, page.css, pictures
    fields -> figures         plot(), by matplotlib
    fields -> to_dict()       to_json()

So a new kind of report says what it has to say once, in ``_document``, and a new way to
show reports is written once, for the few elements of `document`.
"""

from fastgrad.reports.base import Report, described, page_of
from fastgrad.reports.blocks import Block, Blocks, Cause, GradientError, Verdict
from fastgrad.reports.entries import Entries, Entry, Ladder
from fastgrad.reports.gradient import GradientReport
from fastgrad.reports.gradients import Some
from fastgrad.reports.layers import Fault, Jacobian, SignalLayer
from fastgrad.reports.signal import SignalReport
from fastgrad.reports.text import aligned
from fastgrad.reports.variations import (
    AS_GIVEN,
    Identity,
    Outcome,
    Variation,
    VariationReport,
)

__all__ = [
    "AS_GIVEN",
    "Block",
    "Blocks",
    "Cause",
    "Entries",
    "Entry",
    "Fault",
    "GradientError",
    "GradientReport",
    "Identity",
    "Jacobian",
    "Ladder",
    "Outcome",
    "Report",
    "SignalLayer",
    "SignalReport",
    "Some",
    "Variation",
    "VariationReport",
    "Verdict",
    "aligned",
    "described",
    "page_of",
]
