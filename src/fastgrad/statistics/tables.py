"""What people call a table (arrays, lists, data frames), turned into NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import described, refusal

# Elements of a slab: rows are converted this many elements at a time.
_SLAB = 1 << 18


def as_numbers(x: object, name: str) -> NDArray[Any]:
    """Return `x` as an array of floats (any precision), integers or booleans.

    What a masked array masks is missing: nan.

    Raises
    ------
    TypeError
        If `x` is sparse, or its elements are not numbers.
    ValueError
        If `x` is complex.
    """
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise TypeError(
            f"`{name}` must be dense, got a sparse {type(x).__name__}: sparse data is "
            "not supported, pass X.toarray()."
        )
    if x is None:
        raise refusal(TypeError, name, "be numeric", x)
    if isinstance(x, np.ma.MaskedArray):
        x = _unmasked(x)
    try:
        array: NDArray[Any] = _from_frame(x) if hasattr(x, "columns") else np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            f"`{name}` must be an array of numbers, got {described(x)}: {error}."
        ) from error
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: `{name}` must be real, got {array.dtype}."
        )
    if array.dtype.kind == "O":
        array = _to_float(array, name)
    if array.dtype.kind not in "fiub" and not _is_small_float(array.dtype):
        raise TypeError(f"`{name}` must be numeric, got dtype {array.dtype}.")
    return array


def _unmasked(x: Any) -> Any:
    """Return a masked array as a plain one, nan where it is masked."""
    if np.ma.is_masked(x) and x.dtype.kind in "iub":
        x = x.astype(np.float64)
    return x.filled(np.nan) if np.ma.is_masked(x) else x.data


def _from_frame(x: Any) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(x)
    if array.dtype.kind == "O" and hasattr(x, "isna"):  # pandas' own missing values
        array = x.to_numpy(dtype=np.float64, na_value=np.nan)
    return array


def _to_float(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"`{name}` must be numeric, got an array of objects: {error}."
        ) from error


def _is_small_float(dtype: np.dtype[Any]) -> bool:
    """Tell bfloat16 and the like, of ml_dtypes, from other types."""
    return dtype.kind == "V" and dtype.names is None and np.can_cast(dtype, np.float64)


def as_matrix(x: object, name: str) -> NDArray[Any]:
    """Return `x` as a numeric array with two axes and at least one row and column.

    Raises
    ------
    TypeError
        As `as_numbers`.
    ValueError
        As `as_numbers`, and if `x` has another number of axes or is empty.
    """
    array = as_numbers(x, name)
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (samples, features), got {array.ndim}D shape "
            f"{array.shape}. Reshape your data: {name}.reshape(-1, 1) if it is one "
            f"feature, {name}.reshape(1, -1) if it is one sample."
        )
    refuse_empty(array.shape, name)
    return array


def refuse_empty(shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError if a table has no rows or no columns."""
    for n, what in zip(shape, ("sample", "feature"), strict=True):
        if n == 0:
            raise ValueError(
                f"`{name}` must not be empty, got 0 {what}(s) (shape={shape}) "
                "while a minimum of 1 is required."
            )


def as_weights(weights: object, rows: int, name: str) -> NDArray[np.float64]:
    """Return `weights` as one float64 for each row.

    Raises
    ------
    ValueError
        If there are not as many as rows, one is negative, not finite or out of range.
    """
    array = np.ascontiguousarray(as_numbers(weights, name), np.float64)
    if array.ndim == 0:
        array = np.full(rows, array)
    if array.shape != (rows,):
        raise ValueError(f"`{name}` must have shape ({rows},), 1D, got {array.shape}.")
    if rows and array.min() >= 1e-30 and array.max() <= 1e30:
        return array
    good = (array == 0) | ((array >= 1e-30) & (array <= 1e30))
    if not good.all():
        i = int(np.argmin(good))
        raise ValueError(
            f"`{name}` must be 0 or between 1e-30 and 1e30, got {array[i]} at {i}."
        )
    return array


def kernel_ready(x: NDArray[Any]) -> bool:
    """Tell whether kernels can read `x`: native float32 or float64, whole strides."""
    return (
        x.dtype in (np.float32, np.float64)  # native
        and bool(x.flags.aligned)
        and all(stride % x.itemsize == 0 for stride in x.strides)
    )


def all_positive(weights: NDArray[np.float64]) -> bool:
    """Tell whether no weight is zero."""
    return bool(weights.min(initial=1.0) > 0)


def slabs(
    x: NDArray[Any], weights: NDArray[np.float64] | None
) -> Iterator[tuple[NDArray[Any], NDArray[np.float64] | None]]:
    """Cut rows into slabs that kernels can read: one, where possible without a copy.

    Rows of zero weight are left out; other types are converted to float64.
    """
    if kernel_ready(x) and (weights is None or all_positive(weights)):
        yield x, weights
        return
    step = max(1, _SLAB // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        rows = x[start : start + step]
        w = None if weights is None else weights[start : start + step]
        if w is not None and not w.all():
            rows, w = rows[w > 0], w[w > 0]
        yield (rows if kernel_ready(rows) else rows.astype(np.float64)), w


def refuse_infinities(infinite: NDArray[np.bool_]) -> None:
    """Raise ValueError, naming the columns, if one is marked."""
    if infinite.any():
        columns = np.flatnonzero(infinite)
        shown = ", ".join(str(c) for c in columns[:10]) + ", ..." * (columns.size > 10)
        raise ValueError(
            "`x` must be finite or NaN, got infinity in "
            f"column{'s' * (columns.size > 1)} {shown}."
        )


def feature_names(x: object) -> NDArray[Any] | None:
    """Return the names of a data frame's columns, if they are all strings.

    Raises
    ------
    TypeError
        If some names are strings and some are not.
    """
    if not hasattr(x, "columns"):
        return None
    names = np.asarray(list(x.columns), dtype=object)
    strings = [isinstance(name, str) for name in names]
    if any(strings) and not all(strings):
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(
            "Feature names are only supported if all input features have string names, "
            f"but your input has {kinds} as feature name / column name types."
        )
    return names if names.size and all(strings) else None


def check_same_names(names: NDArray[Any], known: NDArray[Any]) -> None:
    """Raise ValueError, saying which, unless both names are the same.

    Raises
    ------
    ValueError
        In the words that scikit-learn's users know.
    """
    if np.array_equal(names, known):
        return
    unseen, missing = sorted(set(names) - set(known)), sorted(set(known) - set(names))
    message = "The feature names should match those that were passed during fit.\n"
    if unseen:
        message += "Feature names unseen at fit time:\n" + _listed(unseen)
    if missing:
        message += "Feature names seen at fit time, yet now missing:\n" + _listed(
            missing
        )
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(message)


def warn_of_names(names: NDArray[Any] | None, estimator: str) -> None:
    """Warn, in the same words, that only one of new and fitted data has names."""
    here, there = "has", "without"
    if names is None:
        here, there = "does not have valid", "with"
    warnings.warn(
        f"X {here} feature names, but {estimator} was fitted {there} feature names",
        UserWarning,
        stacklevel=4,
    )


def _listed(names: list[str]) -> str:
    return "".join(f"- {name}\n" for name in names[:5]) + "- ...\n" * (len(names) > 5)


def is_chunks(x: object) -> bool:
    """Tell an iterable of chunks from what is array-like."""
    arrays = ("__array__", "__array_interface__", "__len__", "columns")
    return isinstance(x, Iterable) and not any(hasattr(x, name) for name in arrays)


def with_progress(chunks: Iterable[Any], show: bool) -> Iterable[Any]:
    """Return `chunks`, with a progress bar if `show`."""
    if not show:
        return chunks
    from tqdm import tqdm

    return tqdm(chunks, unit=" chunks")  # type: ignore[no-any-return]


def as_frame(values: NDArray[Any], x: object, kind: str, names: NDArray[Any]) -> Any:
    """Return `values` as a "pandas" or "polars" frame, with the index of `x`."""
    if kind == "pandas":
        import pandas

        index = x.index if isinstance(x, pandas.DataFrame) else None
        return pandas.DataFrame(values, columns=names, index=index, copy=False)
    import polars

    return polars.DataFrame(values, schema=list(names), orient="row")
