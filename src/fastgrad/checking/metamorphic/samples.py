"""The arguments of ``loss(params, *data)``: which arrays hold samples, and copies.

Other batches are the same arrays indexed along their axis of samples; other layouts are
the same values elsewhere in memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from fastgrad._arguments import integer, refusal
from fastgrad._arrays import AnyArray, Index
from fastgrad.params import Nest, rebuild, walk

Copier = Callable[[AnyArray], AnyArray]


class Arguments(NamedTuple):
    """What the loss and its gradient are called with."""

    params: Any
    data: tuple[Any, ...]


class Samples:
    """Data, parameters, and the axes along which they hold samples.

    Parameters
    ----------
    nest : Nest
        The parameters.
    data : tuple
        The arguments of the loss after `params`: arrays, nests of arrays, or anything
        else, which is passed on as it is.
    axis : int or sequence of (int or None)
        The axis of samples: one for all arrays that have it, or one for each member of
        `data`, None where there are no samples.
    per_sample : mapping of str to int, optional
        The axis of blocks of the parameters that hold samples, as the input of a layer.

    Attributes
    ----------
    count : int
        The number of samples; 0 if nothing holds samples.
    arguments : Arguments
        The user's own.

    Raises
    ------
    TypeError, ValueError
        If these contradict each other, or the numbers of samples differ.

    Examples
    --------
    >>> X, y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 1])
    >>> samples = Samples(Nest(np.ones(2)), (X, y, "relu"), axis=0)
    >>> samples.take(np.array([2, 2])).data
    (array([[4., 5.],
           [4., 5.]]), array([1, 1]), 'relu')
    """

    def __init__(
        self,
        nest: Nest,
        data: Any,
        axis: int | Sequence[int | None],
        per_sample: Mapping[str, int] | None = None,
    ) -> None:
        if not isinstance(data, tuple | list):
            must = "be the tuple of arguments that follow `params`, as in (X, y)"
            raise refusal(TypeError, "data", must, data)
        for i, x in enumerate(data):
            if hasattr(x, "detach"):  # a tensor
                hint = ": write `.detach().numpy()`"
                raise refusal(TypeError, f"data[{i}]", "be an array", x, hint)
        self.nest = nest
        self.arguments = Arguments(nest.structure, tuple(data))
        self._data_axes = _data_axes(self.arguments.data, axis)
        self._param_axes = _param_axes(nest, {} if per_sample is None else per_sample)
        self.count = self._count()

    def take(self, index: Index | None) -> Arguments:
        """Return the arguments with these samples; None for the user's own."""
        if index is None:
            return self.arguments
        params = [
            leaf if axis is None else np.take(leaf, index, axis)
            for leaf, axis in zip(self.nest.leaves, self._param_axes, strict=True)
        ]
        leaves = [
            value if axis is None else np.take(value, index, axis)
            for (*_, value), axis in zip(
                walk(self.arguments.data), self._data_axes, strict=True
            )
        ]
        own = all(axis is None for axis in self._param_axes)
        structure = self.nest.structure if own else self.nest.rebuild(params)
        return Arguments(structure, rebuild(self.arguments.data, iter(leaves)))

    def gather(self, gradient: Any, index: Index | None) -> list[AnyArray]:
        """Return the gradient at ``take(index)`` as one with respect to all samples.

        One array per block. Raises what `Nest.flatten` raises where the shapes are not
        those of ``take(index)``.
        """
        if index is None:
            return self.nest.flatten(gradient, "grads")
        arrays = Nest(self.take(index).params).flatten(gradient, "grads")
        return [
            array if axis is None else _summed(array, index, leaf.shape, axis)
            for array, leaf, axis in zip(
                arrays, self.nest.leaves, self._param_axes, strict=True
            )
        ]

    def copied(self, what: str, copier: Copier) -> Arguments:
        """Return the arguments with the arrays of "data" or "parameters" copied."""
        params, data = self.arguments
        if what == "parameters":
            leaves = [copier(leaf) for leaf in self.nest.leaves]
            return Arguments(self.nest.rebuild(leaves), data)
        copies = (
            copier(value) if isinstance(value, np.ndarray) else value
            for *_, value in walk(data)
        )
        return Arguments(params, rebuild(data, copies))

    def _count(self) -> int:
        sizes = [
            (f"data{path}", value.shape[axis])
            for (_, path, value), axis in zip(
                walk(self.arguments.data), self._data_axes, strict=True
            )
            if axis is not None
        ]
        sizes += [
            (f"params.{name}", leaf.shape[axis])
            for name, leaf, axis in zip(
                self.nest.names, self.nest.leaves, self._param_axes, strict=True
            )
            if axis is not None
        ]
        for label, size in sizes:
            if size == 0:
                raise ValueError(f"`{label}` must have samples, got none.")
            if size != sizes[0][1]:
                raise ValueError(
                    f"`{label}` must have {sizes[0][1]} samples, as `{sizes[0][0]}`, "
                    f"got {size}: say with `axis` which axis of each member of `data` "
                    "is that of the samples, None where there are none."
                )
        return sizes[0][1] if sizes else 0


def other_order(array: AnyArray) -> AnyArray:
    """Return a copy in Fortran order; in C order if the array is in Fortran order."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    return array.copy(order="C" if fortran else "F")


def spread_out(array: AnyArray) -> AnyArray:
    """Return a view of the same values with other values between them in memory."""
    if array.ndim == 0 or array.dtype.hasobject:
        return array.copy()
    buffer = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    if array.dtype.kind in "fc":
        buffer[...] = np.nan
    view: AnyArray = buffer[..., ::2]
    view[...] = array
    return view


def has_orders(array: AnyArray) -> bool:
    """Whether C order and Fortran order differ."""
    return array.ndim > 1 and not (
        array.flags.c_contiguous and array.flags.f_contiguous
    )


def data_arrays(data: Any) -> list[AnyArray]:
    """Return the arrays in a nest of anything."""
    return [value for *_, value in walk(data) if isinstance(value, np.ndarray)]


@contextmanager
def unchanged(data: Any) -> Iterator[None]:
    """Put the arrays of `data` back if they are changed, and say so.

    Raises
    ------
    ValueError
        If they are, and nothing else is raised.
    """
    arrays = [
        (path, value)
        for _, path, value in walk(data)
        if isinstance(value, np.ndarray) and value.flags.writeable
    ]
    saved = [value.copy() for _, value in arrays]
    changed = []
    try:
        yield
    finally:
        for (path, value), before in zip(arrays, saved, strict=True):
            if not _same(value, before):
                changed.append(f"data{path}")
            value[...] = before
    if changed:
        raise ValueError(
            "`loss` and `grads` must not change their arguments, but they changed "
            f"`{'`, `'.join(changed)}`."
        )


def _summed(
    array: AnyArray, index: Index, shape: tuple[int, ...], axis: int
) -> AnyArray:
    """Return `array` added up, by sample."""
    total = np.zeros(shape, array.dtype)
    np.add.at(np.moveaxis(total, axis, 0), index, np.moveaxis(array, axis, 0))
    return total


def _same(a: AnyArray, b: AnyArray) -> bool:
    if a.dtype.kind in "fc":
        return np.array_equal(a, b, equal_nan=True)
    return np.array_equal(a, b)


def _data_axes(
    data: tuple[Any, ...], axis: int | Sequence[int | None]
) -> list[int | None]:
    """Return the axis of samples of every leaf of the data."""
    if not isinstance(axis, tuple | list):
        axis = integer("axis", axis)
        leaves = [value for *_, value in walk(data)]
        arrays = [x for x in leaves if isinstance(x, np.ndarray) and x.ndim]
        if arrays and not any(_has_axis(array, axis) for array in arrays):
            raise refusal(ValueError, "axis", "be an axis of an array in `data`", axis)
        return [axis if _has_axis(value, axis) else None for value in leaves]
    if len(axis) != len(data):
        raise ValueError(
            f"`axis` must be an integer or have one member for each of the {len(data)} "
            f"of `data`, got {len(axis)} of them."
        )
    axes = []
    for k, (member, one) in enumerate(zip(data, axis, strict=True)):
        for _, path, value in walk(member):
            if one is not None:
                must = f"be None or an axis of `data[{k}]{path}`"
                _require_axis(f"axis[{k}]", must, value, one)
            axes.append(one)
    return axes


def _param_axes(nest: Nest, per_sample: Any) -> list[int | None]:
    if not isinstance(per_sample, Mapping):
        must = 'map blocks of `params` to their axis of samples, {"x": 0}'
        raise refusal(TypeError, "per_sample", must, per_sample)
    for name, axis in per_sample.items():
        if name not in nest.names:
            must = f"name blocks of `params`, {nest.names}"
            raise refusal(ValueError, "per_sample", must, name)
        leaf = nest.leaves[nest.names.index(name)]
        _require_axis(f'per_sample["{name}"]', "be an axis of that block", leaf, axis)
    return [per_sample.get(name) for name in nest.names]


def _require_axis(name: str, must: str, value: Any, axis: Any) -> None:
    try:
        integer(name, axis)
    except TypeError:
        raise refusal(TypeError, name, must, axis) from None
    if not _has_axis(value, axis):
        raise refusal(ValueError, name, must, axis)


def _has_axis(value: Any, axis: int) -> bool:
    return isinstance(value, np.ndarray) and -value.ndim <= axis < value.ndim
