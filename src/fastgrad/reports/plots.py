"""Figures of reports. Needs matplotlib, which is imported only here."""

from typing import Any

import numpy as np

from fastgrad.params.structure import named_leaves
from fastgrad.reports.gradient import GradientReport
from fastgrad.reports.html import wrong_map
from fastgrad.reports.text import headline

_MAX_POINTS = 20_000  # of each block in the scatter plot


def plot_gradient_report(report: GradientReport) -> Any:
    """Return a figure: the error of each entry against its size, and a map.

    Parameters
    ----------
    report : GradientReport
        With its `analytic` and `numerical` gradients.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, and not known to pyplot: ``fig.savefig(...)``, or show it in a
        notebook.
    """
    from matplotlib.figure import Figure

    worst = max(report.blocks, key=lambda block: block.wrong)
    figure = Figure(figsize=(11 if worst.wrong else 7, 4.5), layout="constrained")
    figure.suptitle(headline(report), fontsize=10)
    axes = figure.subplots(1, 2 if worst.wrong else 1, squeeze=False)[0]
    _scatter(axes[0], report)
    if worst.wrong:
        entries = [entry for entry in report.wrong if entry.block == worst.name]
        axes[1].imshow(
            wrong_map(worst, entries), cmap="Reds", aspect="auto", vmin=0, vmax=1
        )
        axes[1].set_title(f"{worst.name}: {worst.wrong:,} wrong entries")
        axes[1].set_xticks([])
        axes[1].set_yticks([])
    return figure


def _scatter(ax: Any, report: GradientReport) -> None:
    numerical = dict(named_leaves(report.numerical))
    analytic = dict(named_leaves(report.analytic))
    for name, leaf in numerical.items():
        n = np.ravel(leaf)
        a = np.ravel(analytic[name])
        stride = max(1, n.size // _MAX_POINTS)
        n, a = n[::stride], a[::stride]
        with np.errstate(invalid="ignore"):
            shown = np.isfinite(n) & np.isfinite(a) & (n != 0) & (a != n)
        ax.loglog(np.abs(n[shown]), np.abs(a - n)[shown], ".", ms=3, label=name)
    ax.axline((1, 1), (10, 10), color="0.6", lw=0.8)  # an error of 100 %
    ax.set_xlabel("size of the numerical gradient")
    ax.set_ylabel("difference to the analytic one")
    ax.legend(fontsize=8)
