"""How long other ways to the same gradient take, on the user's own loss.

The slow ones are timed on some entries and scaled to all; the table says so.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastgrad.params import Nest
from fastgrad.reports import aligned
from fastgrad.targets import Target, TargetError

_SECONDS = 1.0  # for each way
Timed = Callable[[int], None]


def bench(target: Target) -> str:
    """Return a table of times for a full check of the target.

    Parameters
    ----------
    target : Target
        With `loss` and `params`, perhaps `grads`.
    """
    if "loss" not in target.parts:
        raise TargetError(f"{target.name} is a Jacobian; only gradients are timed.")
    target.check({})  # what is loaded and planned once is not timed
    started = time.perf_counter()
    report: Any = target.check({})
    own = time.perf_counter() - started
    rows = [
        ["way", "timed", "seconds", "by fastgrad's"],
        ["fastgrad", f"all entries, {report.engine} engine", f"{own:.3g}", "1"],
    ]
    nest = Nest(target.parts["params"])
    for name, run in _others(target.parts["loss"], nest):
        entries, seconds = _timed(run, nest.size)
        whole = seconds * nest.size / entries
        timed = "all" if entries == nest.size else f"{entries:,} of {nest.size:,}"
        cells = [f"{timed} entries", f"{whole:.3g}", f"{whole / own:.3g}"]
        rows.append([name, *cells])
    return "\n".join(aligned(rows, left=2))


def _timed(run: Timed, size: int) -> tuple[int, float]:
    """Return how many entries fit into the time, and the time they took."""
    count = 1
    while True:
        started = time.perf_counter()
        run(count)
        seconds = time.perf_counter() - started
        if count == size or seconds > _SECONDS / 4:
            return count, seconds
        count = min(size, 4 * count)


def _others(loss: Any, nest: Nest) -> Iterator[tuple[str, Timed]]:
    """Yield ways to the numerical gradient of the first entries, where installed."""
    first = loss(nest.structure)
    if isinstance(first, tuple):  # (loss, grads)
        value = lambda: float(np.sum(loss(nest.structure)[0]))  # noqa: E731
    else:
        value = lambda: float(np.sum(loss(nest.structure)))  # noqa: E731
    yield "NumPy loop, in place", _loop(nest, value)
    if importlib.util.find_spec("scipy") is not None:
        yield "scipy approx_fprime (forward)", _scipy(nest, value)
    if importlib.util.find_spec("torch") is not None:
        yield "torch gradcheck", _torch(nest, value)


def _entries(nest: Nest) -> Iterator[tuple[Any, Any]]:
    for leaf in nest.leaves:
        for index in np.ndindex(leaf.shape):
            yield leaf, index


def _loop(nest: Nest, value: Callable[[], float]) -> Timed:
    def run(count: int) -> None:
        for (leaf, index), _ in zip(_entries(nest), range(count), strict=False):
            before = leaf[index]
            leaf[index] = before + 1e-5
            ahead = value()
            leaf[index] = before - 1e-5
            _ = (ahead - value()) / 2e-5
            leaf[index] = before

    return run


def _of_first(nest: Nest, value: Callable[[], float], count: int) -> Any:
    """Return the loss as a function of a vector of the first entries, and these."""
    places = [place for place, _ in zip(_entries(nest), range(count), strict=False)]
    start = np.array([leaf[index] for leaf, index in places], dtype=np.float64)

    def function(x: Any) -> float:
        for (leaf, index), number in zip(places, x, strict=True):
            leaf[index] = number
        return value()

    return function, start


def _scipy(nest: Nest, value: Callable[[], float]) -> Timed:
    from scipy.optimize import approx_fprime

    def run(count: int) -> None:
        function, start = _of_first(nest, value, count)
        try:
            approx_fprime(start, function)
        finally:
            function(start)

    return run


def _torch(nest: Nest, value: Callable[[], float]) -> Timed:
    import torch

    def run(count: int) -> None:
        function, start = _of_first(nest, value, count)

        class Loss(torch.autograd.Function):  # type: ignore[misc]
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return torch.tensor(function(x.detach().numpy()), dtype=torch.float64)

            @staticmethod
            def backward(ctx: Any, upstream: Any) -> Any:
                return upstream * torch.zeros(count, dtype=torch.float64)

        x = torch.tensor(start, requires_grad=True)
        try:
            torch.autograd.gradcheck(Loss.apply, (x,), raise_exception=False)
        finally:
            function(start)

    return run
