"""Functions of nests that return nests, as functions of vectors that return vectors."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import function, further_arguments, refusal
from fastgrad.params import Nest, matching, rebuild, walk

Leaf = tuple[str, tuple[int, ...]]


def is_nest(value: Any) -> bool:
    """Whether a value is a container of arrays, rather than an array or like one."""
    if isinstance(value, Mapping) or hasattr(value, "__dataclass_fields__"):
        return True
    if not isinstance(value, list | tuple):
        return False
    return any((isinstance(v, np.ndarray) and v.ndim) or is_nest(v) for v in value)


class FlatFunction:
    """A function, its point and its outputs, taken apart into vectors.

    Called with a vector, or the array that `x` is, it returns what the function returns
    there, as one vector if that is a nest.

    Attributes
    ----------
    point : ndarray
        `x` as an array: itself, or its arrays joined.
    inputs, outputs : list of (name, shape)
        The blocks of both; the outputs after the first call.
    nested : bool
        Whether `x` or what the function returns is a nest.
    """

    def __init__(
        self, fun: Callable[..., Any], x: Any, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        self.fun = function("fun", fun)
        self.args, self.kwargs = further_arguments(args, kwargs)
        self.nest = Nest(x, "x").private_copy() if is_nest(x) else None
        if self.nest is None:
            self.point = as_point(x)
            self.inputs: list[Leaf] = [("x", self.point.shape)]
        else:
            self.point = self.nest.join(self.nest.leaves)
            self.inputs = list(zip(self.nest.names, self.nest.shapes, strict=True))
        self.outputs: list[Leaf] = []
        self._template: Any = None

    def __call__(self, point: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs at a point as an array."""
        result = self.call(self.fun, point)
        leaves = _leaves(result)
        if not self.outputs:
            self.outputs = [(name or "fun", leaf.shape) for name, leaf in leaves]
            self._template = result if is_nest(result) else None
        if len(leaves) == 1:
            return leaves[0][1]
        return np.concatenate([leaf.ravel() for _, leaf in leaves])

    def plain(self) -> Callable[..., Any]:
        """Return the function itself where it takes arrays alone and returns one."""
        return self if self.nested or self.args or self.kwargs else self.fun

    @property
    def nested(self) -> bool:
        """Whether `x` or what the function returns is a nest."""
        return self.nest is not None or self._template is not None

    def call(self, function: Callable[..., Any], point: Any, *vectors: Any) -> Any:
        """Return what a function that takes what `fun` takes returns at a point."""
        argument = self.argument(point.copy())
        return function(argument, *vectors, *self.args, **self.kwargs)

    def argument(self, point: NDArray[Any]) -> Any:
        """Return a point as the function takes it."""
        return point if self.nest is None else self.nest.unvector(point)

    def cotangent(self, vector: NDArray[Any]) -> Any:
        """Return a vector of outputs as the function returns them."""
        parts = self._split(vector, self.outputs)
        if self._template is None:
            return parts[0]
        return rebuild(self._template, iter(parts))

    def vector(self, value: Any) -> NDArray[Any]:
        """Return what is built like `x`, or like the outputs, as a vector."""
        return np.concatenate([leaf.ravel() for _, leaf in _leaves(value)])

    def blocks(self) -> Iterator[tuple[str, slice, slice, tuple[int, ...]]]:
        """Yield name, rows, columns and shape of each block of the Jacobian."""
        for output, rows, m in _places(self.outputs):
            for given, columns, n in _places(self.inputs):
                yield f"{output}/{given}", rows, columns, m + n

    def matrix(self, jacobian: Any, what: str) -> NDArray[Any]:
        """Return a Jacobian that is nested, outputs first, as a matrix."""
        shape = (_size(self.outputs), _size(self.inputs))
        matrix = np.zeros(shape)
        found = matching(self.arranged(matrix), jacobian, what, "fun(x)")
        for (_, rows, columns, own), (value, label) in zip(
            self.blocks(), found, strict=True
        ):
            block = np.asarray(value)
            if block.shape != own:
                raise ValueError(f"`{label}` must have shape {own}, got {block.shape}.")
            matrix[rows, columns] = block.reshape(matrix[rows, columns].shape)
        return matrix

    def arranged(self, matrix: NDArray[Any]) -> Any:
        """Return a matrix as a nest like the outputs of nests like `x`."""
        parts = iter([matrix[r, c].reshape(shape) for _, r, c, shape in self.blocks()])
        rows = [self._row(parts) for _ in self.outputs]
        return (
            rows[0] if self._template is None else rebuild(self._template, iter(rows))
        )

    def _row(self, parts: Iterator[Any]) -> Any:
        return next(parts) if self.nest is None else rebuild(self.nest.structure, parts)

    def _split(self, vector: NDArray[Any], leaves: list[Leaf]) -> list[NDArray[Any]]:
        return [vector[place].reshape(shape) for _, place, shape in _places(leaves)]


def _leaves(value: Any) -> list[tuple[str, NDArray[Any]]]:
    if not is_nest(value):
        return [("", np.asarray(value))]
    return [(name, np.asarray(leaf)) for name, _, leaf in walk(value)]


def _places(leaves: list[Leaf]) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
    start = 0
    for name, shape in leaves:
        stop = start + int(np.prod(shape))
        yield name, slice(start, stop), shape
        start = stop


def _size(leaves: list[Leaf]) -> int:
    return sum(int(np.prod(shape)) for _, shape in leaves)


def as_point(x: Any) -> NDArray[Any]:
    """Return a point as a finite array of floats."""
    try:
        point = np.array(x)
    except ValueError:  # rows of different lengths
        raise refusal(ValueError, "x", "be an array of floats", x) from None
    if point.dtype.kind in "iub":
        point = point.astype(np.float64)
    if point.dtype.kind != "f":
        raise refusal(TypeError, "x", "be an array of floats", x)
    if not np.isfinite(point).all():
        odd = point[~np.isfinite(point)][0]
        raise ValueError(f"`x` must be finite, got {odd}.")
    return point
