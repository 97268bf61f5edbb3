"""What a report says, before it is text or a page: a headline, tables, findings, maps.

Each kind of report describes itself by these few elements; `text` and `html` know how
to show them, and nothing of what they mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lines:
    """Sentences, each a paragraph of its own."""

    lines: Sequence[str]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells, the heading first.

    Attributes
    ----------
    left : int
        How many columns hold words; the others hold numbers.
    marks : sequence of str
        For each row below the heading a verdict, by which a page colours it.
    more : str
        What is not in it, and where to find that.
    """

    rows: Sequence[Sequence[str]]
    title: str = ""
    left: int = 1
    marks: Sequence[str] = ()
    more: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that was found: its name, the evidence, the line of code.

    Attributes
    ----------
    joint : str
        How it relates to the finding before it: ``"or"``, ``"and"``.
    """

    name: str
    message: str
    source_line: str = ""
    notes: Sequence[str] = ()
    joint: str = ""


@dataclass(frozen=True)
class Findings:
    """Several findings, the most important first."""

    title: str
    items: Sequence[Finding]


@dataclass(frozen=True)
class Map:
    """Where in a matrix something is, and how much of it.

    Attributes
    ----------
    shape : (int, int)
        Of the matrix.
    strength : ndarray of float64, shape (height, width)
        From 0 to 1 of each pixel, which may stand for many entries; nan where there is
        nothing.
    """

    caption: str
    shape: tuple[int, int]
    strength: NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Something measured along an axis, beside the band where it was expected.

    Attributes
    ----------
    x, measured : ndarray of float64, shape (n,)
    expected : ndarray of float64, shape (3, k)
        Places on the axis, lower and upper end of the band there.
    """

    caption: str
    x: NDArray[np.float64]
    measured: NDArray[np.float64]
    expected: NDArray[np.float64]


@dataclass(frozen=True)
class Approach:
    """How far differences are from two values, by their step.

    Attributes
    ----------
    step : ndarray of float64, shape (n,)
    far, near : ndarray of float64, shape (n,)
        From the value under test, and from the one they tend to, relatively.
    """

    caption: str
    step: NDArray[np.float64]
    far: NDArray[np.float64]
    near: NDArray[np.float64]


Part = Lines | Table | Findings | Map | Curve | Approach


@dataclass(frozen=True)
class Document:
    """A report as it is shown.

    Attributes
    ----------
    headline : str
        The verdict with the numbers behind it.
    verdict : {"correct", "wrong", "undecided"}
        By which a page colours the headline.
    summary : sequence of str
        Lines that belong to the headline.
    parts : sequence
        What follows, in order.
    """

    headline: str
    verdict: str
    summary: Sequence[str]
    parts: Sequence[Part]
