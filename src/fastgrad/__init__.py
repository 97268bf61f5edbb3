"""fastgrad: is a gradient wrong, where, and why?"""

from importlib import metadata

from fastgrad._moments import Moments, moments
from fastgrad.batchnorm import BatchNorm, batch_norm, batch_norm_backward
from fastgrad.scaling import StandardScaler

__all__ = [
    "BatchNorm",
    "Moments",
    "StandardScaler",
    "batch_norm",
    "batch_norm_backward",
    "moments",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        return metadata.version("fastgrad")
    raise AttributeError(f"module 'fastgrad' has no attribute {name!r}")
