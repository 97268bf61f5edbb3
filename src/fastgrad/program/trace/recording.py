"""One trace that is going on: where it is in the user's code, and what it has met."""

from __future__ import annotations

import copy
import math
import operator
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import graph, sources
from fastgrad.program.graph import Node
from fastgrad.program.primitives.meanings.sparse import is_sparse
from fastgrad.program.sources import Source, TakesTooLong, TraceError
from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.kept import Kept
from fastgrad.program.trace.libraries import Known, lasts
from fastgrad.program.trace.memory import Memory, flat, positions_in, root_of
from fastgrad.program.trace.packages import Packages
from fastgrad.program.trace.traced import Traced, number

#: Kinds of values that are lifted already, or hold nothing.
_LEAVES = frozenset([Traced, float, int, str, bool, type(None)])
#: Elements of a constant that is worth sharing.
_LARGE = 1 << 16
#: Most operations that are recorded, at about a kilobyte each; after how many of them
#: it is looked at the clock.
MOST, _LOOK = 2_000_000, 64
#: Seconds that an operation takes at most, as a rule.
_STEP = 25e-6


@dataclass
class Recording:
    """What a trace collects.

    Attributes
    ----------
    rewrite : callable
        Gives a function of the user in a form that the trace sees into, or None.
    refused : list of (str, Source)
        What could not be traced: a loss that caught that does something else then.
    guards : list of Node
        Values that decided where the loss went: it goes there as long as they stay.
    opaque : list of Node
        Calls of functions that nobody knows.
    source : Source or None
        The line that runs, where the code is rewritten.
    origin : Source or None
        Where the traced function is defined.
    path : int
        Which calls led there.
    kept : Kept
        Where the loss has put traced arrays that outlive the call.
    sharing : bool
        Whether large constants are the user's own arrays rather than copies.
    packages : Packages
        What is done with their functions.
    seconds : float
        Of the processor, that it may take.
    rounds : (str, Source), optional
        Why the program may give other digits than the loss.
    """

    rewrite: Callable[[FunctionType], FunctionType | None]
    refused: list[tuple[str, Source]] = field(default_factory=list)
    guards: list[Node] = field(default_factory=list)
    opaque: list[Node] = field(default_factory=list)
    source: Source | None = None
    origin: Source | None = None
    path: int = 0
    kept: Kept = field(default_factory=Kept)
    sharing: bool = False
    packages: Packages = field(default_factory=Packages)
    seconds: float = math.inf
    rounds: tuple[str, Source] | None = None

    def __post_init__(self) -> None:
        self._began, self._steps = time.thread_time(), 0
        self._sources: dict[tuple[Any, int], Source] = {}
        # Objects are known by their id, so all of them are held.
        self._memories: dict[int, tuple[NDArray[Any], Memory, np.dtype[Any]]] = {}
        self._lifted: dict[int, tuple[NDArray[Any], Traced]] = {}
        self._known: dict[int, Known] = {}
        self._dense: dict[int, tuple[Any, Any]] = {}
        self._shared: dict[int, tuple[NDArray[np.float64], int]] = {}
        #: Functions of the user by their id, with what they are rewritten to.
        self.functions: dict[int, tuple[Any, Any]] = {}
        #: What classes of the user define, by class and name.
        self.definitions: dict[tuple[type, str], Any] = {}

    # ---- where it is

    def locate(self, site: Any) -> None:
        """What is recorded next comes from this place in the user's code."""
        self._steps += 1
        if not self._steps % _LOOK:
            self._look()
        key = (site, self.path)
        source = self._sources.get(key)
        if source is None:
            path = hash((site.number, self.path))
            source = Source(site.file, site.line, path, site.number, site.span)
            self._sources[key] = source
        self.source = source

    def rounds_to(self, dtype: np.dtype[Any]) -> None:
        """Remember where numbers lose digits first: programs compute in float64."""
        if self.rounds is None and dtype in (np.float16, np.float32):
            reason = f"rounds to {dtype}, which the traced program does not"
            self.rounds = reason, self.source or sources.calling_line()

    def _look(self) -> None:
        """Leave a trace that takes too long, or too much memory."""
        if self._steps > MOST:
            raise TraceError(f"takes more than {MOST:,} operations", self.source)
        if self.taken > self.seconds:
            raise TakesTooLong

    @property
    def taken(self) -> float:
        """Seconds of the processor so far, but for what is done once in a process.

        Other modules are imported when they are met, so each step counts for so much
        at most.
        """
        return min(time.thread_time() - self._began, self._steps * _STEP)

    def rewritten(self, function: FunctionType) -> FunctionType | None:
        """A function of the user in that form, which takes long the first time."""
        began = time.thread_time()
        found = self.rewrite(function)
        self._began += time.thread_time() - began
        return found

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Forget what was met within where it fails, though it may have caught that."""
        met: list[list[Any]] = [self.refused, self.guards, self.opaque]
        lengths, kept, path = [len(x) for x in met], self.kept.count, self.path
        try:
            yield
            if len(self.refused) > lengths[0]:
                raise TraceError(*self.refused[-1])
        except Exception:
            for x, length in zip(met, lengths, strict=True):
                del x[length:]
            with sources.outside():
                self.kept.settle(kept)
            self.path = path
            raise

    # ---- the user's own arrays

    def parameter(self, leaf: NDArray[Any], node: Node) -> Traced:
        """A parameter, recognised from now on wherever the loss reads it."""
        root = root_of(leaf)
        if root is leaf and leaf.flags.c_contiguous:
            memory = Memory(node, owned=False)
            self._memories[id(root)] = root, memory, root.dtype
            traced = Traced(node, leaf.dtype, memory)
        else:
            memory = self._memory(root)
            positions = positions_in(root, leaf)
            memory.protect(positions, node)
            traced = Traced(node, leaf.dtype, memory, positions)
        self._lifted[id(leaf)] = leaf, traced
        return traced

    def lift(self, array: NDArray[Any]) -> Any:
        """The traced array that a plain one stands for; itself if there is none."""
        known = self._lifted.get(id(array))
        if known is not None:
            return known[1]
        if id(array) not in self._memories and array.base is None:
            return array
        root = root_of(array)
        if id(root) not in self._memories:
            return array
        _, memory, dtype = self._memories[id(root)]
        if array.dtype.kind == "c":
            return Complex(self.lift(array.real), self.lift(array.imag))
        if array.dtype != dtype:
            return array
        positions = positions_in(root, array)
        traced = Traced(memory.read(positions), array.dtype, memory, positions)
        if array is root:
            self._lifted[id(array)] = array, traced
        return traced

    def lifted(self, x: Any) -> Any:
        """`x`, its arrays and those in its lists, tuples and dicts lifted.

        Itself, so that it may be written to, where nothing in it is.
        """
        kind = type(x)
        if kind is np.ndarray:
            return self.lift(x)
        if kind is tuple or kind is list:
            items = [y if type(y) in _LEAVES else self.lifted(y) for y in x]
            return x if all(map(operator.is_, items, x)) else kind(items)
        if kind is dict:
            values = [self.lifted(y) for y in x.values()]
            same = all(map(operator.is_, values, x.values()))
            return x if same else dict(zip(x, values, strict=True))
        return self.dense_again(x)

    def turns(self, x: Any) -> Any:
        """What to iterate over: what is written to an array, later turns see."""
        if type(x) is not np.ndarray:
            return x
        if x.dtype.names is not None and x.ndim == 1:
            return (record(x, i) for i in range(len(x)))
        lifted = self.lift(x)
        if lifted is x and x.ndim == 1 and x.flags.writeable:
            return (number(self.lift(x)[i]) for i in range(len(x)))
        return lifted

    def known(self, function: Any) -> Known:
        """What there is to know of a function of a library."""
        found = self._known.get(id(function))
        if found is None:
            found = Known(function)
            if lasts(function):
                self._known[id(function)] = found
        return found

    def copies(self) -> dict[int, Any]:
        """For `copy.deepcopy`: the user's arrays that are traced, already copied."""
        return {key: copy.copy(traced) for key, (_, traced) in self._lifted.items()}

    def dense(self, x: Any) -> Any:
        """A sparse matrix of SciPy as a plain array; everything else as it is."""
        if is_sparse(x):
            if id(x) not in self._dense:
                self._dense[id(x)] = x, x.toarray()
            return self.lift(self._dense[id(x)][1])
        return x

    def dense_again(self, x: Any) -> Any:
        """What a sparse matrix stands for that something traced was written to."""
        known = self._dense.get(id(x))
        lifted = None if known is None else self.lift(known[1])
        return x if lifted is None or type(lifted) is np.ndarray else lifted

    def changes(self, matrix: Any) -> None:
        """A sparse matrix that something plain is about to be written to."""
        self._dense.pop(id(matrix), None)

    def shares(self, value: Any) -> bool:
        """Whether a constant is this array itself, and remember what is in it."""
        if not self.sharing or not isinstance(value, np.ndarray):
            return False
        usable = value.dtype == float and value.flags.c_contiguous
        if value.size < _LARGE or not usable or not value.flags.aligned:
            return False
        if id(value) not in self._shared:
            self._shared[id(value)] = value, graph.digest(value)
        return True

    @property
    def wrote_shared(self) -> bool:
        """Whether the loss has written into an array that is a constant."""
        return any(graph.digest(x) != before for x, before in self._shared.values())

    def promote(self, array: NDArray[Any]) -> Traced | Complex:
        """A plain array that something traced is about to be written to."""
        self._memory(root_of(array))
        lifted = self.lift(array)
        if not isinstance(lifted, Traced | Complex):
            raise TraceError("writes into an array through another dtype")
        return lifted

    def _memory(self, root: NDArray[Any]) -> Memory:
        if id(root) not in self._memories:
            dtype = _element(root.dtype)
            if dtype is None or not root.flags.forc:
                raise TraceError(f"writes into an array of dtype {root.dtype}")
            self.rounds_to(dtype)
            plain = flat(root).view(dtype)
            memory = Memory(graph.constant(plain, own=True), plain=plain)
            self._memories[id(root)] = root, memory, dtype
        return self._memories[id(root)][1]


def record(structures: NDArray[Any], key: Any) -> NDArray[Any]:
    """One structure of an array, whose fields can be views: NumPy's own is a scalar."""
    key = key if isinstance(key, tuple) else (key,)
    found: NDArray[Any] = structures[(*key, ...)]
    return found


def _element(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """What memory consists of: numbers, also in complex ones and in structures."""
    if dtype.kind in "fiub":
        return dtype
    pairs = dtype == np.dtype(complex)
    structures = dtype.kind == "V" and dtype.itemsize % 8 == 0 and not dtype.hasobject
    return np.dtype(float) if pairs or structures else None
