"""Weights to start from, the same on every machine.

Entry i of a tensor (its place in C order, whatever the memory layout) is a function of
the seed, the tensor's name and i only: not of the number of threads, the strides of
`out`, the other tensors, or the processor. A float32 value is the float64 one to within
4 units in its last place; float16 and bfloat16 values are the float32 one rounded.

All schemes are called alike, ``scheme(shape, *, seed=0, name="", layout="OI", groups=1,
transposed=False, dtype=None, out=None, num_threads=None)``; `variance_scaling`
describes the parameters.
"""

import dataclasses
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastgrad._arguments import Seed, described, number, refusal
from fastgrad._arrays import AnyArray
from fastgrad._kernels import _philox
from fastgrad._public import public
from fastgrad._threads import resolve_num_threads
from fastgrad.initializers.draw import SCHEMES
from fastgrad.initializers.streams import as_dtype, as_shape, destination, fixed_seed


@public
def philox4x32(counter: ArrayLike, key: ArrayLike) -> NDArray[np.uint32]:
    """Return Philox4x32-10 of 128-bit counters under 64-bit keys.

    Parameters
    ----------
    counter : array_like of shape (..., 4)
        32-bit words.
    key : array_like of shape (..., 2)
        32-bit words; leading axes are broadcast against those of `counter`.

    Returns
    -------
    ndarray of uint32, of shape (..., 4)

    Examples
    --------
    >>> [hex(word) for word in philox4x32([0, 0, 0, 0], [0, 0])]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    counters = _as_words("counter", counter, 4)
    keys = _as_words("key", key, 2)
    lead = np.broadcast_shapes(counters.shape[:-1], keys.shape[:-1])
    out = np.empty((*lead, 4), np.uint32)
    _philox.philox4x32(
        np.ascontiguousarray(np.broadcast_to(counters, (*lead, 4))).reshape(-1, 4),
        np.ascontiguousarray(np.broadcast_to(keys, (*lead, 2))).reshape(-1, 2),
        out.reshape(-1, 4),
    )
    return out


@public
def initialize(
    shapes: Any,
    scheme: str | Callable[..., AnyArray] | Mapping[str, Any] = "he_normal",
    *,
    bias: float | Mapping[str, float] = 0.0,
    seed: Seed = 0,
    layout: str = "OI",
    dtype: DTypeLike | None = None,
    num_threads: int | None = None,
) -> Any:
    """Return a nest of parameters of these shapes.

    Parameters
    ----------
    shapes : nest
        Dicts, lists, tuples, named tuples and dataclasses; its leaves are shapes
        (tuples of integers, or one integer) or arrays, which stand for their shape and,
        if `dtype` is not given, their dtype.
    scheme : str, callable or mapping
        For weights, all other leaves: the name of a scheme of this module, a function
        called as they are, or a mapping from patterns of names (``"decoder.*.W"``, as
        in the shell) to these; the first pattern that fits counts.
    bias : float or mapping
        The value of biases, or a mapping from patterns to values. A bias is a leaf of
        one axis or none, or a column or row whose own name begins with b (``"b1"``,
        ``"head.bias"``).
    seed : int, SeedSequence or Generator
        A leaf depends on it and on the leaf's own name, its path joined with dots
        (``"encoder.0.W"``; ``"params"`` if it is the whole nest): adding a layer leaves
        the others alone. A generator is advanced by four 32-bit words in all.
    layout : str
        Axes of the weights; see `fans`.
    dtype : dtype, optional
        float64 unless given.
    num_threads : int, optional
        The values do not depend on it.

    Returns
    -------
    nest
        The structure of `shapes`, with arrays for leaves.

    Raises
    ------
    ValueError
        If a scheme is unknown or no pattern fits a leaf.
    TypeError
        If a leaf is neither a shape nor an array.

    Examples
    --------
    >>> params = initialize({"W1": (128, 64), "b1": (128,)}, "xavier_normal", seed=3)
    >>> params["W1"].shape, float(abs(params["b1"]).max())
    ((128, 64), 0.0)
    >>> params = initialize(
    ...     {"W": (4, 4), "gamma": (4,), "beta": (4,)}, {"W": "orthogonal"},
    ...     bias={"gamma": 1.0, "*": 0.0},
    ... )
    >>> params["gamma"]
    array([1., 1., 1., 1.])
    """
    fixed = fixed_seed(seed)

    def make(leaf: Any, path: str) -> AnyArray:
        label = f'shapes["{path}"]' if path else "shapes"
        name = path or "params"
        shape, kind = _shape_and_dtype(leaf, label)
        kind = kind if dtype is None else dtype
        resolve_num_threads(num_threads)
        if _is_bias(name, shape):
            out = destination(shape, kind, None)
            out[...] = number("bias", _pick("bias", bias, name))
            return out
        return _as_scheme(_pick("scheme", scheme, name))(
            shape,
            seed=fixed,
            name=name,
            layout=layout,
            dtype=kind,
            num_threads=num_threads,
        )

    return _map_leaves(make, shapes, "")


def _shape_and_dtype(leaf: Any, label: str) -> tuple[tuple[int, ...], Any]:
    """Return the shape that a leaf stands for, and the dtype if it is an array."""
    if isinstance(leaf, np.ndarray):
        return leaf.shape, as_dtype(label, leaf.dtype)
    return as_shape(leaf, label), None


def _is_bias(path: str, shape: tuple[int, ...]) -> bool:
    """Whether a leaf is a bias: a vector, also one kept as a column or a row."""
    vector = sum(length != 1 for length in shape) < 2
    named = path.rpartition(".")[2].lower().startswith("b")
    return len(shape) < 2 or (vector and named)


def _pick(what: str, choice: Any, path: str) -> Any:
    if not isinstance(choice, Mapping):
        return choice
    for pattern, value in choice.items():
        if not isinstance(pattern, str):
            raise refusal(TypeError, what, "map patterns of names", choice)
        if fnmatchcase(path, pattern):
            return value
    must = f"have a pattern that fits {described(path)}"
    raise refusal(ValueError, what, must, choice)


def _as_scheme(scheme: Any) -> Callable[..., AnyArray]:
    if callable(scheme):
        return scheme  # type: ignore[no-any-return]
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        kind = ValueError if isinstance(scheme, str) else TypeError
        must = f"be callable or one of {', '.join(sorted(SCHEMES))}"
        raise refusal(kind, "scheme", must, scheme)
    return SCHEMES[scheme]


def _map_leaves(make: Callable[[Any, str], AnyArray], node: Any, path: str) -> Any:
    """Return `node` with its leaves made; a tuple of integers is a leaf, a shape."""

    def below(key: Any, child: Any) -> Any:
        return _map_leaves(make, child, f"{path}.{key}" if path else str(key))

    if isinstance(node, Mapping):
        return {key: below(key, child) for key, child in node.items()}
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        names = [field.name for field in dataclasses.fields(node) if field.init]
        made = {name: below(name, getattr(node, name)) for name in names}
        return dataclasses.replace(node, **made)
    if hasattr(node, "_fields"):
        return type(node)(*map(below, node._fields, node))
    if isinstance(node, list):
        return [below(i, child) for i, child in enumerate(node)]
    if isinstance(node, tuple) and not all(hasattr(n, "__index__") for n in node):
        return tuple(below(i, child) for i, child in enumerate(node))
    return make(node, path)


def _as_words(name: str, values: ArrayLike, count: int) -> NDArray[np.uint32]:
    try:
        words = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise refusal(ValueError, name, "be an array of integers", values) from None
    if words.ndim < 1 or words.shape[-1] != count:
        raise ValueError(f"`{name}` must have shape (..., {count}), got {words.shape}.")
    if words.dtype.kind not in "ui":
        raise TypeError(f"`{name}` must be of 32-bit integers, got {words.dtype}.")
    outside = words[(words < 0) | (words >= 2**32)]
    if outside.size:
        raise ValueError(f"`{name}` must hold words below 2**32, got {outside[0]}.")
    return words.astype(np.uint32)
