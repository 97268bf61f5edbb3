"""Figures. They need matplotlib, which is imported only here.

They are not shown and not known to pyplot: ``figure.savefig(...)``, or leave it to the
notebook.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.reports.document import Approach, Curve, Map
from fastgrad.reports.text import written

_MAX_POINTS = 20_000  # of each block in a scatter plot
_LABELLED = 16  # blocks in its legend


def errors(
    title: str,
    numerical: Mapping[str, NDArray[Any]],
    analytic: Mapping[str, NDArray[Any]],
    parts: Sequence[Map | Approach],
) -> Any:
    """Return a figure: the error of each entry against its size, and what else."""
    figure, axes = _figure(title, 1 + len(parts))
    for name, n in numerical.items():
        stride = max(1, n.size // _MAX_POINTS)
        n, a = n[::stride], analytic[name][::stride]
        with np.errstate(invalid="ignore"):
            shown = np.isfinite(n) & np.isfinite(a) & (n != 0) & (a != n)
        label = written(name) if len(axes[0].lines) < _LABELLED else None
        axes[0].loglog(np.abs(n[shown]), np.abs(a - n)[shown], ".", ms=3, label=label)
    axes[0].axline((1, 1), (10, 10), color="0.6", lw=0.8)  # an error of 100 %
    axes[0].set_xlabel("size of the numerical gradient")
    axes[0].set_ylabel("difference to the analytic one")
    axes[0].legend(fontsize=8)
    for ax, part in zip(axes[1:], parts, strict=True):
        ax.set_title(written(part.caption), fontsize=8, wrap=True)
        if isinstance(part, Map):
            ax.imshow(part.strength, cmap="autumn_r", aspect="auto", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        else:
            ax.loglog(part.step, part.far, lw=2, label="from the analytic one")
            ax.loglog(part.step, part.near, "k--", lw=1, label="from the numerical one")
            ax.legend(fontsize=8)
    return figure


def curves(title: str, parts: Sequence[Curve]) -> Any:
    """Return a figure of what was measured, over what was expected."""
    figure, axes = _figure(title, len(parts))
    for ax, part in zip(axes, parts, strict=True):
        at, low, high = part.expected
        ax.plot(part.x, part.measured, "o-", ms=3, label="measured")
        if at.size:
            band = "mean field, ± 2 deviations"
            ax.fill_between(at, low, high, alpha=0.25, color="C1", lw=0)
            ax.plot(at, (low + high) / 2, "C1--", lw=1, label=band)
        ax.set(xlabel="layer", ylabel=part.caption.partition(";")[0])
        ax.legend(fontsize=8)
    return figure


def bars(title: str, names: Sequence[str], sizes: Sequence[float], label: str) -> Any:
    """Return a figure with a logarithmic bar for each name."""
    figure, (ax,) = _figure(title, 1)
    ax.barh([written(name) for name in names], sizes)
    ax.set_xscale("log")
    ax.set_xlabel(label)
    ax.invert_yaxis()
    return figure


def _figure(title: str, count: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11 if count > 1 else 7, 4.5), layout="constrained")
    figure.suptitle(written(title), fontsize=10)
    return figure, list(figure.subplots(1, count, squeeze=False)[0])
