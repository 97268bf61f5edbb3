"""What values are called: by the variable that a line assigns, or as an expression."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

from fastgrad.program import Node

_DEEP = 3  # operations of an expression that are told
_LONGEST = 48  # letters of an expression of the user
_SIGNS = {"np.add": "+", "np.subtract": "-", "np.multiply": "*", "np.divide": "/"}
_SIGNS |= {"np.matmul": "@", "np.power": "**"}


class Names:
    """What values are called, by the lines that compute them, and `whose` they are."""

    def __init__(self, nodes: Iterable[Node], whose: str = "") -> None:
        self._whose = whose
        self._known: dict[Node, str] = {}
        self._inner = defaultdict[Node, bool](bool)
        self._read: dict[Node, tuple[Node, int]] = {}
        for node in nodes:
            for i, x in enumerate(node.inputs):
                self._inner[x] |= x.inputs != () and x.source == node.source
                self._read.setdefault(x, (node, i))

    def __call__(self, node: Node) -> str:
        """The name of a value, with whose it is."""
        if node not in self._known:
            self._known[node] = self._called(node)
        return self._known[node]

    def _called(self, node: Node) -> str:
        if node.op == "constant" and node.size > 1:
            written = self._written(node)
            shape = f"the constant array of shape {node.shape}"
            return (f"`{written}`" if written else shape) + self._whose
        whose = self._whose if node.inputs else ""
        return f"`{self._text(node, _DEEP)}`{whose}"

    def _written(self, node: Node) -> str | None:
        """What a line that reads an array calls it."""
        user, i = self._read.get(node, (None, 0))
        operands = () if user is None else user.source.operands
        if user is None or len(operands) != len(user.inputs):
            return None
        return operands[i] if len(operands[i]) <= _LONGEST else None

    def _text(self, node: Node, deep: int) -> str:
        """The expression that a value is, with variables where they are known."""
        if node.op == "parameter":
            return node.label
        if not node.inputs:
            number = f"{float(node.value.flat[0]):.6g}" if node.size == 1 else None
            return number or self._written(node) or "[...]"
        name = None if self._inner[node] else _assigned(node.source.code, node.label)
        if name is not None:
            return name
        if not deep:
            return "(...)"
        some = [self._text(x, deep - 1) for x in _operands(node)]
        if node.label == "np.power" and node.op != "power":
            some = [some[0], f"{_exponent(node):g}"]
        if node.label == "[...]":
            return f"{some[0]}[...]"
        if node.label == "np.transpose":
            return f"{some[0]}.T"
        sign = _SIGNS.get(node.label)
        if sign and len(some) == 2:
            inside = f"{some[0]} {sign} {some[1]}"
            return f"({inside})" if deep < _DEEP else inside
        return f"{node.label}({', '.join(some)})"


def given(
    node: Node, path: tuple[int, ...] = ()
) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Yield what a call is applied to, and the way there.

    It may be several operations.
    """
    for i, x in enumerate(node.inputs):
        if is_part(x, node):
            yield from given(x, (*path, i))
        else:
            yield x, (*path, i)


def is_part(x: Node, node: Node) -> bool:
    """Whether a value is made by the call that makes another one of it."""
    return (x.source.site, x.label) == (node.source.site, node.label) and x.inputs != ()


def _operands(node: Node) -> list[Node]:
    """What a call is applied to, but for numbers that only its operations are told."""
    found = [x for x, _ in given(node)]
    if not any(is_part(x, node) for x in node.inputs):
        return found
    return [x for x in dict.fromkeys(found) if x.size > 1 or x.op != "constant"]


def _exponent(node: Node) -> float:
    """Of a power that is computed without one."""
    parts = (_exponent(x) if is_part(x, node) else 1.0 for x in node.inputs)
    return sum(parts) * {"square": 2.0, "sqrt": 0.5, "reciprocal": -1.0}.get(
        node.op, 1.0
    )


@cache
def _assigned(code: str, label: str) -> str | None:
    """The variable that a line assigns, if it is one, to what is labelled so."""
    try:
        (line,) = ast.parse(code).body
    except (SyntaxError, ValueError):
        return None
    if isinstance(line, ast.Assign) and len(line.targets) == 1:
        target = line.targets[0]
    elif isinstance(line, ast.AugAssign):
        target = line.target
    else:
        return None
    call = line.value.func if isinstance(line.value, ast.Call) else None
    called = "" if call is None else ast.unparse(call).split(".")[-1]
    other = call is not None and called != label.split(".")[-1]  # handed to a function
    return None if other or isinstance(target, ast.Tuple) else ast.unparse(target)
