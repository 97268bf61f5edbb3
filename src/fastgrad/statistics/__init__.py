"""Statistics of data in one read: moments, scaling, batch normalisation.

- `tables`: what people call a table, turned into NumPy.
- `moments`: count, mean and variance, merged so that any batching, memory layout and
  number of threads gives the same bits.
- `scaling`: the scaler, a drop-in for scikit-learn's (`estimator` and `routing` are
  what that asks of one); `fitted` is what it has seen, `sparse` and `dask` are moments
  of sparse matrices and Dask arrays.
- `batchnorm`: one batch, forward and backward; `running`: its running statistics.
- `affine`: (x - a) / b and (x - a) * b + c, rounded once.
"""

from fastgrad.statistics.batchnorm import batch_norm, batch_norm_backward
from fastgrad.statistics.dask import accumulator
from fastgrad.statistics.moments import Moments, moments
from fastgrad.statistics.running import BatchNorm
from fastgrad.statistics.scaling import StandardScaler

__all__ = [
    "BatchNorm",
    "Moments",
    "StandardScaler",
    "accumulator",
    "batch_norm",
    "batch_norm_backward",
    "moments",
]
