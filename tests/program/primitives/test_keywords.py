"""Keyword arguments of NumPy's functions are honoured or refused, never dropped.

For every function of the tables, every keyword that its signature has, with values that
make a difference: the traced result is the plain one.
"""

import functools
import importlib
import inspect
import itertools
import warnings

import numpy as np
import pytest

from fastgrad.params import Nest
from fastgrad.program import TraceError, trace_graph
from fastgrad.program.primitives.functions import FUNCTIONS
from fastgrad.program.primitives.meanings import MEANINGS
from fastgrad.program.trace.numpy_calls import _ABOUT, _FILL
from fastgrad.program.trace.outcomes import OUTCOMES

RNG = np.random.default_rng(8)
SQUARE = RNG.normal(size=(4, 4)) @ np.diag([1.0, 2.0, 3.0, 4.0])
NANS = np.where(np.eye(4) == 1, np.nan, np.round(RNG.normal(size=(4, 4)), 1))
#: Arguments by which functions are called at all: arrays, and what they need beside.
BASES = [
    (SQUARE,),
    (SQUARE[0],),
    (SQUARE, SQUARE.T),
    (SQUARE[0], SQUARE[1]),
    (NANS, NANS.copy()),
    (SQUARE, 2),
    (SQUARE, (2, 8)),
    (SQUARE, [1, 0, 1]),
    (SQUARE, 30.0),
    (np.sort(SQUARE[0]), SQUARE[1]),
    (SQUARE[0], np.sort(SQUARE[1])),
    (SQUARE, -0.5, 0.5),
    (SQUARE[2], np.sort(SQUARE[0]), SQUARE[1]),
    (SQUARE > 0, SQUARE, SQUARE.T),
    ([SQUARE, SQUARE.T + 0.01],),
    (SQUARE @ SQUARE.T + np.diag([1.0, 2.0, 3.0, 4.0]) + np.triu(SQUARE, 1) / 99,),
    (SQUARE, np.argsort(SQUARE, axis=0), 0),
    (SQUARE, 0, 1),
    ("ij,jk->ik", SQUARE, SQUARE),
]
#: What a keyword of this name may be, where that is another thing than its default.
VALUES = {
    "axis": [0, -1, (0, 1), None],
    "axes": [1, (1, 0), ((0,), (1,))],
    "dtype": [np.float32, int, complex, bool],
    "where": [SQUARE > 0, SQUARE[0] > 0],
    "initial": [7.0],
    "order": ["F", "A", "C", "K"],
    "kind": ["stable", "heapsort"],
    "mode": ["wrap", "clip", "edge", "reflect", "full", "same", "valid", "r"],
    "side": ["right"],
    "UPLO": ["U"],
    "ord": [1, np.inf, "nuc", -2],
    "method": ["lower", "midpoint", "nearest", "weibull"],
    "weights": [np.array([1.0, 2.0, 3.0, 4.0]), np.abs(SQUARE)],
    "fweights": [np.array([1, 2, 1, 3])],
    "aweights": [np.array([1.0, 2.0, 1.0, 3.0])],
    "optimize": [True, "greedy"],
    "fill_value": [3.0],
    "shape": [(2, 3)],
    "sorter": [np.arange(4)[::-1]],
    "indexing": ["ij"],
    "casting": ["unsafe", "no"],
    "mean": [np.zeros((1, 4)), np.float64(0.3)],
    "interpolation": ["lower"],
    "left": [5.0],
    "right": [6.0, True],
    "prepend": [1.0, SQUARE[:, :1]],
    "append": [2.0],
    "x": [np.array([0.0, 1.0, 3.0, 7.0])],
    "constant_values": [4.0],
    "end_values": [4.0],
    "stat_length": [2],
    "reflect_type": ["odd"],
    "axisa": [0],
    "axisb": [0],
    "axisc": [0],
    "fill": [2.0],
    "min": [-0.1],
    "max": [0.1],
    "a_min": [-0.1],
    "a_max": [0.1],
    "copy": [False, None],
    "return_index": [True],
    "period": [2.5],
    "norm": ["ortho", "forward"],
    "like": [],
    "out": [],
    "device": [],
}
#: Of a keyword of any other name, by the kind of its default.
OF_KIND = {
    bool: lambda d: [not d],
    int: lambda d: [d + 1, d - 1],
    float: lambda d: [0.25],
}


def load(name):
    """The function of a public name."""
    module, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), last)
    except ModuleNotFoundError:  # a method of something
        return getattr(load(module), last)


@functools.cache
def functions():
    named = {name: load(name) for name in MEANINGS if name.startswith("numpy.")}
    named = {
        name: f
        for name, f in named.items()
        if not isinstance(f, type) and "random" not in name
    }
    tables = itertools.chain(FUNCTIONS, OUTCOMES, _FILL, _ABOUT)
    named |= {
        f"{f.__module__}.{f.__name__}": f for f in tables if f.__module__[:5] == "numpy"
    }
    for name in OPEN:
        del named[name]
    return {name: f for name, f in sorted(named.items()) if _signature(f)}


#: Functions that leave open what they return: memory, an order.
OPEN = ("numpy.empty_like", "numpy.partition")


def _signature(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def keywords(function):
    """Each keyword of a function with values that are not its default."""
    for p in _signature(function).parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
            continue
        if p.name == "where" and isinstance(function, np.ufunc):
            continue  # without `out`, what is elsewhere is whatever memory holds
        none = p.default is None or p.default is np._NoValue or p.default is p.empty
        choices = VALUES.get(p.name)
        if choices is None and not none:
            choices = OF_KIND.get(type(p.default), lambda d: [])(p.default)
        if choices is None:
            choices = [True, 1, 0.25]
        yield from ((p.name, value) for value in choices)


def numbers(result):
    """All numbers of a result in a row."""
    if isinstance(result, (tuple, list)):
        return [y for x in result for y in numbers(x)]
    return [result]


def calls(function):
    """(arguments, keywords) that the function accepts, plain."""
    for base in BASES:
        if plain(function, base, {}) is None:
            continue
        for name, value in keywords(function):
            expected = plain(function, base, {name: value})
            if expected is not None:
                yield base, {name: value}, expected


def plain(function, base, kwargs):
    """The result, as arrays; None where the call is refused."""
    given = [np.copy(x) if isinstance(x, np.ndarray) else x for x in base]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = [np.asarray(x) for x in numbers(function(*given, **kwargs))]
    except Exception:
        return None
    numeric = all(x.dtype.kind in "fiubc" for x in found)
    return found if numeric and all(np.isfinite(x).all() for x in found) else None


def traced(function, base, kwargs):
    """The same of traced arrays; None where they are refused."""
    found = []
    at = [i for i, x in enumerate(base) if isinstance(x, (np.ndarray, list))]
    at = [i for i in at if np.asarray(base[i]).dtype.kind == "f"]
    leaves = {str(i): np.array(base[i]) for i in at}

    def loss(p):
        given = list(base)
        for i in at:
            x = p[str(i)]
            given[i] = x if isinstance(base[i], np.ndarray) else [x[0], x[1]]
        result = function(*given, **kwargs)
        found.extend(numbers(result))
        return np.sum(p[str(at[0])] * 0.0)

    if not at:
        return None
    nest = Nest(leaves) if all(np.isfinite(x).all() for x in leaves.values()) else None
    try:
        trace_graph(loss, nest or _Unchecked(leaves))
    except TraceError:
        return None
    with np.errstate(all="ignore"):
        return [np.asarray(x) for x in found]


class _Unchecked(Nest):
    """Parameters that may be no numbers."""

    def __init__(self, leaves):
        super().__init__({k: np.zeros(x.shape) for k, x in leaves.items()})
        for leaf, x in zip(self.leaves, leaves.values(), strict=True):
            leaf[...] = x


@pytest.mark.parametrize("name", functions())
def test_a_keyword_is_honoured_or_refused(name):
    function = functions()[name]
    for base, kwargs, expected in calls(function):
        got = traced(function, base, kwargs)
        if got is None:
            continue
        told = f"{name}{tuple(np.shape(x) for x in base)} {kwargs}"
        assert len(got) == len(expected), told
        for x, y in zip(got, expected, strict=True):
            assert x.shape == y.shape, told
            np.testing.assert_allclose(
                np.asarray(x, complex), np.asarray(y, complex),
                rtol=1e-6, atol=1e-6 if y.dtype == np.float32 else 1e-9, err_msg=told,
            )  # fmt: skip
