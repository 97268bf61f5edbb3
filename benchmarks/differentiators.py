"""Derivatives from differences alone: how exact, and for how many evaluations.

    python benchmarks/differentiators.py [--markdown]

Gradients, Jacobians and Hessians with closed forms, in conditions that are hard for
differences, by fastgrad, by fastgrad without its compiled engine, by SciPy
(`approx_derivative`, 3-point), jacobi and numdifftools, each as its documentation calls
it. The error is the largest of any entry, relative to the largest derivative; beside it
stands how often the function was called.
"""

import argparse
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastgrad as fg

Array = np.ndarray
Function = Callable[[Array], Any]
FLOOR = 4e-15  # errors below this are rounding of the closed form, and equal


@dataclass
class Problem:
    """A function of a vector, a point, and the derivative there."""

    name: str
    fun: Function
    x: Array
    exact: Array
    kind: str = "gradient"


class Counted:
    """A function that counts its calls."""

    def __init__(self, fun: Function) -> None:
        self.fun, self.calls = fun, 0

    def __call__(self, x: Array) -> Any:
        self.calls += 1
        return self.fun(x)


def problems(seed: int = 0) -> Iterator[Problem]:
    """Yield all problems; another seed gives other numbers of the same kind."""
    yield from _scales(seed)
    yield from _noise(seed)
    yield from _kinks_and_borders(seed)
    yield from _curvature(seed)
    yield from _models(seed)
    yield from _jacobians(seed)
    yield from _hessians(seed)


def _separable(name: str, x: Array, f: Function, slope: Function) -> Problem:
    return Problem(name, lambda x: np.sum(f(x)), x, slope(x))


def _scales(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=12)
    yield _separable("parameters of 1e-6", 1e-6 * x, lambda x: np.sin(1e6 * x),
                     lambda x: 1e6 * np.cos(1e6 * x))  # fmt: skip
    yield _separable("parameters of 1e6", 1e6 * x, lambda x: np.sin(1e-6 * x),
                     lambda x: 1e-6 * np.cos(1e-6 * x))  # fmt: skip
    scale = 10.0 ** rng.uniform(-6, 6, 12)
    yield Problem(
        "scales of 1e-6 to 1e6",
        lambda x: np.sum(np.exp(np.sin(x / scale)) * scale),
        x * scale,
        np.exp(np.sin(x)) * np.cos(x),
    )
    yield _separable("far from 0", 1e6 + x, lambda x: np.sin(x - 1e6),
                     lambda x: np.cos(x - 1e6))  # fmt: skip
    yield _separable("1/x over decades", 10.0 ** rng.uniform(-3, 3, 12),
                     lambda x: 1 / x, lambda x: -1 / x**2)  # fmt: skip


def _noise(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 1)
    x = rng.normal(size=8)

    def rough(x: Array) -> float:
        value = float(np.sum(np.sin(x)))
        return value + 1e-7 * math.sin(1e12 * value)

    yield Problem("noise of 1e-7", rough, x, np.cos(x))
    yield _separable("offset of 1e9", x, lambda x: 1e9 / 8 + np.sin(x), np.cos)
    yield Problem(
        "float32 inside",
        lambda x: float(np.sum(np.sin(x.astype(np.float32)))),
        x,
        np.cos(x),
    )
    yield Problem(
        "rounded to float32",
        lambda x: float(np.float32(np.sum(np.sin(x)))),
        x,
        np.cos(x),
    )


def _kinks_and_borders(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 2)
    k = rng.normal(size=8)
    x = k + 1e-7
    yield Problem(
        "kinks 1e-7 away",
        lambda x: np.sum(np.abs(x - k)) + np.sum(x**2),
        x,
        np.sign(x - k) + 2 * x,
    )
    x = 10.0 ** rng.uniform(-9, -3, 8)
    yield _separable("log near 0", x, np.log, lambda x: 1 / x)
    yield _separable("x log x near 0", x, lambda x: x * np.log(x),
                     lambda x: 1 + np.log(x))  # fmt: skip
    yield _separable("square root near 0", x, np.sqrt, lambda x: 0.5 / np.sqrt(x))


def _curvature(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 3)
    x = rng.normal(size=12)
    yield _separable("sin(1000 x)", x, lambda x: np.sin(1e3 * x),
                     lambda x: 1e3 * np.cos(1e3 * x))  # fmt: skip
    c = rng.normal(size=12)
    slopes = c.copy()
    slopes[0] += 30 * np.cos(30 * x[0])
    slopes[1] += np.exp(x[1])
    yield Problem(
        "curvature that differs in a block",
        lambda x: c @ x + np.sin(30 * x[0]) + np.exp(x[1]),
        x,
        slopes,
    )
    peak = np.append(x[:5], 0.7 + 5e-5)
    yield Problem(
        "a narrow peak",
        lambda x: np.sum(x[:5] ** 2) + np.exp(-(((x[5] - 0.7) / 1e-4) ** 2)),
        peak,
        np.append(2 * peak[:5], -1e4 * np.exp(-0.25)),
    )
    yield _separable("tanh(1000 x)", 1e-3 * x, lambda x: np.tanh(1e3 * x),
                     lambda x: 1e3 / np.cosh(1e3 * x) ** 2)  # fmt: skip
    yield _separable("quartic near its minimum", 1e-3 * x, lambda x: x**4,
                     lambda x: 4 * x**3)  # fmt: skip
    yield Problem("Rosenbrock", _rosenbrock, x, _rosenbrock_gradient(x))


def _rosenbrock(x: Array) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def _rosenbrock_gradient(x: Array) -> Array:
    g = np.zeros_like(x)
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    g[:-1] += -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    return g


def _rosenbrock_hessian(x: Array) -> Array:
    n = len(x)
    h = np.zeros((n, n))
    i = np.arange(n - 1)
    h[i + 1, i + 1] += 200
    h[i, i] += 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    h[i, i + 1] += -400 * x[:-1]
    h[i + 1, i] += -400 * x[:-1]
    return h


def _models(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 4)
    X, y = rng.normal(size=(40, 6)), rng.choice([-1.0, 1.0], 40)
    w = rng.normal(size=6)
    yield Problem(
        "logistic regression",
        lambda w: np.mean(np.log1p(np.exp(-y * (X @ w)))),
        w,
        -(y / (1 + np.exp(y * (X @ w)))) @ X / 40,
    )
    z = 8 * rng.normal(size=10)
    p = np.exp(z - z.max())
    yield Problem(
        "softmax cross-entropy",
        lambda z: np.log(np.sum(np.exp(z - z.max()))) + z.max() - z[3],
        z,
        p / p.sum() - np.eye(10)[3],
    )
    yield Problem(
        "log-gamma, one number at a time",
        lambda x: math.fsum(math.lgamma(v) if v > 0 else math.nan for v in x),
        np.arange(1.0, 9.0),
        np.array(
            [-np.euler_gamma + sum(1 / k for k in range(1, n)) for n in range(1, 9)]
        ),
    )
    B = rng.normal(size=(5, 5))
    A = B @ B.T + 5 * np.eye(5)
    yield Problem(
        "log-determinant",
        lambda x: np.linalg.slogdet(A + np.diag(x))[1],
        np.ones(5),
        np.diag(np.linalg.inv(A + np.eye(5))).copy(),
    )


def _jacobians(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 5)
    x = rng.normal(size=100)
    yield Problem("sine, 100 of 100", np.sin, x, np.diag(np.cos(x)), "Jacobian")
    t = np.linspace(0, 4, 50)
    p = np.array([2.0, 0.5, 1.5, 0.1])

    def model(p: Array) -> Array:
        return p[0] * np.exp(-p[1] * t) * np.cos(p[2] * t) + p[3]

    e, c, s = np.exp(-p[1] * t), np.cos(p[2] * t), np.sin(p[2] * t)
    columns = [e * c, -t * p[0] * e * c, -t * p[0] * e * s, np.ones(50)]
    yield Problem("damped oscillation", model, p, np.stack(columns, 1), "Jacobian")
    A = rng.normal(size=(8, 8))
    x = rng.normal(size=8)
    yield Problem(
        "a layer of tanh",
        lambda x: np.tanh(A @ x),
        x,
        (1 - np.tanh(A @ x) ** 2)[:, None] * A,
        "Jacobian",
    )
    scale = 10.0 ** np.arange(-6.0, 7.0, 2.0)
    x = rng.normal(size=7)
    yield Problem(
        "outputs of 1e-6 to 1e6",
        lambda x: scale * np.exp(x),
        x,
        np.diag(scale * np.exp(x)),
        "Jacobian",
    )


def _hessians(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 6)
    x = rng.normal(size=5)
    yield Problem("Rosenbrock", _rosenbrock, x, _rosenbrock_hessian(x), "Hessian")
    X, y = rng.normal(size=(40, 4)), rng.choice([-1.0, 1.0], 40)
    w = rng.normal(size=4)
    s = 1 / (1 + np.exp(y * (X @ w)))
    yield Problem(
        "logistic regression",
        lambda w: np.mean(np.log1p(np.exp(-y * (X @ w)))),
        w,
        (X * (s * (1 - s))[:, None]).T @ X / 40,
        "Hessian",
    )
    x = 1e-3 * rng.normal(size=4)
    yield Problem(
        "sin(1000 x)",
        lambda x: np.sum(np.sin(1e3 * x)) + x[0] * x[1],
        x,
        np.diag(-1e6 * np.sin(1e3 * x))
        + np.eye(4)[[1, 0, 2, 3]] * [[1], [1], [0], [0]],
        "Hessian",
    )


# ---- the ways ------------------------------------------------------------------------


def by_fastgrad(p: Problem, fun: Function) -> Any:
    """As they are called."""
    return {
        "gradient": fg.numerical_gradient,
        "Jacobian": fg.numerical_jacobian,
        "Hessian": fg.numerical_hessian,
    }[p.kind](fun, p.x)


def by_python(p: Problem, fun: Function) -> Any:
    """Calling the function alone."""
    if p.kind != "gradient":
        return by_fastgrad(p, fun)
    return fg.numerical_gradient(fun, p.x, engine="python")


def by_scipy(p: Problem, fun: Function) -> Any:
    """The 3-point rule; of a Hessian, of its own gradient."""
    from scipy.optimize._numdiff import approx_derivative

    if p.kind == "Hessian":
        return approx_derivative(lambda x: approx_derivative(fun, x), p.x)
    return approx_derivative(fun, p.x, method="3-point")


def by_jacobi(p: Problem, fun: Function) -> Any:
    """It has no Hessians."""
    from jacobi import jacobi

    return np.nan if p.kind == "Hessian" else jacobi(fun, p.x)[0]


def by_numdifftools(p: Problem, fun: Function) -> Any:
    """By its classes."""
    import numdifftools as nd

    rule = {"gradient": nd.Gradient, "Jacobian": nd.Jacobian, "Hessian": nd.Hessian}
    return rule[p.kind](fun)(p.x)


WAYS = {
    "fastgrad": by_fastgrad,
    "its Python engine": by_python,
    "SciPy": by_scipy,
    "jacobi": by_jacobi,
    "numdifftools": by_numdifftools,
}


def measure(p: Problem, way: Callable[[Problem, Function], Any]) -> tuple[float, int]:
    """Return the error and the number of calls."""
    fun = Counted(p.fun)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = np.asarray(way(p, fun), dtype=float)
    if found.size == p.exact.size:
        found = found.reshape(p.exact.shape)
    off = np.abs(found - p.exact).max() / np.abs(p.exact).max()
    return float(off), fun.calls


def table(seed: int = 0) -> Iterator[tuple[Problem, dict[str, tuple[float, int]]]]:
    """Yield each problem with what every way made of it."""
    for p in problems(seed):
        yield p, {name: measure(p, way) for name, way in WAYS.items()}


def main() -> None:
    """Print the table, and how often each way is the best, but for a factor of 3."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    edge, gap, end = ("| ", " | ", " |\n") if options.markdown else ("", "  ", "\n")
    width = 0 if options.markdown else 18
    print(
        edge + f"{'problem':{2 * width}}",
        *(f"{w:>{width}}" for w in WAYS),
        sep=gap,
        end=end,
    )
    if options.markdown:
        print("|---" * (1 + len(WAYS)) + "|")
    close = dict.fromkeys(WAYS, 0)
    count = 0
    for p, found in table(options.seed):
        count += 1
        least = np.nanmin([error for error, _ in found.values()])
        cells = []
        for name, (error, calls) in found.items():
            close[name] += error <= max(3 * least, FLOOR)
            cells.append(f"{error:.0e} ({calls:,})" if np.isfinite(error) else "none")
        title = f"{p.name}, {p.kind}" if p.kind != "gradient" else p.name
        cells = [f"{cell:>{width}}" for cell in cells]
        print(edge + f"{title:{2 * width}}", *cells, sep=gap, end=end)
    print()
    for name, good in close.items():
        print(f"{name}: within 3 times the best in {good} of {count}")


if __name__ == "__main__":
    main()
