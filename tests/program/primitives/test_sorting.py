"""Sorting in programs: orders that change, ties, and what may be an index."""

import numpy as np
import pytest
from program_functions import trace

import fastgrad as fg


def test_the_order_is_found_anew_at_each_perturbed_point():
    x = np.array([3.0, 1.0, 2.0, 5.0])
    program = trace(lambda x: np.sort(x) @ np.array([1.0, 10.0, 100.0, 1000.0]), x)
    delta = np.array([-1.5, 7.0, 0.5, -5.0])
    got, crossed = program.at_entries(np.arange(4), delta)
    # [1.5, 1, 2, 5], [3, 8, 2, 5], [3, 1, 2.5, 5], [3, 1, 2, 0]
    np.testing.assert_allclose(got, [5216 - 5321, 8532 - 5321, 5, 3210 - 5321])
    np.testing.assert_array_equal(crossed, [True, True, False, True])


def test_a_tie_is_a_side_of_its_own():
    x = np.array([1.0, 1.0, 2.0])
    program = trace(lambda x: np.sort(x) @ np.arange(3.0), x)
    _, crossed = program.at_entries([0, 0, 1, 1, 2, 2], [0.1, -0.1] * 3)
    np.testing.assert_array_equal(crossed, [True] * 4 + [False] * 2)
    _, crossed = program.at_entries([2], [-1.0])
    assert crossed.all()


def test_many_elements_in_any_order():
    """Long enough for every level of the merges, and far from the order at theta."""
    rng = np.random.default_rng(3)
    x, direction, weight = rng.normal(size=(3, 777))
    loss = lambda x: np.sort(x) @ weight  # noqa: E731
    got = trace(loss, x).along(direction, [2.0, -0.01])
    expected = [loss(x + t * direction) - loss(x) for t in (2.0, -0.01)]
    np.testing.assert_allclose(got, expected, rtol=1e-11)


def test_nan_is_sorted_to_the_end():
    x = np.array([2.0, 0.5, 1.0])
    loss = lambda x: np.sort(np.log(x))[:2].sum()  # noqa: E731
    got, crossed = trace(loss, x).at_entries([1], [-1.0])
    np.testing.assert_allclose(got, np.log(2) - np.log(0.5))
    assert crossed.all()


def test_the_derivative_follows_the_order():
    x = np.array([3.0, 1.0, 2.0])
    y = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    weight = np.array([[1.0, 10.0], [100.0, 1e3], [1e4, 1e5]])
    program = trace(
        lambda p: (p["y"][np.argsort(p["x"])] * weight).sum(), {"x": x, "y": y}
    )
    gradient = program.gradient()
    np.testing.assert_array_equal(gradient["y"], weight[[2, 0, 1]])
    np.testing.assert_array_equal(gradient["x"], 0)


def test_trimmed_mean_is_checked_in_compiled_code():
    x = np.random.default_rng(8).normal(size=30)
    inner = np.argsort(x)[5:-5]
    right = np.zeros(30)
    right[inner] = 1 / 20
    report = fg.check_gradient(lambda x: np.sort(x)[5:-5].mean(), x, right)
    assert report.ok
    assert report.engine == "compiled"
    right[inner[0]] = 0
    assert fg.check_gradient(lambda x: np.sort(x)[5:-5].mean(), x, right).wrong


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: x[np.argsort(x)[:2] + 1].sum(),
        lambda x: x[:3][np.argsort(x)[:2]].sum(),
        lambda x: x[np.argsort(x) > 1].prod(),
    ],
)
def test_positions_made_of_an_order_are_guarded(loss):
    """Where the order changes, the function itself is asked."""
    x = np.array([3.0, 1.0, 2.0, 5.0])
    program = fg.trace(loss, x)
    assert program.guards
    got, _ = program.at_entries([1, 1], [0.5, 1.5])
    np.testing.assert_allclose(got[0], loss(x + [0, 0.5, 0, 0]) - loss(x), rtol=1e-14)
    assert np.isnan(got[1])


def test_an_order_kept_by_a_loss_is_plain_afterwards():
    kept = []

    def loss(x):
        kept.append(np.argsort(x))
        return np.sort(x)[0]

    x = np.array([3.0, 1.0, 2.0])
    trace(loss, x)
    np.testing.assert_array_equal(np.asarray(kept[0]), [1, 2, 0])
    np.testing.assert_array_equal(x[np.asarray(kept[0])], [1, 2, 3])
