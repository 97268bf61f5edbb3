"""Two mistakes at once: one behind the other, or both in all that is wrong."""

import re
from itertools import combinations

import numpy as np
import pytest
from families import every_second
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


@every_second
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


RNG = np.random.default_rng(1)
X = RNG.standard_normal((6, 4))
FLAT = RNG.standard_normal(20)
# Where each is in the flat vector, and its shape there.
SECTIONS = {"W": (0, 12, (4, 3)), "b": (12, 15, (3,)), "v": (16, 19, (3,))}
MISTAKES = {
    "sign": (np.negative, "`-grads`"),
    "twice": (lambda g: 2 * g, "`grads / 2`"),
    "a third": (lambda g: g / 3, "`grads * 3`"),
    "times seven": (lambda g: 7 * g, "`grads / 7`"),
    "reversed": (np.flip, "`np.flip(grads"),
}


def of_flat(p):
    W, b, v = (p[i:j].reshape(shape) for i, j, shape in SECTIONS.values())
    return np.mean((np.tanh(X @ W + b) @ v * p[19] - p[15]) ** 2)


def of_flat_right(p):
    W, b, v = (p[i:j].reshape(shape) for i, j, shape in SECTIONS.values())
    a = np.tanh(X @ W + b)
    d = 2 * (a @ v * p[19] - p[15]) / 6
    da = np.outer(d, v) * p[19] * (1 - a**2)
    own = X.T @ da, da.sum(axis=0), [-d.sum()], a.T @ d * p[19], [d @ (a @ v)]
    return np.concatenate([np.ravel(part) for part in own])


@pytest.mark.parametrize(("one", "other"), [*combinations(MISTAKES, 2)][::2])
def test_mistakes_in_two_sections_of_a_vector(one, other):
    """Each is named with its section, and what undoes it; or its operation."""
    assert fg.check_gradient(of_flat, FLAT, of_flat_right).ok
    grads = of_flat_right(FLAT)
    wrong = {"W": one, "v": other}
    for name, mistake in wrong.items():
        start, stop, _ = SECTIONS[name]
        grads[start:stop] = MISTAKES[mistake][0](grads[start:stop])
    causes = fg.check_gradient(of_flat, FLAT, grads).causes
    assert {cause.blocks for cause in causes} == {("params",)}
    said = [cause.message for cause in causes]
    if {one, other} == {"sign", "twice"}:
        assert "wrong sign" in said[0]
        assert re.search("added twice|multiplied by 2", said[0])
        return
    for name, mistake in wrong.items():
        start, stop, _ = SECTIONS[name]
        [message] = [text for text in said if f"in params[{start}:{stop}]" in text]
        assert MISTAKES[mistake][1] in message


@pytest.mark.parametrize("mean", [True, False])
def test_a_mistake_of_an_operation_and_one_in_another_section(mean):
    """Each is named with the sections that it spoils, by the loss's own operations."""

    def grads(p):
        W, b, v = (p[i:j].reshape(shape) for i, j, shape in SECTIONS.values())
        a = np.tanh(X @ W + b)
        d = 2 * (a @ v * p[19] - p[15]) / 6
        da = np.outer(d, v) * p[19]  # times 1 - a**2
        own = X.T @ da, da.sum(axis=0), [-d.sum() / 6 if mean else d.sum()]
        return np.concatenate(
            [np.ravel(x) for x in (*own, a.T @ d * p[19], [d @ a @ v])]
        )

    causes = fg.check_gradient(of_flat, FLAT, grads).causes
    [slope] = [c for c in causes if "params[0:12] and params[12:15]" in c.message]
    assert slope.code == "local_derivative"
    other = next(c for c in causes if "in params[15:16]" in c.message)
    assert other.code in (("scale", "reduction") if mean else ("sign",))


@pytest.mark.parametrize("of_first", [3.0, -1.0, 0.2])
def test_mistakes_in_two_gates_of_a_matrix(of_first):
    """Its rows; which are right in the third."""

    def gated(w):
        r, z, n = X @ w[:3].T, X @ w[3:6].T, X @ w[6:].T
        return np.sum(np.tanh(n) / (1 + r**2) + np.cos(z))

    def right(w):
        r, z, n = X @ w[:3].T, X @ w[3:6].T, X @ w[6:].T
        of_r = -2 * r * np.tanh(n) / (1 + r**2) ** 2
        of_n = (1 - np.tanh(n) ** 2) / (1 + r**2)
        return np.concatenate([of_r.T @ X, -np.sin(z).T @ X, of_n.T @ X])

    gates = np.random.default_rng(2).standard_normal((9, 4))
    assert fg.check_gradient(gated, gates, right).ok
    grads = right(gates) * np.repeat([of_first, 1.0, 5.0], 3)[:, None]
    said = " ".join(c.message for c in fg.check_gradient(gated, gates, grads).causes)
    assert re.search(r"`grads / 5` .* in params\[6:9\]", said)
    assert "in params[0:3]" in said


def test_a_mean_where_a_sum_is_due():
    """No block is told the number of uses of another one."""

    def loss(p):
        return np.sum(np.tanh(X + p["b"]) ** 2) + np.sum(np.cos(X.T[:2] * p["c"]))

    def grads(p):
        a, x = np.tanh(X + p["b"]), X.T[:2]
        b, c = 2 * a * (1 - a**2), -np.sin(x * p["c"]) * x
        return {"b": b.mean(axis=0), "c": c.mean(axis=0)}

    params = {"b": np.linspace(-1, 1, 4), "c": np.linspace(0.5, 2, 6)}
    [cause] = fg.check_gradient(loss, params, grads(params)).causes
    assert cause.code == "reduction"
    assert not re.search("[26] uses|grads [*] [26]", cause.message)
