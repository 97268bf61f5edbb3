"""Reverse mode with something broken: how the gradient changes, and nothing else.

Gradients above the broken operation are the right ones, and derivatives are linear in
what comes down: so only the change is propagated, from the broken operation down.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import ops
from fastgrad.program.gradient import backpropagate, derivative
from fastgrad.program.graph import Node
from fastgrad.program.program import Program

Array = NDArray[np.float64]
#: What a broken operation sends down: (node, gradient of its output) -> [(to, part)].
Sends = Callable[[Node, Array], Iterable[tuple[Node, Any]]]


class Reverse:
    """A program with its right gradient at every value.

    Attributes
    ----------
    nodes : list of Node
        That depend on parameters and on which the loss depends, inputs first.
    gradient : dict of Node to ndarray
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        with np.errstate(all="ignore"):
            self.gradient = backpropagate(program.nodes, program.result)
        self.nodes = [n for n in program.nodes if n in self.gradient]
        self.number = {node: i for i, node in enumerate(self.nodes)}
        self._parts: dict[Node, Sequence[Any]] = {}

    def parts(self, node: Node) -> Sequence[Any]:
        """What the node rightly sends to its inputs."""
        if node not in self._parts:
            with np.errstate(all="ignore"):
                self._parts[node] = derivative(node, self.gradient[node])
        return self._parts[node]

    def part(self, node: Node, i: int) -> Array:
        """What the node rightly sends to input `i`, in its shape."""
        return np.broadcast_to(self.parts(node)[i], node.inputs[i].shape)

    @cached_property
    def users(self) -> dict[Node, list[tuple[Node, int]]]:
        """For each value the operations that use it, and as which input."""
        users: dict[Node, list[tuple[Node, int]]] = defaultdict(list)
        for node in self.nodes:
            for i, x in enumerate(node.inputs):
                if x.active:
                    users[x].append((node, i))
        return users

    @cached_property
    def groups(self) -> list[list[Node]]:
        """Operations that are the same piece of code, run again in a loop."""
        groups: dict[Any, list[Node]] = defaultdict(list)
        seen: dict[Any, int] = defaultdict(int)
        for node in self.nodes:
            if not node.inputs:
                continue
            # One call of NumPy may make several operations of one kind.
            last = groups.get((node.source.site, node.op, node.label))
            key = (node.source.site, node.op, node.label)
            if last and last[-1] in node.inputs:
                seen[key] += 1
            groups[(*key, node.ints if node.op in ("sum", "contract") else ())].append(node)
        return list(groups.values())

    @cached_property
    def reached(self) -> dict[Node, int]:
        """For each value the parameters it depends on, as bits."""
        bits = {p: 1 << b for b, p in enumerate(self.program.parameters)}
        for node in self.nodes:
            if node.inputs:
                bits[node] = 0
                for x in node.inputs:
                    bits[node] |= bits.get(x, 0)
        return bits

    def change(self, broken: Mapping[Node, Sends]) -> list[Array | None]:
        """The change of each parameter's gradient if these operations send otherwise."""
        change: dict[Node, Array] = {}
        for node in reversed(self.nodes[: 1 + max(self.number[n] for n in broken)]):
            if not node.inputs:
                continue
            moved = change.get(node)
            if node in broken:
                g = self.gradient[node] if moved is None else self.gradient[node] + moved
                sent = list(broken[node](node, g))
                sent += [(x, -self.part(node, i)) for i, x in enumerate(node.inputs)
                         if x.active]
            elif moved is not None:
                sent = list(zip(node.inputs, derivative(node, moved), strict=True))
            else:
                continue
            for x, part in sent:
                if x.active and part is not None:
                    part = np.broadcast_to(part, x.shape)
                    change[x] = change[x] + part if x in change else part
        return [change.get(p) for p in self.program.parameters]

    def ancestors(self, node: Node, limit: int = 200) -> set[Node]:
        """Values the node depends on, parameters left out; at most so many."""
        found: set[Node] = set()
        stack = [node]
        while stack and len(found) < limit:
            for x in stack.pop().inputs:
                if x.active and x.op != "parameter" and x not in found:
                    found.add(x)
                    stack.append(x)
        return found


def rightly(node: Node, g: Array) -> list[tuple[Node, Any]]:
    """What the node sends when it is not broken."""
    return list(zip(node.inputs, derivative(node, g), strict=True))


def elementwise(node: Node) -> bool:
    """Whether the operation works entry by entry."""
    return node.op in ops.ELEMENTWISE
