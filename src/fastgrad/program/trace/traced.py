"""The array that records: what is done with it builds the program.

It is not an `ndarray` and gives no access to its data, so that nothing can slip past
the trace and become a constant. Where the loss acts on a value (a branch, an integer, a
mask), the outcome is a guard of the program; what else needs numbers raises
`TraceError`.

A loss may keep what it computed, and so keep traced arrays when the trace is over.
From then on they act as the plain arrays that an ordinary call would have left there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from fastgrad.program import graph, sources
from fastgrad.program.graph import Node
from fastgrad.program.primitives import shapes, sorting, ufuncs
from fastgrad.program.primitives.meanings.arrays import asarray
from fastgrad.program.sources import TraceError
from fastgrad.program.trace.as_numbers import AsNumbers, decided
from fastgrad.program.trace.memory import Memory, Positions

#: The hash of all traced numbers, which no number has by chance.
KEY = hash("a traced number as a key")


class Traced(AsNumbers, NDArrayOperatorsMixin):
    """An array of a program being traced.

    Parameters
    ----------
    node : Node
        Its value, as long as nobody writes into its memory.
    dtype : dtype
        What NumPy would compute in; the program computes in float64.
    memory : Memory, optional
        What it shares with other arrays; memory of its own is made when it is needed.
    view : Positions or (Traced, callable), optional
        Which positions of the memory it shows: all, these, or what the function picks
        of another array's.
    """

    is_traced = True
    #: What `numpy_calls` makes of a function, and of a ufunc.
    call: ClassVar[Callable[..., Any]]
    call_ufunc: ClassVar[Callable[..., Any]]
    __slots__ = ("_array", "_memory", "_node", "_trace", "_version", "_view", "dtype")

    def __init__(
        self,
        node: Node,
        dtype: np.dtype[Any],
        memory: Memory | None = None,
        view: Any = None,
    ) -> None:
        self._node = node
        self.dtype = dtype
        self._memory = memory
        self._version = 0 if memory is None else memory.version
        self._view = view
        self._trace = sources.current_trace.get()
        self._array: NDArray[Any] | None = None

    def __del__(self) -> None:
        """Free what the loss itself would have freed."""
        try:
            alone = self._memory is None
        except AttributeError:  # it was interrupted while it was made
            return
        if alone:
            self._node.let_go()

    @property
    def node(self) -> Node:
        """What it holds now."""
        if self._memory is not None and self._memory.version != self._version:
            positions = self.positions
            if self._memory is not None:
                self._node = self._memory.read(positions)
                self._version = self._memory.version
        return self._node

    @property
    def live(self) -> bool:
        """Whether the trace that made it is still going on."""
        return self._trace is not None and self._trace is sources.current_trace.get()

    # ---- memory

    @property
    def memory(self) -> Memory:
        """What it shares with its views."""
        if self._memory is None:
            self._memory = Memory(self._node)
        return self._memory

    @property
    def positions(self) -> Positions:
        """Where in its memory its elements are."""
        if self._view is None:
            return self.memory.everything
        if isinstance(self._view, tuple):
            whole, pick = self._view
            positions = whole.positions
            found = pick(positions)
            self._view = found
            if not np.may_share_memory(found, positions):
                # NumPy had to copy: it shows what was there then.
                self._memory, self._view = None, None
                return self.memory.everything
        shown: Positions = self._view
        return shown

    def showing(self, node: Node, pick: Callable[[Positions], Positions]) -> Traced:
        """An array that shares its memory, at the positions that `pick` picks."""
        if isinstance(self._view, tuple):
            _ = self.positions  # settles whether it is a view itself, or a copy
        return Traced(node, self.dtype, self.memory, (self, pick))

    def overwrite(self, node: Node) -> None:
        """Write over all of it."""
        if self._memory is None:
            self._node = node
        else:
            self._memory.write(self.positions, node)

    def _data(self, what: str) -> NDArray[Any]:
        """Its value, once the trace is over; `what` needs it."""
        if self.live:
            raise TraceError(f"{what} needs a number where the parameters enter")
        if self._array is None:
            self._array = self._node.value.astype(self.dtype)
        return self._array

    # ---- what may be known without the data

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._node.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        if self._memory is not None:
            self._memory.refuse_protected(self.positions)
            self._view = self.positions.reshape(shape)
        self._node = shapes.reshape(self.node, shape, label=".shape =")

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def flags(self) -> Any:
        """Those of an array of its own."""
        return np.empty(self.shape, self.dtype).flags

    @property
    def strides(self) -> tuple[int, ...]:
        """Those of an array of its own."""
        return np.empty(self.shape, self.dtype).strides

    @property
    def device(self) -> str:
        """As `numpy.ndarray.device`."""
        return "cpu"

    @property
    def real(self) -> Traced:
        """Itself: it has no imaginary part."""
        return self

    @property
    def imag(self) -> NDArray[np.float64]:
        """Zeros."""
        return np.zeros(self.shape)

    @property
    def flat(self) -> Any:
        """Its elements in a row."""
        return np.reshape(self, -1)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        if self.ndim or self.dtype.kind != "f" or float(self.node.value).is_integer():
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return KEY

    def __repr__(self) -> str:
        if not self.live:
            return repr(self._data("repr()"))
        return f"<traced array of shape {self.shape}>"

    def __str__(self) -> str:
        return str(self._node.value)

    def __format__(self, spec: str) -> str:
        return format(self._node.value if self.ndim else self._node.value[()], spec)

    def __copy__(self) -> Traced:
        return Traced(self.node, self.dtype)

    def __deepcopy__(self, memo: Any) -> Traced:
        return Traced(self.node, self.dtype)

    # ---- its elements

    def item(self, *args: Any) -> Any:
        """As `numpy.ndarray.item`."""
        if not self.live:
            return self._data(".item()").item(*args)
        if not args:
            if self.size != 1:
                raise ValueError("can only convert an array of size 1 to a scalar")
            args = (0,)
        at = args[0] if isinstance(args[0], tuple) else args
        return self[at] if len(at) == self.ndim else self.flat[at[0]]

    def tolist(self) -> Any:
        """As `numpy.ndarray.tolist`."""
        if not self.live:
            return self._data(".tolist()").tolist()
        return [x.tolist() for x in self] if self.ndim else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._data(f"the attribute .{name}"), name)

    # ---- NumPy's protocols

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        return Traced.call_ufunc(*args, **kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        return Traced.call(function, *args, **kwargs)

    # ---- indexing

    def __getitem__(self, key: Any) -> Any:
        if not self.live:
            return self._data("reading")[plain(key)]
        if is_settled(key):
            return self.at(key)
        if type(key) is Traced and key.dtype.kind == "i" and _orders(key, len(self)):
            return Traced(sorting.at(self.node, key.node, "[...]"), self.dtype)
        key = settled_key(key)
        return self.at(key, basic=is_basic(key))

    def at(self, key: Any, *, basic: bool = True) -> Traced:
        """Its elements at a key that nothing traced is in."""
        if self._memory is not None and self._memory.version:
            positions = self.positions[key]
            node = self._memory.read(np.asarray(positions))
            if basic and (np.ndim(positions) or _is_whole(key)):
                return Traced(node, self.dtype, self._memory, positions)
            return Traced(node, self.dtype)
        node = shapes.index(self.node, key, "[...]")
        if basic and (node.ndim or _is_whole(key)):
            return self.showing(node, lambda positions: positions[key])
        return Traced(node, self.dtype)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.live:
            self._data("writing")[plain(key)] = plain(value)
            return
        new = node_of(value)
        if type(key) is Traced and key.dtype.kind == "b" and not new.ndim:
            mask = key.node
            if mask.ndim < self.ndim:
                mask = graph.expand(mask, range(mask.ndim, self.ndim), "[...] =")
            self.overwrite(ufuncs.where(mask, new, self.node, label="[...] ="))
            return
        positions = self.positions[settled_key(key)]
        shape = np.shape(positions)
        extra = new.ndim - len(shape)
        if extra > 0:
            new = graph.reshape(new, new.shape[extra:], "[...] =")
        new = graph.broadcast_to(new, shape, "[...] =")
        self.memory.write(np.asarray(positions), new)


#: Kinds of keys, and of the ends of slices, that are what they are.
_SETTLED = frozenset([int, np.int64, str, type(None), type(Ellipsis)])


def is_settled(key: Any) -> bool:
    """Whether a key is of plain numbers and slices: loops use little else."""
    if type(key) is tuple:
        return all([_is_part(k) for k in key])
    return _is_part(key)


def _is_part(k: Any) -> bool:
    if type(k) is not slice:
        return type(k) in _SETTLED
    return {type(k.start), type(k.stop), type(k.step)} <= _SETTLED


#: Kinds of keys that copy what they pick.
_COPYING = (np.ndarray, list, bool, np.bool_, Traced)


def is_basic(key: Any) -> bool:
    """Whether a key shows part of an array rather than copying it."""
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(k, _COPYING) for k in parts)


def _is_whole(key: Any) -> bool:
    """Whether a key shows even a single element as an array: ``x[i, ...]``."""
    return key is ... or (type(key) is tuple and ... in key)


def _orders(positions: Traced, n: int) -> bool:
    """Whether they come from sorting at most n: found anew at every perturbed point."""
    node = positions.node
    while node.op in ("view", "reshape", "take"):
        (node,) = node.inputs
    return node.op == "argsort" and node.shape[node.ints[0]] <= n


def settled_key(key: Any) -> Any:
    """`key` with traced masks and whole numbers as the outcomes they have."""
    if is_settled(key):
        return key
    if isinstance(key, tuple):
        return tuple(map(settled_key, key))
    if isinstance(key, list) and any_live(key):
        return [settled_key(k) for k in key]
    if isinstance(key, slice):
        parts = (settled_key(k) for k in (key.start, key.stop, key.step))
        return slice(*parts) if any_live((key.start, key.stop, key.step)) else key
    if not any_live(key):
        return plain(key) if getattr(key, "is_traced", False) else key
    if key.dtype.kind == "b":
        return decided(key.node) != 0
    if key.dtype.kind in "iu":
        return key.whole() if key.ndim else int(key.whole())
    raise IndexError("arrays used as indices must be of integer (or boolean) type")


def number(x: Any) -> Any:
    """An element that does not depend on the parameters as the number it is."""
    if type(x) is Traced and not x.ndim and not x.node.active:
        return x.node.value.astype(x.dtype)[()]
    return x


_TRACED = frozenset([Traced])


def any_live(x: Any, kinds: Collection[type] = _TRACED) -> bool:
    """Whether an array of the trace going on is among these arguments."""
    if type(x) in kinds:
        return bool(x.live)
    if isinstance(x, (tuple, list)):
        for y in x:  # no generator: every call of a loss comes through here
            if any_live(y, kinds):
                return True
    return False


def plain(x: Any) -> Any:
    """`x` with the arrays of past traces as plain ones."""
    if isinstance(x, (tuple, list)):
        return type(x)(plain(y) for y in x)
    if isinstance(x, dict):
        return {name: plain(value) for name, value in x.items()}
    return np.asarray(x) if isinstance(x, Traced) else x


def node_of(x: Any) -> Node:
    """The node of a traced array, or a constant."""
    if type(x) is Traced:
        return x.node if x.live else graph.constant(plain(x))
    if isinstance(x, (list, tuple)) and any_live(x):
        return node_of(asarray(x))
    return graph.constant(x)
