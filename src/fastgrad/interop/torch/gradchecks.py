"""gradcheck and gradgradcheck: torch's arguments, torch's answers, every entry at once.

Torch's own fast mode looks after all that is not a number: dtypes, undefined gradients,
batched gradients, determinism. Then the Jacobian is compared entry by entry, as in
torch's slow mode, with perturbed points evaluated many at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.gradcheck import GradcheckError

from fastgrad.interop.torch.loss import TorchLoss

_OF_NUMBERS = ("Jacobian mismatch", "quantities differ")  # in torch's messages
_MISMATCH = re.compile(r"Jacobian mismatch for output (\d+)")
_BATCH = 2**22  # numbers in the points that are evaluated at once
_FEW = 8  # entries of all inputs that torch goes through before a batch is set up


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check gradients against differences, in place of `torch.autograd.gradcheck`.

    Parameters
    ----------
    func : callable
        ``func(*inputs)`` returns a tensor or a tuple of tensors.
    inputs : Tensor or tuple
        Those that require grad are checked; they should be float64.
    eps, atol, rtol : float
        The step of central differences; derivatives may differ by
        ``atol + rtol * abs(numerical)``.
    raise_exception : bool
        Raise if the check fails; otherwise return False.
    fast_mode : bool
        Check random projections only, by torch.
    nondet_tol, check_undefined_grad, check_grad_dtypes, check_batched_grad, \
check_batched_forward_grad, check_forward_ad, check_backward_ad, masked
        As for `torch.autograd.gradcheck`, and checked by it.

    Returns
    -------
    bool

    Raises
    ------
    torch.autograd.gradcheck.GradcheckError
        If the check fails; the message says what fastgrad finds to be the cause.
    ValueError
        If no input requires grad, as torch does.

    Notes
    -----
    Two evaluations for each entry of the inputs, in batches where `torch.func.vmap`
    can, and one backward pass for each entry of the outputs, batched likewise. Sparse
    tensors and forward mode are torch's business altogether.

    Examples
    --------
    >>> import torch
    >>> from fastgrad.interop.torch import gradcheck
    >>> x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    >>> gradcheck(torch.sin, x)
    True
    """
    options = {
        "eps": eps,
        "atol": atol,
        "rtol": rtol,
        "nondet_tol": nondet_tol,
        "check_undefined_grad": check_undefined_grad,
        "check_grad_dtypes": check_grad_dtypes,
        "check_batched_grad": check_batched_grad,
        "check_batched_forward_grad": check_batched_forward_grad,
        "check_forward_ad": check_forward_ad,
        "check_backward_ad": check_backward_ad,
        "masked": masked,
    }
    given = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    few = sum(x.numel() for x in given if _requires_grad(x)) <= _FEW
    backward_alone = check_backward_ad and not check_forward_ad
    try:
        if fast_mode or few or not backward_alone or not _all_dense(func, given):
            return _theirs(func, inputs, fast_mode=fast_mode, **options)
        failed = _around(func, inputs, **options)
        _compare(func, given, eps, atol, rtol, failed)
    except GradcheckError as error:
        if not raise_exception:
            return False
        cause = _cause(func, given, error)
        if not cause:
            raise
        raise GradcheckError(f"{error}\n{cause}") from error
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    **options: Any,
) -> bool:
    """Check gradients of gradients, in place of `torch.autograd.gradgradcheck`.

    Parameters
    ----------
    func, inputs
        As for `gradcheck`.
    grad_outputs : Tensor or tuple of Tensor, optional
        What the gradients are weighted with; random by default.
    gen_non_contig_grad_outputs, check_fwd_over_rev, check_rev_over_rev
        As for `torch.autograd.gradgradcheck`.
    **options
        As for `gradcheck`.

    Returns
    -------
    bool

    Examples
    --------
    >>> import torch
    >>> from fastgrad.interop.torch import gradgradcheck
    >>> x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    >>> gradgradcheck(torch.exp, x)
    True
    """
    given = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    if grad_outputs is None:
        with torch.enable_grad():
            outputs = _differentiable(func(*given))
        weights = tuple(
            torch.testing.make_tensor(
                y.shape,
                dtype=y.dtype,
                device=y.device,
                low=-1,
                high=1,
                requires_grad=True,
                noncontiguous=gen_non_contig_grad_outputs,
            )
            for y in outputs
        )
    else:
        several = isinstance(grad_outputs, list | tuple)
        weights = tuple(grad_outputs) if several else (grad_outputs,)

    def gradients(*args: Any) -> tuple[torch.Tensor, ...]:
        moved, by = args[: len(given)], args[len(given) :]
        wanted = [x for x in moved if _requires_grad(x)]
        with torch.enable_grad():
            outputs = _differentiable(func(*moved))
            found = torch.autograd.grad(
                outputs, wanted, by, create_graph=True, allow_unused=True
            )
        return tuple(grad for grad in found if grad is not None)

    return gradcheck(
        gradients,
        (*given, *weights),
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        **options,
    )


def _theirs(func: Any, inputs: Any, **options: Any) -> bool:
    return bool(torch.autograd.gradcheck(func, inputs, raise_exception=True, **options))


def _around(func: Any, inputs: Any, **options: Any) -> GradcheckError | None:
    """Run torch's fast mode; a mismatch it sees in numbers is yet to be confirmed."""
    try:
        _theirs(func, inputs, fast_mode=True, **options)
    except GradcheckError as error:
        if not any(words in str(error) for words in _OF_NUMBERS):
            raise
        return error
    except RuntimeError:  # it fails on mixed dtypes
        _theirs(func, inputs, fast_mode=False, **options)
    return None


def _compare(
    func: Any,
    inputs: tuple[Any, ...],
    eps: float,
    atol: float,
    rtol: float,
    failed: Exception | None,
) -> None:
    """Raise if an entry of the Jacobian is wrong."""
    at = [i for i, x in enumerate(inputs) if _requires_grad(x)]
    outputs = _differentiable(func(*inputs))
    analytic = _analytic(outputs, [inputs[i] for i in at])
    for i, backward in zip(at, analytic, strict=True):
        numerical = _numerical(func, inputs, i, eps, [y.detach() for y in outputs])
        for k, (a, n) in enumerate(zip(backward, numerical, strict=True)):
            if not torch.allclose(a.double(), n.double(), rtol, atol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {k} with respect to input {i},\n"
                    f"numerical:{n}\nanalytical:{a}\n"
                ) from failed


# ---- both Jacobians: for each output, (numbers of the input, numbers of the output) --


def _analytic(
    outputs: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]
) -> list[list[torch.Tensor]]:
    """By backward passes, for each input."""
    rows = [_backward(y, wanted) for y in outputs]
    return [[_as_real(row[i]).T for row in rows] for i in range(len(wanted))]


def _backward(y: torch.Tensor, wanted: Sequence[torch.Tensor]) -> list[Any]:
    """The gradients of every number of an output, for each input."""
    units = _units(y)
    if not len(units):
        return [x.new_zeros(0, *x.shape) for x in wanted]
    try:
        found = torch.autograd.grad(
            y,
            wanted,
            units,
            retain_graph=True,
            allow_unused=True,
            is_grads_batched=True,
        )
    except RuntimeError:  # a backward pass that cannot be batched
        each = [
            torch.autograd.grad(y, wanted, unit, retain_graph=True, allow_unused=True)
            for unit in units
        ]
        found = tuple(
            None if column[0] is None else torch.stack(column)
            for column in zip(*each, strict=True)
        )
    return [
        x.new_zeros(len(units), *x.shape) if grad is None else grad
        for grad, x in zip(found, wanted, strict=True)
    ]


def _numerical(
    func: Any, inputs: tuple[Any, ...], i: int, eps: float, here: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """By central differences, for each output."""
    x, units = inputs[i].detach(), _units(inputs[i])
    if not len(units):
        return [_as_real(y[None])[:0] for y in here]
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
        return _differentiable(func(*moved))

    def loop(points: torch.Tensor) -> list[torch.Tensor]:
        every = [[y.detach() for y in one(_laid_as(inputs[i], x))] for x in points]
        return [_as_real(torch.stack(ys)) for ys in zip(*every, strict=True)]

    def batch(points: torch.Tensor) -> list[torch.Tensor]:
        return [_as_real(y.detach()) for y in torch.func.vmap(outputs_of)(points)]

    def outputs_of(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(_as_tuple(func(*inputs[:i], x, *inputs[i + 1 :])))

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


def _laid_as(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
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


def _as_real(x: torch.Tensor) -> torch.Tensor:
    """Rows of numbers: real and imaginary parts of complex ones."""
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return x.flatten(1) if x.ndim > 1 else x[:, None]


def _cause(func: Any, inputs: tuple[Any, ...], error: GradcheckError) -> str:
    """What fastgrad has to say about the gradient of the output that is wrong."""
    from fastgrad.checking import check_gradient

    place = _MISMATCH.search(str(error))
    if place is None:
        return ""
    k = int(place[1])
    wanted = {f"input {i}": x for i, x in enumerate(inputs) if _requires_grad(x)}

    def loss(params: dict[str, Any]) -> Any:
        moved = [params.get(f"input {i}", x) for i, x in enumerate(inputs)]
        with torch.enable_grad():
            y = _differentiable(func(*moved))[k]
        weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype, device=y.device)
        return (y * weights.view_as(y)).sum()

    try:
        with torch.random.fork_rng(), TorchLoss(loss, wanted) as door:
            report = check_gradient(door, door.arrays, door.gradient, progress=False)
    except Exception:  # the mismatch stands
        return ""
    return "".join(
        f"cause: {cause.message}\n{cause.source_line or ''}\n"
        for cause in report.causes
    )


def _differentiable(outputs: Any) -> tuple[torch.Tensor, ...]:
    return tuple(y for y in _as_tuple(outputs) if _requires_grad(y))


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return tuple(outputs) if isinstance(outputs, list | tuple) else (outputs,)


def _requires_grad(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.requires_grad


def _all_dense(func: Any, inputs: tuple[Any, ...]) -> bool:
    """Whether there is an output to check and nothing but strided tensors."""
    if not any(map(_requires_grad, inputs)):
        return False
    outputs = _as_tuple(func(*inputs))
    tensors = [x for x in (*inputs, *outputs) if isinstance(x, torch.Tensor)]
    dense = all(x.layout is torch.strided and not x.is_mkldnn for x in tensors)
    return dense and any(map(_requires_grad, outputs))
