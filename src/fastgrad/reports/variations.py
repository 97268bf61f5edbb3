"""What a battery of variations found, and how it reads."""

import itertools
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastgrad.reports.base import Report, described
from fastgrad.reports.blocks import GradientError, Verdict
from fastgrad.reports.document import Document, Finding, Findings, Lines, Table
from fastgrad.reports.gradient import GradientReport

Outcome = Literal["correct", "wrong", "undecided", "raises", "skipped"]

AS_GIVEN = "as given"


@dataclass(frozen=True)
class Variation:
    """What one variation of the arguments did to the check.

    Attributes
    ----------
    name : str
        ``"a batch of 1"``.
    outcome : {"correct", "wrong", "undecided", "raises", "skipped"}
        The verdict of its report; "raises" if a function of the user's fails there;
        "skipped" if there is nothing to check, for the reason in `detail`.
    report : GradientReport or None
        Of the check, if there was one.
    error : Exception or None
        What was raised.
    detail : str
        The cause, the exception or the reason, in a line.
    """

    name: str
    outcome: Outcome
    report: GradientReport | None = None
    error: Exception | None = None
    detail: str = ""


@dataclass(frozen=True)
class Identity:
    """Something that holds for the loss, and whether the gradient obeys it.

    Attributes
    ----------
    name : str
        What holds: the loss is ``the same for samples in another order``.
    block : str
        Whose gradient it is about.
    consequence : str
        What follows for that gradient.
    holds : bool
        Whether that is so.
    violation : float
        By how much it is not, relative to the terms of the sum that should be zero.
    error : Exception or None
        What the gradient raised where the loss did not.
    """

    name: str
    block: str
    consequence: str
    holds: bool = True
    violation: float = 0.0
    error: Exception | None = None


@dataclass(frozen=True, eq=False)
class VariationReport(Report, Mapping[str, GradientReport]):
    """Whether a gradient is right for other samples, layouts and parameters too.

    True in a condition if it is; printed, a table. A mapping from the names of the
    variations to their reports, where they have one.

    Attributes
    ----------
    variations : tuple of Variation
        In the order of the table.
    identities : tuple of Identity
        What holds for the loss without any difference taken.
    seconds : float
        Wall-clock time.
    """

    variations: tuple[Variation, ...]
    identities: tuple[Identity, ...] = ()
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """The worst of the variations; wrong if one raises or an identity is broken."""
        outcomes = {variation.outcome for variation in self.variations}
        broken = any(not identity.holds for identity in self.identities)
        if broken or outcomes & {"wrong", "raises"}:
            return "wrong"
        return "correct" if outcomes <= {"correct", "skipped"} else "undecided"

    @property
    def ok(self) -> bool:
        """Whether the verdict is "correct"."""
        return self.verdict == "correct"

    def __bool__(self) -> bool:
        return self.ok

    def __getitem__(self, name: str) -> GradientReport:
        return self._reports[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def _reports(self) -> dict[str, GradientReport]:
        return {v.name: v.report for v in self.variations if v.report is not None}

    @property
    def summary(self) -> str:
        """The verdict in a sentence, with what separates right from wrong."""
        return _sentence(self)

    def __repr__(self) -> str:
        return f"<VariationReport: {self.summary}>"

    def raise_if_wrong(self) -> None:
        """Raise `GradientError`, an AssertionError, unless the verdict is "correct".

        Its cause is the first exception that a variation raised, if one did.
        """
        __tracebackhide__ = True
        if not self.ok:
            errors = [v.error for v in self.variations if v.outcome == "raises"]
            raise GradientError(self) from (errors[0] if errors else None)

    def _values(self) -> dict[str, Any]:
        """The verdict, and its sentence, first."""
        first = {"verdict": self.verdict, "summary": self.summary}
        return {**first, **super()._values()}

    def plot(self) -> Any:
        """Return a matplotlib figure: the relative error of each variation.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from fastgrad.reports import figures

        errors = [report.relative_error for report in self.values()]
        return figures.bars(self.summary, list(self), errors, "relative error")

    def _document(self, *, brief: bool = False) -> Document:
        marks = [
            {"raises": "wrong", "correct": "", "skipped": ""}.get(v.outcome, v.outcome)
            for v in self.variations
        ]
        rows = Table(list(_rows(self)), "" if brief else "Variations", 5, marks)
        causes = list(_causes(self))
        return Document(
            self.summary,
            self.verdict,
            [],
            [
                rows,
                Findings("Cause" + "s" * (len(causes) > 1), causes),
                Lines(list(_identities(self)), _heading(self)),
            ],
        )


def _sentence(report: VariationReport) -> str:
    groups: dict[str, list[str]] = {}
    for variation in report.variations:
        if variation.outcome != "skipped":
            word = "right" if variation.outcome == "correct" else variation.outcome
            groups.setdefault(word, []).append(variation.name)
    broken = sum(not identity.holds for identity in report.identities)
    identities = (
        f"; {broken} of {len(report.identities)} identities of the loss broken"
        if broken
        else ""
    )
    return f"Gradient {report.verdict.upper()}: {_where(groups)}{identities}."


def _where(groups: dict[str, list[str]]) -> str:
    """Say what separates the groups; what most variations do, last or not at all."""
    if not groups:
        return "nothing could be checked"
    most = max(groups, key=lambda word: len(groups[word]))
    others = [word for word in groups if word != most]
    if not others:
        return f"{most} in all {len(groups[most])} variations"
    if len(others) == 1 and "right" in groups:
        return f"{others[0]} only {_with(groups[others[0]])}"
    clauses = [f"{word} {_with(groups[word])}" for word in others]
    return f"{', '.join(clauses)}, and {most} elsewhere"


def _with(names: list[str]) -> str:
    """Return "as given, with a batch of 1 and with a batch of 2"."""
    first = [name for name in names if name == AS_GIVEN]
    rest = [name for name in names if name != AS_GIVEN]
    if rest:
        *most, last = rest
        first.append(f"with {', '.join(most)} and {last}" if most else f"with {last}")
    return " and ".join(first)


def _rows(report: VariationReport) -> Iterator[list[str]]:
    yield ["variation", "verdict", "wrong", "rel. error", "cause"]
    for variation in report.variations:
        checked = variation.report
        word = variation.outcome
        yield [
            variation.name,
            word if word in ("correct", "skipped") else word.upper(),
            "" if checked is None else f"{len(checked.wrong):,} of {checked.checked:,}",
            "" if checked is None else f"{checked.relative_error:.1e}",
            textwrap.shorten(variation.detail, 60, placeholder=" ..."),
        ]


def _causes(report: VariationReport) -> Iterator[Finding]:
    """Yield the message of each different top cause, with where it was seen first."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for variation in report.variations:
        checked = variation.report
        for cause in () if checked is None else checked.causes[:1]:
            if (cause.code, cause.blocks) not in seen:
                seen.add((cause.code, cause.blocks))
                where = f" ({', '.join(cause.blocks)})" if cause.blocks else ""
                name = f"{variation.name}: {cause.code}{where}"
                yield Finding(name, cause.message, cause.source_line or "")


def _heading(report: VariationReport) -> str:
    held = sum(identity.holds for identity in report.identities)
    heading = f"Identities of the loss, no differences taken: {held} obeyed"
    return heading if report.identities else ""


def _identities(report: VariationReport) -> Iterator[str]:
    """Yield what is broken; that nothing is, too."""
    broken = [identity for identity in report.identities if not identity.holds]
    if report.identities and not broken:
        yield "none broken"
    for name, group in itertools.groupby(broken, key=lambda identity: identity.name):
        first, *others = group
        blocks = ", ".join(identity.block for identity in (first, *others))
        off = max(identity.violation for identity in (first, *others))
        but = f"but is off by {off:.1e}"
        if first.error is not None:
            but = f"but `grads` raises {described(first.error)}"
        yield f"BROKEN in {blocks}: the loss is {name}, so {first.consequence}, {but}"
