"""Complex parameters: a loss of them is a loss of their real and imaginary parts.

A complex array is taken for a real one with a last axis of two. The gradient of a real
loss L is dL/dRe + i dL/dIm, twice its derivative by the conjugate: the direction in
which it grows, and what torch calls the gradient.

So it is with Jacobians. The derivative of complex outputs by real inputs is complex,
that of real ones by complex inputs dy/dRe + i dy/dIm, and that of complex ones by
complex inputs, a + bi of a holomorphic function, the matrix [[a, -b], [b, a]] of parts.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.params import matching, rebuild, walk
from fastgrad.program import around

_APART = 1e-3  # of a derivative: more is no holomorphic function's


def are_complex(params: Any) -> bool:
    """Whether an array of a nest is complex."""
    return any(is_complex(leaf) for *_, leaf in walk(params))


def refuse_for_complex(method: str, options: Mapping[str, Any]) -> None:
    """Raise if the call asks for what complex parameters do not have."""
    if method == "complex":
        raise ValueError(
            '`method="complex"` needs real parameters: the step would be in the plane '
            "where they move already."
        )
    for name in ("bounds", "workers"):
        if options.get(name) is not None:
            raise ValueError(f"`{name}` must not be given with complex parameters.")


def in_parts(params: Any, nest: Any, what: str) -> Any:
    """Return a nest built like `params` with complex arrays as pairs of real ones."""
    leaves = matching(params, nest, what, "params")
    kinds = [is_complex(leaf) for *_, leaf in walk(params)]
    pairs = zip(kinds, leaves, strict=True)
    return rebuild(params, (parts(x) if pair else x for pair, (x, _) in pairs))


def of_parts(loss: Callable[..., Any], params: Any) -> Callable[..., Any]:
    """Return a loss of complex parameters as one of their parts.

    It may return its gradient, too.
    """

    def of_pairs(pairs: Any, *args: Any, **kwargs: Any) -> Any:
        with around(loss):
            given = whole(params, pairs)
        result = loss(given, *args, **kwargs)
        if isinstance(result, tuple):
            return result[0], in_parts(params, result[1], "grads")
        return result

    return of_pairs


def gradient_of_parts(grads: Any, params: Any) -> Any:
    """Return a gradient by complex parameters, maybe a function, as one by parts."""
    if not callable(grads):
        return in_parts(params, grads, "grads")

    def of_pairs(pairs: Any, *args: Any, **kwargs: Any) -> Any:
        with around(grads):
            given = whole(params, pairs)
        found = grads(given, *args, **kwargs)
        with around(grads):
            return in_parts(params, found, "grads")

    return of_pairs


def block_in_parts(block: NDArray[Any], given: int, moved: int) -> NDArray[Any]:
    """Return a block of a Jacobian by parts, outputs' axes first.

    Parameters
    ----------
    block : ndarray
        The derivative, outputs' axes first.
    given, moved : int
        How many axes the outputs have if they are complex, -1 if real; and the inputs.
    """
    a, b = block.real, block.imag
    if given >= 0 and moved >= 0:
        return np.stack([parts(a - 1j * b), parts(b + 1j * a)], axis=given)
    if moved >= 0:
        return parts(block)
    return np.stack([a, b], axis=given) if given >= 0 else block


def derivative_of_parts(
    block: NDArray[Any], given: int, moved: int
) -> NDArray[Any] | None:
    """Return what `block_in_parts` was given; None for what is not holomorphic."""
    if given < 0 and moved < 0:
        return block
    if given < 0:
        return _complex(block, -1)
    if moved < 0:
        return _complex(block, given)
    by_real = _complex(block[..., 0], given)
    by_imaginary = _complex(block[..., 1], given)
    apart = np.abs(by_imaginary - 1j * by_real)
    size = np.abs(by_real) + np.abs(by_imaginary)
    if np.any(apart > _APART * size.max(initial=0.0)):
        return None
    return (by_real - 1j * by_imaginary) / 2


def size_of_parts(block: NDArray[Any], given: int, moved: int) -> NDArray[Any]:
    """Return error bars of parts as those of the moduli of derivatives."""
    for axis, is_pair in ((-1, moved >= 0), (given, given >= 0)):
        if is_pair:
            block = np.hypot(*np.moveaxis(block, axis, 0))
    return block


def is_complex(x: Any) -> bool:
    """Whether it is NumPy's or Python's; what others have is refused by name."""
    return isinstance(x, np.ndarray | np.generic | complex) and np.iscomplexobj(x)


def parts(x: Any) -> NDArray[Any]:
    """Return real and imaginary parts along a last axis."""
    z = np.asarray(x)
    return np.stack([z.real, z.imag], axis=-1)


def _complex(block: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return real and imaginary parts along an axis as complex numbers."""
    real, imaginary = np.moveaxis(block, axis, 0)
    found: NDArray[Any] = real + 1j * imaginary
    return found


def whole(params: Any, pairs: Any) -> Any:
    """Return the nest built like `params` that was taken apart."""
    kinds = [is_complex(leaf) for *_, leaf in walk(params)]
    leaves = (x for x, _ in matching(params, pairs, "params", "params"))
    found = zip(kinds, leaves, strict=True)
    return rebuild(
        params, (x[..., 0] + 1j * x[..., 1] if pair else x for pair, x in found)
    )
