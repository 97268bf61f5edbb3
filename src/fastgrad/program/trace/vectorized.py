"""`numpy.vectorize`: the function that it holds, for each element, as it is called."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray
from fastgrad.program.sources import TraceError


def vectorized(call: Any, of: Any, *args: Any, **kwargs: Any) -> Any:
    """What a vectorized function returns for these arguments, traced or not.

    `call` calls the function that it holds.
    """
    if not callable(of.pyfunc):  # a decorator with arguments, about to decorate
        return of(*args, **kwargs)
    given = dict(enumerate(args)) | kwargs
    varying = {key: asarray(x) for key, x in given.items() if key not in of.excluded}
    loop, arrays = _spread(varying, of.signature)

    def at(index: tuple[int, ...]) -> Any:
        now = given | {key: x[index] for key, x in arrays.items()}
        return call(of.pyfunc, *map(now.pop, range(len(args))), **now)

    results = [at(index) for index in np.ndindex(*loop)]
    if not results:
        raise TraceError("vectorize() of arrays without elements")
    if not isinstance(results[0], tuple):
        return _collected(results, loop, of.otypes, 0)
    outputs = enumerate(zip(*results, strict=True))
    return tuple(_collected(values, loop, of.otypes, i) for i, values in outputs)


def _spread(varying: Any, signature: str | None) -> tuple[tuple[int, ...], Any]:
    """The shape of the loop, and the arrays with its axes in front of their own."""
    inner = dict.fromkeys(varying, 0)
    if signature is not None:
        groups = re.findall(r"\(([^)]*)\)", signature.partition("->")[0])
        for key, group in zip(varying, groups, strict=True):
            inner[key] = len(re.findall(r"\w+", group))
    outer = {key: x.shape[: x.ndim - inner[key]] for key, x in varying.items()}
    loop = np.broadcast_shapes(*outer.values())
    return loop, {
        key: np.broadcast_to(x, (*loop, *x.shape[len(outer[key]) :]))
        for key, x in varying.items()
    }


def _collected(values: Any, loop: tuple[int, ...], otypes: Any, output: int) -> Any:
    """One array, of the dtype that is asked for or that the first value has."""
    arrays = [asarray(x) for x in values]
    dtype = otypes[output] if otypes else arrays[0].dtype
    whole = np.stack(arrays).astype(dtype)
    return np.reshape(whole, (*loop, *arrays[0].shape))
