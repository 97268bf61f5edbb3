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
    from fastgrad import initializers, signal
    from fastgrad.checking import (
        ConstantLossError,
        GradientMonitor,
        check_gradient,
        check_hessian,
        check_jacobian,
        check_variations,
        layer_loss,
        numerical_gradient,
        numerical_hessian,
        numerical_jacobian,
    )
    from fastgrad.initializers import critical_init, gain
    from fastgrad.losses import trace
    from fastgrad.program import Program, TraceError
    from fastgrad.reports import (
        Block,
        Cause,
        Entry,
        GradientError,
        GradientReport,
        SignalReport,
        VariationReport,
    )
    from fastgrad.signal import diagnose_signal, meanfield
    from fastgrad.statistics import (
        BatchNorm,
        Moments,
        StandardScaler,
        batch_norm,
        batch_norm_backward,
        moments,
    )

__all__ = [
    "BatchNorm",
    "Block",
    "Cause",
    "ConstantLossError",
    "Entry",
    "GradientError",
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
    "numerical_hessian",
    "numerical_jacobian",
    "signal",
    "trace",
]

# Imported when first used: importing fastgrad costs next to nothing beyond NumPy.
_HOME = {
    "BatchNorm": "statistics",
    "Block": "reports",
    "Cause": "reports",
    "ConstantLossError": "checking",
    "Entry": "reports",
    "GradientError": "reports",
    "GradientMonitor": "checking",
    "GradientReport": "reports",
    "Moments": "statistics",
    "Program": "program",
    "SignalReport": "reports",
    "StandardScaler": "statistics",
    "TraceError": "program",
    "VariationReport": "reports",
    "batch_norm": "statistics",
    "batch_norm_backward": "statistics",
    "check_gradient": "checking",
    "check_hessian": "checking",
    "check_jacobian": "checking",
    "check_variations": "checking",
    "critical_init": "initializers",
    "diagnose_signal": "signal",
    "gain": "initializers",
    "layer_loss": "checking",
    "moments": "statistics",
    "numerical_gradient": "checking",
    "numerical_hessian": "checking",
    "numerical_jacobian": "checking",
    "trace": "losses",
}
# What other libraries call what is here.
_ELSEWHERE = {
    "approx_fprime": "numerical_gradient",
    "check_grad": "fastgrad.interop.scipy.check_grad",
    "check_grads": "fastgrad.interop.jax.check_grads, or check_gradient",
    "grad_check": "check_gradient",
    "gradcheck": "fastgrad.interop.torch.gradcheck, or check_gradient",
    "gradient_check": "check_gradient",
}
_MODULES = {
    "initializers": "initializers",
    "meanfield": "signal.meanfield",
    "signal": "signal",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("fastgrad")
    if name in _MODULES:
        return import_module(f"fastgrad.{_MODULES[name]}")
    if name == "zoo":
        return _zoo()
    if name not in _HOME:
        from fastgrad._arguments import no_attribute

        raise no_attribute(__name__, name, _ELSEWHERE)
    value = getattr(import_module(f"fastgrad.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


def _zoo() -> Any:
    """Return the collection of wrong gradients, a distribution of its own."""
    try:
        return import_module("fastgrad_zoo")
    except ModuleNotFoundError as error:
        raise ImportError(
            "`fastgrad.zoo` is a distribution of its own: pip install fastgrad-zoo."
        ) from error
