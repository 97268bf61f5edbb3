"""A diagnosis as text, as one page of HTML, and as a figure."""

import html
import math
from collections.abc import Iterator
from typing import Any

from fastgrad.reports.html import _STYLE, _table
from fastgrad.reports.signal import SignalLayer, SignalReport
from fastgrad.reports.text import _wrapped, table

_SHOWN = 40  # layers in the text


def text(report: SignalReport) -> str:
    """Return the report as text."""
    sections = [
        [headline(report), *growth_lines(report)],
        list(_fault_lines(report)),
        _layer_table(report),
        [line for part in other_lines(report) for line in _wrapped(part)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def headline(report: SignalReport) -> str:
    """Return the verdict in one line."""
    at = f", first at {report.first_layer}: {report.cause}" if report.faults else ""
    return f"Signal {report.verdict.upper()}{at}"


def growth_lines(report: SignalReport) -> Iterator[str]:
    """Yield how sizes grow from layer to layer."""
    for name, slope, error in (
        ("signal", report.forward_growth, report.forward_growth_error),
        ("gradient", report.backward_growth, report.backward_growth_error),
    ):
        if math.isfinite(slope):
            towards = " towards the input" if name == "gradient" else ""
            bar = f" ± {error:.2g}" if math.isfinite(error) else ""
            yield f"{name} x 2^({slope:+.4g}{bar}) a layer{towards}"


def layer_rows(report: SignalReport) -> list[list[str]]:
    """Return the table of layers, its heading first; sizes are log2."""
    rows = [
        [
            "layer", "then", "sigma_w", "forward", "expected", "z", "backward",
            "expected", "z", "correlation", "dead", "saturated", "grad/weight",
        ]
    ]  # fmt: skip
    return rows + [_row(layer) for layer in report.layers]


def _row(layer: SignalLayer) -> list[str]:
    return [
        layer.name,
        layer.activation,
        f"{layer.sigma_w:.4g}",
        _short(layer.forward_log2),
        _short(layer.expected_forward_log2),
        _short(layer.forward_z, 1),
        _short(layer.backward_log2),
        _short(layer.expected_backward_log2),
        _short(layer.backward_z, 1),
        _short(layer.correlation, 4),
        _percent(layer.dead),
        _percent(layer.saturated),
        _short(layer.gradient_ratio_log2),
    ]


def other_lines(report: SignalReport) -> Iterator[str]:
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


def _fault_lines(report: SignalReport) -> Iterator[str]:
    for fault in report.faults:
        yield f"{fault.kind} ({fault.direction}) at {fault.layer}: {fault.cause}"
        yield from _wrapped(fault.message)
        yield from _wrapped(f"fix: {fault.fix}")
        if fault.source_line:
            yield f"  {fault.source_line}"


def _layer_table(report: SignalReport) -> list[str]:
    lines = table(layer_rows(report), left=2)
    n = len(report.layers)
    if n > _SHOWN:
        step = math.ceil(n / _SHOWN)
        first = {fault.layer for fault in report.faults}
        names = [layer.name for layer in report.layers]
        guilty = [names.index(name) for name in first if name in names]
        chosen = sorted({*range(0, n, step), *guilty, n - 1})
        lines = [lines[0], *(lines[1 + i] for i in chosen)]
        lines.append(f"one layer in {step} shown; all are in report.layers")
    return ["Sizes are log2 of root mean squares", *lines]


def page(report: SignalReport) -> str:
    """Return a whole page of HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(headline(report))}</title></head>"
        f"<body>{body(report)}</body></html>\n"
    )


def body(report: SignalReport) -> str:
    """Return the report as an element to be put in a page."""
    guilty = {fault.layer for fault in report.faults}
    classes = ["wrong" if layer.name in guilty else "" for layer in report.layers]
    parts = [
        f"<style>{_STYLE}</style>",
        f'<h1 class="{"correct" if report.ok else "wrong"}">',
        f"{html.escape(headline(report))}</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in growth_lines(report)),
        *_fault_items(report),
        "<h2>Layers</h2><p>Sizes are log2 of root mean squares.</p>",
        _table(layer_rows(report), classes),
        *(f"<p>{html.escape(line)}</p>" for line in other_lines(report)),
    ]
    return f'<div class="fastgrad">{"".join(parts)}</div>'


def _fault_items(report: SignalReport) -> Iterator[str]:
    if report.faults:
        yield "<h2>Faults</h2><ol>"
        for fault in report.faults:
            name = f"{fault.kind} ({fault.direction}) at {fault.layer}: {fault.cause}"
            yield f"<li><b>{html.escape(name)}</b><br>{html.escape(fault.message)}"
            yield f"<br>fix: {html.escape(fault.fix)}"
            yield f"<br><code>{html.escape(fault.source_line)}</code></li>"
        yield "</ol>"


def plot(report: SignalReport) -> Any:
    """Return a figure: sizes by layer, with what theory expects.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, and not known to pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    figure.suptitle(headline(report), fontsize=10)
    for ax, what in zip(figure.subplots(1, 2), ("forward", "backward"), strict=True):
        _draw(ax, report, what)
    return figure


def _draw(ax: Any, report: SignalReport, what: str) -> None:
    depth = [layer.depth for layer in report.layers]
    ax.plot(
        depth, [getattr(x, f"{what}_log2") for x in report.layers], "o-", ms=3,
        label="measured",
    )  # fmt: skip
    known = [
        (x.depth, mean, getattr(x, f"{what}_spread"))
        for x in report.layers
        if (mean := getattr(x, f"expected_{what}_log2")) is not None
    ]
    if known:
        at, mean, spread = zip(*known, strict=True)
        low = [m - 2 * s for m, s in zip(mean, spread, strict=True)]
        high = [m + 2 * s for m, s in zip(mean, spread, strict=True)]
        ax.fill_between(at, low, high, alpha=0.25, color="C1", lw=0)
        ax.plot(at, mean, "C1--", lw=1, label="mean field, ± 2 deviations")
    name = "pre-activation" if what == "forward" else "gradient there"
    ax.set(xlabel="layer", ylabel=f"log2 of the size of the {name}")
    ax.legend(fontsize=8)


def _short(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "-"
