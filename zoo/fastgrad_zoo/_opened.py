"""Problems of the zoo as functions of their data, which they keep to themselves."""

import copy
from typing import Any, NamedTuple

import numpy as np

from fastgrad_zoo._registry import Problem


class Opened(NamedTuple):
    """The arguments of ``check_variations``, the last of them to be unpacked."""

    loss: Any
    params: Any
    grads: Any
    data: tuple[Any, ...]
    options: dict[str, Any]


def opened(
    kind: type[Problem], *, seed: int = 0, batch: int = 5, dtype: Any = None
) -> Opened:
    """Return a problem, with its right gradient, whose samples can be varied.

    What holds samples, and along which axis, is seen from an instance with one sample
    more. A problem where that leaves a doubt is returned without data. With `dtype`,
    parameters, data and gradients are of that type.
    """
    if not kind.batched:
        return _closed(kind(seed=seed))
    problem, other = kind(seed=seed, batch=batch), kind(seed=seed, batch=batch + 1)
    axes = {
        name: _differing(value.shape, getattr(other, name).shape)
        for name, value in vars(problem).items()
        if isinstance(value, np.ndarray)
    }
    if any(len(axis) > 1 for axis in axes.values()):
        return _closed(problem)
    names = [name for name, axis in axes.items() if axis]
    per_sample = {
        name: axis[0]
        for name, block in problem.params.items()
        if (axis := _differing(block.shape, other.params[name].shape))
    }

    def on(data: tuple[Any, ...]) -> Problem:
        varied = copy.copy(problem)
        vars(varied).update(zip(names, data, strict=True))
        return varied

    def cast(value: Any) -> Any:
        real = np.asarray(value).dtype.kind == "f"
        return np.asarray(value, dtype) if dtype and real else value

    def loss(params: Any, *data: Any) -> Any:
        return on(data).loss(params)

    def grads(params: Any, *data: Any) -> Any:
        return {name: cast(g) for name, g in on(data).grads(params).items()}

    return Opened(
        loss,
        {name: cast(block) for name, block in problem.params.items()},
        grads,
        tuple(cast(getattr(problem, name)) for name in names),
        {"axis": [axes[name][0] for name in names], "per_sample": per_sample},
    )


def _closed(problem: Problem) -> Opened:
    return Opened(*problem.case(), (), {})


def _differing(shape: tuple[int, ...], other: tuple[int, ...]) -> list[int]:
    return [k for k, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b]
