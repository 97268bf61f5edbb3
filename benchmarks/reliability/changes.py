"""Small changes of code, each of which a test ought to notice.

Operators, comparisons, signs, constants, branches, keywords, calls, bounds and
statements of functions are changed. Messages, annotations, defaults and what is for
type checkers are left alone, and so is all that mostly changes nothing: names, strings,
the order of what commutes. Or a function as a whole does nothing.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OPPOSITES = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BORDERS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_FUNCTIONS = {
    "sum": "mean",
    "mean": "sum",
    "max": "min",
    "min": "max",
    "maximum": "minimum",
    "minimum": "maximum",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "sin": "cos",
    "cos": "sin",
}
#: What is said, or for a type checker, decides nothing.
_SILENT = (ast.Raise, ast.Assert, ast.JoinedStr, ast.AnnAssign)


_LENGTH = 120  # of what is shown of a statement


@dataclass
class Change:
    """What stands in one place of a tree, and what is to stand there instead."""

    function: str
    statement: ast.stmt
    what: str
    holder: Any
    place: Any
    old: ast.AST
    new: ast.AST

    @property
    def line(self) -> int:
        """The line of what is changed."""
        return getattr(self.old, "lineno", self.statement.lineno)

    @property
    def lines(self) -> Iterable[int]:
        """The lines of which a test has to run one."""
        return [self.line]

    def compiled(self, tree: ast.Module, path: str) -> CodeType:
        """The module's code with the change."""
        self._put(ast.copy_location(self.new, self.old))
        try:
            return compile(ast.fix_missing_locations(tree), path, "exec", 0, True)
        finally:
            self._put(self.old)

    def __str__(self) -> str:
        shown = []
        for node in (self.old, self.new):
            self._put(node)
            shown.append(ast.unparse(self.statement).split("\n")[0][:_LENGTH])
        self._put(self.old)
        return f"{self.line}, {self.function}: {self.what}: {'  ->  '.join(shown)}"

    def _put(self, node: ast.AST) -> None:
        if isinstance(self.holder, list):
            self.holder[self.place] = node
        else:
            setattr(self.holder, self.place, node)


@dataclass
class Whole(Change):
    """A function that does nothing, and what it returns instead."""

    @property
    def lines(self) -> Iterable[int]:
        """Those of the function."""
        return range(self.line, (self.holder[-1].end_lineno or self.line) + 1)

    def __str__(self) -> str:
        returned = ast.unparse(self.new.body[0])
        return f"{self.line}, {self.function}: as a whole: {returned}"


def wholes(tree: ast.Module) -> list[Change]:
    """Return changes that leave a function nothing to do, one for each function."""
    return list(_wholes(tree, ""))


def _wholes(node: ast.AST, within: str) -> Iterator[Change]:
    for child in ast.iter_child_nodes(node):
        inside = within
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inside = f"{within}.{child.name}".lstrip(".")
        if isinstance(child, ast.FunctionDef) and not child.name.startswith("__"):
            first = int(ast.get_docstring(child) is not None)
            if first < len(child.body):
                old = child.body[first]
                # What is never run still holds the variables that a closure needs.
                new = ast.If(ast.Constant(True), [ast.Return(_neutral(child))], [old])
                yield Whole(inside, old, "", child.body, first, old, new)
        yield from _wholes(child, inside)


#: What says nothing, by the type that is announced.
_NOTHING = {
    "bool": "False",
    "int": "0",
    "float": "0.0",
    "str": "''",
    "list": "[]",
    "dict": "{}",
    "set": "set()",
    "tuple": "()",
    "Iterator": "iter(())",
    "Iterable": "()",
}


def _neutral(function: ast.FunctionDef) -> ast.expr | None:
    """The answer that says nothing; of an array, what is given."""
    if function.returns is None or _yields(function):
        return None
    kind = ast.unparse(function.returns)
    given = function.args.posonlyargs + function.args.args
    same = [a.arg for a in given if a.annotation and ast.unparse(a.annotation) == kind]
    answer = _NOTHING.get(kind.partition("[")[0], same[-1] if same else "None")
    return ast.parse(answer, mode="eval").body


def _yields(node: ast.AST) -> bool:
    """Whether a function is a generator."""
    inner = ast.FunctionDef | ast.Lambda
    below = [c for c in ast.iter_child_nodes(node) if not isinstance(c, inner)]
    yields = isinstance(node, ast.Yield | ast.YieldFrom)
    return yields or any(map(_yields, below))


def changes(tree: ast.Module) -> list[Change]:
    """All changes of the functions of a module."""
    return list(_below(tree, "", tree.body[0]))


def _below(node: ast.AST, function: str, statement: ast.stmt) -> Iterator[Change]:
    """Changes of what a node holds."""
    for holder, place, child in _places(node):
        inside, within = function, statement
        if isinstance(child, ast.keyword) and child.arg == "strict":
            continue  # says what holds anyway
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inside = f"{function}.{child.name}".lstrip(".")
        elif isinstance(child, ast.Lambda):
            inside = function or "<lambda>"
        elif isinstance(child, ast.stmt):
            within = child
        if inside:
            for what, new in _instead(child):
                yield Change(inside, within, what, holder, place, child, new)
        if not isinstance(child, _SILENT):
            yield from _below(child, inside, within)


def _places(node: ast.AST) -> Iterator[tuple[Any, Any, ast.AST]]:
    """Where the children of a node are that are run when it is called."""
    skipped = {"args", "decorator_list", "returns", "annotation", "type_params"}
    of_definition = isinstance(node, ast.FunctionDef | ast.Lambda)
    for field, value in ast.iter_fields(node):
        if of_definition and field in skipped:
            continue
        if isinstance(value, list):
            found = [(value, k, v) for k, v in enumerate(value)]
        else:
            found = [(node, field, value)]
        yield from (f for f in found if isinstance(f[2], ast.AST))


def _instead(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what may stand instead of a node, and what the change is called."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in _OPERATORS:
                yield "operator", ast.BinOp(left, _OPERATORS[type(op)](), right)
            if isinstance(op, ast.MatMult):
                yield "operands exchanged", ast.BinOp(right, op, left)
            yield "left only", left
        case ast.BoolOp(op, values):
            other = ast.And() if isinstance(op, ast.Or) else ast.Or()
            yield "and, or", ast.BoolOp(other, values)
            for k in range(len(values)):
                rest = values[:k] + values[k + 1 :]
                new = ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
                yield "condition left out", new
        case ast.Compare(left, [op], others):
            yield "negated", ast.Compare(left, [_OPPOSITES[type(op)]()], others)
            counted = isinstance(others[0], ast.Constant)
            if type(op) in _BORDERS and counted and isinstance(others[0].value, int):
                yield "border", ast.Compare(left, [_BORDERS[type(op)]()], others)
        case ast.UnaryOp(ast.USub() | ast.Not() | ast.Invert(), operand):
            yield "sign left out", operand
        case ast.Constant(bool() as value):
            yield "constant", ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield "constant", ast.Constant(value + 1)
        case ast.If(test, body, orelse) | ast.IfExp(test, body, orelse):
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                negated = ast.UnaryOp(ast.Not(), test)
                yield "branch negated", type(node)(negated, body, orelse)
        case ast.Call(ast.Attribute(value, name, context), arguments, keywords):
            if name in _FUNCTIONS:
                other = ast.Attribute(value, _FUNCTIONS[name], context)
                yield _FUNCTIONS[name], ast.Call(other, arguments, keywords)
            yield from _without_keyword(node)
        case ast.Call():
            yield from _without_keyword(node)
        case ast.Slice(lower, upper, step):
            if lower is not None:
                yield "bound left out", ast.Slice(None, upper, step)
            if upper is not None:
                yield "bound left out", ast.Slice(lower, None, step)
        case ast.Attribute(value, "T"):
            yield "not transposed", value
        case ast.Expr(ast.Call()) | ast.AugAssign() | ast.Raise():
            yield "statement left out", ast.Pass()
        case ast.Assign([ast.Subscript() | ast.Attribute()]):
            yield "statement left out", ast.Pass()
        case ast.Continue() | ast.Break():
            yield "statement left out", ast.Pass()
        case ast.Return(value) if not isinstance(value, ast.Constant | None):
            yield "nothing returned", ast.Return(ast.Constant(None))


def _without_keyword(call: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    for k, keyword in enumerate(call.keywords):
        if keyword.arg not in (None, "strict"):
            rest = call.keywords[:k] + call.keywords[k + 1 :]
            yield f"{keyword.arg} left out", ast.Call(call.func, call.args, rest)
