"""Losses made up at random: a right gradient is never wrong, a wrong one never correct.

Above the detection limit that the report states, that is.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg
from fastgrad.checking.audit.calls import ConstantLossError

FUNCTIONS = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "log cosh": (lambda x: np.logaddexp(x, -x), np.tanh),
    "relu": (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)),
    "abs": (np.abs, np.sign),
    "gauss": (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x)),
    "huber": (
        lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5),
        lambda x: np.clip(x, -1, 1),
    ),
    "saturated": (lambda x: np.tanh(20 * x), lambda x: 20 / np.cosh(20 * x) ** 2),
    "cancelling": (
        lambda x: np.sqrt(1e8 + x) - 1e4,
        lambda x: 0.5 / np.sqrt(1e8 + x),
    ),
    "complex inside": (
        lambda x: np.abs(np.exp(1j * x) + 2) ** 2,
        lambda x: -4 * np.sin(x),
    ),
}
DRAWN = np.linspace(-4, 4, 20_001)
ROUGH = ["in steps", "drawn", "iterated"]
KINDS = ["plain", "plain", "coupled", "float32", "rounded", "noisy", *ROUGH]


def roughly(z, kind):
    """Return z as a rough part of a loss has it."""
    if kind == "in steps":
        return np.round(z, 5)
    if kind == "drawn":  # quantiles of samples
        return np.mean(z[:, None] > DRAWN, axis=1) * 8 - 4
    guess = np.zeros_like(z)
    while np.max(np.abs(guess + guess**3 / 8 - z)) > 1e-6:
        guess = guess - (guess + guess**3 / 8 - z) / (1 + 3 * guess**2 / 8)
    return guess + guess**3 / 8


def made_up(name, kind, unit, scale, offset, seed):
    """A loss in units of `scale` of parameters in units of `unit`, and its gradient."""
    rng = np.random.default_rng(seed)
    f, slope = FUNCTIONS[name]
    n = int(rng.integers(1, 16))
    x, w = rng.normal(size=n), rng.normal(size=n)
    if seed % 5 == 0 and kind not in ("noisy", *ROUGH):
        x = np.round(x)  # kinks and ties
    mix = np.eye(n)
    if kind == "coupled":
        mix = rng.normal(size=(n, n)) / np.sqrt(n)

    def loss(p):
        z = mix @ (p / unit)
        if kind == "float32":
            return float(scale * np.sum(w * f(z.astype(np.float32))).astype(np.float32))
        if kind in ROUGH:
            z = roughly(z, kind)
        value = np.sum(w * f(z))
        if kind == "noisy":
            value = value + 1e-8 * np.sin(1e13 * value + 3e12 * np.sum(z))
        value = scale * (value + offset)
        return float(np.float32(value)) if kind == "rounded" else value

    return loss, unit * x, scale * (mix.T @ (w * slope(mix @ x))) / unit


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("engine", ["auto", "python"])
@settings(max_examples=12)
@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.sampled_from(KINDS),
    st.sampled_from([1.0, 1e-6, 1e6, 1e-100, 1e100]),
    st.sampled_from([1.0, 1e-9, 1e9, 1e-180, 1e120]),
    st.sampled_from([0.0, 1.0, -1e3]),
    st.sampled_from([2.0, 0.0, -1.0, 1.01]),
    st.integers(0, 10**6),
)
@pytest.mark.usefixtures("time_for_causes")
def test_no_false_answer(engine, name, kind, unit, scale, offset, factor, seed):
    if kind in ("float32", "rounded") and not 1e-30 < scale < 1e30:
        scale = 1.0
    if name == "cancelling" and kind in ("float32", "rounded"):
        kind = "plain"  # for so few digits that is constant
    loss, x, grads = made_up(name, kind, unit, scale, offset, seed)
    try:
        report = fg.check_gradient(loss, x, grads, engine=engine)
    except ConstantLossError:  # all of it dead
        return
    assert report.verdict != "wrong", str(report)
    wrong, i = grads.copy(), seed % len(grads)
    wrong[i] *= factor
    report = fg.check_gradient(loss, x, wrong, engine=engine)
    [block] = report.blocks
    if report.ok and not block.at_kink:
        assert abs(wrong[i] - grads[i]) <= block.detection_limit, str(report)
