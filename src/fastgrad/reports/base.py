"""What all reports have in common: text, JSON, a page of HTML, the notebook."""

import abc
import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad.reports import text
from fastgrad.reports.document import Document, Findings


class Report(abc.ABC):
    """A frozen result that prints well; true in a condition if all is well.

    Subclasses are dataclasses, say what they found as a `Document`, and draw it.
    """

    @property
    @abc.abstractmethod
    def ok(self) -> bool:
        """Whether all is well."""

    @abc.abstractmethod
    def plot(self) -> Any:
        """Return a matplotlib figure.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """

    @abc.abstractmethod
    def _document(self, *, brief: bool = False) -> Document:
        """Return what to show; long tables cut short if `brief`."""

    @property
    def in_short(self) -> str:
        """The verdict and its first cause, in a line."""
        document = self._document(brief=True)
        verdict, _, numbers = document.headline.partition(": ")
        for part in document.parts:
            if isinstance(part, Findings) and part.items:
                return text.written(f"{verdict}: {part.items[0].name}")
        return text.written(f"{verdict}: {numbers}" if numbers else verdict)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return text.render(self._document(brief=True))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._document(brief=True).headline}>"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers that JSON knows.

        What is not finite is a string: ``"nan"``, ``"inf"``, ``"-inf"``.
        """
        return {"ok": self.ok, **plain(self._values())}

    def _values(self) -> dict[str, Any]:
        """Return what `to_dict` is made of."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: getattr(self, field.name) for field in fields}

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_html(self, path: "str | os.PathLike[str] | None" = None) -> str:
        """Return a page of HTML that needs no other file; write it to `path` if given.

        A switch leaves only the blocks that are not correct.
        """
        page = page_of([self])
        if path is not None:
            Path(path).write_text(page, "utf-8")
        return page

    def _repr_html_(self) -> str:
        from fastgrad.reports import html

        return html.body(self._document())


def page_of(reports: Sequence[Report]) -> str:
    """Return a page of HTML with several reports."""
    from fastgrad.reports import html  # not what printing a report waits for

    return html.page(*(report._document() for report in reports))


def plain(value: Any) -> Any:
    """Return a field of a report as what JSON knows."""
    if isinstance(value, Report):
        return value.to_dict()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if hasattr(value, "tocoo"):  # a sparse Jacobian
        entries = value.tocoo()
        parts = {"row": entries.row, "column": entries.col, "value": entries.data}
        return plain({"shape": value.shape, **parts})
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, BaseException):
        return described(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def described(error: BaseException) -> str:
    """Return an exception in a line."""
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def short(value: float | None, form: str = ".1e") -> str:
    """Return a number for a cell of a table."""
    return "-" if value is None or math.isnan(value) else format(value, form)
