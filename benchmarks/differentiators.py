"""Derivatives from differences alone: how exact, and for how many evaluations.

    python benchmarks/differentiators.py [--markdown] [--held-out | --further]

Gradients, Jacobians and Hessians with closed forms, in conditions that are hard for
differences, by fastgrad, by fastgrad without its compiled engine, by SciPy
(`approx_derivative`, 3-point), jacobi and numdifftools, each as its documentation calls
it. The error is the largest of any entry, relative to the largest derivative; beside it
stands how often the function was called. Each is held to three times the best of the
other packages. With --held-out: twenty further problems, written afterwards; with
--further: nineteen more, see `further_derivatives.py`.
"""

import argparse
import math
import sys
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


def held_out(seed: int = 0) -> Iterator[Problem]:
    """Yield problems that were written once all else was settled."""
    yield from _further_gradients(seed)
    yield from _further_jacobians(seed)
    yield from _further_hessians(seed)


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


# ---- held out -----------------------------------------------------------------------


def _further_gradients(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 10)
    x = rng.normal(size=9)
    yield _separable("arctangent, steep", x, lambda x: np.arctan(200 * x),
                     lambda x: 200 / (1 + (200 * x) ** 2))  # fmt: skip
    yield _separable("Runge's function", x, lambda x: 1 / (1 + 25 * x**2),
                     lambda x: -50 * x / (1 + 25 * x**2) ** 2)  # fmt: skip
    yield _separable("chirp", 3 + x, lambda x: np.sin(x**3) + 0 * x,
                     lambda x: 3 * x**2 * np.cos(x**3))  # fmt: skip
    yield _separable("powers of 2.5", 10.0 ** rng.uniform(-4, 4, 9),
                     lambda x: x**2.5, lambda x: 2.5 * x**1.5)  # fmt: skip
    yield Problem(
        "a product of all",
        lambda x: np.prod(1 + 0.1 * x),
        x,
        np.prod(1 + 0.1 * x) * 0.1 / (1 + 0.1 * x),
    )
    yield Problem(
        "a small slope beside a large one",
        lambda x: 1e8 * x[0] ** 2 + np.sum(np.cos(x[1:])),
        x,
        np.append(2e8 * x[0], -np.sin(x[1:])),
    )
    A = rng.normal(size=(9, 9))
    yield Problem(
        "lasso",
        lambda w: np.sum((A @ w) ** 2) + 0.1 * np.sum(np.abs(w)),
        x,
        2 * A.T @ (A @ x) + 0.1 * np.sign(x),
    )
    yield Problem(
        "a Huber loss, entries at both sides",
        lambda w: sum(0.5 * v * v if abs(v) < 1 else abs(v) - 0.5 for v in w),
        x,
        np.clip(x, -1, 1),
    )


def _further_jacobians(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 11)
    r, phi = rng.uniform(1, 2, 2)
    yield Problem(
        "polar coordinates",
        lambda p: np.array([p[0] * np.cos(p[1]), p[0] * np.sin(p[1])]),
        np.array([r, phi]),
        np.array([[np.cos(phi), -r * np.sin(phi)], [np.sin(phi), r * np.cos(phi)]]),
        "Jacobian",
    )
    x = rng.normal(size=20)
    p = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    yield Problem(
        "softmax of 20",
        lambda x: np.exp(x - x.max()) / np.sum(np.exp(x - x.max())),
        x,
        np.diag(p) - np.outer(p, p),
        "Jacobian",
    )
    t = 10.0 ** np.linspace(-2, 2, 30)
    vm, km, n = 3.0, 0.5, 1.7

    def hill(q: Array) -> Array:
        return q[0] * t ** q[2] / (q[1] ** q[2] + t ** q[2])

    a, b = t**n, km**n
    columns = [
        a / (a + b),
        -vm * a * n * b / km / (a + b) ** 2,
        vm * a * b * np.log(t / km) / (a + b) ** 2,
    ]
    exact = np.stack(columns, 1)
    yield Problem("Hill's equation", hill, np.array([vm, km, n]), exact, "Jacobian")
    y = x[:6]
    M = rng.normal(size=(6, 6)) + 6 * np.eye(6)
    inverse = np.linalg.inv(M)
    yield Problem(
        "a linear solve",
        lambda y: np.linalg.solve(M, np.sin(y)),
        y,
        inverse * np.cos(y),
        "Jacobian",
    )
    yield Problem(
        "polynomials",
        lambda y: np.array([y[0] * y[1] ** 2, y[2] ** 3, y[3] * y[4] * y[5]]),
        y,
        np.array(
            [
                [y[1] ** 2, 2 * y[0] * y[1], 0, 0, 0, 0],
                [0, 0, 3 * y[2] ** 2, 0, 0, 0],
                [0, 0, 0, y[4] * y[5], y[3] * y[5], y[3] * y[4]],
            ]
        ),
        "Jacobian",
    )
    yield Problem(
        "exponentials of 1e3 x",
        lambda y: np.exp(1e3 * y),
        1e-3 * y,
        np.diag(1e3 * np.exp(y)),
        "Jacobian",
    )


def _further_hessians(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 12)
    x = rng.normal(size=4)
    A = rng.normal(size=(4, 4))
    A = A @ A.T
    yield Problem("a quadratic form", lambda x: x @ A @ x, x, 2 * A, "Hessian")
    e = np.exp(x - x.max())
    p = e / e.sum()
    yield Problem(
        "log-sum-exp",
        lambda x: np.log(np.sum(np.exp(x))),
        x,
        np.diag(p) - np.outer(p, p),
        "Hessian",
    )
    q = np.abs(x) + 0.1
    yield Problem("entropy", lambda q: np.sum(q * np.log(q)), q, np.diag(1 / q),
                  "Hessian")  # fmt: skip
    g = np.exp(-0.5 * x @ x)
    yield Problem(
        "a Gaussian",
        lambda x: np.exp(-0.5 * np.sum(x**2)),
        x,
        g * (np.outer(x, x) - np.eye(4)),
        "Hessian",
    )
    y = np.array([1e4, 1e-4]) * (1 + np.abs(x[:2]))
    yield Problem(
        "units of 1e4 and 1e-4",
        lambda y: np.sin(1e-4 * y[0]) * np.exp(1e4 * y[1]),
        y,
        np.exp(1e4 * y[1])
        * np.array(
            [
                [-1e-8 * np.sin(1e-4 * y[0]), np.cos(1e-4 * y[0])],
                [np.cos(1e-4 * y[0]), 1e8 * np.sin(1e-4 * y[0])],
            ]
        ),
        "Hessian",
    )
    yield Problem(
        "the distance from a point",
        lambda x: np.sqrt(np.sum((x - 3) ** 2)),
        x,
        (np.eye(4) - np.outer(x - 3, x - 3) / np.sum((x - 3) ** 2))
        / np.sqrt(np.sum((x - 3) ** 2)),
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
    if p.kind == "Jacobian":  # which is measured so anyway
        return by_fastgrad(p, fun)
    way = fg.numerical_gradient if p.kind == "gradient" else fg.numerical_hessian
    return way(fun, p.x, engine="python")


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


def best_of_others(name: str, errors: dict[str, float]) -> float:
    """Return the least error by another package than that of this way."""
    own = ("fastgrad", "its Python engine")
    same = own if name in own else (name,)
    return float(np.nanmin([e for other, e in errors.items() if other not in same]))


def _chosen(options: argparse.Namespace) -> Iterator[Problem]:
    if not options.further:
        return (held_out if options.held_out else problems)(options.seed)
    import further_derivatives

    return further_derivatives.problems(options.seed)  # type: ignore[no-any-return]


def main() -> None:
    """Print the table, and how often each way is the best, but for a factor of 3."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--further", action="store_true")
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
    for p in _chosen(options):
        count += 1
        found = {name: measure(p, way) for name, way in WAYS.items()}
        errors = {name: error for name, (error, _) in found.items()}
        cells = []
        for name, (error, calls) in found.items():
            close[name] += error <= max(3 * best_of_others(name, errors), FLOOR)
            cells.append(f"{error:.0e} ({calls:,})" if np.isfinite(error) else "none")
        title = f"{p.name}, {p.kind}" if p.kind != "gradient" else p.name
        cells = [f"{cell:>{width}}" for cell in cells]
        print(edge + f"{title:{2 * width}}", *cells, sep=gap, end=end)
    print()
    for name, good in close.items():
        print(f"{name}: within 3 times the best of the others in {good} of {count}")


if __name__ == "__main__":
    sys.modules["differentiators"] = sys.modules["__main__"]
    main()
