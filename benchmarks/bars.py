"""Error bars of numerical gradients where a kink is near: how many cover the error.

    python benchmarks/bars.py [--seeds 1] [--method central] [--size 24] [--show]

Smooth losses, with and without kinks of 1e-10 to 1e-1 of their slopes, 1e-9 to 0.03 to
one side or the other of each entry: nearer than most steps, and hidden by curvature.
The function is called alone, so that nothing but differences tells. Widths are relative
to the largest slope.
"""

import argparse
from collections.abc import Callable

import numpy as np

import fastgrad as fg

Array = np.ndarray
SMOOTH: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "sin 3x": (lambda x: np.sin(3 * x), lambda x: 3 * np.cos(3 * x)),
    "sin 20x": (lambda x: np.sin(20 * x), lambda x: 20 * np.cos(20 * x)),
    "exp": (np.exp, np.exp),
    "tanh 2x": (lambda x: np.tanh(2 * x), lambda x: 2 / np.cosh(2 * x) ** 2),
    "rational": (lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    "cubic": (lambda x: x**3 - x, lambda x: 3 * x * x - 1),
}
JUMPS = (0.0, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
DISTANCES = (-8.0, -6.0, -5.0, -4.0, -3.0, -2.5, -2.0, -1.5)
SIZE = 24  # of more than a thousand, each takes two steps, and a ladder if need be


def trial(
    name: str,
    jump: float,
    distance: float,
    seed: int,
    size: int = SIZE,
    method: str = "central",
) -> tuple[Array, ...]:
    """Return errors and bars, relative to the largest slope, and calls per entry."""
    f, slope = SMOOTH[name]
    rng = np.random.default_rng([seed, int(-10 * distance)])
    x = rng.uniform(0.3, 1.5, size)
    away = 10 ** (distance + rng.uniform(-1, 0, size))
    kink = x + rng.choice([-1, 1], size) * away
    calls = 0

    def loss(p: Array) -> float:
        nonlocal calls
        calls += 1
        return float(np.sum(f(p) + jump * np.abs(p - kink)))

    found, bar = fg.numerical_gradient(
        loss, x, method=method, engine="python", return_error=True
    )
    right = slope(x) + jump * np.sign(x - kink)
    largest = np.abs(right).max()
    return np.abs(found - right) / largest, bar / largest, np.full(SIZE, calls / size)


def main() -> None:
    """Print a line for each size of the kinks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--method", default="central")
    parser.add_argument("--show", action="store_true", help="each trial that fails")
    options = parser.parse_args()
    print("| kink | entries | outside | by at most | median bar, error | calls each |")
    print("|---|---|---|---|---|---|")
    for jump in JUMPS:
        parts = []
        for name in SMOOTH:
            for distance in DISTANCES:
                for seed in range(options.seeds):
                    given = (name, jump, distance, seed)
                    one = trial(*given, options.size, options.method)
                    parts.append(one)
                    times = (one[0] / one[1]).max()
                    if options.show and times > 1:
                        print(f"    {name}, 1e{distance:g}: {times:.3g} bars")
        error, bar, calls = map(np.concatenate, zip(*parts, strict=True))
        outside, times = np.count_nonzero(error > bar), (error / bar).max()
        print(
            f"| {jump:g} | {error.size:,} | {outside} | {times:.2f} | "
            f"{np.median(bar):.1e}, {np.median(error):.1e} | {calls.mean():.1f} |"
        )


if __name__ == "__main__":
    main()
