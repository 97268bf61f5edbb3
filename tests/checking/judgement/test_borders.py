"""Parameters next to a border or a pole: how steep the loss is takes tiny steps.

A right gradient is never wrong there, and one whose entry was dropped never correct.
"""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

# Each with its derivative, and parameters ever closer to the border.
BELOW_ONE = [1 - 10.0**-k for k in (6, 10, 12, 13)]
ABOVE_ONE = [1 + 10.0**-k for k in (10, 13)]
NEAR_ZERO = [10.0**-k for k in (6, 9, 12, 15, 20)]
FAMILY = {
    "log(w)": (np.log, lambda w: 1 / w, NEAR_ZERO),
    "-log(1 - w)": (lambda w: -np.log(1 - w), lambda w: 1 / (1 - w), BELOW_ONE),
    "log1p(-w)": (lambda w: np.log1p(-w), lambda w: -1 / (1 - w), BELOW_ONE),
    "log(w - 1)": (lambda w: np.log(w - 1), lambda w: 1 / (w - 1), ABOVE_ONE),
    "arctanh(w)": (np.arctanh, lambda w: 1 / ((1 - w) * (1 + w)), BELOW_ONE),
    "arcsin(w)": (np.arcsin, lambda w: 1 / np.sqrt((1 - w) * (1 + w)), BELOW_ONE),
    "sqrt(w)": (np.sqrt, lambda w: 0.5 / np.sqrt(w), NEAR_ZERO),
    "1 / w": (lambda w: 1 / w, lambda w: -1 / w**2, NEAR_ZERO),
    "w log(w)": (lambda w: w * np.log(w), lambda w: 1 + np.log(w), NEAR_ZERO),
    "KL": (lambda w: w**2 / 2 - np.log(w), lambda w: w - 1 / w, NEAR_ZERO),
}
CASES = [(name, x) for name, (_, _, points) in FAMILY.items() for x in points]
OTHERS = {"none": [], "several": [0.3, 0.5, 0.7, 0.2, 0.9]}  # inside the domain


def with_others(name, x, others):
    """The loss, its parameters, and its gradient."""
    f, slope, points = FAMILY[name]
    w = np.array([x, *(np.array(OTHERS[others]) + (points is ABOVE_ONE))])
    return lambda w: np.sum(f(w)), w, slope(w)


@every_second
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("others", "engine"),
    [("none", "auto"), ("several", "python")],
)
@pytest.mark.parametrize(("name", "x"), CASES)
def test_beside_a_border(name, x, others, engine):
    loss, w, grads = with_others(name, x, others)
    report = fg.check_gradient(loss, w, grads, engine=engine)
    assert report.verdict != "wrong", str(report)
    for factor in (0.0, 2.0):
        wrong = grads.copy()
        wrong[0] *= factor
        report = fg.check_gradient(loss, w, wrong, engine=engine)
        assert not report.ok, str(report)
