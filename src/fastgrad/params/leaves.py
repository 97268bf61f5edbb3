"""What may be a block of parameters or of a gradient, and what to write instead."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastgrad._arguments import refusal
from fastgrad._arrays import AnyArray
from fastgrad._memory import overlaps_itself

_DTYPES = (np.float16, np.float32, np.float64)
_OTHERS = "leave out what is not differentiated, or name what is, `blocks=[...]`"


def as_leaf(value: Any, label: str) -> AnyArray:
    """Return `value` as a writable array: itself if it is one."""
    if not isinstance(value, np.ndarray | float | np.floating):
        must = "be a floating point array"
        raise refusal(TypeError, label, must, value, _instead(value))
    if isinstance(value, np.ma.MaskedArray | np.matrix):
        hint = ": write np.asarray(...), or `.filled(...)` of what is masked"
        raise refusal(TypeError, label, "be a plain array", value, hint)
    array = value if isinstance(value, np.ndarray) else np.array(value)
    if array.dtype.type not in _DTYPES:
        must = "be float16, float32 or float64"
        raise refusal(TypeError, label, must, array.dtype, _instead(array))
    own = array.flags.writeable and not overlaps_itself(array)
    return array if own else array.copy()


def _instead(value: Any) -> str:
    """Return what to write where parameters are what people often have."""
    library = type(value).__module__.partition(".")[0]
    if library == "torch":
        instead = ", or its `.detach().numpy()`" if hasattr(value, "detach") else ""
        return f": use `fastgrad.interop.torch.check_gradient`{instead}"
    if library in ("jax", "jaxlib"):
        return ": use `fastgrad.interop.jax.check_gradient`, or `np.array(...)` of it"
    if isinstance(value, Iterator):
        return ": write `list(...)` of it"
    if hasattr(value, "toarray"):
        return ": write `.toarray()`"
    if library in ("pandas", "polars"):
        return ": make its columns blocks, `{name: frame[name].to_numpy(), ...}`"
    if value is None:
        return ": leave out what is not there, or name what is, `blocks=[...]`"
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return f": write `.astype(float)`, or {_OTHERS}"
    if isinstance(value, int) and abs(value) < 2**53:
        return f": write {value}.0, or {_OTHERS}"
    return f": {_OTHERS}" if isinstance(value, str | bytes | int) else ""


def real_array(value: Any, label: str) -> AnyArray:
    """Return `value` as an array of real numbers."""
    try:
        array = np.asarray(value)
    except (ValueError, RuntimeError):  # ragged; a tensor that requires grad
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        must = "be an array of real numbers"
        got = value if array.dtype.kind == "O" else array.dtype
        raise refusal(TypeError, label, must, got, _instead(value))
    return array
