"""Losses whose operations have a kink where the loss itself has a slope."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

FAMILY = {
    "squared ReLU": (lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0)),
    "cubed ReLU": (
        lambda x: np.maximum(0, x) ** 3,
        lambda x: 3 * np.maximum(x, 0) ** 2,
    ),
    "x|x|": (lambda x: x * np.abs(x), lambda x: 2 * np.abs(x)),
    "branches": (lambda x: np.where(x > 0, x * x, 0.0), lambda x: 2 * np.maximum(x, 0)),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2.0),
    "of squares": (lambda x: np.maximum(x**2, -(x**2)) * x, lambda x: 3 * x**2),
}


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", FAMILY)
def test_at_the_kink_of_an_operation(name, engine):
    function, slope = FAMILY[name]
    x = np.array([0.0, 0.7, -0.4])

    def check(more):
        given = slope(x) + np.array([more, 0, 0])
        return fg.check_gradient(lambda x: np.sum(function(x)), x, given, engine=engine)

    assert check(0.0).verdict == "correct"
    for more in (0.01, -1e-4):
        assert [entry.index for entry in check(more).wrong] == [(0,)]
