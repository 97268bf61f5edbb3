"""fastgrad for PyTorch: modules, functions of tensors, custom backward passes.

- `check_gradient`: as `fastgrad.check_gradient`, of tensors.
- `gradcheck`, `gradgradcheck`: with torch's arguments and answers.
- `recording`, `aten`: how a torch function becomes a compiled program.
- `loss`: parameters in float64 while they are checked; `gradient` of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fastgrad.checking import ConstantLossError
from fastgrad.checking import check_gradient as _check_gradient
from fastgrad.interop.order import bound, check_order, unless_constant, with_second
from fastgrad.interop.torch.gradchecks import gradcheck, gradgradcheck
from fastgrad.interop.torch.gradient import TorchGradient
from fastgrad.interop.torch.loss import TorchLoss, weighted_gradient
from fastgrad.reports import GradientReport

__all__ = ["check_gradient", "gradcheck", "gradgradcheck"]


def check_gradient(
    loss: Callable[[Any], Any],
    params: Any,
    grads: Any = None,
    *,
    order: int = 1,
    **options: Any,
) -> GradientReport:
    """Check a gradient of torch: of a module, a function, a custom backward pass.

    Parameters
    ----------
    loss : callable
        ``loss(params)`` returns a tensor of one element. It may read the module's
        parameters, or the tensors, wherever they are, instead of its argument.
    params : torch.nn.Module, Tensor, or nest of tensors
        A module's parameters that require grad are checked under their names. In a
        nest, leaves that are no floating point tensors stay as they are. Complex
        tensors have real and imaginary parts along a last axis of their blocks.
    grads : nest of tensors or callable, optional
        The gradient in the structure of `params`, for a module a dict by the names of
        `named_parameters` or a list in their order; or a function of `params`. By
        default torch's own backward pass of `loss`.
    order : {1, 2}
        2: if torch's backward pass is correct its own is checked, and reported.
    **options
        As for `fastgrad.check_gradient`: `args`, `step`, `coverage`, ...; `rtol` is
        1e-6 for torch's own backward pass.

    Returns
    -------
    GradientReport
        Blocks have the names of `named_parameters`; a note names those that the loss
        does not use.

    Raises
    ------
    TypeError, ValueError
        If the call makes no sense, see `fastgrad.check_gradient`.

    Notes
    -----
    Everything is computed in float64, whatever the dtype of parameters, data and
    buffers; parameters and buffers are the same tensors with the same values
    afterwards, and checks in several threads take turns. `loss` becomes a compiled
    program of torch's operations; where it cannot, it is called, for many points at
    once if `torch.func.vmap` can.

    Examples
    --------
    >>> import torch
    >>> from fastgrad.interop.torch import check_gradient
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * x  # the factor 2 is missing
    >>> x = torch.tensor([1.0, 2.0])
    >>> check_gradient(lambda x: Square.apply(x).sum(), x).verdict
    'wrong'
    """
    order = check_order(order, grads)
    loss, grads, options = bound(loss, grads, options)
    if grads is None:
        # Some of torch's formulas have constants of float32, in float64 too.
        options.setdefault("rtol", 1e-6)
    report = _checked(loss, params, grads, options)
    if order == 1:
        return report
    return with_second(report, lambda: _second(loss, params, options))


def _checked(
    loss: Callable[[Any], Any], params: Any, grads: Any, options: dict[str, Any]
) -> GradientReport:
    with torch.random.fork_rng(), TorchLoss(loss, params) as door, _telling(params):
        by_function = callable(grads) and not isinstance(grads, torch.nn.Module)
        by_function |= grads is None
        given = TorchGradient(door, grads) if by_function else door.named(grads)
        report = _check_gradient(door, door.arrays, given, **options)
    unused = [f"`{name}` is not used by the loss" for name in door.unused]
    return dataclasses.replace(report, notes=(*report.notes, *unused))


@contextmanager
def _telling(params: Any) -> Iterator[None]:
    """Say what to give instead of copies of a module's parameters."""
    try:
        yield
    except ConstantLossError as error:
        if not isinstance(params, torch.nn.Module):
            error.add_note(
                "fastgrad: give the module itself, or the tensors that `loss` reads; "
                "those of `state_dict()` are others."
            )
        raise


def _second(
    loss: Callable[[Any], Any], params: Any, options: dict[str, Any]
) -> GradientReport | None:
    """The report on torch's backward pass of its own backward pass."""
    slopes = weighted_gradient(loss)

    def gradient() -> Any:
        with torch.random.fork_rng(), TorchLoss(slopes, params) as door:
            return door.gradient()

    return unless_constant(lambda: _checked(slopes, params, None, options), gradient)
