"""Each kind of argument by itself: what passes, where it ends, and what is said then."""

import functools
import math
import pickle
import re

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import _arguments as arguments
from fastgrad._arguments import (
    alternatives,
    axis,
    choice,
    dtype,
    flag,
    integer,
    number,
    seed,
    with_arguments,
)
from fastgrad.interop.scipy import check_grad


def refused(kind, said):
    """The context in which a refusal begins so."""
    return pytest.raises(kind, match=f"^{re.escape(said)}")


@pytest.mark.parametrize(
    ("value", "options", "found"),
    [
        (np.int64(-3), {}, -3),
        (0, {"least": 0}, 0),
        (1, {"least": 1}, 1),
        (7, {"least": 7}, 7),
        (2**53, {}, 2**53),
        (2**53 + 1, {"most": None}, 2**53 + 1),
        (5, {"most": 5}, 5),
    ],
)
def test_integers_that_pass(value, options, found):
    got = integer("n", value, **options)
    assert (type(got), got) == (int, found)


@pytest.mark.parametrize(
    ("value", "options", "error", "said"),
    [
        (-1, {"least": 0}, ValueError, "not be negative, got -1."),
        (0, {"least": 1}, ValueError, "be positive, got 0."),
        (1, {"least": 2}, ValueError, "be at least 2, got 1."),
        (2**53 + 1, {}, ValueError, f"be at most {2**53}, got {2**53 + 1}."),
        (6, {"most": 5}, ValueError, "be at most 5, got 6."),
        (1.0, {}, TypeError, "be an integer, got float 1.0."),
        (1.0, {"least": 0}, TypeError, "be a non-negative integer, got float 1.0."),
        (True, {"least": 1}, TypeError, "be a positive integer, got True."),
        (np.True_, {}, TypeError, "be an integer, got bool."),
        (None, {"least": 3}, TypeError, "be a positive integer, got None."),
        (np.array(1), {}, TypeError, "be an integer, got an array of shape () and dtype int64."),
    ],
)  # fmt: skip
def test_integers_that_are_none(value, options, error, said):
    with refused(error, f"`n` must {said}"):
        integer("n", value, **options)


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (-1e300, {}),
        (np.float32(0.5), {"least": 0.5}),
        (0, {"least": 0}),
        (1.0, {"least": 0, "most": 1}),
        (5e-324, {"above": 0}),
        (1.5, {"above": 1, "most": 1.5}),
        (np.array(2.5), {}),
        (np.array(3), {"least": 3}),
    ],
)
def test_numbers_that_pass(value, options):
    got = number("x", value, **options)
    assert (type(got), got) == (float, value)


@pytest.mark.parametrize(
    ("value", "options", "said"),
    [
        (math.inf, {}, "finite"),
        (math.nan, {"least": -1, "most": 1}, "from -1 to 1"),
        (10**400, {}, "finite"),
        (-5e-324, {"least": 0}, "finite and not negative"),
        (0.5, {"least": 1}, "finite and at least 1"),
        (0.0, {"above": 0}, "positive and finite"),
        (1.0, {"above": 1}, "finite and above 1"),
        (math.inf, {"above": 1}, "finite and above 1"),
        (1.25, {"least": 0, "most": 1}, "from 0 to 1"),
        (0.0, {"above": 0, "most": 1}, "in (0, 1]"),
        (np.array(-1.0), {"least": 0}, "finite and not negative"),
    ],
)
def test_numbers_out_of_range(value, options, said):
    with refused(ValueError, f"`x` must be {said}, got "):
        number("x", value, **options)


@pytest.mark.parametrize(
    "value",
    [True, np.True_, np.array(True), 1j, "1", None, [1.0], np.ones(1)]
    + [np.timedelta64(3, "s"), np.datetime64("2020")],
)
def test_what_is_no_number(value):
    with refused(TypeError, "`x` must be a number, got "):
        number("x", value)


def test_flags_are_true_or_false():
    for value in (True, False, np.True_, np.False_):
        assert flag("f", value) is bool(value)
    with refused(TypeError, "`f` must be True or False, got int 1."):
        flag("f", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["a"], '"a"'),
        (["a", "b"], '"a" or "b"'),
        (["a", None], 'None or "a"'),
        (["a", "b", "c"], '"a", "b" or "c"'),
        (["a", "b", None], 'None, "a" or "b"'),
        (["a", "b", "c", "d"], 'one of "a", "b", "c", "d"'),
        (["a", "b", "c", None], 'one of None, "a", "b", "c"'),
    ],
)
def test_choices_are_listed(options, said):
    assert alternatives(options) == said
    for option in options:
        assert choice("c", option, options) == option
    with refused(ValueError, f"`c` must be {said}, got 'e'."):
        choice("c", "e", options)
    with refused(TypeError, f"`c` must be {said}, got int 3."):
        choice("c", 3, options)


def test_choices_without_none_refuse_it():
    with refused(ValueError, '`c` must be "a", got None.'):
        choice("c", None, ["a"])


def test_axes_count_from_either_end():
    assert [axis("axis", k, 3, "x") for k in (0, 2, -1, -3)] == [0, 2, 2, 0]
    for k in (3, -4):
        with refused(ValueError, f"`axis` must be an axis of `x`, 3-d, got {k}"):
            axis("axis", k, 3, "x")
    with refused(TypeError, "`axis` must be an axis of `x`, 3-d, got float"):
        axis("axis", 1.0, 3, "x")


def test_dtypes_are_native():
    known = ("float32", "bfloat16")
    assert dtype("d", "float32", known) == np.float32
    assert dtype("d", "bfloat16", known).name == "bfloat16"
    other = np.dtype(np.float32).newbyteorder()
    for wrong in (other, "float64"):
        with refused(ValueError, "`d` must be float32 or bfloat16, in native"):
            dtype("d", wrong, known)
    with refused(TypeError, "`d` must be float32 or bfloat16, in native"):
        dtype("d", "no such", known)


def test_seeds_are_numbers_or_of_numpy():
    of_numpy = np.random.SeedSequence(3), np.random.default_rng(3)
    assert [seed("s", x) is x for x in of_numpy] == [True, True]
    assert seed("s", 2**70) == 2**70
    assert seed("s", 0) == 0
    with refused(ValueError, "`s` must be a non-negative integer, a Seed"):
        seed("s", -1)
    with refused(TypeError, "`s` must be a non-negative integer, a Seed"):
        seed("s", 1.0)


@pytest.mark.parametrize(
    ("args", "kwargs", "found"),
    [((2,), None, 12), ([2], {}, 12), ((), {"y": 3}, 13), ((2,), {"y": 3}, 15)],
)
def test_functions_take_further_arguments(args, kwargs, found):
    taking = with_arguments(_sum, args, kwargs)
    assert taking(10) == found
    assert pickle.loads(pickle.dumps(taking))(10) == found
    assert taking.__wrapped__ is _sum


def _sum(first, x=0, *, y=0):
    return first + x + y


def test_without_further_arguments_it_is_the_function_itself():
    assert with_arguments(_sum, (), None) is _sum
    assert with_arguments("no function", (1,), {"y": 2}) == "no function"


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (3, None, "`args` must be a tuple, got int 3."),
        ((), ["y"], "`kwargs` must be a dict with names as keys, got list ['y']."),
        ((), {1: 2}, "`kwargs` must be a dict with names as keys, got dict {1: 2}."),
    ],
)
def test_further_arguments_have_a_place_or_a_name(args, kwargs, said):
    with refused(TypeError, said):
        with_arguments(_sum, args, kwargs)


def nested(depth):
    return functools.reduce(lambda inner, _: [inner], range(depth), [])


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("not to be told")


class Own:
    def __repr__(self):
        raise RuntimeError("not to be called")


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (ValueError, lambda: fg.initializers.he_normal((2, 3), layout="O" * 10**6)),
        (TypeError, lambda: fg.initializers.he_normal((2, 3), dtype=Own())),
        (
            ValueError,
            lambda: fg.initializers.initialize(
                {"x" * 10**6: (2, 3)},
                scheme={f"{k}*": "he_normal" for k in range(1000)},
            ),
        ),
        (
            ValueError,
            lambda: fg.check_gradient(
                np.sum, np.ones(9), np.ones(9), step=np.ones(9), coverage="locate"
            ),
        ),
        (
            ValueError,
            lambda: check_grad(np.sum, np.ones_like, np.ones(2), direction="x" * 10**6),
        ),
    ],
)
def test_what_is_long_is_told_in_short(kind, call):
    with pytest.raises(kind, match=r"`\w+` must .*, got") as caught:
        call()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "None"),
        (3, "int 3"),
        ("x", "str 'x'"),
        ([1, 2], "list [1, 2]"),
        (np.dtype("f4"), "float32"),
        (np.ones((2, 0)), "an array of shape (2, 0) and dtype float64"),
        (np.ones((1, 2)).view(np.matrix), "a matrix of shape (1, 2) and dtype float64"),
        (Own(), "Own"),
        ("x" * 58, f"str '{'x' * 58}'"),
        ("x" * 59, f"str '{'x' * 55} ..."),
        ("x" * 10**7, f"str '{'x' * 55} ..."),
        ([0.5] * 10**6, f"list [{'0.5, ' * 11} ..."),
        pytest.param(10**5000, "int", id="of many digits"),
        (nested(100_000), "list"),
        ((Unspeakable(),), "tuple"),
    ],
)
def test_what_was_got_is_told(value, said):
    error = arguments.refusal(TypeError, "a", "be other", value, ", or none")
    assert str(error) == f"`a` must be other, got {said}, or none."
