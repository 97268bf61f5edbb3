"""Nothing taken, nothing changed: what primitives must not do."""

import numpy as np
import pytest
from program_functions import trace

import fastgrad as fg


@pytest.mark.parametrize(
    "key",
    [
        np.array([], int),
        np.array([[]], int),
        (slice(None), np.array([], int)),
        slice(0, 0),
        (Ellipsis, slice(3, 1)),
        np.zeros(3, bool),
    ],
)
def test_nothing_taken_has_no_gradient(key):
    x = np.arange(12.0).reshape(3, 4)

    def loss(x):
        return np.sum(x[key] ** 2) + 3.0 * np.sum(x)

    program = trace(loss, x)
    assert program.value == loss(x)
    np.testing.assert_array_equal(program.gradient(), np.full(x.shape, 3.0))
    found, _ = program.at_entries(np.arange(12), np.full(12, 0.5))
    np.testing.assert_array_equal(found, np.full(12, 1.5))


def test_a_scalar_does_not_change_in_place():
    """NumPy's scalars do not: `+=` gives the name another one."""

    def loss(p):
        a = np.sum(p**2)
        before = a
        a += 1.0
        a *= p[0]
        return a + 10.0 * before

    p = np.array([0.3, -0.7])
    program = trace(loss, p)
    assert program.value == pytest.approx(loss(p), rel=1e-15)
    found, _ = program.at_entries(np.arange(2), np.full(2, 1e-3))
    moved = [loss(p + 1e-3 * unit) - loss(p) for unit in np.eye(2)]
    np.testing.assert_allclose(found, moved, rtol=1e-12)


@pytest.mark.parametrize("shape", [(60, 2), (2, 60), (15, 4, 2), (120,)])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_evenly_spaced_positions_are_those(shape, start, rng):
    """Whichever axis they may be taken for a walk along."""
    x = rng.standard_normal(shape)
    for step in range(1, 9):
        for count in (2, 5, 12):
            taken = start + step * np.arange(count)
            weights = rng.standard_normal(count)

            def loss(x, taken=taken, weights=weights):
                return np.sum(np.take(x, taken) * weights)

            program = trace(loss, x)
            right = np.zeros(x.size)
            right[taken] = weights
            assert program.value == pytest.approx(loss(x), rel=1e-13)
            np.testing.assert_array_equal(program.gradient(), right.reshape(shape))
            found, _ = program.at_entries(np.arange(x.size), np.full(x.size, 2.0))
            np.testing.assert_array_equal(found, 2.0 * right)


NOTHING = {
    "max": lambda p: np.max(p[:0], initial=2.0),
    "min": lambda p: p[:0].min(initial=2.0),
    "sum": lambda p: np.sum(p[:0], initial=2.0),
    "prod": lambda p: np.prod(p[:0], initial=2.0),
    "of rows": lambda p: np.max(np.ones((3, 0)) * p[:, None], 1, initial=2.0) @ p,
    "kept": lambda p: np.min(np.ones((0, 3)) * p, 0, initial=2.0, keepdims=True) @ p,
    "no rows": lambda p: np.sum(np.max(np.ones((0, 3)) * p, 1, initial=2.0)),
    "reduce": lambda p: np.maximum.reduce(p[:0], initial=2.0),
    "all": lambda p: np.prod(p) if np.all(p[:0] > 0) else np.sum(p),
    "any": lambda p: np.prod(p) if (p[:0] > 0).any() else np.sum(p),
    "all of rows": lambda p: np.all(np.ones((3, 0)) > p[:, None], axis=1) @ p,
}


@pytest.mark.parametrize("name", NOTHING)
def test_reductions_of_nothing(name):
    """They are where they start, as NumPy's are, with the slope of what is left."""
    p = np.array([0.5, -1.2, 2.0])

    def loss(p):
        return np.sum(p**2) + NOTHING[name](p)

    program = fg.trace(loss, p)
    assert program.value == loss(p)
    slope = fg.numerical_gradient(loss, p, engine="python")
    np.testing.assert_allclose(program.gradient(), slope, rtol=1e-6)
    np.testing.assert_allclose(fg.numerical_gradient(loss, p), slope, rtol=1e-6)
