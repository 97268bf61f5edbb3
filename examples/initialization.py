"""He against Xavier: thirty ReLU layers, and what becomes of the signal in them.

He et al. (2015) trained a ReLU network of 30 layers that "completely stalls" with
Xavier's weights: each layer halves the mean square of the signal, and of the gradient.

Run it with ``python examples/initialization.py``. It prints the sizes, and where
matplotlib is installed draws them into ``initialization.png``.
"""

import sys

import numpy as np

import fastgrad as fg
from fastgrad import initializers

DEPTH, WIDTH, SAMPLES = 30, 256, 64


def loss(params, X, T):
    a = X
    for W in params.values():
        z = W @ a
        a = np.maximum(z, 0)
    return np.mean((z - T) ** 2)


def diagnose(scheme):
    rng = np.random.default_rng(0)
    X, T = rng.standard_normal((2, WIDTH, SAMPLES))
    shapes = {f"W{layer}": (WIDTH, WIDTH) for layer in range(1, DEPTH + 1)}
    params = initializers.initialize(shapes, scheme)
    return fg.diagnose_signal(lambda p: loss(p, X, T), params)


def draw(reports, file):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for ax, what in zip(panels, ("forward", "backward"), strict=True):
        for name, report in reports.items():
            depth = [layer.depth for layer in report.layers]
            size = [getattr(layer, f"{what}_log2") for layer in report.layers]
            (line,) = ax.plot(depth, size, ".-", label=name)
            known = [getattr(x, f"expected_{what}_log2") for x in report.layers]
            known = [np.nan if x is None else x for x in known]
            ax.plot(depth, known, "--", lw=1, color=line.get_color())
        ax.set(xlabel="layer", title=f"{what} signal; dashed: theory")
        ax.legend()
    panels[0].set_ylabel("log2 of its size")
    figure.savefig(file, dpi=120)


def main():
    reports = {name: diagnose(name) for name in ("he_normal", "xavier_normal")}
    print("log2 of the size of the signal, and of its gradient, by layer")
    print("layer" + "".join(f"{name:>20}" for name in reports))
    for i in range(0, DEPTH, 5):
        rows = [report.layers[i] for report in reports.values()]
        sizes = [f"{x.forward_log2:10.2f}{x.backward_log2:10.2f}" for x in rows]
        print(f"{i + 1:5}" + "".join(sizes))
    for name, report in reports.items():
        print(f"\n{name}: {report.verdict}")
        if report.cause:
            print(f"  first at {report.first_layer}: {report.cause}; {report.fix}")
    try:
        draw(reports, "initialization.png")
    except ImportError:
        return
    print("\ndrawn: initialization.png")


if __name__ == "__main__":
    sys.exit(main())
