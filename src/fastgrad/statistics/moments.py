"""Count, mean, variance and standard deviation in one read of the data.

Rows are cut into chunks of 512 by their absolute index. A chunk's moments are taken
about a pivot near its mean in double precision; chunks are merged, in order, in
double-double. Rows that do not fill a chunk are kept until it is full. So the result is
a function of the rows alone: the same bits for every batching, memory layout and number
of threads.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arguments import axis as as_axis
from fastgrad._arguments import number, refusal
from fastgrad._arrays import Array
from fastgrad._kernels import _moments as kernel
from fastgrad._threads import pass_over, resolve_num_threads, useful_threads
from fastgrad.statistics import tables

if TYPE_CHECKING:
    from collections.abc import Sequence


NO_WEIGHTS = np.empty(0)
# Rows of a state, as in simd/moments.h.
(
    COUNT,
    WEIGHT,
    WEIGHT_LO,
    MEAN,
    MEAN_LO,
    SQUARES,
    SQUARES_LO,
    WEIGHT_SQUARES,
    EXPONENT,
) = range(kernel.STATE_SIZE)
# Doubles of chunk states held before they are merged; elements copied at a time.
_WAVE, _SLAB = 1 << 19, 1 << 18


def empty_state(columns: int) -> Array:
    """Return the state of no rows."""
    lanes = kernel.LANE_COLUMNS
    return np.zeros((kernel.STATE_SIZE, -(-columns // lanes) * lanes))


def accumulate(
    state: Array, rows: NDArray[Any], weights: Array, num_threads: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Return `state` with all rows of an (outer, inner, columns) array merged in.

    And which columns have infinities: their state then lacks some chunks.
    """
    state = state.copy()
    num_threads = useful_threads(num_threads, rows.size)
    infinite = np.zeros(rows.shape[2], np.uint8)
    chunks = -(-rows.shape[0] * rows.shape[1] // kernel.CHUNK_ROWS)
    chunks = min(chunks, max(_WAVE // max(state.size, 1), 4))
    wave = np.empty((chunks, *state.shape))
    wave[:, :, rows.shape[2] :] = 0.0
    workspace = np.empty((num_threads, kernel.WORKSPACE_SIZE))
    given = (rows, weights, workspace, wave, state, infinite)
    pass_over(rows.size, partial(kernel.accumulate, *given, num_threads=num_threads))
    return state, infinite.view(np.bool_)


def _accumulate_finite(*arguments: Any) -> Array:
    state, infinite = accumulate(*arguments)
    tables.refuse_infinities(infinite)
    return state


def _merged(state: Array, other: Array) -> Array:
    state = state.copy()
    # What came from another process may lie at any address.
    kernel.merge(state, np.require(other, requirements="A"))
    return state


@dataclass(frozen=True, repr=False, eq=False)
class Accumulator:
    """The moments of the rows seen so far, and the rows of the chunk not yet full.

    Immutable: `updated` and `merged` return new accumulators, so that a failure halfway
    leaves the old one as it was.
    """

    columns: int
    state: Array
    parts: tuple[tuple[Array, Array], ...] = ()  # (rows, weights) of the open chunk
    waiting: int = 0  # rows in the parts

    @classmethod
    def of(cls, columns: int) -> Accumulator:
        """Return the accumulator of no rows."""
        return cls(columns, empty_state(columns))

    def updated(
        self, x: NDArray[Any], weights: Array | None, num_threads: int
    ) -> Accumulator:
        """Return the accumulator after the rows of the (n, columns) array `x` too."""
        result = self
        for rows, w in tables.slabs(x, weights):
            result = result._with_slab(rows, w, num_threads)
        return result

    def _with_slab(
        self, rows: NDArray[Any], weights: Array | None, num_threads: int
    ) -> Accumulator:
        chunk = kernel.CHUNK_ROWS
        head = min(len(rows), -self.waiting % chunk)
        whole = head + (len(rows) - head) // chunk * chunk
        result = self._with_open(rows, weights, 0, head)
        if result.waiting % chunk:
            return result
        state = result._closed()
        if whole > head:
            w = NO_WEIGHTS if weights is None else weights[head:whole]
            state = _accumulate_finite(state, rows[None, head:whole], w, num_threads)
        closed = Accumulator(self.columns, state)
        return closed._with_open(rows, weights, whole, len(rows))

    def _with_open(
        self, rows: NDArray[Any], weights: Array | None, start: int, stop: int
    ) -> Accumulator:
        if start == stop:
            return self
        copy = rows[start:stop].astype(np.float64)
        tables.refuse_infinities(np.atleast_1d(np.isinf(copy).any(axis=0)))
        w = np.ones(len(copy)) if weights is None else weights[start:stop].copy()
        parts = (*self.parts, (copy, w))
        return Accumulator(self.columns, self.state, parts, self.waiting + len(copy))

    def _closed(self) -> Array:
        """Return the state with the open rows merged in, as a (short) chunk."""
        if not self.parts:
            return self.state
        rows, weights = (np.concatenate(a) for a in zip(*self.parts, strict=True))
        return _accumulate_finite(self.state, rows[None], weights, 1)

    def merged(self, other: Accumulator) -> Accumulator:
        """Return the accumulator of the rows of both."""
        return Accumulator(self.columns, _merged(self._closed(), other._closed()))

    def moments(self) -> Moments:
        """Return the moments of the rows seen so far."""
        return Moments._of(self._closed(), (self.columns,), 0)


@dataclass(frozen=True, repr=False, eq=False)
class Moments:
    """Moments per feature; what :func:`moments` returns.

    Moments of parts of a data set, from processes, ranks or files, add up: `a + b` are
    those of the union, whatever the sizes of the parts, empty ones included. They
    pickle, and `to_json` / `from_json` keep every bit.

    Attributes
    ----------
    count : int64 array or int
        Samples that are not NaN (and have a positive weight).
    mean : float64 array or float
        Mean, NaN where `count` is 0.
    var : float64 array or float
        Variance, the sum of squared deviations by `weight` − `ddof`. It may over- or
        underflow where `std` does not.
    std : float64 array or float
        Standard deviation.
    weight : float64 array or float
        Sum of the weights; `count` without weights.
    effective_count : float64 array or float
        Kish's effective number of samples, (Σw)² / Σw².
    ddof : float
        What was subtracted from `weight` in the variance.
    """

    count: Any
    mean: Any
    var: Any
    std: Any
    weight: Any
    effective_count: Any
    ddof: float
    _state: Array
    _shape: tuple[int, ...]

    @classmethod
    def _of(cls, state: Array, shape: tuple[int, ...], ddof: float) -> Moments:
        columns = math.prod(shape)
        rows = state[:, :columns]
        with np.errstate(all="ignore"):
            weight = rows[WEIGHT]
            freedom = weight - ddof
            scaled = np.where(freedom > 0, rows[SQUARES] / freedom, np.nan)
            back = -rows[EXPONENT].astype(np.int32)
            mean = np.where(weight > 0, np.ldexp(rows[MEAN], back), np.nan)
            values = {
                "count": rows[COUNT].astype(np.int64),
                "mean": mean,
                "var": np.ldexp(scaled, 2 * back),
                "std": np.ldexp(np.sqrt(scaled), back),
                "weight": weight.copy(),
                "effective_count": weight * (weight / rows[WEIGHT_SQUARES]),
            }
        shaped = {k: v.reshape(shape)[()] for k, v in values.items()}
        return cls(**shaped, ddof=ddof, _state=state, _shape=shape)

    def __add__(self, other: object) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        if self._shape != other._shape or self.ddof != other.ddof:
            raise ValueError(
                "Moments to add must be of the same features and ddof, got shapes "
                f"{self._shape} and {other._shape}, ddof {self.ddof} and {other.ddof}."
            )
        state = _merged(self._state, other._state)
        return Moments._of(state, self._shape, self.ddof)

    def __repr__(self) -> str:
        """Show what there is per feature."""
        fields = ("count", "mean", "var", "std")
        return f"Moments({', '.join(f'{k}={getattr(self, k)}' for k in fields)})"

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain Python; floats as exact hexadecimal strings."""
        columns = math.prod(self._shape)
        rows = self._state[:, :columns]
        return {
            "version": 1,
            "shape": list(self._shape),
            "ddof": float(self.ddof),
            "state": [[float(v).hex() for v in row] for row in rows],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Moments:
        """Return the moments that `to_dict` described.

        Raises
        ------
        ValueError
            If `data` is of another version.
        """
        must = "be what `to_dict` returned"
        if not isinstance(data, dict):
            raise refusal(TypeError, "data", must, data)
        if data.get("version") != 1:
            raise ValueError(f"`data` must be of version 1, got {data.get('version')}.")
        try:
            shape, columns = tuple(data["shape"]), math.prod(data["shape"])
            state = empty_state(columns)
            rows = [list(map(float.fromhex, row)) for row in data["state"]]
            state[:, :columns] = np.reshape(rows, (len(state), columns))
            return cls._of(state, shape, number("ddof", data["ddof"]))
        except (KeyError, TypeError, ValueError) as error:
            raise refusal(ValueError, "data", must, data) from error

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Moments:
        """Return the moments that `to_json` wrote."""
        try:
            data = json.loads(text)
        except (TypeError, ValueError):
            must = "be what `to_json` returned"
            raise refusal(ValueError, "text", must, text) from None
        return cls.from_dict(data)


def moments(
    x: ArrayLike,
    *,
    axis: int | Sequence[int] | None = 0,
    weights: ArrayLike | None = None,
    ddof: float = 0,
    num_threads: int | None = None,
) -> Moments:
    r"""Count, mean, variance and standard deviation along `axis`.

    Parameters
    ----------
    x : array_like of float, int or bool
        The data. NaN is a missing value, skipped feature by feature.
    axis : int, sequence of int or None, default 0
        The axes of the samples; None for all.
    weights : array_like of shape (n,), optional
        Non-negative weights of the samples along `axis` (one axis only): zero drops the
        sample, others are between 1e-30 and 1e30. Means, and variances with `ddof` 0,
        are the same whether weights are *frequencies* (a sample seen w times) or
        *reliabilities* (inverse variances): only ratios count. For an unbiased variance
        the meaning matters: with frequencies it is ``ddof=1``, M2 / (Σw − 1); with
        reliabilities it is ``m.var * k / (k - 1)``, k = ``m.effective_count``, from
        ``ddof=0``.
    ddof : float, default 0
        Subtracted from the number (or weight) of samples: 1 for the unbiased variance.
    num_threads : int, optional
        Threads to use; the bits of the result do not depend on it.

    Returns
    -------
    Moments
        With arrays of the shape of the other axes of `x`, scalars for a vector.

    Raises
    ------
    ValueError
        If `x` has infinities (it names the features), or `axis`, `weights` or `ddof`
        make no sense.
    TypeError
        If `x` is not numeric, or sparse.

    Notes
    -----
    One read of `x`, without a copy of floats in any regular layout; other types are
    converted slab by slab. The standard deviation has at least 15 correct digits
    whatever the offset of the data, and is right where its square over- or underflows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> m = fg.moments([[1.0, 2.0], [3.0, np.nan], [9.0, 6.0]], ddof=1)
    >>> m.count, m.mean
    (array([3, 2]), array([4.33333333, 4.        ]))
    >>> m.std
    array([4.163332  , 2.82842712])
    >>> a, b = fg.moments([1.0, 2.0, 3.0, 4.0]), fg.moments([10.0, 20.0])
    >>> (a + b).count, (a + b).mean
    (np.int64(6), np.float64(6.666666666666667))
    """
    threads = resolve_num_threads(num_threads)
    array = tables.as_numbers(x, "x")
    axes = _sample_axes(array, axis)
    freedom = number("ddof", ddof, least=0)
    shape = tuple(n for k, n in enumerate(array.shape) if k not in axes)
    w = None
    if weights is not None:
        if len(axes) != 1:
            raise refusal(ValueError, "axis", "be one axis, with `weights`", axis)
        w = tables.as_weights(weights, array.shape[axes[0]], "weights")
    return Moments._of(state_of(array, axes, w, threads), shape, freedom)


def _sample_axes(x: NDArray[Any], axis: int | Sequence[int] | None) -> list[int]:
    if axis is None and x.ndim:
        return list(range(x.ndim))
    given = axis if isinstance(axis, tuple | list) else [axis]
    axes = sorted(as_axis("axis", one, x.ndim, "x") for one in given)
    if len(set(axes)) < len(axes) or not axes:
        raise refusal(ValueError, "axis", "name different axes", axis)
    return axes


def state_of(
    x: NDArray[Any], axes: list[int], weights: Array | None, num_threads: int
) -> Array:
    """Return the state of `x` over the sample `axes`, without a copy where possible."""
    moved = x.transpose(axes + [k for k in range(x.ndim) if k not in axes])
    samples, features = moved.shape[: len(axes)], moved.shape[len(axes) :]
    columns, inner = math.prod(features), math.prod(samples[1:])
    views = _is_one_axis(moved, 1, len(axes)) and _is_one_axis(moved, len(axes), x.ndim)
    if (
        views
        and tables.kernel_ready(x)
        and (weights is None or tables.all_positive(weights))
    ):
        view: NDArray[Any] = moved.reshape(samples[0], inner, columns)
        if len(axes) == 1:
            view = view.transpose(1, 0, 2)
        every = NO_WEIGHTS if weights is None else weights
        return _accumulate_finite(empty_state(columns), view, every, num_threads)
    result = Accumulator.of(columns)
    step = max(1, _SLAB // max(1, inner * columns))
    for start in range(0, samples[0], step):
        part = moved[start : start + step]
        w = None if weights is None else weights[start : start + step]
        rows = part.reshape(len(part) * inner, columns)
        result = result.updated(rows, w, num_threads)
    return result._closed()


def _is_one_axis(x: NDArray[Any], first: int, stop: int) -> bool:
    """Tell whether axes [first, stop) can be one, without a copy."""
    return all(
        x.strides[k] == x.strides[k + 1] * x.shape[k + 1]
        for k in range(first, stop - 1)
    )
