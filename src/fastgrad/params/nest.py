"""Nests of arrays <-> one vector, and the names of entries.

Parameters come as people keep them: one array, a dict of arrays, lists of layers, named
tuples, dataclasses, any of these in each other. A `Nest` remembers the structure and
gives every entry a number (its place in one long vector) and a name (``W1[3, 17]``).
"""

import operator
import warnings
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import refusal
from fastgrad._arrays import AnyArray
from fastgrad.params.leaves import as_leaf, real_array
from fastgrad.params.structure import (
    contents,
    matching,
    named_leaves,
    put_back,
    rebuild,
    told_apart,
    walk,
)

Vector = NDArray[np.float64]


class Nest:
    """The structure of some parameters: their blocks, shapes and names.

    Parameters
    ----------
    params : array, float, or nest of them
        Dicts, lists, tuples, named tuples and dataclasses, nested in any way, of
        float16, float32 or float64 arrays of any shape and strides. Python floats and
        arrays that are read-only or broadcast are allowed: `structure` holds copies.
        Writable arrays are not copied: they are the user's own.
    what : str
        The argument's name, for messages.
    blocks : sequence of str, optional
        Names of the blocks, or patterns as of files, ``"b*"``. The other leaves may be
        anything; they are left alone.

    Attributes
    ----------
    structure : nest
        What to hand to the loss: `params` itself unless something had to be copied.
    leaves : list of ndarray
        The arrays in `structure`, one per block, in order.
    names : list of str
        Paths joined with dots, ``encoder.0.W``; a bare array is ``params``. Where two
        would be the same they are written as subscripts, ``["a.b"]``.
    shapes, dtypes : list
        Of each block.
    offsets : ndarray of int64, shape (number of blocks + 1,)
        Block ``b`` is ``vector[offsets[b]:offsets[b + 1]]``, in C order.
    size : int
        Number of entries, all blocks together.
    shared : list of (str, str)
        Pairs of blocks that share memory (tied weights, overlapping views). Moving an
        entry of one moves the other: their derivatives count every use.

    Raises
    ------
    TypeError
        If a leaf is not a floating point array (or float).
    ValueError
        If an entry is not finite, or there is no entry at all.

    Examples
    --------
    >>> nest = Nest({"W": np.ones((2, 3)), "b": np.zeros(2)})
    >>> nest.names, nest.size
    (['W', 'b'], 8)
    >>> nest.locate(5)
    ('W', (1, 2))
    >>> nest.label(7)
    'b[1]'
    """

    def __init__(
        self, params: Any, what: str = "params", blocks: Sequence[str] | None = None
    ) -> None:
        self._what, self._patterns = what, blocks
        entries = list(walk(params))
        names = told_apart([e[0] for e in entries], [e[1] for e in entries])
        self._chosen = _chosen(names, blocks)
        self._values = [value for _, _, value in entries]
        values = [self._values[k] for k in self._chosen]
        self._paths = [entries[k][1] for k in self._chosen]
        self.names = [names[k] for k in self._chosen]
        self.leaves = [
            as_leaf(value, f"{what}{path}")
            for value, path in zip(values, self._paths, strict=True)
        ]
        self.shapes = [leaf.shape for leaf in self.leaves]
        self.dtypes = [leaf.dtype for leaf in self.leaves]
        self.offsets = np.zeros(len(self.leaves) + 1, dtype=np.int64)
        np.cumsum([leaf.size for leaf in self.leaves], out=self.offsets[1:])
        self.size = int(self.offsets[-1])
        self._refuse_nonsense()
        self.shared = _shared_pairs(self.names, self.leaves)
        self._scalar = [not isinstance(value, np.ndarray) for value in values]
        self._template = params
        own = all(map(operator.is_, self.leaves, values))
        self.structure = params if own else self.rebuild(self.leaves)
        self._contents = list(contents(self.structure))

    def block_of(self, index: Any) -> Any:
        """Return the block number of entry `index` (an int, or an array of them)."""
        block = np.searchsorted(self.offsets, index, side="right") - 1
        return int(block) if np.ndim(block) == 0 else block

    def locate(self, index: int) -> tuple[str, tuple[int, ...]]:
        """Return the block's name and the index in the block of entry `index`."""
        block = self.block_of(index)
        where = np.unravel_index(index - self.offsets[block], self.shapes[block])
        return self.names[block], tuple(int(i) for i in where)

    def by_block(
        self, index: NDArray[np.int64]
    ) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each block that `index` meets, with the positions in `index` it has."""
        blocks = self.block_of(index)
        order = np.argsort(blocks, kind="stable")
        edges = np.flatnonzero(np.diff(blocks[order])) + 1
        for here in np.split(order, edges):
            if here.size:
                yield int(blocks[here[0]]), here

    def label(self, index: int) -> str:
        """Return the name of entry `index`, as in ``W1[3, 17]``."""
        return entry_name(*self.locate(index))

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """Return the structure of the parameters with these leaves, as they are."""
        return self._filled(leaves, self._values)

    def _filled(self, leaves: Sequence[Any], others: Sequence[Any]) -> Any:
        values = list(others)
        for k, leaf in zip(self._chosen, leaves, strict=True):
            values[k] = leaf
        return rebuild(self._template, iter(values))

    def flatten(self, structure: Any, what: str = "params") -> list[AnyArray]:
        """Return the arrays of `structure`, checked to be built like the parameters.

        Parameters
        ----------
        structure : nest
            Of real numbers. Lists and tuples are interchangeable, and the order of
            keys is free.
        what : str
            The argument's name, for messages.

        Returns
        -------
        list of ndarray
            One per block, each with the block's shape; views where possible.

        Raises
        ------
        TypeError
            If a container or the dtype of a leaf is of the wrong kind.
        ValueError
            If keys, lengths or shapes differ from the parameters'.
        """
        found = self.members(structure, what)
        arrays = [real_array(value, label) for value, label in found]
        wrong = [
            f"`{label}` must have shape {shape}, as `{self._what}{path}`, "
            f"got {array.shape}."
            for array, (_, label), shape, path in zip(
                arrays, found, self.shapes, self._paths, strict=True
            )
            if array.shape != shape
        ]
        if wrong:
            raise ValueError("\n".join(wrong))
        return arrays

    def members(self, structure: Any, what: str) -> list[tuple[Any, str]]:
        """Return what stands in `structure` where the blocks are, and its label.

        Where only some blocks were asked for, it may leave out the others.
        """
        if self._patterns is None:
            return list(matching(self._template, structure, what, self._what))
        there = dict(named_leaves(structure))
        for name in self.names:
            if there.get(name) is None:
                must = f"have the block {name!r}"
                raise refusal(ValueError, what, must, sorted(there))
        return [
            (there[name], f"{what}{path}")
            for name, path in zip(self.names, self._paths, strict=True)
        ]

    def vector(self, structure: Any, what: str = "params") -> Vector:
        """Return `structure` as one float64 vector of shape (size,).

        Raises what `flatten` raises.
        """
        return self.join(self.flatten(structure, what))

    def join(self, leaves: Sequence[AnyArray]) -> Vector:
        """Return the arrays of all blocks as one float64 vector (a copy)."""
        out = np.empty(self.size)
        for leaf, start, stop in zip(
            leaves, self.offsets, self.offsets[1:], strict=False
        ):
            out[start:stop].reshape(leaf.shape)[...] = leaf
        return out

    def split(self, vector: NDArray[Any]) -> list[AnyArray]:
        """Return one array per block: views of `vector`."""
        return [
            vector[start:stop].reshape(shape)
            for start, stop, shape in zip(
                self.offsets, self.offsets[1:], self.shapes, strict=False
            )
        ]

    def unvector(self, vector: NDArray[Any]) -> Any:
        """Return `vector` in the structure of the parameters: `vector`'s inverse.

        The arrays are views of it. Where the parameters have a Python float or NumPy
        scalar, so has the result; where they have what is no block, None.
        """
        arrays = [
            array[()] if scalar else array
            for array, scalar in zip(self.split(vector), self._scalar, strict=True)
        ]
        return self._filled(arrays, [None] * len(self._values))

    def nowhere(self) -> Any:
        """Return the structure of the parameters with nan everywhere, in no memory."""
        return self.unvector(np.broadcast_to(np.nan, self.size))

    def private_copy(self) -> "Nest":
        """Return the same nest over copies of all its arrays."""
        return Nest(self.rebuild(self.snapshot()), self._what, self._patterns)

    def snapshot(self, theta: Vector | None = None) -> list[AnyArray]:
        """Return copies of `leaves`, to `restore` or to compare with.

        Those of blocks of float64 are views of `theta` if the parameters as one vector
        are at hand.
        """
        if theta is None:
            return [leaf.copy() for leaf in self.leaves]
        return [
            part if leaf.dtype == part.dtype else leaf.copy()
            for leaf, part in zip(self.leaves, self.split(theta), strict=True)
        ]

    def restore(self, snapshot: Iterable[AnyArray]) -> None:
        """Make `structure` hold `leaves`, with the values of the snapshot."""
        if not self._is_intact():
            for container, members in self._contents:
                put_back(container, members)
        for leaf, saved in zip(self.leaves, snapshot, strict=True):
            if leaf.shape != saved.shape:
                with warnings.catch_warnings():  # of NumPy 2.5: no other way in place
                    warnings.simplefilter("ignore", DeprecationWarning)
                    leaf.shape = saved.shape
            leaf[...] = saved

    def change_since(self, snapshot: Iterable[AnyArray]) -> str | None:
        """Return what somebody did to the parameters, None if nothing."""
        return self.change(map(np.array_equal, self.leaves, snapshot))

    def change(self, same: Iterable[bool]) -> str | None:
        """Return it, given for each block whether it is as it should be."""
        for name, is_same in zip(self.names, same, strict=True):
            if not is_same:
                return f"changed {name}"
        return None if self._is_intact() else "put other arrays in their place"

    def _is_intact(self) -> bool:
        found = [value for _, _, value in walk(self.structure)]
        return len(found) == len(self._values) and all(
            found[k] is leaf for k, leaf in zip(self._chosen, self.leaves, strict=True)
        )

    def _refuse_nonsense(self) -> None:
        if self.size == 0:
            raise ValueError(f"`{self._what}` must have at least one entry, got none.")
        for leaf, path in zip(self.leaves, self._paths, strict=True):
            finite = np.isfinite(leaf)
            if not finite.all():
                where = tuple(int(i) for i in np.argwhere(~finite)[0])
                raise ValueError(
                    f"`{self._what}{path}` must be finite, got {leaf[where]} at "
                    f"{list(where)}."
                )


def _chosen(names: list[str], blocks: Any) -> list[int]:
    """Return the numbers of the leaves that are blocks."""
    if blocks is None:
        return list(range(len(names)))
    patterns = [blocks] if isinstance(blocks, str) else blocks
    if not isinstance(patterns, list | tuple) or not all(
        isinstance(pattern, str) for pattern in patterns
    ):
        raise refusal(TypeError, "blocks", "be names of blocks", blocks)
    chosen: set[int] = set()
    for pattern in patterns:
        exact = [name == pattern for name in names]
        alike = exact if any(exact) else [fnmatchcase(name, pattern) for name in names]
        if not any(alike):
            must = f"name blocks of the parameters, {names}"
            raise refusal(ValueError, "blocks", must, pattern)
        chosen.update(np.flatnonzero(alike).tolist())
    return sorted(chosen)


def entry_name(block: str, index: tuple[int, ...]) -> str:
    """Return ``W1[3, 17]``; a 0-d block's only entry is the block's name."""
    return f"{block}[{', '.join(map(str, index))}]" if index else block


def _shared_pairs(names: list[str], leaves: list[AnyArray]) -> list[tuple[str, str]]:
    """Pairs of blocks whose memory overlaps; of one array in many, with its first."""
    pairs = []
    first_of: dict[int, int] = {}
    for block, leaf in enumerate(leaves):
        first = first_of.setdefault(id(leaf), block)
        if first != block and leaf.size:
            pairs.append((names[first], names[block]))
    spans = sorted(
        (*np.lib.array_utils.byte_bounds(leaves[block]), block)
        for block in first_of.values()
        if leaves[block].size
    )
    for k, (_, stop, block) in enumerate(spans):
        for j in range(k + 1, len(spans)):
            start, _, other = spans[j]
            if start >= stop:
                break
            one, two = sorted((block, other))
            if np.shares_memory(leaves[one], leaves[two]):
                pairs.append((names[one], names[two]))
    return pairs
