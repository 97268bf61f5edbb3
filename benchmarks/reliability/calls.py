"""Malformed calls of every public function.

A function, and some of its arguments, mostly one, replaced: by what an argument of the
kind may not be, or by arrays and callables as hostile as they come. Each call ends with
an answer or with an error that names an argument; the caller's arrays and NumPy's
global random state are as they were. A right gradient is not called wrong, whatever the
options.
"""

import re
import sys
import traceback
from pathlib import Path

import numpy as np
from test_arguments import CALLS, KINDS, NETWORK, W, X

import fastgrad as fg

CLAIM = "malformed calls end in an answer or an error that names the argument"
CASES, SHORT = 30_000, 600
FUNCTIONS = {"loss", "grads", "fun", "jac", "grad", "hess", "vjp", "jvp", "hvp",
             "args", "kwargs", "data", "x"}  # fmt: skip
OURS = (fg.ConstantLossError, fg.TraceError, fg.GradientError)


class Planted(Exception):
    """What a hostile callable raises."""


def _raises(*args, **kwargs):
    raise Planted


def _exits(*args, **kwargs):
    sys.exit(3)


def _changes(w, *args):
    np.asarray(w)[...] = 7.0
    return 1.0


def _recurses(w, *args):
    return _recurses(w, *args)


def _checks_again(w, *args):
    fg.check_gradient(lambda v: np.sum(v**2), np.ones(2), 2 * np.ones(2))
    return np.sum(np.asarray(w, float) ** 2)


CALLABLES = [
    _raises,
    _exits,
    _changes,
    _recurses,
    _checks_again,
    lambda *a, **k: None,
    lambda *a, **k: 1j,
    lambda *a, **k: "1.0",
    lambda *a, **k: np.nan,
    lambda *a, **k: np.zeros((2, 0)),
    lambda *a, **k: {"loss": 1.0},
    lambda *a, **k: (yield),
    lambda: 1.0,
]


SHAPES = [(), (0,), (1,), (3,), (4, 3), (0, 3), (3, 0, 2), (2, 1, 3)]
DTYPES = ["f2", "f4", ">f8", "i1", "u8", "?", "c16", "longdouble"]
NUMBERS = [np.nan, np.inf, -np.inf, 5e-324, 1e308]
OTHERS = [
    *(10**400, -(2**63), 2**31, float("nan"), 5e-324, np.float64(2), range(3)),
    *([], {}, (), {1, 2}, {"a": None}, {3: W}, [[1.0], [1.0, 2.0]]),
    *(NotImplemented, ..., slice(None), b"", "\ud800", Exception, memoryview(b"ab")),
    (x for x in ()),
]


def hostile_array(rng):
    """An array with one or two things that its reader may not expect."""
    a = rng.standard_normal(pick(rng, SHAPES)) * 10.0 ** rng.integers(-3, 4)
    marked = rng.random(a.shape) < 0.5
    kinds = [
        lambda: a,
        lambda: a.astype(pick(rng, DTYPES)),
        lambda: a[..., ::-1] if a.ndim else a,
        lambda: np.broadcast_to(a, (2, *a.shape)),
        lambda: a.astype(object),
        lambda: np.ma.masked_array(a, mask=marked),
        lambda: np.where(marked, pick(rng, NUMBERS), a),
        lambda: np.lib.stride_tricks.as_strided(np.ones(8), (4, 3), (8, 8)),
        lambda: np.array(["a", "b"]),
        lambda: np.array([(1.0, 2)], dtype="f8,i4"),
        lambda: np.asfortranarray(a),
        lambda: np.frombuffer(bytes(25), np.float64, 3, 1),  # not aligned
        lambda: np.array(["2020-01-01"], dtype="M8[D]"),
        lambda: a.ravel().view(np.matrix),
    ]
    found = np.asanyarray(pick(rng, kinds)())
    if rng.random() < 0.1:
        found.flags.writeable = False
    return found


def hostile(rng):
    """Anything."""
    kinds = [
        *[lambda: hostile_array(rng)] * 3,
        lambda: pick(rng, CALLABLES),
        lambda: {"a": hostile_array(rng), "b": [hostile_array(rng)]},
        lambda: pick(rng, OTHERS),
    ]
    return pick(rng, kinds)()


def pick(rng, choices):
    return choices[rng.integers(len(choices))]


def arrays_of(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from arrays_of(inner)


def state(arguments):
    """The bytes of all arrays, and of the global generator."""
    arrays = [a.tobytes() for a in arrays_of(arguments) if a.dtype != object]
    _, key, place, *_ = np.random.get_state()  # noqa: NPY002
    return arrays, key.tobytes(), place


def named(error, arguments):
    """Whether the message names an argument, as a user reads it."""
    names = "|".join([*arguments, "params", "grads", "loss", "x", "fun"])
    called = [v for v in arguments.values() if callable(v)]
    own = any(f"{getattr(f, '__name__', '')}()" in str(error) for f in called)
    return own or re.search(rf"(?i)\b({names})\b", str(error)) is not None


def from_caller(error):
    """Whether it was raised in code that the caller handed over, or called from it."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)][1:]
    for file in reversed(files):
        if file == __file__ or Path(file).name == "test_arguments.py":
            return True
        if "fastgrad" in file:
            break
    return (
        isinstance(error, Planted | SystemExit | RecursionError) and __file__ in files
    )


def replaced(rng, sense, kinds):
    """Some of the arguments, replaced."""
    names = sorted({*kinds, *sense})
    found = {}
    for name in rng.choice(names, min(rng.geometric(0.7), 3)).tolist():
        known = KINDS.get(kinds.get(name, ""), [])
        found[name] = pick(rng, known) if known and rng.random() < 0.4 else hostile(rng)
    return found


def fault(function, arguments, hostile_ones):
    """What is wrong with the outcome of a call, if anything."""
    before = state(arguments)
    try:
        result = function(**arguments)
    except (MemoryError, *OURS):
        pass
    except (TypeError, ValueError) as error:
        if not named(error, arguments) and not from_caller(error):
            return f"unnamed {type(error).__name__}: {error}"
    except (Exception, SystemExit) as error:
        if not from_caller(error):
            return f"{type(error).__name__}: {error}"
    else:
        if getattr(result, "verdict", "") == "wrong" and not hostile_ones & FUNCTIONS:
            return "a right derivative is called wrong"
    changing = any(value is _changes for value in arguments.values())
    if state(arguments) != before and not changing and "out" not in arguments:
        return "arrays or the random state changed"
    return None


def case(seed):
    rng = np.random.default_rng(seed)
    name = pick(rng, sorted(CALLS))
    function, sense, kinds = CALLS[name]
    hostile_ones = replaced(rng, sense, kinds)
    found = fault(function, {**sense, **hostile_ones}, set(hostile_ones))
    W[...], X[...] = [0.5, -1.0, 2.0], np.arange(12.0).reshape(4, 3) / 7
    NETWORK["W1"][...], NETWORK["W2"][...] = 1 / 3, 1 / 5
    return 1, [f"{name}: {found}, given {hostile_ones}"[:600]] if found else []
