"""Jacobians of functions of tensors: by backward passes, and by central differences.

For each output, a matrix: the numbers of the input by the numbers of the output. Real
and imaginary parts of complex numbers are two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

_BATCH = 2**22  # numbers in the points that are evaluated at once
_ALONE = 2  # backward passes that are quicker than a batch of them


def analytic(
    outputs: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]
) -> list[list[torch.Tensor]]:
    """By backward passes, for each input."""
    rows = [backward(y, wanted) for y in outputs]
    return [[as_real(row[i]).T for row in rows] for i in range(len(wanted))]


def backward(y: torch.Tensor, wanted: Sequence[torch.Tensor]) -> list[Any]:
    """The gradients of every number of an output, for each input."""
    units = _units(y)
    if not len(units):
        return [x.new_zeros(0, *x.shape) for x in wanted]
    options = {"retain_graph": True, "allow_unused": True}
    found = None
    if len(units) > _ALONE:
        try:
            batch = {**options, "is_grads_batched": True}
            found = torch.autograd.grad(y, wanted, units, **batch)
        except RuntimeError:  # a backward pass that cannot be batched
            pass
    if found is None:
        each = [torch.autograd.grad(y, wanted, unit, **options) for unit in units]
        found = tuple(
            None if column[0] is None else torch.stack(column)
            for column in zip(*each, strict=True)
        )
    return [
        x.new_zeros(len(units), *x.shape) if grad is None else grad
        for grad, x in zip(found, wanted, strict=True)
    ]


def numerical(
    func: Any, inputs: tuple[Any, ...], i: int, eps: float, here: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """By central differences, for each output."""
    x, units = inputs[i].detach(), _units(inputs[i])
    if not len(units):
        return [as_real(y[None])[:0] for y in here]
    evaluate = _evaluation(func, inputs, i)
    step = max(1, _BATCH // (2 * x.numel() + sum(y.numel() for y in here) + 1))
    parts = [
        [_slope(values, eps) for values in evaluate(torch.cat([x + move, x - move]))]
        for move in (eps * units).split(step)
    ]
    return [torch.cat(part) for part in zip(*parts, strict=True)]


def _slope(values: torch.Tensor, eps: float) -> torch.Tensor:
    """Central differences, of values at points moved up, then at those moved down."""
    up, down = values.chunk(2)
    return (up - down) / (2 * eps)


def _evaluation(func: Any, inputs: tuple[Any, ...], i: int) -> Any:
    """The outputs at many values of an input: batched, if that is the function."""

    def one(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        moved = (*inputs[:i], x.requires_grad_(), *inputs[i + 1 :])
        return differentiable(func(*moved))

    def loop(points: torch.Tensor) -> list[torch.Tensor]:
        every = [[y.detach() for y in one(laid_as(inputs[i], x))] for x in points]
        return [as_real(torch.stack(ys)) for ys in zip(*every, strict=True)]

    def batch(points: torch.Tensor) -> list[torch.Tensor]:
        return [as_real(y.detach()) for y in torch.func.vmap(outputs_of)(points)]

    def outputs_of(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(as_tuple(func(*inputs[:i], x, *inputs[i + 1 :])))

    def evaluate(points: torch.Tensor) -> list[torch.Tensor]:
        try:
            found = batch(points)
            ends = zip(found, loop(points[[0, -1]]), strict=True)
            right = all(
                torch.allclose(ys[[0, -1]], y, rtol=1e-10, atol=1e-12) for ys, y in ends
            )
        except Exception:  # whatever stops torch from batching
            right = False
        return found if right else loop(points)

    return evaluate


def laid_as(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A copy of `value` laid into memory as `x`, for a function that looks at it."""
    size = x.untyped_storage().nbytes() // x.element_size()
    memory = x.detach().as_strided([size], [1], 0).clone()
    try:
        return memory.as_strided(x.shape, x.stride(), x.storage_offset()).copy_(value)
    except RuntimeError:  # elements that share memory
        return value.clone()


def _units(x: torch.Tensor) -> torch.Tensor:
    """Every unit vector in the shape of `x`, and i times it if `x` is complex."""
    units = torch.eye(x.numel(), dtype=torch.float64, device=x.device)
    if x.is_complex():
        units = torch.stack([units, 1j * units], 1).flatten(0, 1)
    return units.to(x.dtype).reshape(len(units), *x.shape)


def as_real(x: torch.Tensor) -> torch.Tensor:
    """Rows of numbers: real and imaginary parts of complex ones."""
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return x.flatten(1) if x.ndim > 1 else x[:, None]


def differentiable(outputs: Any) -> tuple[torch.Tensor, ...]:
    """The outputs that have a gradient."""
    return tuple(y for y in as_tuple(outputs) if requires_grad(y))


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    """What a function returns, as several."""
    return tuple(outputs) if isinstance(outputs, list | tuple) else (outputs,)


def requires_grad(x: Any) -> bool:
    """Whether it is a tensor whose gradient is checked."""
    return isinstance(x, torch.Tensor) and x.requires_grad
