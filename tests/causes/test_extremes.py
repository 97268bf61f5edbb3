"""Causes of gradients at very small and very large scales."""

import numpy as np
import pytest

import fastgrad as fg


@pytest.mark.parametrize("power", [-200, -150, -30, 0, 30, 150, 200])
@pytest.mark.parametrize("factor", [1.001, -1.0, 2.0])
def test_a_factor_is_a_factor_at_every_scale(power, factor):
    """No cause has a number that is not finite."""
    scale = 10.0**power
    w = scale * np.array([1.0, 3.0, 2.0, -1.5])
    report = fg.check_gradient(
        lambda w: np.sum(np.sin(w / scale)), w, factor * np.cos(w / scale) / scale
    )
    assert report.verdict == "wrong"
    assert {"scale", "sign"} & {cause.code for cause in report.causes}
    for cause in report.causes:
        assert "inf" not in cause.message
        assert "nan" not in cause.message
        assert cause.code not in ("reparametrized", "regularization")


@pytest.mark.parametrize("small", [1e-10, 1e-9, 1e-6])
@pytest.mark.parametrize("loss", [np.log, np.sqrt])
def test_what_does_not_give_the_right_gradient_when_undone_is_no_cause(loss, small):
    """Zero divided by a small parameter is not its large derivative."""
    slope = {np.log: lambda w: 1 / w, np.sqrt: lambda w: 0.5 / np.sqrt(w)}[loss]
    w = np.array([small, 1.0])
    wrong = slope(w) * [0.0, 1.0]
    report = fg.check_gradient(lambda w: np.sum(loss(w)), w, wrong)
    assert report.verdict == "wrong"
    assert "reparametrized" not in {cause.code for cause in report.causes}
