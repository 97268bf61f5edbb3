"""Causes of gradients at very small and very large scales."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg


@every_second
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


Y = np.array([0.3, -0.4, 1.1])


def nothing(p):
    return np.zeros((0, 0)) + p["y"][:0]


@every_second
@pytest.mark.parametrize(
    "loss",
    [
        lambda p: np.sum(np.linalg.solve(np.zeros((0, 0)), p["y"][:0])),
        lambda p: np.sum(np.linalg.inv(nothing(p))),
        lambda p: np.linalg.det(nothing(p)),
        lambda p: np.linalg.slogdet(nothing(p))[1],
        lambda p: np.sum(np.linalg.cholesky(nothing(p))),
        lambda p: np.sum(np.tensordot(p["s"], p["y"], 0)),
        lambda p: np.sum(np.einsum(",i->i", p["s"], p["y"])),
        lambda p: np.sum(np.einsum(",->", p["s"], p["s"])),
        lambda p: np.sum(np.multiply.outer(p["s"], p["s"])),
        lambda p: np.sum(np.sort(np.kron(p["t"], p["t"]))[1:3] ** 2),
        lambda p: np.sum(np.quantile(np.kron(p["t"], p["t"]), 0.3) ** 2),
        lambda p: np.median(np.kron(p["t"], p["t"]) * p["s"]),
        lambda p: np.mean((2.0 ** (np.abs(p["y"]) * 5e-324)) ** 2),
        lambda p: np.mean(p["y"] * 1e-308) + np.mean(p["y"] * 1e308) * 1e-308,
        lambda p: np.sum(np.hypot(np.sum(p["y"][:0]), p["y"])),
        lambda p: np.sum(np.arctan2(np.sum(p["y"][:0]), p["y"])),
        lambda p: np.sum(np.hypot(np.sum(p["y"][:0]), p["y"][:0])),
    ],
)
@pytest.mark.parametrize("factor", [5.0, "ones"])
def test_the_search_survives_what_is_rare(loss, factor):
    """Nothing inverted, arrays without axes, orders next to ties, tiny constants."""
    params = {"s": np.array(0.7), "y": Y, "t": np.array([1.0, 1, 0, 0])}

    def whole(p):
        return loss(p) + np.sum(p["y"] ** 2) + p["s"] ** 2 + np.sum(p["t"] ** 2)

    numerical = fg.numerical_gradient(whole, params)
    wrong = {
        name: np.ones_like(slope) if factor == "ones" else factor * slope
        for name, slope in numerical.items()
    }
    report = fg.check_gradient(whole, params, wrong)
    assert report.verdict == "wrong"
    assert report.causes
    assert "e-324" not in "".join(cause.message for cause in report.causes)


@pytest.mark.parametrize("size", [1e-100, 1e-200, 1e-290])
def test_digits_that_are_missing_far_below_the_others(size):
    """Beside other outputs, squares of what these are off by vanish."""
    sizes = np.array([1.0, size])

    def outputs(x):
        return sizes * np.array([np.sin(x[0]) * x[1], np.sin(x[1]) * x[0]])

    a, b = x = np.array([0.3, 0.7])
    right = np.array([[np.cos(a) * b, np.sin(a)], [np.sin(b), np.cos(b) * a]])
    right *= sizes[:, None]
    assert fg.check_jacobian(outputs, x, right).ok
    right[1] *= [1 + 3e-6, 1 + 1e-6]
    report = fg.check_jacobian(outputs, x, right)
    assert report.verdict == "wrong"
    assert "precision" in {cause.code for cause in report.causes}
    assert not any("bug of fastgrad" in cause.message for cause in report.causes)
