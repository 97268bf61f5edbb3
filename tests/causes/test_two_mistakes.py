"""Two mistakes at once: one behind the other, or both in all that is wrong."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 5)), RNG.normal(size=(32, 3))
PARAMS = {
    "W": RNG.normal(size=(5, 6)) * 0.5,
    "b": RNG.normal(size=6) * 0.2,
    "V": RNG.normal(size=(6, 3)) * 0.5,
}
DECAY = 0.25


def loss(p):
    hidden = np.tanh(X @ p["W"] + p["b"])
    error = hidden @ p["V"] - Y
    return np.sum(error**2) / 32 + DECAY / 2 * np.sum(p["W"] ** 2)


def gradient(p, slope, of_W=1.0, of_b=1.0, decay=DECAY):
    hidden = np.tanh(X @ p["W"] + p["b"])
    error = 2 * (hidden @ p["V"] - Y) / 32
    back = error @ p["V"].T * slope(hidden)
    return {
        "W": of_W * (X.T @ back) + decay * p["W"],
        "b": of_b * back.sum(axis=0),
        "V": hidden.T @ error,
    }


SLOPES = {
    "left out": np.ones_like,
    "of its value": lambda h: 1 - h,
}
BEHIND = {
    "reduction": {"of_b": 1 / 32},
    "sign": {"of_b": -1.0},
    "accumulation": {"of_W": 2.0},
}


@pytest.mark.parametrize("slope", SLOPES.values(), ids=SLOPES)
@pytest.mark.parametrize("code", BEHIND)
def test_a_mistake_behind_another_one_is_named_besides(code, slope):
    """The first spoils both blocks, the second one of them again."""
    grads = gradient(PARAMS, slope, **BEHIND[code])
    causes = fg.check_gradient(loss, PARAMS, grads).causes
    assert {cause.code for cause in causes} >= {code, "local_derivative"}
    assert {name for cause in causes for name in cause.blocks} == {"W", "b"}
    assert "unknown" not in {cause.code for cause in causes}


@pytest.mark.parametrize("slope", SLOPES.values(), ids=SLOPES)
def test_two_mistakes_in_the_same_blocks_are_named_together(slope):
    grads = gradient(PARAMS, slope, decay=0.0)
    (cause, *_) = fg.check_gradient(loss, PARAMS, grads).causes
    assert cause.code in ("accumulation", "regularization")
    assert "; and " in cause.message
    assert set(cause.blocks) == {"W", "b"}


def test_the_network_s_own_gradient_is_right():
    assert fg.check_gradient(loss, PARAMS, gradient(PARAMS, lambda h: 1 - h**2)).ok
