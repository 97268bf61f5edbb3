"""Functions of nests that return nests, as functions of vectors that return vectors."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._arguments import function, further_arguments, refusal
from fastgrad._arrays import AnyArray
from fastgrad.checking.complexes import (
    block_in_parts,
    derivative_of_parts,
    is_complex,
    parts,
    size_of_parts,
    whole,
)
from fastgrad.params import Nest, matching, named_leaves, rebuild, told_apart, walk


@dataclass(frozen=True)
class Leaf:
    """An array of inputs or outputs: its shape by parts, and whether it is complex."""

    name: str
    shape: tuple[int, ...]
    pair: bool

    @property
    def whole(self) -> tuple[int, ...]:
        """Its shape as the function knows it."""
        return self.shape[:-1] if self.pair else self.shape

    @property
    def axes(self) -> int:
        """How many axes it has if it is complex, -1 if it is real."""
        return len(self.whole) if self.pair else -1


@dataclass(frozen=True)
class Place:
    """A block of the Jacobian, named by both arrays, and where in the matrix it is."""

    name: str
    output: Leaf
    given: Leaf
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, ...]:
        """By parts."""
        return self.output.shape + self.given.shape

    @property
    def whole(self) -> tuple[int, ...]:
        """As derivatives of complex numbers have it."""
        return self.output.whole + self.given.whole


def is_nest(value: Any) -> bool:
    """Whether a value is a container of arrays, rather than an array or like one."""
    if isinstance(value, Mapping) or hasattr(value, "__dataclass_fields__"):
        return True
    if not isinstance(value, list | tuple):
        return False
    return any((isinstance(v, np.ndarray) and v.ndim) or is_nest(v) for v in value)


class FlatFunction:
    """A function, its point and its outputs, taken apart into vectors of real numbers.

    Called with a vector, or the array that `x` is, it returns what the function returns
    there, as one vector if that is a nest. Complex arrays are pairs of real ones.

    Attributes
    ----------
    point : ndarray
        `x` as an array: itself, or its arrays joined.
    inputs, outputs : list of Leaf
        The arrays of both; the outputs after the first call.
    nested : bool
        Whether `x` or what the function returns is a nest.
    """

    def __init__(
        self, fun: Callable[..., Any], x: Any, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        self.fun = function("fun", fun)
        self.args, self.kwargs = further_arguments(args, kwargs)
        x = x if is_nest(x) else _array(x)
        pairs = [is_complex(leaf) for leaf in _leaves(x)]
        self._x = x if any(pairs) else None  # what pairs are made complex numbers like
        self.nest: Nest | None = None
        if is_nest(x):
            by_parts = rebuild(x, iter(_leaves(x, pairs))) if any(pairs) else x
            self.nest = Nest(by_parts, "x").private_copy()
            self.point = self.nest.join(self.nest.leaves)
            own = zip(self.nest.names, self.nest.shapes, pairs, strict=True)
            self.inputs = [Leaf(*leaf) for leaf in own]
        else:
            self.point = as_point(x)
            self.inputs = [Leaf("x", self.point.shape, *pairs)]
        self.outputs: list[Leaf] = []
        self._template: Any = None

    def __call__(self, point: AnyArray) -> AnyArray:
        """Return the outputs at a point as an array."""
        result = self.call(self.fun, point)
        if not self.outputs:
            try:
                pairs = [leaf.dtype.kind == "c" for leaf in _leaves(result)]
            except (ValueError, RecursionError):  # ragged; without end
                must = "return arrays of numbers"
                raise refusal(ValueError, "fun", must, result) from None
            self._template = result if is_nest(result) else None
            names = ["fun"]
            if self._template is not None:
                names = [name for name, _ in named_leaves(result)]
            found = zip(names, _leaves(result, pairs), pairs, strict=True)
            self.outputs = [Leaf(name, leaf.shape, pair) for name, leaf, pair in found]
        leaves = _leaves(result, [leaf.pair for leaf in self.outputs])
        if len(leaves) == 1:
            return leaves[0]
        return np.concatenate([leaf.ravel() for leaf in leaves])

    def plain(self) -> Callable[..., Any]:
        """Return the function itself where it takes arrays alone and returns one."""
        wrapped = self.nested or self.args or self.kwargs or self.is_complex
        return self if wrapped else self.fun

    @property
    def nested(self) -> bool:
        """Whether `x` or what the function returns is a nest."""
        return self.nest is not None or self._template is not None

    @property
    def is_complex(self) -> bool:
        """Whether anything is taken apart into real and imaginary parts."""
        return any(leaf.pair for leaf in (*self.inputs, *self.outputs))

    def call(self, function: Callable[..., Any], point: Any, *vectors: Any) -> Any:
        """Return what a function that takes what `fun` takes returns at a point."""
        argument = self.argument(point.copy())
        return function(argument, *vectors, *self.args, **self.kwargs)

    def argument(self, point: AnyArray) -> Any:
        """Return a point as the function takes it."""
        value = point if self.nest is None else self.nest.unvector(point)
        return value if self._x is None else whole(self._x, value)

    def cotangent(self, vector: AnyArray) -> Any:
        """Return a vector of outputs as the function returns them."""
        split = [
            vector[place].reshape(leaf.shape) for leaf, place in _places(self.outputs)
        ]
        kinds = zip(split, self.outputs, strict=True)
        found = [x[..., 0] + 1j * x[..., 1] if leaf.pair else x for x, leaf in kinds]
        if self._template is None:
            return found[0]
        return rebuild(self._template, iter(found))

    def vector(self, value: Any, like: list[Leaf]) -> AnyArray:
        """Return what is built like `x`, or like the outputs, as a vector."""
        leaves = _leaves(value, [leaf.pair for leaf in like])
        return np.concatenate([leaf.ravel() for leaf in leaves])

    def blocks(self) -> Iterator[Place]:
        """Yield the blocks of the Jacobian."""
        pairs = list(itertools.product(_places(self.outputs), _places(self.inputs)))
        names = [f"{output.name}/{given.name}" for (output, _), (given, _) in pairs]
        for name, pair in zip(told_apart(names, names), pairs, strict=True):
            (output, rows), (given, columns) = pair
            yield Place(name, output, given, rows, columns)

    def matrix(self, jacobian: Any, what: str) -> AnyArray:
        """Return a Jacobian, nested with outputs first, as a matrix of real numbers."""
        matrix = np.zeros((_size(self.outputs), _size(self.inputs)))
        if self.nested:
            found = matching(self.arranged(matrix), jacobian, what, "fun(x)")
        else:
            found = iter([(jacobian, what)])
        for block, (value, label) in zip(self.blocks(), found, strict=True):
            own = matrix[block.rows, block.columns]
            own[...] = self._real(block, value, label).reshape(own.shape)
        return matrix

    def _real(self, block: Place, value: Any, label: str) -> AnyArray:
        """Return a block of the Jacobian by parts: as it is, if it is so given."""
        found = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
        size = _size([block.output]), _size([block.given])
        by_parts = found.shape == block.shape or (
            not self.nested and found.shape == size
        )
        if by_parts and found.dtype.kind != "c":
            return found
        count = int(np.prod(block.whole))
        if found.shape != block.whole and (self.nested or found.size != count):
            raise ValueError(
                f"`{label}` must have shape {block.whole}, got {found.shape}."
            )
        if found.dtype.kind not in "fiubc":
            raise TypeError(f"`{label}` must be numbers, got {found.dtype}.")
        if found.dtype.kind == "c" and not (block.output.pair or block.given.pair):
            raise TypeError(f"`{label}` must be real numbers, got {found.dtype}.")
        axes = block.output.axes, block.given.axes
        return block_in_parts(found.reshape(block.whole), *axes)

    def arranged(self, matrix: AnyArray) -> Any:
        """Return a matrix as a nest like the outputs of nests like `x`."""
        return self._nested(
            matrix[b.rows, b.columns].reshape(b.shape) for b in self.blocks()
        )

    def derivative(self, matrix: AnyArray) -> Any:
        """Return a matrix as the Jacobian, whose blocks are complex where these are.

        Raises
        ------
        ValueError
            If complex outputs depend on complex inputs, and have no derivative.
        """
        found = []
        for b in self.blocks():
            block = matrix[b.rows, b.columns].reshape(b.shape)
            one = derivative_of_parts(block, b.output.axes, b.given.axes)
            if one is None:
                raise ValueError(
                    f"`fun` must be holomorphic, but its derivative `{b.name}` by the "
                    "imaginary part is not i times that by the real part: measure it "
                    "as a function of both parts."
                )
            found.append(one)
        return self._nested(found)

    def bars(self, matrix: AnyArray) -> Any:
        """Return error bars of a matrix as those of `derivative`."""
        blocks = (
            (b, matrix[b.rows, b.columns].reshape(b.shape)) for b in self.blocks()
        )
        return self._nested(
            size_of_parts(block, b.output.axes, b.given.axes) for b, block in blocks
        )

    def _nested(self, blocks: Iterable[AnyArray]) -> Any:
        """Return blocks nested as the outputs are; a matrix where nothing is a nest."""
        found = iter(blocks)
        if not self.nested:
            shape = self.outputs[0].whole
            rows = (int(np.prod(shape)),) if shape else ()
            return next(found).reshape(*rows, -1)
        rows_ = [self._row(found) for _ in self.outputs]
        if self._template is None:
            return rows_[0]
        return rebuild(self._template, iter(rows_))

    def _row(self, blocks: Iterator[Any]) -> Any:
        if self.nest is None:
            return next(blocks)
        return rebuild(self.nest.structure, blocks)


def _leaves(value: Any, pairs: Iterable[bool] = ()) -> list[AnyArray]:
    """Return the arrays, the complex ones by parts."""
    found = (x for _, _, x in walk(value)) if is_nest(value) else [value]
    kinds = itertools.chain(pairs, itertools.repeat(False))
    return [
        parts(x) if pair else np.asarray(x)
        for x, pair in zip(found, kinds, strict=False)
    ]


def _places(leaves: list[Leaf]) -> Iterator[tuple[Leaf, slice]]:
    start = 0
    for leaf in leaves:
        stop = start + int(np.prod(leaf.shape))
        yield leaf, slice(start, stop)
        start = stop


def _size(leaves: list[Leaf]) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in leaves)


def as_point(x: AnyArray) -> AnyArray:
    """Return a point as a finite array of floats, a complex one by parts."""
    point = parts(x) if is_complex(x) else x
    if point.dtype.kind in "iub":
        point = point.astype(np.float64)
    if point.dtype.kind != "f":
        raise refusal(TypeError, "x", "be an array of floats", x)
    if not np.isfinite(point).all():
        odd = point[~np.isfinite(point)][0]
        raise ValueError(f"`x` must be finite, got {odd}.")
    return point


def _array(x: Any) -> AnyArray:
    try:
        return np.array(x)
    except ValueError:  # rows of different lengths
        raise refusal(ValueError, "x", "be an array of floats", x) from None
