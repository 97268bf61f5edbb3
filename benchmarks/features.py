"""What each checker makes of the same gradients: the table of docs/comparison.md.

    python benchmarks/features.py

Every cell is the outcome of a call of the version that is installed, with its defaults:
`correct`, `wrong`, `undecided`; `passes` or `fails` of those that raise; of SciPy's
`check_grad` the number that it returns. What is not installed has no column.
"""

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastgrad as fg

RNG = np.random.default_rng(0)
A = RNG.normal(size=(20, 200)) / 10
X = RNG.normal(size=200)
PLANTED = 137  # the entry with an error
Array = Any
NONE = ""


@dataclass
class Problem:
    """A loss, its gradient and a point, in the terms of any array library."""

    loss: Callable[[Any, Array], Array]
    grad: Callable[[Any, Array], Array]
    x: np.ndarray


def _layer(xp: Any, x: Array) -> Array:
    a = xp.asarray(A, dtype=x.dtype)
    return (xp.tanh(a @ x) ** 2).sum()


def _slope(xp: Any, x: Array, factor: float = 1.0) -> Array:
    a = xp.asarray(A, dtype=x.dtype)
    t = xp.tanh(a @ x)
    inner = 1 - t**2 if factor else 1.0
    return (2 * t * inner) @ a


def _with_an_error(xp: Any, x: Array) -> Array:
    off = np.ones(200)
    off[PLANTED] = 1.01
    return _slope(xp, x) * xp.asarray(off)


def _random(xp: Any, x: Array) -> Array:
    keep = xp.asarray(RNG.random(x.shape) < 0.9)
    return (x * x * keep).sum()


PROBLEMS = {
    "right": Problem(_layer, _slope, X),
    "an entry of 200 off by 1 %": Problem(_layer, _with_an_error, X),
    "the derivative of tanh left out": Problem(
        _layer, lambda xp, x: _slope(xp, x, 0.0), X
    ),
    "right, 1e-7 beside kinks": Problem(
        lambda xp, x: (xp.abs(x) * (1 + x)).sum(),
        lambda xp, x: xp.sign(x) * (1 + x) + xp.abs(x),
        1e-7 * np.sign(X[:8]),
    ),
    "right, in float32": Problem(_layer, _slope, X.astype(np.float32)),
    "right, a loss of 1e9": Problem(lambda xp, x: _layer(xp, x) + 1e9, _slope, X),
    "right but for dropout": Problem(_random, lambda xp, x: 2 * x, X[:8]),
}


# ---- the checkers --------------------------------------------------------------------


def by_fastgrad(p: Problem) -> tuple[str, str]:
    report = fg.check_gradient(
        lambda x: p.loss(np, x), p.x.copy(), lambda x: p.grad(np, x), progress=False
    )
    return report.verdict, str(report)


def by_scipy(p: Problem) -> tuple[str, str]:
    from scipy.optimize import check_grad

    found = check_grad(lambda x: p.loss(np, x), lambda x: p.grad(np, x), p.x)
    return f"{found:.0e}", NONE


def by_torch(p: Problem) -> tuple[str, str]:
    import torch

    class Given(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return p.loss(torch, x)

        @staticmethod
        def backward(ctx, g):
            return g * p.grad(torch, *ctx.saved_tensors)

    x = torch.tensor(p.x, requires_grad=True)
    return _raises(lambda: torch.autograd.gradcheck(Given.apply, x))


def by_jax(p: Problem) -> tuple[str, str]:
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    given = jax.custom_vjp(lambda x: p.loss(jnp, x))
    given.defvjp(lambda x: (p.loss(jnp, x), x), lambda x, g: (g * p.grad(jnp, x),))
    with jax.enable_x64(True):
        x = jnp.asarray(p.x)
        return _raises(lambda: check_grads(given, (x,), 1, modes=["rev"]))


def _raises(check: Callable[[], Any]) -> tuple[str, str]:
    try:
        check()
    except Exception as error:
        return "fails", str(error)
    return "passes", NONE


@dataclass
class Package:
    """A column: how it checks, or how it differentiates and says how well."""

    title: str
    module: str
    check: Callable[[Problem], tuple[str, str]] | None = None
    with_bars: Callable[[Callable[[Array], Any], Array], Any] | None = None
    options: tuple[str, ...] = ()


def bars_of_numdifftools(f: Callable[[Array], Any], x: Array) -> Any:
    import numdifftools as nd

    found = nd.Jacobian(f, full_output=True)(x)
    return found.estimate, found.error_estimate


def bars_of_jacobi(f: Callable[[Array], Any], x: Array) -> Any:
    from jacobi import jacobi

    return jacobi(f, x)


def bars_of_fastgrad(f: Callable[[Array], Any], x: Array) -> Any:
    return fg.numerical_gradient(f, x, return_error=True)


PACKAGES = [
    Package("fastgrad", "fastgrad", by_fastgrad, bars_of_fastgrad),
    Package("torch `gradcheck`", "torch", by_torch, options=("eps", "atol", "rtol")),
    Package("JAX `check_grads`", "jax", by_jax, options=("eps", "atol", "rtol")),
    Package("SciPy `check_grad`", "scipy", by_scipy, options=("epsilon",)),
    Package("numdifftools", "numdifftools", with_bars=bars_of_numdifftools),
    Package("jacobi", "jacobi", with_bars=bars_of_jacobi),
]


def table() -> Iterator[list[str]]:
    """Yield the rows, the first of them the titles."""
    installed = [p for p in PACKAGES if importlib.util.find_spec(p.module)]
    yield ["", *(p.title for p in installed)]
    found = {p.title: dict(_outcomes(p)) for p in installed}
    for name in PROBLEMS:
        yield [name, *(found[p.title].get(name, (NONE, NONE))[0] for p in installed)]
    entry, tanh = (
        [found[p.title].get(name, (NONE, NONE))[1] for p in installed]
        for name in list(PROBLEMS)[1:3]
    )
    checks = [p.check is not None for p in installed]
    yield ["names that entry", *_said(checks, (f"[{PLANTED}]" in e for e in entry))]
    yield [
        "names that mistake",
        *_said(checks, ("derivative of np.tanh" in text for text in tanh)),
    ]
    yield ["takes losses in NumPy", *(_takes_numpy(p) for p in installed)]
    yield ["error bars", *(_bars(p) for p in installed)]
    yield ["steps and tolerances", *(", ".join(p.options) for p in installed)]


def _outcomes(package: Package) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, problem in PROBLEMS.items():
        if package.check is not None:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                yield name, package.check(problem)


def _said(checks: list[bool], said: Iterator[bool]) -> Iterator[str]:
    for is_check, yes in zip(checks, said, strict=True):
        yield ("yes" if yes else "no") if is_check else NONE


def _takes_numpy(package: Package) -> str:
    """Whether a function of NumPy arrays may be given."""
    if package.module not in ("torch", "jax"):
        return "yes"
    problem = Problem(
        lambda _, x: np.sum(np.sin(np.asarray(x))), lambda _, x: np.cos(x), X[:3]
    )
    assert package.check is not None
    return "yes" if package.check(problem)[0] == "passes" else "no"


def _bars(package: Package) -> str:
    """How many of 200 error bars hold the derivative, where there are any."""
    if package.with_bars is None:
        return "no"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        value, error = package.with_bars(lambda x: _layer(np, x), X)
    exact = _slope(np, X)
    rounding = 4 * np.finfo(float).eps * np.abs(exact)
    within = np.abs(np.ravel(value) - exact) <= np.ravel(error) + rounding
    return f"hold {100 * np.mean(within):.0f} %"


def main() -> None:
    """Print the versions and the table."""
    modules = [p.module for p in PACKAGES if importlib.util.find_spec(p.module)]
    print(
        ", ".join(f"{m} {importlib.metadata.version(m)}" for m in modules), end="\n\n"
    )
    rows = list(table())
    print("|", " | ".join(rows[0]), "|")
    print("|---" * len(rows[0]) + "|")
    for row in rows[1:]:
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()
