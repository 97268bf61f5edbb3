"""How far from the parameters a loss is looked at."""

import math

import numpy as np
import pytest
from families import every_second

import fastgrad as fg


def root(a, tolerance=1e-4):
    x = a
    while abs(x * x - a) > tolerance:  # never ends where a < 0
        assert a > 0
        x = (x + a / x) / 2
    return x


LOSSES = {
    "smooth": lambda w: float(np.sum(np.sin(w) * w)),
    "solver": lambda w: math.prod(root(abs(a), 1e-3) for a in w),
    "rounded": lambda w: float(np.sum(np.round(np.sin(w), 4) * w)),
    "stairs": lambda w: float(np.round(np.sum(np.sin(w) * w), 2)),
    "float32": lambda w: float(np.float32(np.sum(np.sin(w) * w) + 1e4)),
    "noisy": lambda w: float(np.sum(w**2) + 1e-3 * np.sin(1e12 * np.sum(w))),
    "jump": lambda w: float(np.sum(w**2) + (np.sum(w) > 7.001)),
    "log": lambda w: float(np.sum(np.log(np.abs(w)))),
}
POINTS = [[2.0, 3.0], [40.0, -30.0, 50.0, 44.0]]


@every_second
@pytest.mark.parametrize("point", POINTS, ids=len)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("factor", [1.01, 100.0])
def test_no_parameter_changes_its_sign(loss, factor, point, engine):
    """Beyond zero a loss may be another, or never return."""
    theta, seen = np.array(point), []

    def recorded(w):
        if type(w) is np.ndarray:  # not what traces the function
            seen.append(w.copy())
        return LOSSES[loss](w)

    wrong = np.cos(theta) * theta + np.sin(theta)
    wrong[0] *= factor
    fg.check_gradient(recorded, theta, wrong, engine=engine)
    assert len(seen) > 1
    assert (np.sign(seen) == np.sign(theta)).all()


@every_second
@pytest.mark.parametrize("error", [1.01, 1.3, -1.0])
@pytest.mark.parametrize("point", [[2.0, 3.0], [0.01, 0.02], [5.0, 7.0]])
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_a_loop_that_ends_for_positive_numbers_alone_ends(error, point, engine):
    """Whatever is wrong with the gradient."""
    theta = np.array(point)
    right = 0.5 * np.sqrt(theta[::-1] / theta)
    report = fg.check_gradient(
        lambda w: root(w[0], 1e-14) * root(w[1], 1e-14),
        theta,
        right * [1.0, error],
        engine=engine,
    )
    assert report.verdict == "wrong"
