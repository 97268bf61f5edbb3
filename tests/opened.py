"""Problems of the zoo as functions of their data, which they keep to themselves."""

import copy
from typing import Any, NamedTuple

import numpy as np


class Opened(NamedTuple):
    """The arguments of ``check_variations``."""

    loss: Any
    params: Any
    grads: Any
    data: tuple
    options: dict


def opened(problem_type, *, seed=0, batch=5, dtype=None):
    """Return a problem whose samples can be varied.

    What holds samples, and along which axis, is seen from an instance with one sample
    more. A problem where that leaves a doubt is returned without data.
    """
    if not problem_type.batched:
        return _closed(problem_type(seed=seed))
    problem = problem_type(seed=seed, batch=batch)
    other = problem_type(seed=seed, batch=batch + 1)
    axes = {}
    for name, value in vars(problem).items():
        if isinstance(value, np.ndarray):
            axes[name] = _differing(value.shape, getattr(other, name).shape)
    if any(len(axis) > 1 for axis in axes.values()):
        return _closed(problem)
    names = [name for name, axis in axes.items() if axis]
    per_sample = {
        name: axis[0]
        for name, block in problem.params.items()
        if (axis := _differing(block.shape, other.params[name].shape))
    }

    def on(data):
        varied = copy.copy(problem)
        vars(varied).update(zip(names, data, strict=True))
        return varied

    def cast(array):
        real = np.asarray(array).dtype.kind == "f"
        return np.asarray(array, dtype) if dtype and real else array

    return Opened(
        lambda params, *data: on(data).loss(params),
        {name: cast(block) for name, block in problem.params.items()},
        lambda params, *data: {
            name: cast(block) for name, block in on(data).grads(params).items()
        },
        tuple(cast(getattr(problem, name)) for name in names),
        {"axis": [axes[name][0] for name in names], "per_sample": per_sample},
    )


def _closed(problem):
    return Opened(*problem.case(), (), {})


def _differing(shape, other):
    return [
        axis for axis, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b
    ]
