"""Numerical Jacobians beside SciPy's: time, evaluations, error.

Dense: tanh(A x). Sparse: a tridiagonal one whose pattern is given to both. The two are
timed in turn, best of several rounds. Ratios below 1 mean that fastgrad is faster.

    python benchmarks/jacobians.py
"""

import time

import numpy as np
from scipy import sparse
from scipy.optimize._numdiff import approx_derivative

import fastgrad as fg

DENSE = (100, 300, 1000)
SPARSE = (300, 10_000)
LARGE = 100_000
METHODS = {"central": "3-point", "forward": "2-point"}
ROUNDS = 7


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, x):
        self.calls += 1
        return self.function(x)


def tridiagonal(x):
    y = np.sin(x)
    y[1:] += x[:-1] * x[1:]
    y[:-1] += x[1:] ** 2
    return y


def tridiagonal_jacobian(x):
    diagonals = [x[1:], np.cos(x) + np.r_[0.0, x[:-1]], 2 * x[1:]]
    return sparse.diags_array(diagonals, offsets=[-1, 0, 1], format="csr")


def measured(ways, exact):
    """Return best seconds, evaluations and largest error of each way."""
    best = [np.inf] * len(ways)
    for _ in range(ROUNDS):
        found = []
        for k, (way, counted) in enumerate(ways):
            counted.calls = 0
            started = time.perf_counter()
            jacobian = way(counted)
            best[k] = min(best[k], time.perf_counter() - started)
            found.append((counted.calls, abs(jacobian - exact).max()))
    return [(seconds, *rest) for seconds, rest in zip(best, found, strict=True)]


def row(name, ours, theirs):
    print(
        f"{name:30}{ours[0] / theirs[0]:8.2f}{ours[1]:8d}{theirs[1]:8d}"
        f"{ours[2]:10.1e}{theirs[2]:10.1e}"
    )


def compare(name, function, x, exact, method, **options):
    ours = Counted(function), Counted(function)
    ways = [
        (lambda f: fg.numerical_jacobian(f, x, method=method, **options), ours[0]),
        (lambda f: approx_derivative(f, x, METHODS[method], **options), ours[1]),
    ]
    row(name, *measured(ways, exact))


def main():
    """Print the table."""
    rng = np.random.default_rng(0)
    print(f"{'':30}{'time':>8}{'calls':>8}{'scipy':>8}{'error':>10}{'scipy':>10}")
    for n in DENSE:
        matrix, x = rng.normal(size=(n, n)) / np.sqrt(n), rng.normal(size=n)
        exact = (1 - np.tanh(matrix @ x) ** 2)[:, None] * matrix
        for method in METHODS:

            def dense(x, matrix=matrix):
                return np.tanh(matrix @ x)

            compare(f"dense {n}, {method}", dense, x, exact, method)
    for n in SPARSE:
        x = rng.normal(size=n)
        exact = tridiagonal_jacobian(x)
        for method in METHODS:
            name = f"tridiagonal {n}, {method}"
            compare(name, tridiagonal, x, exact, method, sparsity=abs(exact))
    x = rng.normal(size=LARGE)
    exact = tridiagonal_jacobian(x)
    for name, function in (
        ("numerical_jacobian", lambda: fg.numerical_jacobian),
        ("check_jacobian", lambda: fg.check_jacobian),
    ):
        arguments = (exact,) if name == "check_jacobian" else ()
        started = time.perf_counter()
        function()(tridiagonal, x, *arguments, sparsity=abs(exact))
        seconds = time.perf_counter() - started
        print(f"{name}, tridiagonal {LARGE:,}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
