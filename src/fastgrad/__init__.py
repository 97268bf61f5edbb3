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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastgrad import initializers, meanfield, signal, zoo
    from fastgrad._moments import Moments, moments
    from fastgrad.batchnorm import BatchNorm, batch_norm, batch_norm_backward
    from fastgrad.check import check_gradient
    from fastgrad.gains import critical_init, gain
    from fastgrad.jacobian import check_hessian, check_jacobian, numerical_jacobian
    from fastgrad.layers import layer_loss
    from fastgrad.monitor import GradientMonitor
    from fastgrad.numerical import numerical_gradient
    from fastgrad.program import Program, TraceError, trace
    from fastgrad.report import GradientReport
    from fastgrad.scaling import StandardScaler
    from fastgrad.signal import diagnose_signal
    from fastgrad.signal_report import SignalReport
    from fastgrad.variation_report import VariationReport
    from fastgrad.variations import check_variations

__all__ = [
    "BatchNorm",
    "GradientMonitor",
    "GradientReport",
    "Moments",
    "Program",
    "SignalReport",
    "StandardScaler",
    "TraceError",
    "VariationReport",
    "batch_norm",
    "batch_norm_backward",
    "check_gradient",
    "check_hessian",
    "check_jacobian",
    "check_variations",
    "critical_init",
    "diagnose_signal",
    "gain",
    "initializers",
    "layer_loss",
    "meanfield",
    "moments",
    "numerical_gradient",
    "numerical_jacobian",
    "signal",
    "trace",
    "zoo",
]

# Imported when first used: importing fastgrad costs next to nothing beyond NumPy.
_HOME = {
    "BatchNorm": "batchnorm",
    "GradientMonitor": "monitor",
    "GradientReport": "report",
    "Moments": "_moments",
    "Program": "program",
    "SignalReport": "signal_report",
    "StandardScaler": "scaling",
    "TraceError": "program",
    "VariationReport": "variation_report",
    "batch_norm": "batchnorm",
    "batch_norm_backward": "batchnorm",
    "check_gradient": "check",
    "check_hessian": "jacobian",
    "check_jacobian": "jacobian",
    "check_variations": "variations",
    "critical_init": "gains",
    "diagnose_signal": "signal",
    "gain": "gains",
    "layer_loss": "layers",
    "moments": "_moments",
    "numerical_gradient": "numerical",
    "numerical_jacobian": "jacobian",
    "trace": "program",
}
_MODULES = ("initializers", "meanfield", "signal", "zoo")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("fastgrad")
    if name in _MODULES:
        return import_module(f"fastgrad.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'fastgrad' has no attribute {name!r}")
    value = getattr(import_module(f"fastgrad.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
