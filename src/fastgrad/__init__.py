"""fastgrad: is a gradient wrong, where, and why?"""

from importlib import metadata


def __getattr__(name: str) -> str:
    if name == "__version__":
        return metadata.version("fastgrad")
    raise AttributeError(f"module 'fastgrad' has no attribute {name!r}")
