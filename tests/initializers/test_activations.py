"""Every activation that has a name: its gains against integrals by SciPy."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fastgrad import gain
from fastgrad.initializers.activations import NAMED, as_activation, slopes_at_zero

EDGES = np.arange(-40.0, 41.0)


def mean(function, kinks):
    """Return the expectation of a function of a standard normal variable."""
    edges = np.union1d(EDGES, kinks)
    parts = [
        integrate.quad(lambda z: function(z) * stats.norm.pdf(z), a, b, epsabs=1e-14)[0]
        for a, b in itertools.pairwise(edges)
    ]
    return np.sum(parts)


@pytest.mark.parametrize("name", NAMED)
def test_gains_are_the_integrals(name):
    """1 / sqrt(E phi²), and 1 / sqrt(E phi'²) with the slope by differences."""
    kinks = as_activation(name).kinks

    def phi(z):
        return float(NAMED[name](np.array([z]))[0])

    def slope(z):
        h = min(1e-3, *(abs(z - k) / 3 for k in kinks)) if kinks.size else 1e-3
        near, far = (phi(z + t) - phi(z - t) for t in (h, 2 * h))
        return (8 * near - far) / (12 * h)

    found = gain(name)
    assert found.unit == pytest.approx(mean(lambda z: phi(z) ** 2, kinks) ** -0.5, 1e-9)
    backward = mean(lambda z: slope(z) ** 2, kinks) ** -0.5
    assert found.backward == pytest.approx(backward, 1e-8)


@given(
    st.floats(-40, 40), st.sampled_from([0.0, 0.01, -1.0]), st.sampled_from([1, 7.0])
)
def test_a_kink_is_found_wherever_it_is(kink, before, after):
    """Where the function is zero around, too."""
    phi = as_activation(
        lambda x: np.where(x > kink, after * (x - kink), before * (x - kink))
    )
    np.testing.assert_allclose(phi.kinks, [kink], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("beside", [0.0, 1e-13, -1e-12, 1e-11, -1e-10, 1e-9])
@pytest.mark.parametrize("depth", [1, 9, 20, 28])
def test_a_kink_at_the_edge_of_a_panel_is_found_once(depth, beside):
    """Where neither panel has more than its rounding of it."""
    edges = 0.0137 - 2.0 ** np.array([5, 4])
    kink = edges[0] + (edges[1] - edges[0]) * 2.0**-depth * 0.75 // 2.0**-30 * 2.0**-30
    for at in (kink + beside, edges[1] + beside):
        phi = as_activation(lambda x, at=at: np.maximum(x - at, 0.0))
        np.testing.assert_allclose(phi.kinks, [at], rtol=1e-8)


@settings(max_examples=20)
@given(st.floats(-3, 3))
def test_kinks_of_curves_are_found_to_eight_digits(kink):
    """Not where lines through distant points of either side would meet."""
    phi = as_activation(lambda x: np.abs(np.sin(x - kink)))
    turns = np.round((phi.kinks - kink) / np.pi)
    assert len(phi.kinks) > 30
    np.testing.assert_allclose(phi.kinks, kink + np.pi * turns, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("activation", "left", "right"),
    [
        ("leaky_relu", 0.01, 1.0),
        ("relu", 0.0, 1.0),
        ("selu", 1.0507009873554805 * 1.6732632423543772, 1.0507009873554805),
        (lambda x: np.sin(9 * x), 9.0, 9.0),
        (lambda x: np.where(x > 0, np.sin(9 * x), np.expm1(-4 * x)), -4.0, 9.0),
    ],
)
def test_slopes_on_either_side_of_zero(activation, left, right):
    found = slopes_at_zero(as_activation(activation))
    np.testing.assert_allclose(found, (left, right), rtol=1e-11, atol=1e-11)


def test_an_activation_may_be_an_object_without_a_hash():
    @dataclass
    class Scaled:
        factor: float

        def __call__(self, x):
            return np.tanh(self.factor * x)

    assert gain(Scaled(1.0)) == gain("tanh")
