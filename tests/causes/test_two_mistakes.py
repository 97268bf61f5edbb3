"""Two mistakes at once: one behind the other, or both in all that is wrong."""

import numpy as np
import pytest
from tanh_network import DECAY, PARAMS, loss, right

import fastgrad as fg


def gradient(slope, of_W=1.0, of_b=1.0, decay=DECAY):
    g, W = right(PARAMS, slope), PARAMS["W1"]
    of_data = of_W * (g["W1"] - DECAY * W)
    return {**g, "W1": of_data + decay * W, "b1": of_b * g["b1"]}


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
    grads = gradient(slope, **BEHIND[code])
    causes = fg.check_gradient(loss, PARAMS, grads).causes
    assert {cause.code for cause in causes} >= {code, "local_derivative"}
    assert {name for cause in causes for name in cause.blocks} == {"W1", "b1"}
    assert "unknown" not in {cause.code for cause in causes}


@pytest.mark.parametrize("slope", SLOPES.values(), ids=SLOPES)
def test_two_mistakes_in_the_same_blocks_are_named_together(slope):
    grads = gradient(slope, decay=0.0)
    (cause, *_) = fg.check_gradient(loss, PARAMS, grads).causes
    assert cause.code in ("accumulation", "regularization")
    assert "; and " in cause.message
    assert set(cause.blocks) == {"W1", "b1"}


def test_the_network_s_own_gradient_is_right():
    assert fg.check_gradient(loss, PARAMS, gradient(lambda h: 1 - h**2)).ok
