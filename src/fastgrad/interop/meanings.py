"""What the translators of other frameworks share: meanings that NumPy has no word for.

A translator gives each operation of its framework a meaning in NumPy functions. Called
with the arrays that `fastgrad.trace` hands out, that records a program; the line and
the name that the program remembers are those of the framework's code.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastgrad.program import (
    Complex,
    Traced,
    TraceError,
    call_opaque,
    calling_line,
    current_trace,
    meaning_of,
)


class Unasked:
    """A result that the loss may never use: what it is, is found out when it does.

    Positions of extremes, for example: as constants they would be guarded.
    """

    def __init__(self, what: str, meaning: Callable[[], Any] | None = None) -> None:
        self._reason = f"uses {what}, which depend on the parameters"
        self._meaning, self._source = meaning, calling_line()

    def asked(self) -> Any:
        """Return its meaning; TraceError where it has none."""
        if self._meaning is None:
            raise TraceError(self._reason, self._source)
        return self._meaning()


def depends(xs: Iterable[Any]) -> bool:
    """Whether one of these values depends on the parameters."""
    return any(isinstance(x, Traced | Complex | Unasked) for x in xs)


def asked(x: Any) -> Any:
    """Return a value as it is to be used."""
    return x.asked() if isinstance(x, Unasked) else x


def called(name: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """Call a function without a meaning of arrays, as one operation of the program."""
    function.__qualname__ = name
    return call_opaque(current_trace.get(), function, arrays, {})


def same_value(recorded: Traced, expected: NDArray[Any]) -> bool:
    """Whether an array has the value that the framework computes, but for rounding."""
    low = expected.dtype.kind == "f" and expected.dtype.itemsize < 8
    rtol = 1e-4 if low else 1e-9
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    value = recorded.node.value
    return value.shape == expected.shape and np.allclose(
        value, expected, rtol=rtol, atol=rtol * float(scale) + 1e-300, equal_nan=True
    )


# ---- functions -----------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return np.reciprocal(1 + np.exp(-x))


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return np.logaddexp(0.0, x)


def softmax(x: Any, axis: int) -> Any:
    """exp(x), normalised along an axis."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: int) -> Any:
    """The logarithm of `softmax`."""
    z = x - np.max(x, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


def logsumexp(x: Any, axis: tuple[int, ...], keepdims: bool = False) -> Any:
    """log(sum(exp(x)))."""
    top = np.max(x, axis=axis, keepdims=True)
    total = top + np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True))
    return total if keepdims else np.squeeze(total, axis=axis)


def special(name: str) -> Any:
    """A function of scipy.special, or what it means; imported when used."""

    def function(*x: Any) -> Any:
        from scipy import special

        of_scipy = getattr(special, name)
        if isinstance(of_scipy, np.ufunc):
            return of_scipy(*x)
        meaning = meaning_of(of_scipy)
        return NotImplemented if meaning is None else meaning(*x)

    return function


# ---- places --------------------------------------------------------------------------


def put(x: Any, positions: Any, new: Any) -> Any:
    """`x` with `new` at flat positions; the last one where they repeat."""
    positions = np.asarray(positions)
    size = math.prod(np.shape(x))
    chosen, source = np.zeros(size, dtype=bool), np.zeros(size, dtype=np.intp)
    chosen[positions.ravel()] = True
    source[positions.ravel()] = np.arange(positions.size)
    if np.array_equal(positions.ravel(), np.arange(size)):
        return np.reshape(np.broadcast_to(new, positions.shape), np.shape(x))
    if not positions.size:
        return x
    spread = np.ravel(np.broadcast_to(new, positions.shape))[source]
    return np.where(chosen.reshape(np.shape(x)), np.reshape(spread, np.shape(x)), x)


def add_at(x: Any, positions: Any, new: Any) -> Any:
    """`x` with `new` added at flat positions, as often as they occur."""
    positions = np.asarray(positions).ravel()
    new = np.ravel(new)
    out = np.ravel(x)
    order = np.argsort(positions, kind="stable")
    nth = np.empty(len(positions), dtype=np.intp)
    nth[order] = np.arange(len(positions)) - np.searchsorted(
        positions[order], positions[order]
    )
    for turn in range(int(nth.max(initial=-1)) + 1):
        here = np.flatnonzero(nth == turn)
        zeros = np.zeros(out.shape)
        out = out + put(zeros, positions[here], new[here])
    return np.reshape(out, np.shape(x))


def dilated(x: Any, steps: Sequence[int]) -> Any:
    """`x` with `step - 1` zeros between its elements along the last axes."""
    for axis, step in enumerate(steps, len(np.shape(x)) - len(steps)):
        shape = np.shape(x)
        if step == 1 or shape[axis] < 2:
            continue
        spaced = np.expand_dims(x, axis + 1)
        width = [(0, 0)] * len(shape)
        width.insert(axis + 1, (0, step - 1))
        spaced = np.pad(spaced, width)
        merged = (*shape[:axis], shape[axis] * step, *shape[axis + 1 :])
        spaced = np.reshape(spaced, merged)
        keep = (slice(None),) * axis + (slice(0, (shape[axis] - 1) * step + 1),)
        x = spaced[keep]
    return x


def padded(x: Any, widths: Sequence[tuple[int, int]], fill: float = 0.0) -> Any:
    """`x` with `widths` more elements around its last axes; fewer where negative."""
    lead = len(np.shape(x)) - len(widths)
    keep = [slice(None)] * lead + [
        slice(max(0, -a), n - max(0, -b))
        for (a, b), n in zip(widths, np.shape(x)[lead:], strict=True)
    ]
    if any(a < 0 or b < 0 for a, b in widths):
        x = x[tuple(keep)]
    more = [(0, 0)] * lead + [(max(0, a), max(0, b)) for a, b in widths]
    if not any(a or b for a, b in more):
        return x
    return np.pad(x, more, constant_values=fill)


def windows(
    x: Any, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Any:
    """Every window over the last axes: (..., places, elements of the window)."""
    n = len(size)
    reach = [(s - 1) * d + 1 for s, d in zip(size, dilation, strict=True)]
    axes = tuple(range(len(np.shape(x)) - n, len(np.shape(x))))
    every = sliding_window_view(x, tuple(reach), axis=axes)
    key = [slice(None, None, s) for s in stride]
    key += [slice(None, None, d) for d in dilation]
    return every[(Ellipsis, *key)]  # type: ignore[arg-type]


def convolve(
    x: Any,
    w: Any,
    stride: Sequence[int],
    widths: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int = 1,
) -> Any:
    """Correlation of (N, C, *) with (O, C / groups, *): (N, O, *)."""
    n = len(stride)
    seen = windows(padded(x, widths), np.shape(w)[2:], stride, dilation)
    kernel = list(range(10, 10 + n))
    places = list(range(20, 20 + n))
    if groups == 1:
        return np.einsum(
            _spell([0, 1, *places, *kernel], [2, 1, *kernel], [0, 2, *places]), seen, w
        )
    batch, channels = np.shape(seen)[:2]
    rest = np.shape(seen)[2:]
    seen = np.reshape(seen, (batch, groups, channels // groups, *rest))
    w = np.reshape(w, (groups, np.shape(w)[0] // groups, *np.shape(w)[1:]))
    spelled = _spell(
        [0, 3, 1, *places, *kernel], [3, 2, 1, *kernel], [0, 3, 2, *places]
    )
    out = np.einsum(spelled, seen, w)
    shape = np.shape(out)
    return np.reshape(out, (batch, shape[1] * shape[2], *shape[3:]))


def _spell(*labels: list[int]) -> str:
    """Lists of axis numbers as subscripts of an einsum."""
    *inputs, out = ("".join(chr(ord("A") + k) for k in axes) for axes in labels)
    return f"{','.join(inputs)}->{out}"
