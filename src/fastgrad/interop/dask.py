"""Moments of Dask arrays, computed by Dask where the blocks are."""

from typing import Any

from fastgrad.statistics import Moments, accumulator

__all__ = ["moments"]


def moments(x: Any, *, weights: Any = None, ddof: float = 0) -> Moments:
    """Moments per column of a Dask array; see :func:`fastgrad.moments`.

    Parameters
    ----------
    x : dask.array.Array of shape (n, n_features)
    weights : array_like or dask.array.Array of shape (n,), optional
        Non-negative weights of the rows.
    ddof : float, default 0
        Subtracted from the number (or weight) of samples.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError
        If `x` is not a matrix, or has infinities.

    Examples
    --------
    >>> import dask.array as da
    >>> from fastgrad.interop.dask import moments
    >>> moments(da.arange(6, chunks=2).reshape(-1, 1)).mean
    array([2.5])
    """
    rows = accumulator(x, weights)
    return Moments._of(rows.state, (rows.columns,), ddof)
