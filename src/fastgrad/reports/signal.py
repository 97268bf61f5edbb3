"""What a diagnosis of signals found, and how it reads."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad.reports.base import Report, short
from fastgrad.reports.document import (
    Curve,
    Document,
    Finding,
    Findings,
    Lines,
    Table,
)
from fastgrad.reports.layers import Fault, Jacobian, SignalLayer


@dataclass(frozen=True, eq=False)
class SignalReport(Report):
    """How large signals and gradients are in each layer, and what is wrong with that.

    Attributes
    ----------
    verdict : str
        ``"healthy"``, or the kinds of `faults` with their direction,
        ``"vanishing (forward, backward)"``.
    layers : tuple of SignalLayer
        In order of computation.
    forward_growth, backward_growth : float
        Growth of the size of the signal from layer to layer, log2 per layer, by least
        squares, and of the norm of its gradient *towards the input*.
    forward_growth_error, backward_growth_error : float
        Half-width of the 95 % confidence interval.
    first_layer : str or None
        The first layer at fault, None if the network is healthy.
    cause, fix : str or None
        Why, and what to do, of the first fault.
    faults : tuple of Fault
        All of them, most important first.
    range_depth : dict
        For each of float16, bfloat16, float32 and float64 the depths at which a signal,
        and a gradient, of size 1 leaves its range at the growth measured: ``{"float16":
        {"forward": 28, "backward": None}, ...}``.
    input_log2 : float
        Size of the data that the first layer multiplies.
    jacobian : Jacobian or None
        If asked for.
    notes : tuple of str
        Anything else worth knowing.
    """

    verdict: str
    layers: tuple[SignalLayer, ...]
    forward_growth: float
    backward_growth: float
    forward_growth_error: float
    backward_growth_error: float
    first_layer: str | None = None
    cause: str | None = None
    fix: str | None = None
    faults: tuple[Fault, ...] = ()
    range_depth: dict[str, dict[str, int | None]] = dataclasses.field(
        default_factory=dict
    )
    input_log2: float = 0.0
    jacobian: Jacobian | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the verdict is "healthy"."""
        return self.verdict == "healthy"

    def __repr__(self) -> str:
        return f"<SignalReport: {self.verdict}, {len(self.layers)} layers>"

    def plot(self) -> Any:
        """Return a matplotlib figure: sizes by layer, measured and expected.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from fastgrad.reports import figures

        return figures.curves(headline(self), _curves(self))

    def _document(self, *, brief: bool = False) -> Document:
        curves = [] if brief else _curves(self)
        return Document(
            headline(self),
            "correct" if self.ok else "wrong",
            list(_growths(self)),
            [
                Findings("Fault" + "s" * (len(self.faults) > 1), _findings(self)),
                *curves,
                _layers(self, brief),
                Lines(list(_others(self)), "" if brief else "Other"),
            ],
        )


_SHOWN = 40  # layers in the text


def headline(report: SignalReport) -> str:
    """Return the verdict in one line."""
    at = f", first at {report.first_layer}: {report.cause}" if report.faults else ""
    return f"Signal {report.verdict.upper()}{at}"


def _growths(report: SignalReport) -> Iterator[str]:
    """Yield how sizes grow from layer to layer."""
    for name, slope, error in (
        ("signal", report.forward_growth, report.forward_growth_error),
        ("gradient", report.backward_growth, report.backward_growth_error),
    ):
        if math.isfinite(slope):
            towards = " towards the input" if name == "gradient" else ""
            bar = f" ± {error:.2g}" if math.isfinite(error) else ""
            yield f"{name} x 2^({slope:+.4g}{bar}) a layer{towards}"


def _findings(report: SignalReport) -> list[Finding]:
    return [
        Finding(
            f"{fault.kind} ({fault.direction}) at {fault.layer}",
            f"{fault.cause}. {fault.message}",
            fault.source_line,
            [f"fix: {fault.fix}"],
        )
        for fault in report.faults
    ]


def _layers(report: SignalReport, brief: bool) -> Table:
    """Return the table of layers; of very many, some and those at fault."""
    guilty = {fault.layer for fault in report.faults}
    n = len(report.layers)
    chosen, more = list(range(n)), ""
    if brief and n > _SHOWN:
        step = math.ceil(n / _SHOWN)
        bad = [k for k, layer in enumerate(report.layers) if layer.name in guilty]
        chosen = sorted({*range(0, n, step), *bad, n - 1})
        more = f"one layer in {step} shown; all are in report.layers"
    heading = [
        "layer", "then", "sigma_w", "forward", "expected", "z", "backward",
        "expected", "z", "correlation", "dead", "saturated", "grad/weight",
    ]  # fmt: skip
    layers = [report.layers[k] for k in chosen]
    return Table(
        [heading, *(_row(layer) for layer in layers)],
        "Layers: sizes are log2 of root mean squares",
        left=2,
        marks=["wrong" if layer.name in guilty else "" for layer in layers],
        more=more,
    )


def _row(layer: SignalLayer) -> list[str]:
    return [
        layer.name,
        layer.activation,
        f"{layer.sigma_w:.4g}",
        short(layer.forward_log2, ".2f"),
        short(layer.expected_forward_log2, ".2f"),
        short(layer.forward_z, ".1f"),
        short(layer.backward_log2, ".2f"),
        short(layer.expected_backward_log2, ".2f"),
        short(layer.backward_z, ".1f"),
        short(layer.correlation, ".4f"),
        _percent(layer.dead),
        _percent(layer.saturated),
        short(layer.gradient_ratio_log2, ".2f"),
    ]


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "-"


def _others(report: SignalReport) -> Iterator[str]:
    """Yield when number formats give out, and what else was found."""
    for what in () if report.ok else ("forward", "backward"):
        depths = {d: at[what] for d, at in report.range_depth.items() if at[what]}
        if depths:
            name = "signal" if what == "forward" else "gradient"
            at = ", ".join(f"{dtype} at depth {n}" for dtype, n in depths.items())
            yield f"At this growth the {name} leaves the range of {at}"
    if report.jacobian is not None:
        j = report.jacobian
        yield (
            f"Jacobian: singular values from 2^{j.log2_smallest:.4g} to "
            f"2^{j.log2_largest:.4g}; Lyapunov exponents, log2 a layer, from "
            f"{j.lyapunov[-1]:.4g} to {j.lyapunov[0]:.4g}"
        )
    yield from report.notes


def _curves(report: SignalReport) -> list[Curve]:
    return [_curve(report, "forward"), _curve(report, "backward")]


def _curve(report: SignalReport, what: str) -> Curve:
    """Return sizes by layer, and mean field theory's, give or take two deviations."""
    known = [
        (layer.depth, mean - 2 * spread, mean + 2 * spread)
        for layer in report.layers
        if (mean := getattr(layer, f"expected_{what}_log2")) is not None
        and (spread := getattr(layer, f"{what}_spread")) is not None
    ]
    name = "pre-activation" if what == "forward" else "gradient there"
    expected = "; band: mean field theory, ± 2 deviations" if known else ""
    return Curve(
        f"log2 of the size of the {name}{expected}",
        np.array([float(layer.depth) for layer in report.layers]),
        np.array([float(getattr(layer, f"{what}_log2")) for layer in report.layers]),
        np.array(known, dtype=np.float64).reshape(-1, 3).T,
    )
