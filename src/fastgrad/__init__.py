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

from fastgrad.check import check_gradient
from fastgrad.numerical import numerical_gradient
from fastgrad.program import Program, TraceError, trace
from fastgrad.report import GradientReport

__all__ = [
    "GradientReport",
    "Program",
    "TraceError",
    "check_gradient",
    "numerical_gradient",
    "trace",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib import metadata  # 15 ms

        return metadata.version("fastgrad")
    raise AttributeError(f"module 'fastgrad' has no attribute {name!r}")
