"""From a function of the user to the piece of source that defines it.

The piece is found by name and first line, compiled as it stands, and taken only if
that gives the very code that runs: a file that was edited since does not count.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from fastgrad.program import sources

_Function: Any = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_STDLIB = tuple(
    os.path.join(os.path.realpath(sysconfig.get_paths()[key]), "")
    for key in ("stdlib", "platstdlib")
)
#: Packages whose functions are known by what they mean, or called as they are.
_KNOWN = frozenset(
    ["numpy", "scipy", "torch", "jax", "jaxlib", "numba", "tensorflow"]
    + ["pandas", "polars", "xarray", "dask"]  # which keep their data out of sight
)
_FUTURE_FLAGS = 0x1FF0000


@dataclass(frozen=True)
class Definition:
    """A function in its file."""

    node: _Function
    #: The innermost class it stands in, for names with two underscores.
    enclosing: str | None
    #: What the module imports: the compiler treats attributes of these in its own way.
    imports: frozenset[str]


def is_users(function: FunctionType) -> bool:
    """Whether a function is the user's own, not of a library that is known."""
    return _is_users_file(function.__code__.co_filename)


@functools.lru_cache(maxsize=4096)
def _is_users_file(file: str) -> bool:
    if sources.is_internal(file) or file.startswith("<frozen"):
        return False
    package = package_of(file)
    if package is not None:
        return package not in _KNOWN
    return not os.path.realpath(file).startswith(_STDLIB)


@functools.lru_cache(maxsize=4096)
def package_of(file: str) -> str | None:
    """The installed package that a file belongs to; None if it is the user's own."""
    parts = os.path.realpath(file).split(os.sep)
    if "site-packages" not in parts:
        return None
    return parts[parts.index("site-packages") + 1]


def definition_of(function: FunctionType) -> Definition | None:
    """The source of a function; None where there is none, or another by now."""
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if not lines:
        return None
    for found in _definitions(code.co_filename, "".join(lines)).get(
        (code.co_name, code.co_firstlineno), ()
    ):
        if _same(code_of(found, code), code):
            return found
    return None


@functools.lru_cache(maxsize=32)
def _definitions(file: str, text: str) -> dict[tuple[str, int], list[Definition]]:
    """Every function of a file by name and first line."""
    found: dict[tuple[str, int], list[Definition]] = {}
    try:
        tree = ast.parse(text, file)
    except SyntaxError:
        return found
    imports = frozenset(_imports(tree))
    for node, enclosing in _functions(tree, None):
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        decorators = getattr(node, "decorator_list", [])
        line = min(n.lineno for n in (node, *decorators))
        found.setdefault((name, line), []).append(Definition(node, enclosing, imports))
    return found


def _functions(
    tree: ast.AST, enclosing: str | None
) -> Iterator[tuple[_Function, str | None]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _Function):
            yield node, enclosing
        inner = node.name if isinstance(node, ast.ClassDef) else enclosing
        yield from _functions(node, inner)


def _imports(tree: ast.AST) -> Iterator[str]:
    """The names that imports bind in the scope of a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        elif not isinstance(node, (*_Function.__args__, ast.ClassDef)):
            yield from _imports(node)


def code_of(definition: Definition, like: CodeType) -> CodeType:
    """Compile a definition where it stands: in its class, among its free variables."""
    node: Any = definition.node
    if isinstance(node, ast.Lambda):
        inner: ast.stmt = ast.Expr(node)
    else:
        inner = _bare(node)
    ast.copy_location(inner, node)
    scope: list[ast.stmt] = [inner]
    names = set(like.co_freevars)
    if definition.enclosing is not None:
        names.discard("__class__")
        scope = [_class(definition.enclosing, scope)]
        if definition.enclosing not in names:  # what methods call it is no variable
            scope.insert(0, ast.Global([definition.enclosing]))
    elif like.co_name in _names(like):  # nor is what a function calls itself
        scope.insert(0, ast.Global([like.co_name]))
    assigned: list[ast.stmt] = [
        ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None))
        for name in sorted(names)
    ]
    outer = ast.FunctionDef(  # type: ignore[call-arg]
        "<enclosing>", _no_arguments(), [*assigned, *scope], [], type_params=[]
    )
    imports: list[ast.stmt] = [
        ast.Import([ast.alias(name)])
        for name in sorted(definition.imports.intersection(_names(like)))
    ]
    module = ast.fix_missing_locations(ast.Module([*imports, outer], []))
    compiled = compile(
        module,
        like.co_filename,
        "exec",
        flags=like.co_flags & _FUTURE_FLAGS,
        dont_inherit=True,
    )
    return next(
        c
        for c in _nested(compiled)
        if c.co_name == like.co_name and c.co_flags & inspect.CO_OPTIMIZED
    )


def _names(code: CodeType) -> set[str]:
    return {name for c in (code, *_nested(code)) for name in c.co_names}


def _bare(node: Any) -> Any:
    """A function without what is evaluated where it is defined."""
    arguments = ast.arguments(
        posonlyargs=[ast.arg(a.arg) for a in node.args.posonlyargs],
        args=[ast.arg(a.arg) for a in node.args.args],
        vararg=node.args.vararg and ast.arg(node.args.vararg.arg),
        kwonlyargs=[ast.arg(a.arg) for a in node.args.kwonlyargs],
        kw_defaults=[None] * len(node.args.kwonlyargs),
        kwarg=node.args.kwarg and ast.arg(node.args.kwarg.arg),
        defaults=[],
    )
    # A decorator is where the code begins.
    bare = type(node)(
        node.name, arguments, node.body, node.decorator_list, type_params=[]
    )
    return ast.copy_location(bare, node)


def _no_arguments() -> ast.arguments:
    return ast.arguments([], [], None, [], [], None, [])


def _class(name: str, body: list[ast.stmt]) -> ast.stmt:
    return ast.ClassDef(name, [], [], body, [], type_params=[])  # type: ignore[call-arg]


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


def _same(one: CodeType, other: CodeType) -> bool:
    """Whether two codes run alike, from the same lines."""
    if _has_rewritten_asserts(other):
        return (one.co_varnames[: one.co_argcount], one.co_freevars) == (
            other.co_varnames[: other.co_argcount],
            other.co_freevars,
        )
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and list(one.co_positions()) == list(other.co_positions())
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same_constant, one.co_consts, other.co_consts))
    )


def _same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return _same(one, other)
    return type(one) is type(other) and (one == other or one != one)


def _has_rewritten_asserts(code: CodeType) -> bool:
    """Whether pytest has rewritten its assertions, and so changed the code."""
    return any(
        name.startswith("@pytest")
        for c in (code, *_nested(code))
        for name in c.co_names
    )
