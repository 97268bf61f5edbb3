"""Every function of the table against itself: values, perturbed values, derivatives.

The calls are made up from the signature of the meaning: arrays of several shapes (also
of extents 0 and 1), axes, ``keepdims``, ... Whatever the function accepts, its meaning
must agree with. Functions that need particular arguments have their calls in `CALLS`.
"""

import functools
import importlib
import inspect
import math
import operator
import warnings

import mpmath
import numpy as np
import pytest
from meaning_calls import CALLS, DRAWS, MORE
from program_functions import trace
from scipy import sparse, special, stats

from fastgrad.program.primitives.functions import FUNCTIONS
from fastgrad.program.primitives.meanings import MEANINGS, meaning_of
from fastgrad.program.primitives.meanings.products import contraction
from fastgrad.program.primitives.ops import UFUNCS

SHAPES = {
    1: [(5,), (2, 3, 4), (1, 3), (0,), (4, 4), ()],
    2: [
        *[((5,), (5,)), ((3, 4), (3, 1)), ((1,), (3,)), ((0,), (0,)), ((4, 4), (4,))],
        *[((4, 4), (4, 4)), ((5,), ()), ((), ())],
    ],
    3: [((5,),) * 3, ((3, 4), (4,), ()), ((0,),) * 3, ((),) * 3],
}
#: What a parameter of this name may be, beside its default.
OPTIONS = {
    "axis": [0, -1, None],
    "keepdims": [True],
    "k": [1, -1],
    "n": [2],
    "ddof": [1],
    "rowvar": [False],
    "bias": [True],
    "increasing": [True],
    "N": [3],
    "mode": ["full", "same", "valid"],
    "edge_order": [2],
    "lower": [True],
    "trans": [1],
    "unit_diagonal": [True],
    "indexing": ["ij"],
    "ord": [1, np.inf],
    "shift": [2, -1],
    "repeats": [2],
    "reps": [2, (2, 1)],
    "indices": [[0, -1, 0], [[1, 0], [0, 0]], np.array([], int)],
    "indices_or_sections": [1, [1, 2]],
    "pad_width": [1, (2, 1)],
    "axis1": [0],
    "axis2": [-1],
    "source": [0],
    "destination": [-1],
    "offset": [1],
    "decimals": [1],
    "initial": [0.25],
    "order": ["F", "K"],
    "copy": [None, np._CopyMode.IF_NEEDED],
    "where": [np.array([[True], [False], [True]])],
    "out": [],
}


def load(name):
    """The function of a public name."""
    module, _, rest = name.partition(".")
    found = importlib.import_module(module)
    for part in rest.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{part}")
    return found


def options(function):
    """What has no default, and one keyword more at a time."""
    if isinstance(function, np.ufunc):
        yield {}
        return
    given = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name in OPTIONS and parameter.kind > parameter.POSITIONAL_ONLY
    ]
    needed = {p.name: OPTIONS[p.name][0] for p in given if p.default is p.empty}
    yield needed
    for parameter in given:
        for value in OPTIONS[parameter.name][parameter.name in needed :]:
            yield needed | {parameter.name: value}
    for name in {"keepdims", "where"} & {parameter.name for parameter in given}:
        yield needed | {"axis": -2, "keepdims": True, name: OPTIONS[name][0]}


def array_positions(function):
    """How many of its first arguments may be arrays."""
    if isinstance(function, np.ufunc):
        return function.nargs - function.nout
    count = 0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return 3
        if parameter.name in OPTIONS or isinstance(parameter.default, bool):
            break
        if parameter.annotation is not parameter.empty:  # a number, a shape
            break
        count += 1
    return count


def made_up_calls(name):
    """(label, call(function, *arrays), arrays) for every shape, option and choice."""
    function = MEANINGS.get(name) or load(name)
    for number, shapes in SHAPES.items():
        if number > array_positions(function):
            break
        for shape in shapes:
            shape = shape if number > 1 else (shape,)
            for kwargs in options(function):

                def call(f, *xs, kwargs=kwargs):
                    with warnings.catch_warnings():  # np.fix, of NumPy 2.5
                        warnings.simplefilter("ignore", DeprecationWarning)
                        return f(*xs, **kwargs)

                yield f"{shape} {kwargs}", call, shape


def calls_of(name):
    """Those that are declared, and the made up ones where these are not in place of them."""
    if name not in CALLS:
        yield from made_up_calls(name)
    for i, (call, *shapes) in enumerate([*CALLS.get(name, ()), *MORE.get(name, ())]):
        yield f"call {i}", call, tuple(shapes)


def flat(result):
    """Every number of a result, in one row."""
    parts = result if isinstance(result, (tuple, list)) else (result,)
    return np.concatenate([np.ravel(part) for part in parts])


def shape_of(result):
    """The shape of a result, or of each of its parts."""
    if isinstance(result, (tuple, list)):
        return [np.shape(part) for part in result]
    return np.shape(result)


def value_of(function, call, arrays):
    """What the function gives, or None where it takes no such arguments."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = np.asarray(flat(call(function, *map(np.copy, arrays))))
    except Exception:
        return None
    return found if found.dtype.kind in "fib" and np.isfinite(found).all() else None


def agree(function, call, arrays, traced):
    """Compare where the arrays of `traced` are parameters; False if not covered."""
    covered, shape = True, None

    def loss_of(f):
        def loss(parameters):
            nonlocal covered, shape
            given = list(arrays)
            for i, x in zip(traced, parameters, strict=True):
                given[i] = x
            result = call(f, *given)
            if result is NotImplemented:
                covered = False
                return np.sum(parameters[0])
            shape = shape_of(result)
            row = flat(result)
            return np.sum(row * np.cos(np.arange(row.size)))

        return loss

    at = [arrays[i] for i in traced]
    # A result that depends on no parameter (a count) is multiplied by one.
    meaning = meaning_of(function) or function
    program = trace(lambda p: loss_of(meaning)(p) + 0.0 * np.sum(p[0]), at)
    if not covered:
        return False
    plain, of_meaning = loss_of(function), shape
    result = flat(call(function, *arrays))
    size = 0.01 + np.abs(result.astype(float)).sum()
    eps = np.finfo(result.dtype if result.dtype.kind == "f" else float).eps
    assert abs(program.value - plain(at)) <= 1e3 * eps * size
    assert of_meaning == shape
    rng = np.random.default_rng(5)
    directions = [rng.normal(size=x.shape) for x in at]
    along = np.concatenate([d.ravel() for d in directions])

    def moved(t):
        return plain([x + t * d for x, d in zip(at, directions, strict=True)])

    steps = np.array([1e-3, -1e-3, 1e-6, -1e-6])
    values = np.array([moved(t) for t in steps])
    if np.isfinite(values).all():
        replayed = program.along(along, steps) + program.value
        np.testing.assert_allclose(replayed, values, rtol=0, atol=4e3 * eps * size)
        slope = sum(
            np.sum(g * d) for g, d in zip(program.gradient(), directions, strict=True)
        )
        difference = (values[2] - values[3]) / 2e-6
        if size > 0.01:  # a root of nothing has no slope
            assert abs(slope - difference) <= 1e-6 * abs(slope) + 1e7 * eps * size
        entry = np.arange(0, along.size, max(1, along.size // 2))
        replayed, _ = program.at_entries(entry, np.full(entry.size, 1e-3))
        for k, i in enumerate(entry):
            single = [x.copy() for x in at]
            owner = np.searchsorted(np.cumsum([x.size for x in at]), i, side="right")
            single[owner].reshape(-1)[i - sum(x.size for x in at[:owner])] += 1e-3
            assert abs(replayed[k] + program.value - plain(single)) <= 4e3 * eps * size
    return True


def names():
    """Of every meaning, ufunc and function of the tables."""
    yield from MEANINGS
    for ufunc in {u for u in UFUNCS if "(" not in u}:
        yield f"numpy.{ufunc}" if hasattr(np, ufunc) else f"scipy.special.{ufunc}"
    for function in FUNCTIONS.keys() - {contraction}:
        yield f"{function.__module__}.{function.__name__}"


@pytest.mark.parametrize("name", sorted(set(names())))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_function_means_what_its_meaning_says(name):
    try:
        function = load(name)
    except ModuleNotFoundError:
        pytest.skip(f"this NumPy, SciPy or Python has no {name}")
    compared = 0
    for label, call, shapes in calls_of(name):
        for draw in DRAWS:
            arrays = [draw(np.random.default_rng(i), s) for i, s in enumerate(shapes)]
            if value_of(function, call, arrays) is None:
                continue
            ways = {tuple(range(len(arrays)))}
            if not compared or name in CALLS:
                ways |= {(0,), (len(arrays) - 1,)}
            for traced in sorted(ways):
                if sum(arrays[i].size for i in traced):
                    try:
                        compared += agree(function, call, arrays, traced)
                    except Exception as error:
                        error.add_note(f"{name} {label}, traced {traced}, {arrays}")
                        raise
            break
    assert compared, "no call was compared: add one to meaning_calls.py"


def whole(rng, shape):
    """Zeros, ties and ends of domains, but behind a first that gives a polynomial its degree."""
    x = rng.integers(-2, 3, shape).astype(float)
    x.flat[:1] = 2.0
    return x


def far(rng, shape):
    """Where exponentials, or their squares, leave float64."""
    return 300.0 * rng.normal(size=shape)


@pytest.mark.parametrize("name", sorted(MEANINGS))
@pytest.mark.filterwarnings("ignore")
def test_a_meaning_has_the_values_of_its_function_at_special_points(name):
    """Or none: nan is noticed, and the function is asked then."""
    try:
        function = load(name)
    except ModuleNotFoundError:
        pytest.skip(f"this NumPy, SciPy or Python has no {name}")
    for label, call, shapes in calls_of(name):
        for draw in (whole, far):
            arrays = [draw(np.random.default_rng(i), s) for i, s in enumerate(shapes)]
            right = value_of(function, call, arrays)
            if right is None or not sum(x.size for x in arrays):
                continue
            found = call(meaning_of(function), *arrays)
            if found is NotImplemented:
                continue
            found = flat(found)
            assert found.shape == right.shape, label
            there = ~np.isnan(found.astype(float))
            rtol = np.finfo(right.dtype).eps if right.dtype.kind == "f" else 0.0
            size = max(1.0, np.abs(right).max(initial=0.0))
            np.testing.assert_allclose(
                *(found[there], right[there]),
                rtol=max(1e-9, rtol),
                atol=1e-13 * size,
                err_msg=label,
            )


def test_functions_of_the_same_name_are_told_apart():
    def kron(a, b):
        return a

    assert meaning_of(kron) is None
    assert meaning_of(np.kron) is not None
    assert meaning_of(functools.partial(math.log, base=2)) is None


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (np.add.at, True),
        (np.c_.__getitem__, True),
        (stats.norm, True),
        (stats.norm.logpdf, True),
        (stats.norm(0.0, 2.0).logpdf, True),
        (sparse.csr_array(np.eye(2)).dot, True),
        (operator.matmul, True),
        ({}.__getitem__, False),
        (np.eye(2).dot, False),
        (len, False),
        (object(), False),
        (None, False),
    ],
)
def test_functions_methods_and_objects_are_found_by_what_they_are(function, known):
    assert (meaning_of(function) is not None) == known


def test_arguments_that_a_meaning_lacks_are_not_covered():
    assert meaning_of(np.kron)(1.0, 2.0, 3.0) is NotImplemented
    assert (
        meaning_of(np.quantile)(np.ones(3), 0.5, weights=np.ones(3)) is NotImplemented
    )


def test_an_error_of_the_meaning_itself_is_not_taken_for_that():
    with pytest.raises(TypeError, match="0-dimensional"):
        meaning_of(float)(np.ones(2))


def test_operations_carry_the_name_of_the_function_that_the_user_called():
    program = trace(lambda x: np.sum(stats.norm.logpdf(x, 0.3, 2.0)), np.ones(3))
    assert {node.label for node in program.operations} == {
        "scipy.stats.norm.logpdf",
        "np.sum",
    }


NORMAL = {
    "ndtr": (special.ndtr, mpmath.ncdf),
    "cdf": (stats.norm.cdf, mpmath.ncdf),
    "sf": (stats.norm.sf, lambda x: mpmath.ncdf(-x)),
    "log_ndtr": (special.log_ndtr, lambda x: mpmath.log(mpmath.ncdf(x))),
    "logcdf": (stats.norm.logcdf, lambda x: mpmath.log(mpmath.ncdf(x))),
    "logsf": (stats.norm.logsf, lambda x: mpmath.log(mpmath.ncdf(-x))),
}


@pytest.mark.parametrize("name", NORMAL)
def test_the_normal_distribution_has_its_digits_in_both_tails(name):
    """Whatever SciPy's own values lose there to the rounding of x / sqrt(2)."""
    function, exact = NORMAL[name]
    x = np.linspace(-36.3, 36.7, 7)
    program = trace(lambda x: np.sum(function(x)), x)
    with mpmath.workdps(620):
        at = [mpmath.mpf(each) for each in x.tolist()]
        values = [exact(each) for each in at]
        for h in (1e-9, 1e-3, -1e-2):
            expected = [
                float(exact(each + mpmath.mpf(h)) - value)
                for each, value in zip(at, values, strict=True)
            ]
            found, _ = program.at_entries(np.arange(x.size), np.full(x.size, h))
            np.testing.assert_allclose(found, expected, rtol=8 * 2**-52)
