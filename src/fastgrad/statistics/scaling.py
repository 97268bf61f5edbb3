"""StandardScaler: the same statistics for training, development and test data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arguments import flag, refusal
from fastgrad._arrays import Array
from fastgrad._threads import resolve_num_threads
from fastgrad.statistics import tables
from fastgrad.statistics.affine import normalise, result_dtype, target_for
from fastgrad.statistics.dask import accumulator
from fastgrad.statistics.estimator import Transformer
from fastgrad.statistics.fitted import Drift, Fitted
from fastgrad.statistics.moments import Accumulator, moments
from fastgrad.statistics.routing import Requests
from fastgrad.statistics.sparse import as_sparse, is_sparse, rescaled, state_of_sparse


class StandardScaler(Requests, Transformer):
    """Subtract the mean and divide by the standard deviation, feature by feature.

    A drop-in for scikit-learn's, which it does not need. NaN is a missing value:
    skipped by `fit`, kept by `transform`. The statistics of any sequence of
    `partial_fit` are, bit for bit, those of one `fit` on all rows, for any layout and
    number of threads.

    Parameters
    ----------
    with_mean, with_std : bool, default True
        Whether to subtract the mean, and to divide by the deviation.
    copy : bool, default True
        False: `transform` and `inverse_transform` overwrite float arrays.
    num_threads : int, optional
        Threads to use; the bits do not depend on it.

    Attributes
    ----------
    mean_, var_, scale_ : float64 array of shape (n_features,) or None
        Mean, variance (``ddof=0``) and what is divided by: the standard deviation, also
        where `var_` over- or underflows; 1 for a constant feature. `var_` and `scale_`
        are None without `with_std`, `mean_` if `with_mean` is False as well.
    n_samples_seen_ : int or array of shape (n_features,)
        Samples that are not NaN, one number where all features have the same; with
        weights their sum.
    constant_features_ : int array
        Features whose deviation is within 4 units in the last place of their mean.
    n_features_in_ : int
    feature_names_in_ : object array of shape (n_features,)
        Only if fitted on a frame whose column names are strings.

    See Also
    --------
    fastgrad.moments : the statistics alone.

    Examples
    --------
    >>> import fastgrad as fg
    >>> scaler = fg.StandardScaler().fit([[0.0, 3.0], [2.0, 3.0]])
    >>> scaler.transform([[0.0, 3.0], [3.0, 4.0]])
    array([[-1.,  0.],
           [ 2.,  1.]])
    >>> scaler.constant_features_
    array([1])
    """

    def __init__(
        self,
        *,
        with_mean: bool = True,
        with_std: bool = True,
        copy: bool = True,
        num_threads: int | None = None,
    ) -> None:
        self.with_mean = with_mean
        self.with_std = with_std
        self.copy = copy
        self.num_threads = num_threads

    def fit(
        self,
        X: ArrayLike | Iterator[ArrayLike],
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        progress: bool = False,
    ) -> Self:
        """Take the statistics of `X`, forgetting what was seen before.

        Parameters
        ----------
        X : array_like of shape (n, n_features), sparse matrix, Dask array, or iterable
            A sparse matrix needs ``with_mean=False``: centred data is not sparse.
            An iterable that is not a sequence (a generator, say) gives chunks of rows,
            more than memory holds if need be. Arrays are read once, in place, in any
            layout; memory maps are not loaded.
        y : None
            Ignored.
        sample_weight : array_like of shape (n,), optional
            See `weights` of :func:`fastgrad.moments`. Not with an iterable of chunks.
        progress : bool, default False
            Show a progress bar over the chunks of an iterable (needs tqdm).

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` is not a matrix, is empty, has infinities (it names the columns), or
            the scaler is frozen. The scaler is then as it was.
        TypeError
            If `X` is not numeric, or sparse while it would have to be centred.

        Warns
        -----
        RuntimeWarning
            If a column is all NaN: its statistics are NaN.
        """
        self._must_be_free()
        self._fitted = self._after(X, sample_weight, None, flag("progress", progress))
        empty = np.flatnonzero(self._fitted.moments.count == 0)
        if empty.size:
            warnings.warn(
                f"Column(s) {', '.join(map(str, empty))} of `X` are all NaN.",
                RuntimeWarning,
                stacklevel=2,
            )
        return self

    def partial_fit(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add the rows of `X` to what was seen before.

        Parameters and exceptions are those of `fit`; after an exception the scaler is
        as it was. The cost is that of the new rows.
        """
        self._must_be_free()
        before = self._fitted if self.__sklearn_is_fitted__() else None
        self._fitted = self._after(X, sample_weight, before, False)
        return self

    def _after(
        self, X: Any, sample_weight: Any, before: Fitted | None, progress: bool
    ) -> Fitted:
        """Return what has been seen after `X`, without changing the scaler."""
        weighted = sample_weight is not None or (before is not None and before.weighted)
        if hasattr(X, "__dask_graph__"):
            rows = accumulator(X, sample_weight)
            return Fitted(before.rows.merged(rows) if before else rows, None, weighted)
        if tables.is_chunks(X):
            if sample_weight is not None:
                raise ValueError("`sample_weight` needs `X` to be an array.")
            for chunk in tables.with_progress(X, progress):
                before = self._after(chunk, None, before, False)
            if before is None:
                raise ValueError("`X` must give at least one chunk, got none.")
            return before
        x = self._table(X)
        names, (count, columns) = tables.feature_names(X), x.shape
        weights = None
        if sample_weight is not None:
            weights = tables.as_weights(sample_weight, count, "sample_weight")
            if not weights.any():
                raise ValueError("`sample_weight` must not all be zero.")
        if before is None:
            before = Fitted(Accumulator.of(columns), names, weighted)
        self._check_features(x, names, before)
        if is_sparse(x):
            rows = Accumulator(columns, state_of_sparse(x, weights))
            return Fitted(before.rows.merged(rows), before.names, weighted)
        threads = resolve_num_threads(self.num_threads)
        return Fitted(before.rows.updated(x, weights, threads), before.names, weighted)

    def _table(self, X: Any) -> Any:
        """Return a table as an array, or sparse if it is and may stay so."""
        if not is_sparse(X):
            return tables.as_matrix(X, "X")
        if self.with_mean:
            raise TypeError(
                f"`X` must be dense, got a sparse {type(X).__name__}: centred data is "
                "not sparse. Pass X.toarray(), or scale with `with_mean=False`."
            )
        return as_sparse(X, "X")

    def merge(self, other: StandardScaler) -> Self:
        """Add what `other` has seen: of another process, rank or file.

        Raises
        ------
        ValueError
            If `other` has other features, the scaler is frozen, or one is not fitted.
        TypeError
            If `other` is not a scaler.
        """
        self._must_be_free()
        self._must_be_fitted()
        if not isinstance(other, StandardScaler):
            raise TypeError(
                f"`other` must be a StandardScaler, got {type(other).__name__}."
            )
        other._must_be_fitted()
        a, b = self._fitted, other._fitted
        if a.rows.columns != b.rows.columns:
            raise ValueError(
                f"`other` must have {a.rows.columns} features, got {b.rows.columns}."
            )
        if a.names is not None and b.names is not None:
            tables.check_same_names(b.names, a.names)
        self._fitted = Fitted(a.rows.merged(b.rows), a.names, a.weighted or b.weighted)
        return self

    def freeze(self) -> Self:
        """Refuse `fit`, `partial_fit` and `merge` from now on.

        The guard against the commonest leak, statistics of development or test data. A
        clone is a new, unfitted scaler: it is not frozen.
        """
        self._must_be_fitted()
        self._frozen = True
        return self

    def _must_be_free(self) -> None:
        """Raise if the scaler must not take statistics, or cannot by its options."""
        for option in ("with_mean", "with_std", "copy"):
            flag(option, getattr(self, option))
        if self.__dict__.get("_frozen"):
            raise ValueError(
                "This scaler is frozen: it transforms other data, "
                "and takes no statistics of it."
            )

    def drift(self, X: ArrayLike) -> Drift:
        """Compare the statistics of `X` (development or test data) with the scaler's.

        Returns
        -------
        Drift
            ``z`` = (mean of X − `mean_`) / (`scale_` √(1/n + 1/m)) and ``ratio`` = std
            of X / `scale_`, with n and m the (effective) samples of the two.
        """
        self._must_be_fitted()
        x, old = self._table(X), self._fitted.moments
        self._check_features(x, self._names_of(X), self._fitted)
        if is_sparse(x):
            new = Accumulator(x.shape[1], state_of_sparse(x, None)).moments()
        else:
            new = moments(x, num_threads=self.num_threads)
        with np.errstate(all="ignore"):
            parts = 1 / new.effective_count + 1 / old.effective_count
            error = self._fitted.scale * np.sqrt(parts)
            return Drift((new.mean - old.mean) / error, new.std / self._fitted.scale)

    def transform(
        self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None
    ) -> Any:
        """Return (X − `mean_`) / `scale_`, computed in double and rounded once.

        Parameters
        ----------
        X : array_like of shape (n, n_features), sparse matrix or Dask array
        copy : bool, optional
            False: overwrite `X` if it is an array, or sparse by rows or columns, of
            floats. Default: the parameter `copy`.
        out : array of shape (n, n_features), optional
            Where to write; any strides, `X` itself included.

        Returns
        -------
        array of shape (n, n_features), sparse matrix, or frame if `set_output` says so
            Array keep their type, other numbers become float64.

        Raises
        ------
        ValueError
            If the features are not those of `fit`, or the scaler is not fitted.
        """
        self._must_be_fitted()
        if hasattr(X, "__dask_graph__"):
            return self._blockwise(self.transform, X)
        result = self._apply(X, self._names_of(X), copy, out, inverse=False)
        kind = self._output_kind()
        if kind == "default" or out is not None:
            return result
        if is_sparse(result):
            raise ValueError(f"a sparse `X` must not become a frame, got {kind!r}.")
        return tables.as_frame(result, X, kind, self.get_feature_names_out())

    def inverse_transform(
        self, X: ArrayLike, copy: bool | None = None, *, out: NDArray[Any] | None = None
    ) -> Any:
        """Return X · `scale_` + `mean_`; all as in `transform`, always an array."""
        self._must_be_fitted()
        if hasattr(X, "__dask_graph__"):
            return self._blockwise(self.inverse_transform, X)
        return self._apply(X, None, copy, out, inverse=True)

    def fit_transform(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Any:
        """Return ``fit(X, y, sample_weight).transform(X)``."""
        return self.fit(X, y, sample_weight).transform(X)

    def _blockwise(self, method: Any, X: Any) -> Any:
        """Return the Dask array of `method` of each block of rows of `X`."""
        dtype = result_dtype(X.dtype)
        X = X.rechunk({1: -1})
        return X.map_blocks(method, dtype=dtype, meta=np.empty((0, 0), dtype))

    def _apply(
        self, X: Any, names: Any, copy: bool | None, out: Any, *, inverse: bool
    ) -> Any:
        x = self._table(X)
        self._check_features(x, names, self._fitted)
        zeros = np.zeros(x.shape[1])
        mean = self._fitted.moments.mean if self.with_mean else zeros
        scale = self._fitted.scale if self.with_std else zeros + 1.0
        terms = (zeros, scale, mean) if inverse else (mean, scale)
        in_place = x is X and not (self.copy if copy is None else copy)
        if is_sparse(x):
            if out is not None:
                raise refusal(ValueError, "out", "be None for a sparse `X`", out)
            return rescaled(x, scale, inverse=inverse, in_place=in_place)
        target = target_for(x, out, in_place)
        normalise(x, terms, target, resolve_num_threads(self.num_threads))
        return target

    @property
    def mean_(self) -> Array | None:
        """Mean of each feature."""
        mean: Array = self._fitted.moments.mean
        return mean if self.with_mean or self.with_std else None

    @property
    def var_(self) -> Array | None:
        """Variance of each feature, ``ddof=0``."""
        var: Array = self._fitted.moments.var
        return var if self.with_std else None

    @property
    def scale_(self) -> Array | None:
        """What each feature is divided by."""
        scale = self._fitted.scale
        return scale if self.with_std else None

    @property
    def n_samples_seen_(self) -> Any:
        """Samples that are not NaN; the sum of their weights, if there were weights."""
        return self._fitted.count

    @property
    def constant_features_(self) -> NDArray[np.intp]:
        """Indices of the features that do not vary beyond rounding."""
        return np.flatnonzero(self._fitted.constant)

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return self._fitted.rows.columns

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the features, if they had any."""
        if self._fitted.names is None:
            raise AttributeError("The features had no names.")
        return self._fitted.names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self.with_mean
        return tags

    def _check_features(self, x: NDArray[Any], names: Any, fitted: Fitted) -> None:
        if names is not None and fitted.names is not None:
            tables.check_same_names(names, fitted.names)
        if x.shape[1] != fitted.rows.columns:
            raise ValueError(
                f"X has {x.shape[1]} features, but {type(self).__name__} is expecting "
                f"{fitted.rows.columns} features as input."
            )

    def _names_of(self, X: Any) -> NDArray[Any] | None:
        """Return the feature names of new data; warn if only one side has names."""
        names = tables.feature_names(X)
        if (names is None) != (self._fitted.names is None):
            tables.warn_of_names(names, type(self).__name__)
        return names
