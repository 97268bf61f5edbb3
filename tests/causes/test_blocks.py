"""Causes from the numbers alone: following the advice makes the gradient right."""

import re

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad.causes.arrangements import arrangements

RNG = np.random.default_rng(5)
THETA = RNG.uniform(0.3, 1.4, size=(4, 4))
WEIGHTS = RNG.normal(size=(4, 4))


def loss(theta):
    return np.sum(np.sin(theta) * WEIGHTS)


RIGHT = np.cos(THETA) * WEIGHTS


def without_source(function):
    """The function in code that cannot be read and wants a number: it is not traced."""
    scope = {"function": function}
    exec("def untraced(p):\n    return float(function(p))", scope)
    return scope["untraced"]


#: What some variable phi is as a function of theta: its derivative.
DERIVATIVES = {
    "log(theta)": 1 / THETA,
    "theta**2 / 2": THETA,
    "exp(theta)": np.exp(THETA),
    "-exp(-theta)": np.exp(-THETA),
    "exp(2 * theta)": 2 * np.exp(2 * THETA),
    "theta**2": 2 * THETA,
    "sqrt(theta)": 0.5 / np.sqrt(THETA),
    "sigmoid(theta)": 1 / (2 + np.exp(THETA) + np.exp(-THETA)),
    "softplus(theta)": 1 / (1 + np.exp(-THETA)),
    "tanh(theta)": 1 / np.cosh(THETA) ** 2,
    "1 / theta": -1 / THETA**2,
    "logit(theta)": 1 / (THETA * (1 - THETA)),
    "arctanh(theta)": 1 / (1 - THETA**2),
    "log(exp(theta) - 1)": np.exp(THETA) / np.expm1(THETA),
}


def followed(message, grads, theta):
    """What the formulas of a message make of the gradient, each of them."""
    formulas = re.findall(r"`([^`]*grads[^`]*)`", message)
    assert formulas, message
    scope = {"np": np, "grads": grads, "theta": theta}
    return [eval(formula, scope) for formula in formulas]


@every_second
@pytest.mark.parametrize("phi", DERIVATIVES)
@pytest.mark.parametrize("width", [1.0, 3.7])
@pytest.mark.parametrize("traceable", [True, False])
def test_the_gradient_by_another_variable(phi, width, traceable):
    wrong = RIGHT / DERIVATIVES[phi] * width
    function = loss if traceable else without_source(loss)
    report = fg.check_gradient(function, THETA, wrong)
    named = [c for c in report.causes if c.code == "reparametrized"]
    if width == 1.0:
        assert report.causes[0] is named[0]
        assert f"respect to {phi}," in named[0].message
    for cause in named:
        for result in followed(cause.message, wrong, THETA):
            np.testing.assert_allclose(result, RIGHT, rtol=1e-6)


@every_second
@pytest.mark.parametrize(
    "change",
    [
        lambda g: -g,
        lambda g: 4 * g,
        lambda g: g / 16,
        lambda g: 0.123 * g,
        lambda g: -2.5 * g,
        lambda g: g + 0.7 * THETA,
        lambda g: g - 0.7 * np.sign(THETA) + 0.1 * THETA,
        lambda g: g + 0.3,
        lambda g: g.T,
        lambda g: np.roll(g, 2, 0),
        lambda g: np.roll(g, 5),
        lambda g: np.roll(g, (1, -1), (0, 1)),
        lambda g: 0.5 * (g - 0.2 * THETA) + 0.2 * THETA,
        lambda g: -(g - 0.2 * THETA) + 0.2 * THETA,
        lambda g: g[:, ::-1],
        lambda g: g.ravel("F").reshape(4, 4),
    ],
)
@pytest.mark.parametrize("traceable", [True, False])
def test_a_formula_in_a_message_undoes_the_mistake(change, traceable):
    wrong = change(RIGHT)
    function = loss if traceable else without_source(loss)
    cause = fg.check_gradient(function, THETA, wrong).causes[0]
    for result in followed(cause.message, wrong, THETA):
        np.testing.assert_allclose(result, RIGHT, rtol=1e-6)


@every_second
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3], [2, 0, 1, 3], [3, 1, 0, 2], [0, 3, 1, 2]],
    ids=str,
)
@pytest.mark.parametrize("traceable", [True, False])
def test_rows_and_columns_in_another_order(axis, order, traceable):
    function = loss if traceable else without_source(loss)
    wrong = RIGHT.take(order, axis)
    (cause,) = fg.check_gradient(function, THETA, wrong).causes
    assert cause.code == "layout"
    [result] = followed(cause.message, wrong, THETA)
    np.testing.assert_allclose(result, RIGHT, rtol=1e-6)


@every_second
@pytest.mark.parametrize("n", [2, 5, 40, 30_000])
@pytest.mark.parametrize("moved", [2, 7, "all", "rolled"])
def test_entries_in_another_order(n, moved):
    x, order = RNG.normal(size=n), np.arange(n)
    if moved == "rolled":
        order = np.roll(order, min(7, n - 1))
    else:
        some = np.sort(RNG.permutation(n)[: n if moved == "all" else moved])
        order[some] = np.roll(some, 1)
    right = 3 * x**2
    (cause,) = fg.check_gradient(lambda p: np.sum(p**3), x, right[order]).causes
    assert cause.code in {"layout", "geometry"}
    assert ("grads" in cause.message) == (n < 16 or moved in ("all", "rolled"))
    for formula in re.findall(r"`([^`]*grads[^`]*)`", cause.message):
        undone = eval(formula, {"np": np, "grads": right[order]})
        np.testing.assert_allclose(undone, right, rtol=1e-6)


def test_equal_numbers_have_no_order():
    """As many of either sign, at random places: nothing says that they were moved."""
    x = RNG.permutation(np.r_[np.ones(20), -np.ones(20)])
    report = fg.check_gradient(lambda p: np.sum(np.abs(p)), x, RNG.permutation(x))
    assert "another order" not in str(report)


@every_second
@pytest.mark.parametrize("factor", [0, -1, 2.5])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_row_or_column_with_zeros(factor, axis):
    """Zeros in it are right all the same; and a part of it is not all of it."""
    weights = WEIGHTS.copy()
    weights[[0, 1], [2, 1]] = 0

    def some(p):
        return np.sum(np.sin(p) * weights)

    right = np.cos(THETA) * weights
    wrong = right.copy()
    np.moveaxis(wrong, axis, 0)[1] *= factor
    (cause,) = fg.check_gradient(some, THETA, wrong).causes
    assert cause.code in {"partial", "zero"}
    how = f"{factor} times what it should be" if factor else "zero"
    assert f"{how} at index 1 of axis {axis}" in cause.message
    np.moveaxis(wrong, axis, 0)[1, 3] = np.moveaxis(right, axis, 0)[1, 3]
    (cause,) = fg.check_gradient(some, THETA, wrong).causes
    assert "times" not in cause.message
    assert f"wrong only at index 1 of axis {axis}" in cause.message


@every_second
@pytest.mark.parametrize("size", [40, 20_000])
@pytest.mark.parametrize("step", [7, -3])
@pytest.mark.parametrize("rolled", [True, False])
def test_a_gradient_that_is_moved_far(size, step, rolled):
    """By the step that fits best of all, in one pass over large vectors, too."""
    c, w = RNG.normal(size=(2, size))
    right = c * (1 - np.tanh(w) ** 2)
    wrong = np.roll(right, step)
    if not rolled:
        wrong[slice(step) if step > 0 else slice(step, None)] = 0
    [cause] = fg.check_gradient(lambda w: np.sum(c * np.tanh(w)), w, wrong).causes
    assert cause.code == ("layout" if rolled else "geometry")
    assert f"by {step} along axis 0" in cause.message
    for result in followed(cause.message, wrong, w) if rolled else ():
        np.testing.assert_allclose(result, right)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 4), (2, 3, 2), (2, 3, 3)])
def test_the_formula_of_an_arrangement_undoes_it(shape):
    x = RNG.normal(size=shape)
    undone = 0
    for one in arrangements(shape):
        turned = one.turn(x)
        assert turned.shape == shape, one.how
        if one.undo:
            result = eval(one.undo, {"np": np, "grads": turned})
            np.testing.assert_array_equal(result, x, err_msg=one.how)
            undone += 1
    assert undone >= 5


#: What another name of an array may be a view as, and what makes that of the array.
VIEWS = {
    "itself": (lambda w: w, lambda w: w),
    "transposed": (lambda w: w.T, lambda w: w.T),
    "flat": (lambda w: w.reshape(-1), lambda w: w.reshape(4, 4)),
    "in another shape": (lambda w: w.reshape(2, 8), lambda w: w.reshape(4, 4)),
}


@pytest.mark.parametrize(("view", "back"), VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_one_array_under_two_names_wants_the_sum(view, back, engine):
    shared, x = RNG.normal(size=(4, 4)), RNG.normal(size=(3, 4))

    def tied(p):
        return np.sum(np.tanh(x @ p["enc"]) @ back(p["dec"]).T)

    hidden = np.tanh(x @ shared)
    enc = x.T @ ((1 - hidden**2) * (np.ones((3, 4)) @ shared))
    dec = np.ones((4, 3)) @ hidden
    same = {"enc": shared, "dec": view(shared)}
    parts = {"enc": enc, "dec": view(dec)}
    report = fg.check_gradient(tied, same, parts, engine=engine)
    (cause,) = report.causes
    assert (cause.code, cause.blocks) == ("accumulation", ("enc", "dec"))
    assert "one array" in cause.message
    both = {"enc": enc + dec, "dec": view(enc + dec)}
    assert fg.check_gradient(tied, same, both, engine=engine).ok


def test_no_entry_is_said_to_be_right_that_is_not_known():
    """In float32 noise hides how far most entries are off."""

    def loss(w):
        return np.float32(np.sum(np.float32(w) ** 2) + np.float32(1e5))

    w = np.array([0.7, -0.5, 0.9, 2.1, -0.3, 0.6])
    report = fg.check_gradient(loss, w, 2.1 * w, engine="python")
    assert [entry.index for entry in report.wrong] == [(3,)]
    assert not any("only" in cause.message for cause in report.causes)
    right = 2 * w
    right[3] *= 1.05
    exact = fg.check_gradient(lambda w: np.sum(w**2), w, right)
    assert any("[3]" in cause.message for cause in exact.causes)


@pytest.mark.parametrize(
    ("function", "theta", "wrong", "plainest"),
    [
        (lambda w: np.sum(w**2), np.ones(4), lambda w: w, "`grads * 2`"),
        (lambda w: np.sum(w**3), np.full(4, 3.0), lambda w: w**2, "`grads * 3`"),
        (lambda w: 3 * np.sum(np.exp(w)), np.zeros(5), lambda w: np.exp(w), "* 3`"),
    ],
)
def test_at_a_usual_point_the_plainest_mistake_comes_first(
    function, theta, wrong, plainest
):
    causes = fg.check_gradient(function, theta, wrong(theta)).causes
    assert plainest in causes[0].message
    assert "clipped" in {cause.code for cause in causes[1:]}  # which fits as well


@pytest.mark.parametrize("factor", [1.05, 2.0, -1.0])
def test_an_entry_is_not_alone_where_the_others_are_too_small_to_tell(factor):
    """They may be as wrong."""
    x = np.array([0.3, 1e-9, -2e-9])
    y = np.pi * x
    right = np.where(abs(y) < 1e-5, -np.pi * y / 3, (np.cos(y) - np.sinc(x)) / x)
    report = fg.check_gradient(
        lambda x: np.sum(np.sinc(x)), x, factor * right, engine="python"
    )
    assert report.verdict == "wrong"
    assert "partial" not in {cause.code for cause in report.causes}
