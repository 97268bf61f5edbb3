"""What a battery of variations found: frozen results, and how they read as text."""

import dataclasses
import itertools
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastgrad.reports.gradient import GradientError, GradientReport, Verdict, _finite
from fastgrad.reports.text import table

Outcome = Literal["correct", "wrong", "undecided", "raises", "skipped"]

AS_GIVEN = "as given"
_WIDTH = 88


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
class VariationReport(Mapping[str, GradientReport]):
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

    def __str__(self) -> str:
        sections = [
            textwrap.wrap(self.summary, _WIDTH),
            table(list(_rows(self)), left=5),
            list(_causes(self)),
            list(_identities(self)),
        ]
        return "\n\n".join("\n".join(lines) for lines in sections if lines)

    def __repr__(self) -> str:
        return f"<VariationReport: {self.summary}>"

    def raise_if_wrong(self) -> None:
        """Raise `GradientError`, an AssertionError, unless the verdict is "correct".

        Its cause is the first exception that a variation raised, if one did.
        """
        if not self.ok:
            errors = [v.error for v in self.variations if v.outcome == "raises"]
            raise GradientError(self) from (errors[0] if errors else None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers."""
        return {
            "verdict": self.verdict,
            "ok": self.ok,
            "summary": self.summary,
            "variations": [_plain(variation) for variation in self.variations],
            "identities": [_plain(identity) for identity in self.identities],
            "seconds": self.seconds,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON; what is not finite becomes a string, ``"nan"``."""
        import json

        return json.dumps(_finite(self.to_dict()), indent=indent, allow_nan=False)


def describe(error: Exception) -> str:
    """Return an exception in a line."""
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _plain(item: Variation | Identity) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if isinstance(value, GradientReport):
            value = value.to_dict()
        result[field.name] = (
            describe(value) if field.name == "error" and value else value
        )
    return result


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


def _causes(report: VariationReport) -> Iterator[str]:
    """Yield the message of each different top cause, with where it was seen first."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for variation in report.variations:
        checked = variation.report
        for cause in () if checked is None else checked.causes[:1]:
            if (cause.code, cause.blocks) in seen:
                continue
            if not seen:
                yield "Causes"
            seen.add((cause.code, cause.blocks))
            where = f" ({', '.join(cause.blocks)})" if cause.blocks else ""
            line = f"{variation.name}: {cause.code}{where}: {cause.message}"
            yield from _wrapped(line)
            if cause.source_line:
                yield f"    {cause.source_line}"


def _identities(report: VariationReport) -> Iterator[str]:
    broken = [identity for identity in report.identities if not identity.holds]
    held = len(report.identities) - len(broken)
    if report.identities:
        yield f"Identities of the loss, no differences taken: {held} obeyed"
    for name, group in itertools.groupby(broken, key=lambda identity: identity.name):
        first, *others = group
        blocks = ", ".join(identity.block for identity in (first, *others))
        off = max(identity.violation for identity in (first, *others))
        but = f"but is off by {off:.1e}"
        if first.error is not None:
            but = f"but `grads` raises {describe(first.error)}"
        yield from _wrapped(
            f"BROKEN in {blocks}: the loss is {name}, so {first.consequence}, {but}"
        )


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="    ")
