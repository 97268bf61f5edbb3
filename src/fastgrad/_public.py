"""What public functions take: their names as `help` shows them, and advice on others.

What other checkers call otherwise is told its name here.
"""

import difflib
import functools
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, MethodType
from typing import Any, TypeVar

from fastgrad._arguments import refusal

_DEEP = 100  # containers, one in the other: Python's own calls allow a few times that

# What other checkers call what is called otherwise here, and what is not needed.
_ELSEWHERE = {
    "atol": "left out: error bars are measured (`rtol` is a difference that is too "
    "small to matter)",
    **dict.fromkeys(
        ("tol", "tolerance", "threshold"),
        "`rtol`, a difference that is too small to matter",
    ),
    "order": "left out: `check_hessian(grads, params, hess)` checks second derivatives",
    "raise_exception": "left out: `report.raise_if_wrong()` raises",
    "verbose": "`progress`, or left out: print the report",
    "gradients": "`grads`, or `jac` of a Jacobian",
    "fast_mode": "left out, or `coverage`, a number of entries of each block",
    "grads": "`jac` of a Jacobian, `hess` of a Hessian",
    "jac": "`grads`; `check_jacobian` checks Jacobians",
    **dict.fromkeys(("n_jobs", "threads"), "`num_threads`"),
    **dict.fromkeys(("rng", "random_state"), "`seed`"),
    "rel_step": "`step`, absolute, for each entry: `step=1e-6 * np.abs(x)`",
    "nondet_tol": "`nondet_rtol`, relative to the loss",
}

_STEP = "the absolute step, or left out: it is chosen by measured noise"


def _advice(known: Iterable[str]) -> dict[str, str]:
    """What to write for names that are not among the arguments of a function."""
    step = "epsilon" if "epsilon" in known else "step"
    further = "`data`" if "data" in known else "given after `x0`, one by one"
    steps = dict.fromkeys(("eps", "epsilon", "h", "delta", "dx"), f"`{step}`, {_STEP}")
    words = {**_ELSEWHERE, **steps, "args": further}
    return {name: word for name, word in words.items() if name not in known}


_Function = TypeVar("_Function", bound=Callable[..., Any])


def public(function: _Function) -> _Function:
    """Make a function fit for people: a short signature, advice on others' names.

    `help` shows names and defaults; types are in the docstring and in the annotations.
    What other libraries call otherwise is told its name here.
    """
    return with_advice(function, short_signature(function))


def public_with(options: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Make a function fit for people that hands its ``**options`` on to another.

    Its signature shows the keyword arguments of that one in their place.
    """
    shared = [
        parameter
        for parameter in short_signature(options).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]

    def make(function: _Function) -> _Function:
        signature = short_signature(function)
        *own, last = signature.parameters.values()
        assert last.kind is inspect.Parameter.VAR_KEYWORD
        theirs = [p for p in shared if p.name not in signature.parameters]
        return with_advice(function, signature.replace(parameters=[*own, *theirs]))

    return make


def with_advice(function: _Function, signature: inspect.Signature) -> _Function:
    """Return the function, which refuses what is not in its signature."""
    kinds: dict[Any, list[str]] = defaultdict(list)
    for parameter in signature.parameters.values():
        kinds[parameter.kind].append(parameter.name)
    by_place = kinds[inspect.Parameter.POSITIONAL_OR_KEYWORD]
    by_name = kinds[inspect.Parameter.KEYWORD_ONLY]
    known = {*by_place, *by_name}
    most = math.inf if kinds[inspect.Parameter.VAR_POSITIONAL] else len(by_place)
    points = [i for i, argument in enumerate(by_place) if argument in _POINTS]
    advice, name = _advice(known), function.__name__

    @functools.wraps(function)
    def told(*args: Any, **options: Any) -> Any:
        for i in points:
            if i < len(args) and isinstance(args[i], FunctionType | MethodType):
                order = f": the order is {name}({', '.join(by_place)})"
                raise refusal(TypeError, by_place[i], "be an array", args[i], order)
        if len(args) > most:
            others = ", ".join(f"{k}=" for k in by_name)
            raise TypeError(
                f"{name}() takes {', '.join(by_place)} by place, got {len(args)} "
                f"values: the others go by name, of {others}."
            )
        for option in options.keys() - known:
            if option in advice:
                raise refusal(
                    TypeError, option, f"be {advice[option]}", options[option]
                )
            meant = "".join(difflib.get_close_matches(option, known, 1))
            raise TypeError(
                f"{name}() got an unexpected keyword argument {option!r}"
                + f": `{meant}`?" * bool(meant)
            )
        try:
            return function(*args, **options)
        except RecursionError:
            given = dict(zip(by_place, args, strict=False)) | options
            for argument, value in given.items():
                if _is_too_deep(value):
                    must = f"not contain itself, nor be nested {_DEEP} deep"
                    raise refusal(ValueError, argument, must, value) from None
            raise

    told.__signature__ = signature  # type: ignore[attr-defined]
    return told  # type: ignore[return-value]


_POINTS = ("params", "x", "x0")  # what they are called in public functions


def _is_too_deep(value: Any) -> bool:
    """Return whether containers lie in containers too deep to be walked."""
    deepest: dict[int, int] = {}  # of each container, how deep it was met
    found = [(value, 0)]
    while found:
        one, depth = found.pop()
        members = one.values() if isinstance(one, Mapping) else one
        if not isinstance(one, list | tuple | Mapping):
            members = ()
        elif deepest.get(id(one), -1) < depth:
            deepest[id(one)] = depth
            found += [(member, depth + 1) for member in members]
        if depth > _DEEP:
            return True
    return False


def short_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function without its types."""
    whole = inspect.signature(function)
    nothing = inspect.Parameter.empty
    bare = [p.replace(annotation=nothing) for p in whole.parameters.values()]
    return whole.replace(parameters=bare, return_annotation=inspect.Signature.empty)
