"""A JAX function as a program: its jaxpr, given its meaning in NumPy.

Equations get their meaning from the table in `lax`; calls, custom derivatives, scans,
loops and branches are entered. What does not depend on the parameters and has no
meaning is left to JAX.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

import fastgrad
from fastgrad.interop.jax import lax
from fastgrad.interop.meanings import (
    Unasked,
    asked,
    called,
    depends,
)
from fastgrad.program import Complex, Source, Traced, TraceError, spoken


def _folder(package: Any) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(str(package.__file__))), "")


#: Where lines are not the user's.
_PACKAGES = _folder(jax), _folder(np)
_OURS = _folder(fastgrad)
#: The scope of what fastgrad computes of results: no operations of the user's.
OF_RESULTS = "fastgrad"
#: Equations that call one function, and where its jaxpr is.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}


class Line:
    """Where equations come from: the line of a call that JAX's own code made."""

    def __init__(self, source: Source, function: str | None = None) -> None:
        self.source, self.function = source, function

    def of(self, equation: Any) -> Source:
        """Return the user's innermost line, or that of the call.

        JAX keeps the jaxpr of a jitted function with the lines of its first call: they
        are right if they are lines of that function.
        """
        traceback = equation.source_info.traceback
        called = itertools.takewhile(
            lambda f: not f.file_name.startswith(_OURS),
            traceback.frames if traceback else [],
        )
        frames = [
            (f.file_name, f.line_num, f.function_name)
            for f in called
            if not f.file_name.startswith(_PACKAGES)
        ]
        inside = self.function in (None, *(name for _, _, name in frames))
        if not frames or not inside:
            return self.source
        return Source(frames[0][0], frames[0][1], hash((self.source.site, *frames)))


def evaluate(closed: Any, inputs: Sequence[Any], line: Line) -> list[Any]:
    """Return what a jaxpr gives for arrays that record."""
    jaxpr: Any = closed if isinstance(closed, Jaxpr) else closed.jaxpr
    constants = closed.consts if isinstance(closed, ClosedJaxpr) else []
    known: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    known.update(zip(jaxpr.constvars, constants, strict=True))
    known.update(zip(jaxpr.invars, inputs, strict=True))
    for equation in jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        results = _equation(equation, given, line)
        known.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def narrows(closed: Any) -> bool:
    """Whether somewhere float64 numbers are rounded to fewer bits."""
    jaxpr: Any = closed if isinstance(closed, Jaxpr) else closed.jaxpr
    return any(map(_narrows, jaxpr.eqns))


def _narrows(equation: Any) -> bool:
    if equation.primitive.name == "convert_element_type":
        old, new = equation.invars[0].aval.dtype, equation.params["new_dtype"]
        return bool(old == np.float64 and new in (np.float32, np.float16, "bfloat16"))
    inner = jax.tree_util.tree_leaves(list(equation.params.values()))
    return any(narrows(x) for x in inner if isinstance(x, ClosedJaxpr | Jaxpr))


def _equation(equation: Any, given: list[Any], line: Line) -> list[Any]:
    name, source = equation.primitive.name, line.of(equation)
    if name in _CALLS:
        inner = Line(source, equation.params.get("name"))
        return evaluate(equation.params[_CALLS[name]], given, inner)
    if depends(given) and name in _CONTROL:
        return _CONTROL[name](equation.params, given, Line(source))
    if name not in lax.LAX and not depends(given):
        return _by_jax(equation, given)
    theirs = OF_RESULTS not in str(equation.source_info.name_stack)
    label = f"jax.{name}" if theirs else ""
    with spoken(label, source), np.errstate(all="ignore"):
        given = [
            x if isinstance(x, Traced | Complex) else np.asarray(x)
            for x in map(asked, given)
        ]
        results = _meant(equation, given) or _called(equation, given)
    return [
        x if depends([x]) else np.asarray(x, out.aval.dtype)
        for x, out in zip(results, equation.outvars, strict=True)
    ]


def _meant(equation: Any, given: list[Any]) -> list[Any] | None:
    """Results by the table; None where it does not know them."""
    meaning = lax.LAX.get(equation.primitive.name)
    if meaning is None:
        return None
    try:
        result = meaning(*given, **lax.parameters(equation))
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
    ):  # called in a way that the table does not know
        return None
    return list(result) if equation.primitive.multiple_results else [result]


def _called(equation: Any, given: list[Any]) -> list[Any]:
    """A primitive without a meaning: JAX is called."""
    wide = jax.config.jax_enable_x64

    def function(*arrays: Any) -> list[Any]:
        with jax.enable_x64(wide):
            inputs = [
                jax.numpy.asarray(x, atom.aval.dtype)
                for x, atom in zip(arrays, equation.invars, strict=True)
            ]
            return [np.asarray(x) for x in _by_jax(equation, inputs)]

    return list(called(f"jax.{equation.primitive.name}", function, *given))


def _by_jax(equation: Any, given: Sequence[Any]) -> list[Any]:
    found = equation.primitive.get_bind_params(equation.params)
    functions, parameters = found if isinstance(found, tuple) else ((), found)
    result = equation.primitive.bind(*functions, *given, **parameters)
    return list(result) if equation.primitive.multiple_results else [result]


# ---- control flow --------------------------------------------------------------------


def _scan(params: dict[str, Any], given: list[Any], line: Line) -> list[Any]:
    """Turn by turn."""
    n_constants, n_carried = params["num_consts"], params["num_carry"]
    constants, rest = given[:n_constants], given[n_constants:]
    carried, stacks = rest[:n_carried], rest[n_carried:]
    turns = range(params["length"])
    outputs: list[list[Any]] = []
    for i in reversed(turns) if params["reverse"] else turns:
        results = evaluate(
            params["jaxpr"], [*constants, *carried, *(x[i] for x in stacks)], line
        )
        carried = results[:n_carried]
        outputs.append(results[n_carried:])
    if params["reverse"]:
        outputs.reverse()
    return [*carried, *(_stack(turn) for turn in zip(*outputs, strict=True))]


def _stack(xs: Sequence[Any]) -> Any:
    for x in xs:
        if isinstance(x, Unasked):
            return Unasked("places", lambda: _stack(list(map(asked, xs))))
    return np.stack(
        [x if isinstance(x, Traced | Complex) else np.asarray(x) for x in xs]
    )


def _while(params: dict[str, Any], given: list[Any], line: Line) -> list[Any]:
    n_condition, n_body = params["cond_nconsts"], params["body_nconsts"]
    condition, rest = given[:n_condition], given[n_condition:]
    body, carried = rest[:n_body], rest[n_body:]
    while _decided(evaluate(params["cond_jaxpr"], [*condition, *carried], line), line):
        carried = evaluate(params["body_jaxpr"], [*body, *carried], line)
    return carried


def _cond(params: dict[str, Any], given: list[Any], line: Line) -> list[Any]:
    branches = params["branches"]
    chosen = _decided(given, line)
    return evaluate(branches[min(max(chosen, 0), len(branches) - 1)], given[1:], line)


def _decided(outcome: Sequence[Any], line: Line) -> int:
    """What the way depends on: a truth value or the number of a branch."""
    with spoken("jax.cond", line.source):
        return int(outcome[0])


def _linear_solve(params: dict[str, Any], given: list[Any], line: Line) -> list[Any]:
    """By the matrix of the linear function: it is applied to every unit vector."""
    lengths = params["const_lengths"]
    constants, (b, *more) = given[: lengths.matvec], given[sum(lengths) :]
    if more:
        raise TraceError("solves for a nest of arrays", line.source)
    n = int(np.prod(np.shape(b)))
    columns = [
        evaluate(params["jaxprs"].matvec, [*constants, unit.reshape(np.shape(b))], line)
        for unit in np.eye(n)
    ]
    with spoken("jax.linear_solve", line.source):
        matrix = np.stack([np.ravel(column) for (column,) in columns], axis=1)
        b = b if isinstance(b, Traced) else np.asarray(b)
        return [np.reshape(np.linalg.solve(matrix, np.ravel(b)), np.shape(b))]


_CONTROL: dict[str, Callable[..., list[Any]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "custom_linear_solve": _linear_solve,
}
