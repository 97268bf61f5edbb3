"""fastgrad for JAX: functions of pytrees, custom derivatives.

- `check_gradient`: as `fastgrad.check_gradient`, of JAX arrays.
- `check_grads`: with the arguments of `jax.test_util.check_grads`; raises as that does.
- `jaxpr`, `lax`, `indexing`: how a JAX function becomes a compiled program.
- `loss`: parameters in float64 while they are checked; `gradient` of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from fastgrad._arguments import refusal
from fastgrad.checking import ConstantLossError
from fastgrad.checking import check_gradient as _check_gradient
from fastgrad.interop.jax.gradient import JaxGradient
from fastgrad.interop.jax.jaxpr import OF_RESULTS
from fastgrad.interop.jax.loss import JaxLoss, in_parts, is_parameter, whole
from fastgrad.interop.order import (
    bound,
    check_order,
    unless_constant,
    weights,
    with_second,
)
from fastgrad.reports import GradientReport

__all__ = ["check_gradient", "check_grads"]


def check_gradient(
    loss: Callable[[Any], Any],
    params: Any,
    grads: Any = None,
    *,
    order: int = 1,
    **options: Any,
) -> GradientReport:
    """Check a gradient of JAX: of a function, a `custom_vjp`, a `custom_jvp`.

    Parameters
    ----------
    loss : callable
        ``loss(params)`` returns a scalar; it need not be jitted, and may be.
    params : pytree
        Leaves that are floating point or complex arrays are checked; others stay as
        they are. Complex ones have real and imaginary parts along a last axis.
    grads : pytree or callable, optional
        The gradient in the structure of `params`, or a function of `params`, of complex
        ones dL/dRe - i dL/dIm, as JAX has it. By default ``jax.grad(loss)``.
    order : {1, 2}
        2: if ``jax.grad(loss)`` is correct its own gradient is checked, and reported.
    **options
        As for `fastgrad.check_gradient`: `args`, `rtol`, `step`, `coverage`, ...

    Returns
    -------
    GradientReport
        Blocks are named by their path in the pytree.

    Raises
    ------
    TypeError, ValueError
        If the call makes no sense, see `fastgrad.check_gradient`.

    Notes
    -----
    Parameters are float64, and 64-bit types enabled, during the check. The jaxpr of
    `loss` becomes a compiled program where its primitives are known; otherwise `loss`
    is called, for many points at once if `jax.vmap` can.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from fastgrad.interop.jax import check_gradient
    >>> @jax.custom_vjp
    ... def square(x):
    ...     return x**2
    >>> square.defvjp(lambda x: (x**2, x), lambda x, g: (g * x,))  # 2 is missing
    >>> check_gradient(lambda x: square(x).sum(), jnp.array([1.0, 2.0])).verdict
    'wrong'
    """
    order = check_order(order, grads)
    loss, grads, options = bound(loss, grads, options)
    door = JaxLoss(loss, params)
    by_function = grads is None or callable(grads)
    given = JaxGradient(door, grads) if by_function else door.named(grads)
    report = _check_gradient(door, door.arrays, given, **options)
    if order == 1:
        return report
    return with_second(report, lambda: _second(loss, params, options))


def _second(
    loss: Callable[[Any], Any], params: Any, options: dict[str, Any]
) -> GradientReport | None:
    """The report on the gradient of ``jax.grad(loss)``."""
    f, (parts,) = _of_parts(loss, (params,))

    @functools.wraps(loss)
    def of_args(args: Any) -> Any:
        return f(*args)

    weighted = _weighted(_slopes(of_args, jax.grad))

    @functools.wraps(loss)
    def slopes(params: Any) -> Any:
        return weighted((params,))

    door = JaxLoss(slopes, parts)
    return unless_constant(
        lambda: _check_gradient(door, door.arrays, JaxGradient(door), **options),
        lambda: door.gradient(door.arrays),
    )


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Check derivatives of JAX up to an order, in forward and reverse mode.

    In place of `jax.test_util.check_grads`: every entry is checked, against differences
    with measured error bars, not one random direction.

    Parameters
    ----------
    f : callable
        ``f(*args)`` returns a pytree of arrays.
    args : sequence of pytrees
    order : int
        1 for derivatives, 2 for their derivatives too, and so on.
    modes : sequence of {"fwd", "rev"}
        By Jacobian-vector and by vector-Jacobian products.
    atol, rtol : float, optional
        Differences of at most ``atol + rtol * abs(numerical)`` do not matter.
    eps : float, optional
        The absolute step of central differences; chosen by default.

    Raises
    ------
    AssertionError
        If a derivative is wrong; its message is the report.
    ValueError
        If `order` or `modes` make no sense.

    Notes
    -----
    Outputs are combined with random weights into one number, whose gradient must be
    that of the weighted outputs.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fastgrad.interop.jax import check_grads
    >>> check_grads(jnp.sin, (jnp.array([0.5, 1.0]),), order=2)
    """
    if order < 1:
        raise ValueError(f"`order` must be at least 1, got {order}.")
    modes = (modes,) if isinstance(modes, str) else modes
    if not modes or any(mode not in _DERIVATIVES for mode in modes):
        raise ValueError(f'`modes` must be "fwd", "rev" or both, got {modes!r}.')
    if not isinstance(args, list | tuple):
        raise refusal(TypeError, "args", "be a tuple of what `f` takes", args)
    if not any(map(is_parameter, jax.tree_util.tree_leaves(args))):
        raise refusal(TypeError, "args", "have a floating point array in them", args)
    f, args = _of_parts(f, args)
    weighted = _weighted(f)
    for mode in modes:
        derivative = _DERIVATIVES[mode]
        door = JaxLoss(weighted, tuple(args), derivative)
        report = _report(door, eps)
        wrong = report.wrong if report is not None else ()
        if any(_matters(entry, atol or 0.0, rtol or 0.0) for entry in wrong):
            raise AssertionError(f"{mode} mode\n{report}")
        if order > 1 and report is not None:
            slopes = _slopes(weighted, derivative)
            check_grads(slopes, args, order - 1, modes, atol, rtol, eps)


_DERIVATIVES: dict[str, Callable[..., Any]] = {"fwd": jax.jacfwd, "rev": jax.grad}


def _report(door: JaxLoss, eps: float | None) -> GradientReport | None:
    """The report; None for a constant."""
    try:
        return unless_constant(
            lambda: _check_gradient(door, door.arrays, JaxGradient(door), step=eps),
            lambda: door.gradient(door.arrays),
        )
    except ConstantLossError as error:
        raise AssertionError("the derivative of a constant must be zero") from error


def _of_parts(
    f: Callable[..., Any], args: Sequence[Any]
) -> tuple[Callable[..., Any], Sequence[Any]]:
    """The function and its arguments with parts in place of complex numbers."""
    leaves, tree = jax.tree_util.tree_flatten(tuple(args))
    parts = [in_parts(leaf) for leaf in leaves]

    @functools.wraps(f)
    def of_parts(*moved: Any) -> Any:
        given = [
            x if part is leaf else whole(x)
            for x, part, leaf in zip(
                jax.tree_util.tree_leaves(moved), parts, leaves, strict=True
            )
        ]
        result = f(*jax.tree_util.tree_unflatten(tree, given))
        return jax.tree_util.tree_map(in_parts, result)

    return of_parts, jax.tree_util.tree_unflatten(tree, parts)


def _matters(entry: Any, atol: float, rtol: float) -> bool:
    difference = abs(entry.analytic - entry.numerical)
    return not difference <= atol + rtol * abs(entry.numerical)


def _weighted(f: Callable[..., Any]) -> Callable[[Any], Any]:
    """The outputs of `f` as one number, with random weights."""

    @functools.wraps(f)
    def loss(args: Any) -> Any:
        leaves = jax.tree_util.tree_leaves(f(*args))
        pairs = zip(weights(map(jax.numpy.shape, leaves)), leaves, strict=True)
        with jax.named_scope(OF_RESULTS):
            return sum((w * leaf).sum() for w, leaf in pairs)

    return loss


def _slopes(
    loss: Callable[[Any], Any], derivative: Callable[..., Any]
) -> Callable[..., Any]:
    """The gradient of a loss as a function of its arguments, by a mode."""

    @functools.wraps(loss)
    def slopes(*args: Any) -> Any:
        leaves, tree = jax.tree_util.tree_flatten(args)
        at = [i for i, leaf in enumerate(leaves) if _is_float(leaf)]

        def of(*moved: Any) -> Any:
            every = list(leaves)
            for i, leaf in zip(at, moved, strict=True):
                every[i] = leaf
            return loss(jax.tree_util.tree_unflatten(tree, every))

        return derivative(of, tuple(range(len(at))))(*(leaves[i] for i in at))

    return slopes


def _is_float(leaf: Any) -> bool:
    try:
        kind = jax.numpy.result_type(leaf)
    except TypeError:  # no number at all, or one of another library
        return False
    return bool(jax.numpy.issubdtype(kind, jax.numpy.floating))
