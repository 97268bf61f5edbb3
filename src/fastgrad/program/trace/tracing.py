"""From a loss and its parameters to a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.params import Nest
from fastgrad.program import graph, sources
from fastgrad.program.graph import Node, topological
from fastgrad.program.primitives import reductions
from fastgrad.program.sources import Source, TraceError
from fastgrad.program.trace import calls, methods
from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.opaque import call_opaque
from fastgrad.program.trace.packages import Packages
from fastgrad.program.trace.recording import Recording
from fastgrad.program.trace.rewriting import rewritten
from fastgrad.program.trace.traced import Traced

methods.install()


@dataclass(frozen=True)
class Graph:
    """A loss as it was recorded.

    Attributes
    ----------
    parameters : list of Node
        One for each block.
    result : Node
        The loss; its graph is behind it.
    guards : list of Node
        Values the loss acted on: where one is another, the loss is another program.
    opaque : list of Node
        Calls of functions that nobody knows.
    seconds : float
        Of the processor, that recording took.
    rounds : (str, Source), optional
        Why a program of it may give other digits, and where.
    """

    parameters: list[Node]
    result: Node
    guards: list[Node] = field(default_factory=list)
    opaque: list[Node] = field(default_factory=list)
    seconds: float = 0.0
    rounds: tuple[str, Source] | None = None

    @cached_property
    def nodes(self) -> list[Node]:
        """The parameters, then all that is computed from them, inputs first."""
        rest = topological(self.result, *self.guards, *self.opaque)
        return [*self.parameters, *(n for n in rest if n.op != "parameter")]


def trace_graph(
    loss: Callable[[Any], Any],
    nest: Nest,
    reduction: str | None = None,
    theta: NDArray[np.float64] | None = None,
    *,
    sharing: bool = False,
    packages: Packages | None = None,
    seconds: float = math.inf,
) -> Graph:
    """Record what a loss, called once, does with its parameters.

    Their nodes are views of `theta`, if they are at hand as one vector that stays.
    `sharing`, large constants are the user's own arrays, for as long as nobody else
    writes into these.
    Traces of one loss share what they know of `packages`. One that takes longer than
    `seconds` of the processor is left: `TakesTooLong`.
    """
    source = sources.defining_line(loss)
    if theta is None:
        theta = nest.join(nest.leaves)
    parameters = [
        Node("parameter", (), (), value, name, source)
        for name, value in zip(nest.names, nest.split(theta), strict=True)
    ]
    scalar = partial(_scalar, reduction=reduction, source=source)
    given = loss, nest, parameters, source, scalar
    packages = packages or Packages()
    recording = Recording(
        rewritten, sharing=sharing, packages=packages, seconds=seconds
    )
    node = _recorded(recording, *given)
    if recording.wrote_shared:
        recording = Recording(rewritten, packages=packages)
        node = _recorded(recording, *given)
    if not node.active:
        raise TraceError("does not depend on the argument it was traced with", source)
    guards = [n for n in dict.fromkeys(recording.guards) if n.active]
    met = recording.opaque, recording.taken, recording.rounds
    return Graph(parameters, node, guards, *met)


def trace_blocks(
    function: Callable[[Any], Any], chosen: Callable[[Any], Any], nest: Nest
) -> list[Node]:
    """Record a function that returns what is built like its parameters: a gradient.

    Of what it returns, that is what is `chosen`.

    Returns
    -------
    list of Node
        One for each block; all that is computed is behind them.
    """
    source = sources.defining_line(function)
    parameters = [
        Node("parameter", (), (), np.array(leaf, np.float64), name, source)
        for name, leaf in zip(nest.names, nest.leaves, strict=True)
    ]

    def blocks(recording: Recording, result: Any) -> list[Node]:
        members = nest.members(chosen(result), "grads")
        return [_node(recording, x) for x, _ in members]

    recording = Recording(rewritten)
    found: list[Node] = _recorded(recording, function, nest, parameters, source, blocks)
    return found


def _node(recording: Recording, value: Any) -> Node:
    """The node of a result, traced or not; where it was written to, of that line."""
    if isinstance(value, np.ndarray):
        value = recording.lift(value)
    if not isinstance(value, Traced):
        return graph.constant(value)
    if value.memory.version:
        with sources.spoken("[...]", value.memory.pieces[-1].source):
            return value.node
    return value.node


def _recorded(
    recording: Recording,
    function: Callable[[Any], Any],
    nest: Nest,
    parameters: Sequence[Node],
    source: Source,
    outcome: Callable[[Recording, Any], Any],
) -> Any:
    """What comes of its result; TraceError for what it raises (but lack of memory)."""
    recording.origin = source
    token = sources.current_trace.set(recording)
    try:
        traced = [
            recording.parameter(leaf, node)
            for node, leaf in zip(parameters, nest.leaves, strict=True)
        ]
        with np.errstate(all="ignore"):
            result = _result(recording, function, nest.rebuild(traced))
        recording.source = source
        found = outcome(recording, result)
    except MemoryError:
        raise
    except TraceError as error:
        own = error.reason, error.source
        first = (recording.refused or [own])[0]  # which the loss may have caught
        if first == own:
            raise
        raise TraceError(*first) from error
    except Exception as error:
        line = sources.raising_line(error)
        reason = f"fails while traced: {type(error).__name__}: {error}"
        raise TraceError(reason, line) from error
    finally:
        sources.current_trace.reset(token)
        recording.kept.settle()
    if recording.refused:
        raise TraceError(*recording.refused[0])
    return found


def _result(recording: Recording, loss: Any, params: Any) -> Any:
    """What the loss gives; by its translation if it is not written in NumPy."""
    if hasattr(loss, "in_numpy"):
        return loss.in_numpy(params)
    return calls.run(recording, loss, params)


def _scalar(
    recording: Recording, result: Any, reduction: str | None, source: Source
) -> Node:
    """The node of the loss itself."""
    if isinstance(result, tuple) and len(result) == 2:
        result = result[0]
    if isinstance(result, np.ndarray):
        result = recording.lift(result)
    if type(result) is Foreign:
        result = call_opaque(recording, np.asarray, (result,), {})
    if isinstance(result, Complex):
        raise TraceError("returns a complex number", source)
    if not isinstance(result, Traced):
        raise TraceError(
            "returns a number that does not come from its argument", source
        )
    node = result.node
    if reduction is not None and node.value.ndim:
        reduce = reductions.mean if reduction == "mean" else reductions.sum_
        node = reduce(node, label=f"reduction={reduction!r}")
    if node.value.size != 1:
        raise TraceError(
            f"returns an array of shape {node.shape}, not a number", source
        )
    return graph.reshape(node, (), "loss")
