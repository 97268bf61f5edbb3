"""fastgrad for SciPy's optimisers: what is handed to them as `jac`, `hess`, `hessp`.

- `check_grad`: in place of `scipy.optimize.check_grad`.
- `check_jac`: Jacobians of `least_squares`, `root`, and vector-valued functions.
- `check_hess`: Hessians and Hessian-vector products.
- `check_constraint`: a `NonlinearConstraint`.

SciPy itself is not imported: its objects are told by what they have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arguments import choice, function, refusal
from fastgrad._arrays import AnyArray
from fastgrad._public import public, public_with
from fastgrad.checking import (
    check_gradient,
    check_hessian,
    check_jacobian,
    numerical_gradient,
    numerical_jacobian,
)
from fastgrad.reports import GradientReport

__all__ = ["check_constraint", "check_grad", "check_hess", "check_jac"]

_DENSE = 1e6  # entries up to which all of a sparse Jacobian is measured


@public
def check_grad(
    func: Callable[..., Any],
    grad: Any,
    x0: ArrayLike,
    *args: Any,
    epsilon: float | None = None,
    direction: str = "all",
    rng: Any = None,
    seed: Any = None,
    bounds: Any = None,
    report: bool = False,
) -> Any:
    """Return how far a gradient is from differences, as `scipy.optimize.check_grad`.

    Parameters
    ----------
    func : callable
        ``func(x, *args)`` returns a number, or a vector, or, with ``grad=True``, that
        and its gradient.
    grad : callable or True
        ``grad(x, *args)`` returns the gradient, shape (n,), or the Jacobian, (m, n).
    x0 : array_like of shape (n,)
        Where; integers are taken as floats.
    *args
        For `func` and `grad`.
    epsilon : float, optional
        The step of forward differences. By default steps are chosen, differences
        central, and their error measured.
    direction : {"all", "random"}
        Every entry, or the derivative along one random vector.
    rng, seed : int or numpy.random.Generator, optional
        Of the random vector.
    bounds : scipy.optimize.Bounds or sequence of (low, high), optional
        `func` is never evaluated outside; None stands for no bound.
    report : bool
        Return a `GradientReport` instead.

    Returns
    -------
    float
        The 2-norm of gradient minus differences; about 1e-10 of the gradient's where
        it is right.

    Raises
    ------
    ValueError
        If `direction` is unknown, or "random" for a vector-valued function.

    Examples
    --------
    >>> from fastgrad.interop.scipy import check_grad
    >>> def func(x):
    ...     return x[0] ** 2 - 0.5 * x[1] ** 3
    >>> def grad(x):
    ...     return [2 * x[0], -1.5 * x[1] ** 2]
    >>> check_grad(func, grad, [1.5, -1.5]) < 1e-8
    True
    >>> print(check_grad(func, lambda x: [2 * x[0], x[1]], [1, 2], report=True).verdict)
    wrong
    """
    x = _point(x0)
    function("func", func)
    if grad is not True:  # `func` returns both
        function("grad", grad)
    value, slope = _of_args(func, grad, args)
    if direction == "random":
        value, slope, x = _along(value, slope, x, seed if rng is None else rng)
    else:
        choice("direction", direction, ["all", "random"])
    scalar = np.ndim(value(x.copy())) == 0 and bounds is None
    limits = _limits(bounds)
    if report and scalar:
        return check_gradient(value, x, slope, step=epsilon)
    if report:
        return check_jacobian(value, x, slope, step=epsilon, bounds=limits)
    method = "central" if epsilon is None else "forward"
    if scalar:
        numerical = numerical_gradient(value, x, method=method, step=epsilon)
    else:
        numerical = numerical_jacobian(
            value, x, method=method, step=epsilon, bounds=limits
        )
    analytic = np.asarray(slope(x.copy()), dtype=float)
    if analytic.size != np.size(numerical):
        must = f"return as many numbers as there are derivatives, {np.size(numerical)}"
        raise refusal(ValueError, "grad", must, analytic)
    return float(np.linalg.norm(np.ravel(analytic - numerical)))


@public_with(check_jacobian)
def check_jac(
    fun: Callable[..., Any],
    jac: Any,
    x0: ArrayLike,
    *args: Any,
    bounds: Any = None,
    **options: Any,
) -> GradientReport:
    """Check a Jacobian as `scipy.optimize.least_squares` and `root` take it.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns the vector, or, with ``jac=True``, that and its
        Jacobian.
    jac : callable, array, sparse matrix, LinearOperator or True
        ``jac(x, *args)`` returns any of these.
    x0, *args
        As for `check_grad`.
    bounds : scipy.optimize.Bounds or (lower, upper), optional
        As `least_squares` has it; `fun` is never evaluated outside.
    **options
        As for `fastgrad.check_jacobian`: `sparsity`, `rtol`, ...

    Returns
    -------
    GradientReport

    Notes
    -----
    A sparse Jacobian of more than a million entries, zeros counted, stays sparse: it is
    measured where it is not zero, columns that share no row together, and dependencies
    outside are looked for along random directions. `sparsity` says where else to look.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgrad.interop.scipy import check_jac
    >>> t = np.linspace(0, 1, 5)
    >>> def residuals(p, y):
    ...     return p[0] * np.exp(-p[1] * t) - y
    >>> def jac(p, y):
    ...     return np.stack([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t)], axis=1)
    >>> check_jac(residuals, jac, [2, 1], np.ones(5)).ok
    True
    """
    if isinstance(jac, str):  # SciPy's names of differences
        hint = ": it is checked against differences"
        raise refusal(TypeError, "jac", "be the Jacobian, or return it", jac, hint)
    x = _point(x0)
    value, slope = _of_args(fun, jac, args)
    limits = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
    if options.get("sparsity") is None:
        found = slope(x.copy()) if _is_function(slope) else slope
        if hasattr(found, "toarray") and np.prod(found.shape, dtype=float) > _DENSE:
            options["sparsity"] = found
    return check_jacobian(value, x, slope, bounds=limits, **options)


@public_with(check_hessian)
def check_hess(
    grad: Callable[..., Any],
    hess: Any,
    x0: ArrayLike,
    *args: Any,
    hessp: Callable[..., Any] | None = None,
    **options: Any,
) -> GradientReport:
    """Check a Hessian against a gradient, as `scipy.optimize.minimize` takes them.

    Parameters
    ----------
    grad : callable
        ``grad(x, *args)`` returns the gradient.
    hess : callable, array, sparse matrix, LinearOperator or None
        ``hess(x, *args)`` returns any of these.
    x0, *args
        As for `check_grad`.
    hessp : callable, optional
        Instead of `hess`: ``hessp(x, p, *args)`` returns the Hessian times `p`.
    **options
        As for `fastgrad.check_hessian`.

    Returns
    -------
    GradientReport

    Examples
    --------
    >>> from scipy.optimize import rosen_der, rosen_hess, rosen_hess_prod
    >>> from fastgrad.interop.scipy import check_hess
    >>> check_hess(rosen_der, rosen_hess, [1.3, 0.7, 0.8]).ok
    True
    >>> check_hess(rosen_der, None, [1.3, 0.7, 0.8], hessp=rosen_hess_prod).ok
    True
    """
    if (hess is None) == (hessp is None):
        raise TypeError("exactly one of `hess` and `hessp` must be given.")
    x = _point(x0)
    slope, matrix = _of_args(grad, hess, args)
    if hessp is None:
        found = matrix(x.copy()) if _is_function(matrix) else matrix
    else:
        product = hessp
        columns = [product(x.copy(), unit, *args) for unit in np.eye(x.size)]
        found = np.stack([np.ravel(column) for column in columns], axis=1)
    return check_hessian(slope, x, _matrix(found), **options)


def check_constraint(constraint: Any, x0: ArrayLike) -> dict[str, GradientReport]:
    """Check what a `scipy.optimize.NonlinearConstraint` is given as `jac` and `hess`.

    Parameters
    ----------
    constraint : scipy.optimize.NonlinearConstraint
        Whose `jac` is callable, and `hess` maybe: ``hess(x, v)`` returns the Hessian of
        the outputs weighted with `v`, which is drawn at random.
    x0 : array_like of shape (n,)

    Returns
    -------
    dict of str to GradientReport
        Under ``"jac"`` and ``"hess"``.

    Raises
    ------
    TypeError
        If neither is callable.

    Examples
    --------
    >>> from scipy.optimize import NonlinearConstraint
    >>> from fastgrad.interop.scipy import check_constraint
    >>> circle = NonlinearConstraint(
    ...     lambda x: x[0] ** 2 + x[1] ** 2, 0, 1, jac=lambda x: [[2 * x[0], x[1]]]
    ... )
    >>> check_constraint(circle, [0.5, 0.2])["jac"].verdict
    'wrong'
    """
    if not all(hasattr(constraint, name) for name in ("fun", "jac", "hess")):
        must = "be a scipy.optimize.NonlinearConstraint"
        hint = ": give its functions to `check_jac`" * isinstance(constraint, dict)
        raise refusal(TypeError, "constraint", must, constraint, hint)
    fun, jac, hess = constraint.fun, constraint.jac, constraint.hess
    if not callable(jac):
        raise TypeError(f"`constraint.jac` must be callable, got {jac!r}.")
    reports = {"jac": check_jac(lambda x: np.atleast_1d(fun(x)), jac, x0)}
    # Strategies of quasi-Newton updates are objects that initialise themselves.
    if callable(hess) and not hasattr(hess, "initialize"):
        size = np.size(fun(_point(x0)))
        v = np.random.default_rng(0).standard_normal(size)
        reports["hess"] = check_hess(
            lambda x: np.ravel(_matrix(jac(x)).reshape(size, -1).T @ v),
            lambda x: hess(x, v),
            x0,
        )
    return reports


def _of_args(fun: Any, derivative: Any, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """Both as functions of x alone."""
    if not callable(fun):
        raise TypeError(f"`func` must be callable, got {type(fun).__name__}.")
    if derivative is True:
        return lambda x: fun(x, *args)[0], lambda x: fun(x, *args)[1]
    value = (lambda x: fun(x, *args)) if args else fun
    if _is_function(derivative) and args:
        return value, lambda x: derivative(x, *args)
    return value, derivative


def _along(value: Any, slope: Any, x: AnyArray, rng: Any) -> tuple[Any, Any, AnyArray]:
    """The function along a random line, its slope, and where on the line x is."""
    v = np.random.default_rng(rng).standard_normal(x.shape)
    if np.ndim(slope(x.copy())) > 1:
        raise ValueError('`direction="random"` needs a scalar-valued `func`.')
    return (
        lambda w: value(x + w[0] * v),
        lambda w: np.array([np.dot(slope(x + w[0] * v), v)]),
        np.zeros(1),
    )


def _is_function(x: Any) -> bool:
    """Whether it is called for the matrix: a linear operator is one, and callable."""
    return callable(x) and not hasattr(x, "matvec")


def _matrix(x: Any) -> Any:
    """An array of a sparse matrix or a linear operator, which is applied."""
    if hasattr(x, "matvec"):
        return np.stack([np.ravel(x.matvec(unit)) for unit in np.eye(x.shape[1])], 1)
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x)


def _limits(bounds: Any) -> tuple[ArrayLike, ArrayLike] | None:
    """Lower and upper bounds: of `Bounds`, or of one pair for each variable."""
    if bounds is None:
        return None
    if hasattr(bounds, "lb"):
        return bounds.lb, bounds.ub
    try:
        low, high = zip(*bounds, strict=True)
        return (
            np.array([-np.inf if x is None else x for x in low], dtype=float),
            np.array([np.inf if x is None else x for x in high], dtype=float),
        )
    except (TypeError, ValueError):
        must = "be scipy.optimize.Bounds, or a pair (low, high) for each entry of `x0`"
        raise refusal(TypeError, "bounds", must, bounds) from None


def _point(x0: ArrayLike) -> AnyArray:
    """An array of its own; integers are taken as floats."""
    try:
        x = np.array(x0)
    except ValueError:  # rows of different lengths
        x = np.array(None)
    if x.dtype.kind not in "iubfc":
        raise refusal(TypeError, "x0", "be an array of numbers", x0)
    return x.astype(np.float64) if x.dtype.kind in "iub" else x
