"""Streams of random numbers: element i of a tensor is a function of (seed, name, i)."""

import hashlib
import math
import struct
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgrad._arguments import Seed, integer, refusal, text
from fastgrad._arguments import dtype as known_dtype
from fastgrad._arguments import seed as as_seed
from fastgrad._arrays import AnyArray
from fastgrad._kernels import _philox
from fastgrad._memory import overlaps_itself, refuse_too_large
from fastgrad._threads import resolve_num_threads

Shape = int | tuple[int, ...]

_DTYPES = {
    "float16": _philox.FLOAT16,
    "bfloat16": _philox.BFLOAT16,
    "float32": _philox.FLOAT32,
    "float64": _philox.FLOAT64,
}
# So that Ctrl-C is heard while a tensor of many gigabytes is filled.
_STEP = 1 << 21


def fixed_seed(seed: Seed) -> int | np.random.SeedSequence:
    """Return a seed that stays the same; a generator gives up 128 bits for one."""
    if isinstance(seed, np.random.Generator):
        words = seed.integers(0, 2**32, size=4, dtype=np.uint32)
        return int.from_bytes(words.astype("<u4").tobytes(), "little")
    return as_seed("seed", seed)  # type: ignore[return-value]


def stream_key(seed: Seed, name: str) -> NDArray[np.uint32]:
    """Return the four words, two of key and two of counter, of the tensor `name`."""
    named = text("name", name).encode(errors="surrogatepass")
    digest = hashlib.blake2b(named, digest_size=16).digest()
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


def as_shape(shape: int | tuple[int, ...], label: str = "shape") -> tuple[int, ...]:
    """Return `shape` as a tuple of lengths that are not negative."""
    given = shape if isinstance(shape, tuple | list) else (shape,)
    try:
        lengths = tuple(integer(label, length) for length in given)
    except TypeError:
        hint = ": write its `.shape`" if hasattr(shape, "shape") else ""
        raise refusal(TypeError, label, "be a tuple of integers", shape, hint) from None
    if min(lengths, default=0) < 0:
        raise refusal(ValueError, label, "not have negative lengths", shape)
    return lengths


def as_dtype(label: str, dtype: DTypeLike) -> np.dtype[Any]:
    """Return a dtype that numbers can be drawn in."""
    return known_dtype(label, dtype, tuple(_DTYPES))


def destination(
    shape: tuple[int, ...], dtype: DTypeLike | None, out: AnyArray | None
) -> AnyArray:
    """Return the array to write to: `out`, checked, or a new one."""
    wanted = None if dtype is None else as_dtype("dtype", dtype)
    if out is None:
        kind = wanted or np.dtype(np.float64)
        try:
            size = float(kind.itemsize) * math.prod(shape)
            refuse_too_large(
                size, f"A tensor of shape {shape}", "`out` may be a memmap"
            )
            return np.empty(shape, kind)
        except (MemoryError, ValueError) as error:
            must = "be a shape that memory has room for"
            raise refusal(ValueError, "shape", must, shape) from error
    if not isinstance(out, np.ndarray):
        raise refusal(TypeError, "out", "be a NumPy array", out)
    if out.shape != shape:
        raise ValueError(f"`out` must have shape {shape}, got {out.shape}.")
    if wanted not in (None, out.dtype):
        raise ValueError(f"`out` must have dtype {wanted}, got {out.dtype}.")
    as_dtype("out", out.dtype)
    if not (out.flags.writeable and out.flags.aligned):
        raise refusal(ValueError, "out", "be writeable and aligned", out)
    if overlaps_itself(out):
        raise ValueError(
            "`out` must not overlap itself, "
            f"got shape {out.shape} with strides {out.strides}."
        )
    return out


def draw(
    out: AnyArray,
    key: NDArray[np.uint32],
    law: int,
    scale: float,
    *,
    start: int = 0,
    inside: float = 0.0,
    outside: float = 0.0,
    num_threads: int | None = None,
) -> AnyArray:
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


def write(target: AnyArray, values: NDArray[np.float64] | np.float64) -> None:
    """Round numbers to an array's type; to float16 and bfloat16 by way of float32."""
    narrow = target.dtype.itemsize == 2
    target[...] = values.astype(np.float32) if narrow else values
