"""Streams of random numbers: element i of a tensor is a function of (seed, name, i)."""

import hashlib
import struct
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgrad._kernels import _philox
from fastgrad._threads import resolve_num_threads

Seed: TypeAlias = "int | np.random.SeedSequence | np.random.Generator"
Array = NDArray[Any]

_DTYPES = {
    "float16": _philox.FLOAT16,
    "bfloat16": _philox.BFLOAT16,
    "float32": _philox.FLOAT32,
    "float64": _philox.FLOAT64,
}
# So that Ctrl-C is heard while a tensor of many gigabytes is filled.
_STEP = 1 << 28


def fixed_seed(seed: Seed) -> int | np.random.SeedSequence:
    """Return a seed that stays the same; a generator gives up 128 bits for one."""
    if isinstance(seed, np.random.Generator):
        words = seed.integers(0, 2**32, size=4, dtype=np.uint32)
        return int.from_bytes(words.astype("<u4").tobytes(), "little")
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(
            "`seed` must be an integer, a numpy SeedSequence or a numpy Generator, "
            f"got {type(seed).__name__}."
        )
    if seed.__index__() < 0:
        raise ValueError(f"`seed` must not be negative, got {seed}.")
    return seed.__index__()


def stream_key(seed: Seed, name: str) -> NDArray[np.uint32]:
    """Return the four words, two of key and two of counter, of the tensor `name`."""
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string, got {type(name).__name__}.")
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    words = struct.unpack("<4I", digest)
    root = fixed_seed(seed)
    if isinstance(root, int):
        child = np.random.SeedSequence(root, spawn_key=words)
    else:
        child = np.random.SeedSequence(
            root.entropy,
            spawn_key=(*root.spawn_key, *words),
            pool_size=root.pool_size,
        )
    return child.generate_state(4).astype(np.uint32)


def as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` as a tuple of lengths that are not negative."""
    lengths = (shape,) if hasattr(shape, "__index__") else shape
    try:
        lengths = tuple(length.__index__() for length in lengths)
    except (AttributeError, TypeError):
        raise TypeError(
            f"`shape` must be a tuple of integers, got {shape!r}."
        ) from None
    if any(length < 0 for length in lengths):
        raise ValueError(f"`shape` must not have negative lengths, got {lengths}.")
    return lengths


def destination(
    shape: tuple[int, ...], dtype: DTypeLike | None, out: Array | None
) -> Array:
    """Return the array to write to: `out`, checked, or a new one."""
    if out is None:
        return np.empty(shape, _as_dtype(np.float64 if dtype is None else dtype))
    if not isinstance(out, np.ndarray):
        raise TypeError(f"`out` must be a numpy array, got {type(out).__name__}.")
    if out.shape != shape:
        raise ValueError(f"`out` must have shape {shape}, got {out.shape}.")
    if dtype is not None and _as_dtype(dtype) != out.dtype:
        raise ValueError(f"`out` must have dtype {_as_dtype(dtype)}, got {out.dtype}.")
    _as_dtype(out.dtype)
    if not (out.flags.writeable and out.flags.aligned):
        raise ValueError("`out` must be writeable and aligned.")
    if _may_overlap(out):
        raise ValueError(
            "`out` must not overlap itself, "
            f"got shape {out.shape} with strides {out.strides}."
        )
    return out


def draw(
    out: Array,
    key: NDArray[np.uint32],
    law: int,
    scale: float,
    *,
    start: int = 0,
    inside: float = 0.0,
    outside: float = 0.0,
    num_threads: int | None = None,
) -> Array:
    """Write elements `start`, `start` + 1, ... of the stream to `out`, in C order."""
    threads = resolve_num_threads(num_threads)
    code = _DTYPES[out.dtype.name]
    # bfloat16 has no buffer protocol of its own
    raw = out.view(np.uint16) if code == _philox.BFLOAT16 else out
    for first in range(0, out.size, _STEP):
        last = min(first + _STEP, out.size)
        _philox.fill(
            raw, key, law, scale, inside, outside, code, start, first, last, threads
        )
    return out


def _as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    if isinstance(dtype, str) and dtype == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    found = np.dtype(dtype)
    if found.name not in _DTYPES or not found.isnative:
        raise ValueError(
            "`dtype` must be float16, bfloat16, float32 or float64, in native byte "
            f"order, got {found}."
        )
    return found


def _may_overlap(array: Array) -> bool:
    """Whether two elements may share memory: exact for what slicing can make."""
    extent = array.itemsize
    axes = zip(array.strides, array.shape, strict=True)
    for stride, length in sorted((abs(s), n) for s, n in axes if n > 1):
        if stride < extent:
            return True
        extent += stride * (length - 1)
    return False
