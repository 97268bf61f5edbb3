"""Gradchecks of a few float64 numbers, where setting up a batch would take longer.

What torch looks for is looked for in one go: the Jacobian, whether a second backward
pass gives the same, whether it vanishes with the gradients of the outputs, and whether
these may be undefined. Only that all is well is said here; anything else is torch's to
say.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fastgrad.interop.torch.jacobians import (
    as_real,
    backward,
    differentiable,
    laid_as,
)
from fastgrad.interop.torch.jacobians import requires_grad as wants

FEW = 8  # entries of all inputs


class _Undefined(torch.autograd.Function):
    """The identity, through which no gradient is defined."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, _: torch.Tensor) -> None:
        return None


def is_small(inputs: Sequence[Any]) -> bool:
    """Whether the inputs are few numbers, and there is nothing special about them."""
    wanted = [x for x in inputs if wants(x)]
    if not 0 < sum(x.numel() for x in wanted) <= FEW:
        return False
    return all(_is_plain(x) and 0 not in x.stride() for x in wanted)


def surely_passes(func: Callable[..., Any], *given: Any) -> bool:
    """Whether torch would find nothing wrong; False if it has to be asked."""
    try:
        return _passes(func, *given)
    except Exception:  # whatever it is, torch comes upon it as well
        return False


def _passes(
    func: Callable[..., Any],
    inputs: tuple[Any, ...],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
    check_undefined_grad: bool,
) -> bool:
    wanted = [x for x in inputs if wants(x)]
    outputs = differentiable(func(*inputs))
    if not outputs or not all(map(_is_plain, outputs)):
        return False
    analytic, again = (_jacobian(outputs, wanted) for _ in range(2))
    if analytic is None or again is None:
        return False
    same = torch.equal(analytic, again)
    if not same and not torch.allclose(analytic, again, 0.0, nondet_tol):
        return False
    numerical = _differences(func, inputs, eps)
    if not torch.allclose(analytic, numerical, rtol, atol):
        return False
    if not _vanish(outputs, wanted):
        return False
    each = [{k} for k in range(len(outputs))] if len(outputs) > 1 else []
    undefined = [set(range(len(outputs))), *each] if check_undefined_grad else []
    return all(_may_be_undefined(func, inputs, wanted, some) for some in undefined)


def _jacobian(
    outputs: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]
) -> torch.Tensor | None:
    """By backward passes: a row for each number of the outputs; None if malformed."""
    rows = []
    for y in outputs:
        grads = backward(y.clone(), wanted)
        pairs = zip(grads, wanted, strict=True)
        if any(g.shape[1:] != x.shape or g.dtype != x.dtype for g, x in pairs):
            return None
        rows.append(torch.cat([as_real(g) for g in grads], 1))
    return torch.cat(rows)


def _differences(
    func: Callable[..., Any], inputs: tuple[Any, ...], eps: float
) -> torch.Tensor:
    """By central differences: a row for each number of the outputs."""
    moved = [laid_as(x, x.detach()).requires_grad_() if wants(x) else x for x in inputs]

    def outputs_at(entry: torch.Tensor, value: float) -> torch.Tensor:
        entry.fill_(value)
        found = differentiable(func(*moved))
        return torch.cat([y.detach().flatten() for y in found])

    columns = []
    for x in filter(wants, moved):
        for place in itertools.product(*map(range, x.shape)):
            entry = x.detach()[place]
            here = entry.item()
            up, down = outputs_at(entry, here + eps), outputs_at(entry, here - eps)
            entry.fill_(here)
            columns.append((up - down) / (2 * eps))
    return torch.stack(columns, 1)


def _vanish(outputs: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> bool:
    """Whether the gradients do where those of the outputs are zero."""
    zeros = [torch.zeros_like(y) for y in outputs]
    grads = torch.autograd.grad(outputs, wanted, zeros, allow_unused=True)
    return all(g is None or not g.any() for g in grads)


def _may_be_undefined(
    func: Callable[..., Any],
    inputs: tuple[Any, ...],
    wanted: Sequence[torch.Tensor],
    undefined: set[int],
) -> bool:
    """Whether the gradients of these outputs may be undefined."""
    outputs = [
        _Undefined.apply(y) if k in undefined else y
        for k, y in enumerate(differentiable(func(*inputs)))
    ]
    return _vanish(outputs, wanted)


def _is_plain(x: torch.Tensor) -> bool:
    layout = x.layout is torch.strided and not x.is_mkldnn
    return layout and x.dtype is torch.float64 and x.device.type == "cpu"
