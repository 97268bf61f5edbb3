"""Further derivatives for `differentiators.py --further`: real numbers alone, solvers.

Functions that compute in Python's floats or in float32, that round, iterate, integrate
or diagonalise, and more inputs than the problems there have.
"""

import math
from collections.abc import Iterator

import numpy as np
from differentiators import Array, Problem
from scipy import integrate, special


def problems(seed: int = 0) -> Iterator[Problem]:
    """Yield all problems; another seed gives other numbers of the same kind."""
    yield from _shapes(seed)
    yield from _rounded(seed)
    yield from _by_solvers(seed)
    yield from _jacobians(seed)
    yield from _hessians(seed)


def _shapes(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 20)
    x = rng.normal(size=7)
    z = 2e-3 * x
    yield Problem(
        "erf(500 x)",
        lambda x: np.sum(special.erf(500 * x)),
        z,
        1000 / np.sqrt(np.pi) * np.exp(-((500 * z) ** 2)),
    )
    width, c = np.array([1e-5, 1, 1, 1e-3, 1]), rng.normal(size=5)
    t = (c + 0.4 * width - c) / width
    yield Problem(
        "Lorentz peaks of 1e-5 to 1",
        lambda x: np.sum(1 / (1 + ((x - c) / width) ** 2)),
        c + 0.4 * width,
        -2 * t / width / (1 + t**2) ** 2,
    )
    yield Problem("offset of 1e12", lambda x: 1e12 + np.sum(np.exp(x)), x, np.exp(x))
    z, scale = rng.normal(size=200), 10.0 ** rng.uniform(-3, 3, 200)
    yield Problem(
        "200 entries of 1e-3 to 1e3",
        lambda x: np.sum(np.cosh(x / scale)),
        z * scale,
        np.sinh(z) / scale,
    )
    g = np.array([1e-3, 0.5, 3.2, 40.0])
    yield Problem(
        "log-gamma of SciPy",
        lambda x: np.sum(special.gammaln(x)),
        g,
        special.digamma(g),
    )


def _rounded(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 21)
    A, y = rng.normal(size=(30, 6)).astype(np.float32), rng.normal(size=6)
    exact = A.astype(float)
    yield Problem(
        "a layer of float32",
        lambda x: float(np.mean(np.tanh(A @ x.astype(np.float32)))),
        y,
        (exact * (1 - np.tanh(exact @ y) ** 2)[:, None]).mean(0),
    )

    def noisy(x: Array) -> float:
        value = 1e5 * float(np.sum(np.exp(x)))
        return value * (1 + 1e-10 * math.sin(1e15 * value % 1e4))

    yield Problem("relative noise of 1e-10", noisy, y, 1e5 * np.exp(y))
    yield Problem(
        "rounded to six decimals",
        lambda x: round(float(np.sum(np.cos(x))), 6),
        y,
        -np.sin(y),
    )


def _by_solvers(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 22)
    y, k = rng.normal(size=6), np.arange(6)
    yield Problem(
        "a loop of Python's math",
        lambda x: sum(
            math.sin(v) * math.exp(-0.1 * k * v) for k, v in enumerate(x.tolist())
        ),
        y,
        (np.cos(y) - 0.1 * k * np.sin(y)) * np.exp(-0.1 * k * y),
    )
    e, m = np.array([0.1, 0.3, 0.5]), np.array([0.7, 1.9, 4.0])
    solved = np.array([_kepler(*pair) for pair in zip(e, m, strict=True)])
    yield Problem(
        "Kepler's equation, by Newton",
        lambda m: sum(math.sin(_kepler(*pair)) for pair in zip(e, m, strict=True)),
        m,
        np.cos(solved) / (1 - e * np.cos(solved)),
    )
    a, b = 1.3, 0.4
    yield Problem(
        "an integral by quad",
        lambda q: integrate.quad(lambda t: np.exp(-q[0] * t) * np.cos(q[1] * t), 0, 30)[
            0
        ],
        np.array([a, b]),
        np.array([b * b - a * a, -2 * a * b]) / (a * a + b * b) ** 2,
    )
    B, d = rng.normal(size=(6, 6)), rng.normal(size=6)
    yield Problem(
        "the largest eigenvalue",
        lambda d: np.linalg.eigvalsh(B + B.T + np.diag(d))[-1],
        d,
        np.linalg.eigh(B + B.T + np.diag(d))[1][:, -1] ** 2,
    )


def _kepler(e: float, m: float) -> float:
    anomaly = m
    for _ in range(50):
        off = anomaly - e * math.sin(anomaly) - m
        anomaly -= off / (1 - e * math.cos(anomaly))
        if abs(off) < 1e-14:
            break
    return anomaly


def _jacobians(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 23)
    M, u = rng.normal(size=(30, 150)) / 12, rng.normal(size=150)
    exact = (1 - np.tanh(M @ u) ** 2)[:, None] * M
    yield Problem("150 inputs", lambda x: np.tanh(M @ x), u, exact, "Jacobian")
    v = rng.normal(size=80)
    yield Problem(
        "80 absolute values",
        lambda x: np.abs(x) ** 3 * np.exp(-np.abs(x)),
        v,
        np.diag(np.sign(v) * v**2 * (3 - np.abs(v)) * np.exp(-np.abs(v))),
        "Jacobian",
    )
    v = rng.normal(size=70)
    yield Problem(
        "70 by float32",
        lambda x: np.sin(x.astype(np.float32)).astype(float),
        v,
        np.diag(np.cos(v)),
        "Jacobian",
    )
    a, b = 1.2, 2.0
    yield Problem(
        "an initial value problem",
        lambda q: integrate.solve_ivp(
            lambda t, y: -q[0] * y, (0, 1), [q[1]], rtol=1e-10, atol=1e-12
        ).y[:, -1],
        np.array([a, b]),
        np.array([[-b * np.exp(-a), np.exp(-a)]]),
        "Jacobian",
    )


def _hessians(seed: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed + 24)
    a, b, c = t = rng.normal(size=3)
    mixed = np.cos(a * b) - a * b * np.sin(a * b)
    yield Problem(
        "offset of 1e6",
        lambda t: 1e6 + np.sin(t[0] * t[1]) + np.exp(t[2]),
        t,
        np.array(
            [
                [-(b**2) * np.sin(a * b), mixed, 0],
                [mixed, -(a**2) * np.sin(a * b), 0],
                [0, 0, np.exp(c)],
            ]
        ),
        "Hessian",
    )
    mixed = -np.sin(c * a) - c * a * np.cos(c * a)
    grown = np.exp(b)
    yield Problem(
        "Python's math",
        lambda t: math.sin(t[0]) * math.exp(t[1]) + math.cos(t[2] * t[0]),
        t,
        np.array(
            [
                [
                    -np.sin(a) * grown - c**2 * np.cos(c * a),
                    np.cos(a) * grown,
                    mixed,
                ],
                [np.cos(a) * grown, np.sin(a) * grown, 0],
                [mixed, 0, -(a**2) * np.cos(c * a)],
            ]
        ),
        "Hessian",
    )
    yield Problem(
        "float32 inside",
        lambda t: float(np.sum(np.sin(t.astype(np.float32)))),
        t,
        np.diag(-np.sin(t)),
        "Hessian",
    )
