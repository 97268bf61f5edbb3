"""Complex parameters: a loss of them is a loss of their real and imaginary parts.

A complex array is taken for a real one with a last axis of two. The gradient of a real
loss L is dL/dRe + i dL/dIm, twice its derivative by the conjugate: the direction in
which it grows, and what torch calls the gradient.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.params import matching, rebuild, walk


def are_complex(params: Any) -> bool:
    """Whether an array of a nest is complex."""
    return any(_is_complex(leaf) for *_, leaf in walk(params))


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
    kinds = [_is_complex(leaf) for *_, leaf in walk(params)]
    pairs = zip(kinds, leaves, strict=True)
    return rebuild(params, (_parts(x) if pair else x for pair, (x, _) in pairs))


def of_parts(loss: Callable[..., Any], params: Any) -> Callable[..., Any]:
    """Return a loss of complex parameters as one of their parts.

    It may return its gradient, too.
    """

    def of_pairs(pairs: Any, *args: Any, **kwargs: Any) -> Any:
        result = loss(_whole(params, pairs), *args, **kwargs)
        if isinstance(result, tuple):
            return result[0], in_parts(params, result[1], "grads")
        return result

    return of_pairs


def gradient_of_parts(grads: Any, params: Any) -> Any:
    """Return a gradient by complex parameters, maybe a function, as one by parts."""
    if not callable(grads):
        return in_parts(params, grads, "grads")

    def of_pairs(pairs: Any, *args: Any, **kwargs: Any) -> Any:
        found = grads(_whole(params, pairs), *args, **kwargs)
        return in_parts(params, found, "grads")

    return of_pairs


def jacobian_of_parts(
    fun: Callable[..., Any], x: Any, jac: Any, given: Iterable[bool]
) -> tuple[Callable[..., Any], NDArray[Any], Any]:
    """Return a function of complex numbers, the point and the Jacobian by parts.

    Real and imaginary parts alternate. The derivative a + bi of a complex output by z
    is the matrix [[a, -b], [b, a]], that of a real output the row [a, b].
    """
    z = np.asarray(x)
    if z.ndim != 1 or jac is None or any(given):
        raise ValueError(
            "a complex `x` must be a vector, and its derivative a matrix, `jac`, "
            "without `vjp`, `jvp`, `sparsity`, `bounds` and `workers`."
        )

    def of_pairs(pairs: Any, *args: Any, **kwargs: Any) -> Any:
        whole = np.reshape(pairs, (-1, 2))
        y = fun(whole[:, 0] + 1j * whole[:, 1], *args, **kwargs)
        return np.ravel(_parts(y)) if np.iscomplexobj(y) else y

    def matrix(pairs: Any, *args: Any, **kwargs: Any) -> Any:
        whole = np.ascontiguousarray(pairs).view(complex)
        found = jac(whole, *args, **kwargs) if callable(jac) else jac
        a, b = np.real(found), np.imag(found)
        rows = [np.stack([a, b], -1)]
        if np.iscomplexobj(fun(whole, *args, **kwargs)):
            rows = [np.stack([a, -b], -1), np.stack([b, a], -1)]
        return np.stack(rows, axis=1).reshape(-1, 2 * z.size)

    return of_pairs, np.ravel(_parts(z)), matrix


def _is_complex(x: Any) -> bool:
    """Whether it is NumPy's or Python's; what others have is refused by name."""
    return isinstance(x, np.ndarray | np.generic | complex) and np.iscomplexobj(x)


def _parts(x: Any) -> NDArray[Any]:
    z = np.asarray(x)
    return np.stack([z.real, z.imag], axis=-1)


def _whole(params: Any, pairs: Any) -> Any:
    """The nest built like `params` that was taken apart."""
    kinds = [_is_complex(leaf) for *_, leaf in walk(params)]
    leaves = (x for x, _ in matching(params, pairs, "params", "params"))
    found = zip(kinds, leaves, strict=True)
    return rebuild(
        params, (x[..., 0] + 1j * x[..., 1] if pair else x for pair, x in found)
    )
