"""gradcheck and gradgradcheck: torch's arguments, torch's answers, every entry at once.

Torch's own fast mode looks after all that is not a number: dtypes, undefined gradients,
batched gradients, determinism. Then the Jacobian is compared entry by entry, as in
torch's slow mode, with perturbed points evaluated many at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.gradcheck import GradcheckError

from fastgrad.interop.torch.gradient import TorchGradient
from fastgrad.interop.torch.jacobians import (
    analytic,
    as_tuple,
    differentiable,
    numerical,
    requires_grad,
)
from fastgrad.interop.torch.loss import TorchLoss
from fastgrad.interop.torch.small import FEW, is_small, surely_passes
from fastgrad.program import around

_OF_NUMBERS = ("Jacobian mismatch", "quantities differ")  # in torch's messages
_MISMATCH = re.compile(r"Jacobian mismatch for output (\d+)")


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
    small = is_small(given)
    backward_alone = check_backward_ad and not check_forward_ad
    further = check_grad_dtypes or check_batched_grad or masked
    try:
        if small and backward_alone and not (fast_mode or further):
            tolerances = eps, atol, rtol, nondet_tol
            if surely_passes(func, given, *tolerances, check_undefined_grad):
                return True
        few = sum(x.numel() for x in given if requires_grad(x)) <= FEW
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
            outputs = differentiable(func(*given))
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
        wanted = [x for x in moved if requires_grad(x)]
        with torch.enable_grad():
            outputs = differentiable(func(*moved))
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
    at = [i for i, x in enumerate(inputs) if requires_grad(x)]
    outputs = differentiable(func(*inputs))
    by_backward = analytic(outputs, [inputs[i] for i in at])
    for i, rows in zip(at, by_backward, strict=True):
        found = numerical(func, inputs, i, eps, [y.detach() for y in outputs])
        for k, (a, n) in enumerate(zip(rows, found, strict=True)):
            if not torch.allclose(a.double(), n.double(), rtol, atol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {k} with respect to input {i},\n"
                    f"numerical:{n}\nanalytical:{a}\n"
                ) from failed


def _cause(func: Any, inputs: tuple[Any, ...], error: GradcheckError) -> str:
    """What fastgrad has to say about the gradient of the output that is wrong."""
    from fastgrad.checking import check_gradient

    place = _MISMATCH.search(str(error))
    if place is None:
        return ""
    k = int(place[1])
    wanted = {f"input {i}": x for i, x in enumerate(inputs) if requires_grad(x)}

    def loss(params: dict[str, Any]) -> Any:
        moved = [params.get(f"input {i}", x) for i, x in enumerate(inputs)]
        with torch.enable_grad():
            y = differentiable(func(*moved))[k]
        weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype, device=y.device)
        with around(func):
            return (y * weights.view_as(y)).sum()

    loss.__wrapped__ = func  # type: ignore[attr-defined]
    try:
        with torch.random.fork_rng(), TorchLoss(loss, wanted) as door:
            given = door.arrays, TorchGradient(door)
            report = check_gradient(door, *given, progress=False)
    except Exception:  # the mismatch stands
        return ""
    return "".join(
        f"cause: {cause.message}\n{cause.source_line or ''}\n"
        for cause in report.causes
    )


def _all_dense(func: Any, inputs: tuple[Any, ...]) -> bool:
    """Whether there is an output to check and nothing but strided tensors."""
    if not any(map(requires_grad, inputs)):
        return False
    outputs = as_tuple(func(*inputs))
    tensors = [x for x in (*inputs, *outputs) if isinstance(x, torch.Tensor)]
    dense = all(x.layout is torch.strided and not x.is_mkldnn for x in tensors)
    return dense and any(map(requires_grad, outputs))
