"""fastgrad says whether a gradient is wrong, where, and why."""

from fastgrad.check import check_gradient
from fastgrad.numerical import numerical_gradient

__all__ = ["check_gradient", "numerical_gradient"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib import metadata  # 15 ms

        return metadata.version("fastgrad")
    raise AttributeError(f"module 'fastgrad' has no attribute {name!r}")
