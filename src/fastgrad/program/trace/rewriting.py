"""The user's code, rewritten so that a trace sees what it does.

As pytest rewrites assertions: at the syntax tree, file and lines kept, nothing of the
user's module changed. Calls, operators, loads, stores and iteration go through a `Site`
each, an object put among the constants of the code. Branches need none: they ask a
traced array for its truth.
"""

from __future__ import annotations

import ast
import dataclasses
import weakref
from functools import partial
from types import CodeType, FunctionType
from typing import Any

from fastgrad.program.sources import Source, TraceError
from fastgrad.program.trace.definitions import code_of, definition_of
from fastgrad.program.trace.sites import AUGMENTED, BINARY, COMPARE, UNARY, Site

#: Functions that look at the frame they are called from.
_OF_FRAME = frozenset(
    ["super", "locals", "vars", "eval", "exec", "globals", "breakpoint", "dir"]
)
_MARK = "\0site "

_rewritten: dict[int, tuple[Any, CodeType | None]] = {}


def rewritten(function: FunctionType) -> FunctionType | None:
    """The function with its code rewritten; None where its source is not known."""
    code = function.__code__
    known = _rewritten.get(id(code))
    if known is None:
        new = _rewrite(function)
        number = id(code)
        forget = weakref.ref(code, partial(_rewritten.pop, number))
        known = _rewritten[number] = forget, new
    new = known[1]
    if new is None:
        return None
    closure = None
    if function.__closure__ is not None:
        cells = dict(zip(code.co_freevars, function.__closure__, strict=True))
        closure = tuple(cells[name] for name in new.co_freevars)
    copy = FunctionType(
        new, function.__globals__, function.__name__, function.__defaults__, closure
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__dict__.update(function.__dict__)
    return copy


def _rewrite(function: FunctionType) -> CodeType | None:
    found = definition_of(function)
    if found is None:
        return None
    rewriter = _Rewriter(function.__code__, found.enclosing)
    node = rewriter.function(found.node)
    code = code_of(dataclasses.replace(found, node=node), function.__code__)
    prefix = code.co_qualname, function.__code__.co_qualname
    return _with_sites(code, rewriter.sites, prefix)


def _with_sites(code: CodeType, sites: list[Site], prefix: tuple[str, str]) -> CodeType:
    """The code with its sites among the constants, named as the user's own."""
    compiled, own = prefix
    return code.replace(
        co_qualname=own + code.co_qualname.removeprefix(compiled),
        co_consts=tuple(
            _with_sites(c, sites, prefix)
            if isinstance(c, CodeType)
            else sites[int(c[len(_MARK) :])]
            if isinstance(c, str) and c.startswith(_MARK)
            else c
            for c in code.co_consts
        ),
    )


class _Rewriter(ast.NodeTransformer):
    """Makes a new tree; the given one, which is kept, stays as it is."""

    def __init__(self, code: CodeType, enclosing: str | None) -> None:
        self.file = code.co_filename
        self.enclosing = enclosing
        self.sites: list[Site] = []

    def function(self, node: Any) -> Any:
        """A function, whose own defaults and decorators have been evaluated already."""
        new = _shallow(node)
        if isinstance(node, ast.Lambda):
            new.body = self.visit(node.body)
        else:
            new.body = self._all(node.body)
        return new

    def generic_visit(self, node: ast.AST) -> Any:
        return self._but(node)

    def _but(self, node: Any, **others: Any) -> Any:
        """The node with its children visited, but for those given."""
        new = _shallow(node)
        for name, value in ast.iter_fields(node):
            if name in others:
                setattr(new, name, others[name])
            elif isinstance(value, list):
                setattr(new, name, self._all(value))
            elif isinstance(value, ast.AST):
                setattr(new, name, self.visit(value))
        return new

    def _all(self, nodes: list[Any]) -> list[Any]:
        return [self.visit(n) if isinstance(n, ast.AST) else n for n in nodes]

    # ---- building

    def _at(self, node: Any, method: str, *args: Any, keywords: Any = ()) -> Any:
        """A call of a method of a new site, on the line that is to be blamed."""
        named = node.func if isinstance(node, ast.Call) else node
        line: Any = node.lineno
        if isinstance(named, ast.Attribute):
            line = named.end_lineno
        span = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
        site = Site(self.file, line, len(self.sites), span)
        self.sites.append(site)
        constant = ast.Constant(f"{_MARK}{site.number}")
        attribute = ast.Attribute(constant, method, ast.Load())
        call = ast.Call(attribute, list(args), list(keywords))
        # Tracebacks and line tracing find a call where its function's name stands.
        for new in (constant, attribute, call):
            ast.copy_location(new, node)
            if line != new.lineno:
                new.lineno = new.end_lineno = line
                new.col_offset, new.end_col_offset = 0, 1
        return call

    def _key(self, node: ast.expr) -> Any:
        """A subscript's key as an ordinary expression."""
        if isinstance(node, ast.Slice):
            parts = [
                ast.copy_location(ast.Constant(None), node)
                if p is None
                else self.visit(p)
                for p in (node.lower, node.upper, node.step)
            ]
            return self._at(node, "slice", *parts)
        if isinstance(node, ast.Tuple):
            new = _shallow(node)
            new.elts = [self._key(n) for n in node.elts]
            return new
        return self.visit(node)

    def _name(self, node: ast.Attribute) -> ast.Constant:
        """The attribute's name, as the compiler would mangle it."""
        name = node.attr
        if self.enclosing and name.startswith("__") and not name.endswith("__"):
            name = f"_{self.enclosing.lstrip('_')}{name}"
        return ast.copy_location(ast.Constant(name), node)

    # ---- expressions

    def visit_Call(self, node: ast.Call) -> Any:
        arguments = self._all(node.args)
        keywords = self._all(node.keywords)
        f = node.func
        if isinstance(f, ast.Name) and f.id in _OF_FRAME:
            new = _shallow(node)
            new.args, new.keywords = arguments, keywords
            return new
        if isinstance(f, ast.Attribute):
            of = self.visit(f.value)
            return self._at(
                node, "method", of, self._name(f), *arguments, keywords=keywords
            )
        return self._at(node, "call", self.visit(f), *arguments, keywords=keywords)

    def visit_Starred(self, node: ast.Starred) -> Any:
        new = _shallow(node)
        new.value = self.visit(node.value)
        if isinstance(node.ctx, ast.Load):
            new.value = self._at(node, "unpack", new.value)
        return new

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        of = self.visit(node.value)
        if isinstance(node.ctx, ast.Load):
            return self._at(node, "attribute", of, self._name(node))
        new = _shallow(node)
        new.value = self._at(node, "target", of)
        return new

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        of = self.visit(node.value)
        if isinstance(node.ctx, ast.Load):
            return self._at(node, "item", of, self._key(node.slice))
        new = _shallow(node)
        new.value = self._at(node, "target", of)
        new.slice = self.visit(node.slice)
        return new

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        method = BINARY[type(node.op).__name__]
        return self._at(node, method, self.visit(node.left), self.visit(node.right))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            new = _shallow(node)
            new.operand = self._test(node.operand)
            return new
        return self._at(node, UNARY[type(node.op).__name__], self.visit(node.operand))

    def visit_Compare(self, node: ast.Compare) -> Any:
        names = [COMPARE.get(type(op).__name__) for op in node.ops]
        several = node.comparators if len(names) > 1 else []
        if None in names or any(map(_has_effects, several)):
            return self.generic_visit(node)
        left = self.visit(node.left)
        if len(names) == 1:
            return self._at(node, names[0], left, self.visit(node.comparators[0]))  # type: ignore[arg-type]
        rest: list[Any] = [ast.copy_location(ast.Constant(n), node) for n in names]
        return self._at(node, "chain", left, *rest, *self._all(node.comparators))

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self._but(node, test=self._test(node.test))

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        if node.is_async:
            raise self._refused(node.target, "async")
        new = _shallow(node)
        new.target = self.visit(node.target)
        new.iter = self._at(node.iter, "iterate", self.visit(node.iter))
        new.ifs = [self._test(n) for n in node.ifs]
        return new

    def _test(self, node: ast.expr) -> Any:
        """A condition: the user's own arrays, too, are asked for their truth."""
        new = self.visit(node)
        if isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
            return self._at(node, "truth", new)
        return new

    # ---- statements

    def visit_If(self, node: ast.If) -> Any:
        return self._but(node, test=self._test(node.test))

    def visit_While(self, node: ast.While) -> Any:
        return self._but(node, test=self._test(node.test))

    def visit_For(self, node: ast.For) -> Any:
        turns = self._at(node.iter, "iterate", self.visit(node.iter))
        return self._but(node, iter=turns)

    def visit_Assign(self, node: ast.Assign) -> Any:
        value = self.visit(node.value)
        if len(node.targets) == 1 and isinstance(
            node.targets[0], (ast.Subscript, ast.Attribute)
        ):
            return self._store(node, node.targets[0], value)
        if any(isinstance(t, (ast.Tuple, ast.List)) for t in node.targets):
            value = self._at(node.value, "unpack", value)
        new = _shallow(node)
        new.targets, new.value = self._all(node.targets), value
        return new

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        new = _shallow(node)
        if node.value is None:
            return new
        value = self.visit(node.value)
        if not isinstance(node.target, ast.Name):
            return self._store(node, node.target, value)
        new.value = value
        return new

    def _store(self, node: Any, target: Any, value: Any) -> Any:
        of = self.visit(target.value)
        if isinstance(target, ast.Subscript):
            call = self._at(node, "set_item", value, of, self._key(target.slice))
        else:
            call = self._at(node, "set_attribute", value, of, self._name(target))
        return ast.copy_location(ast.Expr(call), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        value, target = self.visit(node.value), node.target
        symbol = ast.copy_location(
            ast.Constant(AUGMENTED[type(node.op).__name__]), node
        )
        if isinstance(target, ast.Name):
            load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
            call = self._at(node, "augment", symbol, load, value)
            return ast.copy_location(ast.Assign([target], call), node)
        of = self.visit(target.value)
        if isinstance(target, ast.Subscript):
            key = self._key(target.slice)
            call = self._at(node, "augment_item", symbol, of, key, value)
        else:
            name = self._name(target)
            call = self._at(node, "augment_attribute", symbol, of, name, value)
        return ast.copy_location(ast.Expr(call), node)

    def visit_With(self, node: ast.With) -> Any:
        new = self.generic_visit(node)
        for item, old in zip(new.items, node.items, strict=True):
            item.context_expr = self._at(old.context_expr, "manager", item.context_expr)
        return new

    def visit_Delete(self, node: ast.Delete) -> Any:
        return node

    def visit_match_case(self, node: ast.match_case) -> Any:
        new = _shallow(node)  # patterns are no expressions
        new.guard = None if node.guard is None else self._test(node.guard)
        new.body = self._all(node.body)
        return new

    # ---- definitions

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._but(node, returns=node.returns)

    def visit_arg(self, node: ast.arg) -> Any:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        outside, self.enclosing = self.enclosing, node.name
        new = self.generic_visit(node)
        self.enclosing = outside
        return new

    def _refused(self, node: Any, construct: str) -> TraceError:
        source = Source(self.file, node.lineno)
        return TraceError(f"uses `{construct}`, which is not traced", source)

    def visit_Await(self, node: ast.Await) -> Any:
        raise self._refused(node, "await")

    def visit_AsyncFor(self, node: ast.AsyncFor) -> Any:
        raise self._refused(node, "async for")

    def visit_AsyncWith(self, node: ast.AsyncWith) -> Any:
        raise self._refused(node, "async with")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        raise self._refused(node, "async def")


def _has_effects(node: ast.AST) -> bool:
    """Whether an operand does something when it is evaluated."""
    return any(
        isinstance(n, (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom))
        for n in ast.walk(node)
    )


def _shallow(node: Any) -> Any:
    new = type(node)(**{name: value for name, value in ast.iter_fields(node)})
    return ast.copy_location(new, node)
