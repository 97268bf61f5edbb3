"""fastgrad says whether a gradient is wrong, where, and why.

Examples
--------
>>> import numpy as np
>>> import fastgrad as fg
>>> X = np.array([[0.5, -1.0], [2.0, 0.3]])
>>> def loss(p):
...     return np.mean(np.tanh(p["W"] @ X) ** 2)
>>> def grads(p):
...     a = np.tanh(p["W"] @ X)
...     return {"W": 2 / a.size * a @ X.T}  # the derivative of tanh is missing
>>> report = fg.check_gradient(loss, {"W": np.eye(2)}, grads)
>>> report.verdict
'wrong'
"""

from typing import TYPE_CHECKING, Any

from fastgrad._moments import Moments, moments
from fastgrad.batchnorm import BatchNorm, batch_norm, batch_norm_backward
from fastgrad.check import check_gradient
from fastgrad.numerical import numerical_gradient
from fastgrad.program import Program, TraceError, trace
from fastgrad.report import GradientReport
from fastgrad.scaling import StandardScaler

if TYPE_CHECKING:
    from fastgrad import signal
    from fastgrad.signal import SignalReport, diagnose_signal

__all__ = [
    "BatchNorm",
    "GradientReport",
    "Moments",
    "Program",
    "SignalReport",
    "StandardScaler",
    "TraceError",
    "batch_norm",
    "batch_norm_backward",
    "check_gradient",
    "diagnose_signal",
    "moments",
    "numerical_gradient",
    "signal",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # 15 ms

        return metadata.version("fastgrad")
    if name in ("signal", "SignalReport", "diagnose_signal"):
        from importlib import import_module

        module = import_module("fastgrad.signal")
        return module if name == "signal" else getattr(module, name)
    raise AttributeError(f"module 'fastgrad' has no attribute {name!r}")
