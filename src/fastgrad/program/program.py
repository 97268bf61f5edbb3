"""A traced loss: print it, replay it, differentiate it."""

from __future__ import annotations

import html
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._kernels._replay import BUNDLE, Replayer
from fastgrad._threads import interruptibly, resolve_num_threads
from fastgrad.params import Nest
from fastgrad.program import plan
from fastgrad.program.asked import moved_entries, moves_along
from fastgrad.program.gradient import computes, gradients, rounding_of
from fastgrad.program.graph import Node, in_order, topological
from fastgrad.program.guards import departure
from fastgrad.program.listing import listing
from fastgrad.program.read_set import read_set
from fastgrad.program.trace.tracing import Graph
from fastgrad.program.windows import Windows, looked_at

#: Wanted duration of one call into the kernels: Ctrl-C can wait so long, and no thread
#: has to be started.
_SLICE_SECONDS = 0.015
#: Multiply-adds a second, if it goes badly.
_SLOWEST = 2e8
#: Of finding the boxes of a bundle and calling the kernels, in multiply-adds.
_BUNDLE_COST = 400.0
#: Multiply-adds that keep a thread busy for longer than it takes to wake it.
_WORK_PER_THREAD = 1e6

Progress = Callable[[int, int], None]


class Program:
    """A loss as a list of array operations, with its value at the traced parameters.

    Made by `fastgrad.trace`. Printing it shows every operation with its source line,
    how far a perturbation of each parameter spreads, and what checking every entry will
    cost.
    Threads may share one: nothing of it changes, and calls of the kernels take turns.

    Attributes
    ----------
    nest : Nest
        The parameters: names, shapes.
    nodes : list of Node
        Parameters, constants and operations, inputs before outputs.
    number : dict of Node to int
        Where each stands among them.
    guards : list of Node
        Values that decided where the loss went: it goes there as long as they stay.
    opaque : list of Node
        Calls of functions that nobody knows: lanes that reach them make them.
    value : float
        The loss at the traced parameters.
    """

    def __init__(self, nest: Nest, graph: Graph, recorded: Graph | None = None) -> None:
        self.nest, self._recorded = nest, recorded
        self.parameters = list(graph.parameters)
        self.result = graph.result
        self.guards, self.opaque = graph.guards, graph.opaque
        self.nodes = in_order(self.parameters, self.result)
        self._replayer: Replayer | None = None
        self._rate = _SLOWEST
        self.number = {node: i for i, node in enumerate(self.nodes)}
        leaves = departure(self.guards, self.opaque)
        self._departure: Program | None = None
        if leaves is not None:
            self._departure = Program(nest, Graph(graph.parameters, leaves))
        shown = looked_at(self.nodes, self.result)
        self._windows = Windows(self.nodes, shown, self.parameters)
        self._turn = Lock()  # of those who show values to the kernels
        for node in self.nodes:
            if node in self._windows.shown:
                node.let_go()
            elif node.local:
                node.remember()

    @property
    def value(self) -> float:
        """The loss at the traced parameters."""
        return float(self.result.value)

    @cached_property
    def operations(self) -> list[Node]:
        """The nodes that compute something, in order."""
        return [n for n in self.nodes if n.active and n.op != "parameter"]

    @cached_property
    def in_turns(self) -> Program:
        """The same loss, with the turns of its loops one by one where they are few."""
        return self if self._recorded is None else Program(self.nest, self._recorded)

    def remember(self) -> None:
        """Keep all values, as who looks at all of them again and again needs them."""
        for node in self.nodes:
            node.remember()

    # ---- replay

    def replayer(self, num_threads: int) -> Replayer:
        """Return the packed program with workspaces for so many threads."""
        replayer = self._replayer
        if replayer is None or replayer.num_threads < num_threads:
            self._replayer = replayer = None  # there need not be room for both
            self._replayer = replayer = Replayer(*self._packed, num_threads)
        return replayer

    @cached_property
    def _packed(self) -> plan.Packed:
        return plan.packed(self.nodes, self.result, self._windows.shown)

    @cached_property
    def orders(self) -> list[plan.BundleOrder]:
        """How the entries of each block are bundled."""
        replayer = self.replayer(1)
        return [
            plan.choose_order(replayer, self.number[p], p.shape, read.reshape(-1))
            if p.size
            else plan.BundleOrder(p.shape, tuple(range(p.ndim)), 0, 0.0)
            for p, read in zip(self.parameters, self.nest.split(self.read), strict=True)
        ]

    @cached_property
    def _bundles(self) -> plan.Bundles:
        return plan.Bundles(self.nest.offsets, self.orders)

    def at_entries(
        self,
        index: NDArray[np.int64],
        delta: NDArray[np.float64],
        *,
        num_threads: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Replay with one entry changed, for many entries.

        Parameters
        ----------
        index : int64 array of shape (n,)
            Entries, counted through all parameters.
        delta : float64 array of shape (n,)
            Change of that entry.
        num_threads : int, optional
            Number of threads; the bits of the result do not depend on it.
        progress : callable, optional
            Called with (done, n) about every 15 ms.

        Returns
        -------
        difference : float64 array of shape (n,)
            J(theta + delta[k] e_index[k]) - J(theta); NaN where a guard gives way,
            infinite where an opaque operation is reached whose result decides more
            than numbers: there the loss itself has to be asked.
        crossed : bool array of shape (n,)
            Whether a maximum, abs, where, ... was on another side than at theta.

        Raises
        ------
        TypeError, ValueError
            If there is no such entry, or as many changes are not given.
        """
        index, delta = moved_entries(index, delta, self.nest)
        here = self.read[index]
        if not here.all():  # what is not read changes nothing
            difference, crossed = np.zeros(len(index)), np.zeros(len(index), dtype=bool)
            if here.any():
                difference[here], crossed[here] = self.at_entries(
                    index[here], delta[here], num_threads=num_threads, progress=progress
                )
            return difference, crossed
        difference, crossed = self._shown(index, delta, num_threads, progress)
        if self._departure is not None:
            difference += self._departure._shown(index, delta, num_threads, None)[0]
        return difference, crossed

    def _shown(
        self,
        index: NDArray[np.int64],
        delta: NDArray[np.float64],
        num_threads: int | None,
        progress: Progress | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """See `at_entries`, wherever the program applies; window by window."""
        if not self._windows.shown:
            return self._replay(index, delta, num_threads, progress)
        n, done = len(index), 0
        difference, crossed = np.empty(n), np.empty(n, dtype=bool)
        with self._turn:
            for part, values, first in self._windows.parts(index):
                numbered = [
                    (self.number[node], value) for node, value in values.items()
                ]
                self.replayer(resolve_num_threads(num_threads)).show(numbered, first)
                own = self._replay(index[part], delta[part], num_threads, None)
                difference[part], crossed[part] = own
                done += len(part)
                if progress is not None:
                    progress(done, n)
        return difference, crossed

    @cached_property
    def read(self) -> NDArray[np.bool_]:
        """Whether any operation reads an entry, for each: of an embedding, few are."""
        read = read_set(self.nodes, self.parameters, self.result)
        return read if self._departure is None else read | self._departure.read

    def _replay(
        self,
        index: NDArray[np.int64],
        delta: NDArray[np.float64],
        num_threads: int | None,
        progress: Progress | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """See `_shown`, where the kernels have all values that they read."""
        by_order, start, block = self._bundles.make(index)
        n = len(index)
        delta = np.ascontiguousarray(delta, dtype=np.float64)
        if by_order is not None:
            index, delta = index[by_order], delta[by_order]
        numbers = np.array([self.number[p] for p in self.parameters], dtype=np.int32)
        value, first_entry = numbers[block], self._bundles.offsets[block]
        out, crossed = np.empty(n), np.empty(n, dtype=bool)
        work = np.array([BUNDLE * order.cost + _BUNDLE_COST for order in self.orders])
        done = np.concatenate([[0.0], np.cumsum(work[block])])
        threads = resolve_num_threads(num_threads)
        threads = min(threads, 1 + int(done[-1] / _WORK_PER_THREAD))
        threads = 1 if self._calls_python else threads
        replayer = self.replayer(threads)
        bundles = (start, value, first_entry, index, delta, out, crossed.view(np.uint8))
        for first, last, seconds in self._slices(done, threads):
            run = partial(replayer.run, *bundles, first, last, num_threads=threads)
            self._run(run, seconds)
            if progress is not None:
                progress(int(start[last]), n)
        if by_order is None:
            return out, crossed
        difference, sides = np.empty(n), np.empty(n, dtype=bool)
        difference[by_order] = out
        sides[by_order] = crossed
        return difference, sides

    def _run(self, run: Callable[[], Any], seconds: float) -> Any:
        """Run kernels for so long; calls of Python can be interrupted anyhow."""
        return run() if self._calls_python else interruptibly(run, seconds)

    @cached_property
    def _calls_python(self) -> bool:
        return any(n.op == "opaque" for n in plan.packed_nodes(self.nodes))

    def again(self) -> Program:
        """The same, packed anew: some of its calls may be left to the loss by now."""
        graph = Graph(self.parameters, self.result, self.guards, self.opaque)
        return Program(self.nest, graph)

    def _slices(
        self, done: NDArray[np.float64], threads: int
    ) -> Iterator[tuple[int, int, float]]:
        """Ranges of bundles that take about `_SLICE_SECONDS` each; how long they may.

        `done` is the work up to each bundle; how fast it goes is measured slice by
        slice, and remembered.
        """
        first = 0
        while first < len(done) - 1:
            reach = done[first] + self._rate * _SLICE_SECONDS
            last = int(np.searchsorted(done, reach, side="right")) - 1
            last = min(max(last, first + threads), len(done) - 1)
            work = done[last] - done[first]
            began = time.perf_counter()
            yield first, last, work / self._rate
            elapsed = max(time.perf_counter() - began, 1e-6)
            self._rate = min(max(work / elapsed, _SLOWEST), 8 * self._rate)
            first = last

    def along(
        self, direction: NDArray[np.float64], t: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """J(theta + t[k] * direction) - J(theta), for each k.

        Where t has shape (number of blocks, n), each block is moved t[block, k] times
        its part of the direction.
        """
        direction, times = moves_along(direction, t, self.nest)
        split = zip(self.parameters, self.nest.split(direction), strict=True)
        moved = [
            (b, (self.number[p], part.reshape(-1)))
            for b, (p, part) in enumerate(split)
            if np.any(times[b]) and np.any(part)  # the others need not be replayed
        ]
        blocks, directions = [b for b, _ in moved], [one for _, one in moved]
        replayer = self.replayer(1)
        seconds = BUNDLE * self.full_cost / self._rate
        parts = []
        with self._turn:
            whole = self._windows.everything()
            replayer.show([(self.number[x], v.ravel()) for x, v in whole.items()], 0)
            for i in range(0, times.shape[1], BUNDLE):
                lanes = np.ascontiguousarray(times[blocks, i : i + BUNDLE])
                run = partial(replayer.run_along, directions, lanes)
                parts.append(self._run(run, seconds))
            replayer.show([(self.number[x], None) for x in whole], 0)
        difference = np.concatenate(parts) if parts else np.empty(0)
        if self._departure is not None:
            difference += self._departure.along(direction, times)
        return difference

    @cached_property
    def full_cost(self) -> float:
        """Multiply-adds of a whole forward pass."""
        numbers = [self.number[p] for p in self.parameters]
        return float(self.replayer(1).full_cost(numbers))

    @cached_property
    def widest(self) -> int:
        """Elements of the largest array that moves."""
        return max((node.size for node in self.nodes if node.active), default=0)

    @cached_property
    def work(self) -> float:
        """Multiply-adds of moving every entry once; functions count as so many."""
        costs = (order.bundles * order.cost for order in self.orders)
        return float(BUNDLE * sum(costs))

    @cached_property
    def rounding(self) -> float:
        """A bound of the rounding of a replayed difference, see `rounding_of`."""
        return rounding_of(self.nodes, self.result)

    @cached_property
    def rounding_of_function(self) -> float:
        """What differences of the function itself round by, see `rounding_of`."""
        return rounding_of(self.nodes, self.result, computes)

    def gradient(self) -> Any:
        """The gradient at the traced parameters, by reverse mode over the operations.

        Analytic: it uses the derivative rule of every operation, and is no witness
        against itself. At a tie of a maximum it is a subgradient.

        Returns
        -------
        nest of arrays
            In the structure of the parameters.

        Examples
        --------
        >>> import numpy as np
        >>> import fastgrad as fg
        >>> fg.trace(lambda x: (x**2).sum(), np.array([1.0, 3.0])).gradient()
        array([2., 6.])
        """
        found = gradients(self.nodes, self.result, self.parameters)
        return self.nest.unvector(self.nest.join(found))

    def __reduce__(self) -> Any:
        """Say how it is made again: from a flat list, for a graph may be very deep."""
        ends = (self.parameters, [self.result], self.guards, self.opaque)
        nodes = topological(*itertools.chain(*ends))
        number = {node: i for i, node in enumerate(nodes)}
        rows = [
            (n.op, [number[x] for x in n.inputs], n.ints, n.value, n.label, n.source,
             n.active)
            for n in nodes
        ]  # fmt: skip
        return _unpacked, (self.nest, rows, [[number[n] for n in e] for e in ends])

    # ---- printing

    def _repr_html_(self) -> str:
        style = "font-family: monospace; white-space: pre; overflow: auto"
        return f'<pre style="{style}">{html.escape(str(self))}</pre>'

    def __str__(self) -> str:
        return listing(self)

    @property
    def python_operations(self) -> tuple[str, ...]:
        """The calls that only Python can make, each with its line."""
        return tuple(
            dict.fromkeys(f"{node.label} ({node.source})" for node in self.opaque)
        )


def _unpacked(nest: Nest, rows: Sequence[Any], ends: Sequence[Any]) -> Program:
    """Make a program again from what `Program.__reduce__` gave."""
    nodes: list[Node] = []
    for op, inputs, *rest in rows:
        nodes.append(Node(op, tuple(nodes[i] for i in inputs), *rest))
    parameters, (result,), guards, opaque = ([nodes[i] for i in e] for e in ends)
    return Program(nest, Graph(parameters, result, guards, opaque))
