"""Mistakes with the weights of log-sum-exps, in small losses written by hand."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

RNG = np.random.default_rng(5)
X = RNG.normal(size=(9, 4))
Y = np.eye(3)[RNG.integers(0, 3, 9)]
W = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3)}


def softmax(z, axis=1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def log_sum_exp(x, axis):
    top = np.max(x, axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis)


def top(loss, params, grads):
    report = fg.check_gradient(loss, params, grads)
    assert report.verdict == "wrong"
    return report.causes[0]


def named(loss, params, grads, code):
    cause = top(loss, params, grads)
    assert cause.code == code, cause
    assert set(cause.blocks) == set(params)
    return cause


# ---- a classifier, its loss written in four ways -------------------------------------


def straight(p):
    z = X @ p["W"] + p["b"]
    return np.mean(np.log(np.sum(np.exp(z), axis=1)) - np.sum(Y * z, axis=1))


def shifted(p):
    z = X @ p["W"] + p["b"]
    z = z - np.max(z, axis=1, keepdims=True)
    log_p = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.sum(Y * log_p) / len(X)


def with_maximum(p):
    z = X @ p["W"] + p["b"]
    return np.mean(log_sum_exp(z, 1) - np.sum(Y * z, axis=1))


def by_softmax(p):
    z = X @ p["W"] + p["b"]
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return -np.mean(np.sum(Y * np.log(e / np.sum(e, axis=1, keepdims=True)), axis=1))


def classifier(weights):
    z = X @ W["W"] + W["b"]
    d = (weights(z) - Y) / len(X)
    return {"W": X.T @ d, "b": d.sum(axis=0)}


@every_second
@pytest.mark.parametrize("loss", [straight, shifted, with_maximum])
@pytest.mark.parametrize(
    ("weights", "code", "words"),
    [
        (lambda z: softmax(z, axis=0), "reduction", "axis 0"),
        (lambda z: softmax(z, axis=(0, 1)), "reduction", "axes (0, 1)"),
        (lambda z: np.exp(z), "local_derivative", ""),
        (lambda z: z, "local_derivative", "scores themselves"),
        (lambda z: np.log(softmax(z)), "local_derivative", ""),
        (lambda z: np.eye(3)[z.argmax(axis=1)], "local_derivative", "largest"),
        (lambda z: np.full(z.shape, 1 / 3), "local_derivative", "all the same"),
        (lambda z: 1 / (1 + np.exp(-z)), "local_derivative", "sigmoids"),
        (lambda z: softmax(-z), "local_derivative", "wrong sign"),
        (lambda z: softmax(z - W["b"]), "local_derivative", "without b"),
    ],
)
def test_other_weights_of_a_log_sum_exp_are_named(loss, weights, code, words):
    assert words in named(loss, W, classifier(weights), code).message


def test_weights_of_nobody_are_not_named():
    grads = classifier(lambda z: softmax(z) ** 1.3 + 0.01 * z)
    assert top(straight, W, grads).code == "unknown"


def jacobian(p, d):
    return p * (d - np.sum(p * d, axis=1, keepdims=True))


@pytest.mark.parametrize("loss", [shifted, by_softmax])
@pytest.mark.parametrize(
    "again",
    [jacobian, lambda p, d: d * p * (1 - p)],
)
def test_a_jacobian_that_cross_entropy_cancels_is_named(loss, again):
    p = softmax(X @ W["W"] + W["b"])
    error = p - Y
    d = again(p, error) / len(X)
    grads = {"W": X.T @ d, "b": d.sum(axis=0)}
    cause = top(loss, W, grads)
    assert cause.code in ("cross_term", "local_derivative")
    assert "softmax" in cause.message


def test_a_softmax_over_the_other_axis_is_named_in_attention():
    v = RNG.normal(size=(9, 2))
    k = RNG.normal(size=(9, 4))
    w = {"W": RNG.normal(size=(4, 4))}
    scores = X @ w["W"] @ k.T

    def loss(p):
        e = np.exp(X @ p["W"] @ k.T)
        return np.sum((e / np.sum(e, axis=1, keepdims=True) @ v) ** 2)

    p, wrong = softmax(scores), softmax(scores, axis=0)
    d = 2 * (p @ v) @ v.T
    d = wrong * (d - np.sum(wrong * d, axis=1, keepdims=True))
    named(loss, w, {"W": X.T @ d @ k}, "reduction")


# ---- pairs ---------------------------------------------------------------------------


PAIRS = {"E": RNG.normal(size=(4, 3)), "F": RNG.normal(size=(4, 3))}


def contrast(p):
    z = (X @ p["E"]) @ (X[::-1] @ p["F"]).T
    log_p = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(np.diagonal(log_p))


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("all_of_it", [True, False])
def test_own_pairs_left_out_are_named(normalised, all_of_it):
    u, v = X @ PAIRS["E"], X[::-1] @ PAIRS["F"]
    pair = np.eye(len(u))
    p = softmax(u @ v.T)
    q = p * (1 - pair)
    q = q / q.sum(axis=1, keepdims=True) if normalised else q
    d = ((p - pair) * (1 - pair) if all_of_it else q - pair) / len(u)
    grads = {"E": X.T @ d @ v, "F": X[::-1].T @ d.T @ u}
    assert "diagonal" in named(contrast, PAIRS, grads, "mask").message


DROPPED = (RNG.random((9, 3)) > 0.4) * 1.0
DROPOUTS = {
    "mask, then factor": lambda h: h * DROPPED * 1.7,
    "factor, then mask": lambda h: 1.7 * h * DROPPED,
    "mask, then division": lambda h: h * DROPPED / 0.6,
    "two masks": lambda h: h * DROPPED * (DROPPED[::-1] / 0.6),
}


@every_second
@pytest.mark.parametrize("drop", DROPOUTS.values(), ids=DROPOUTS)
@pytest.mark.parametrize(
    ("passes", "said"),
    [
        (lambda on: np.ones_like(on), "is left out"),
        (lambda on: np.full_like(on, on.max()), "is left out"),
        (lambda on: np.where(on, 0.0, on.max()), "is inverted"),
    ],
)
def test_a_mask_of_several_factors_that_does_not_mask_is_named(drop, passes, said):
    def loss(p):
        return np.sum((drop(np.tanh(X @ p["W"] + p["b"])) - 0.3) ** 2)

    h, on = np.tanh(X @ W["W"] + W["b"]), drop(np.ones((9, 3)))
    right, wrong = (2 * (drop(h) - 0.3) * a * (1 - h * h) for a in (on, passes(on)))
    assert fg.check_gradient(loss, W, {"W": X.T @ right, "b": right.sum(axis=0)}).ok
    cause = named(loss, W, {"W": X.T @ wrong, "b": wrong.sum(axis=0)}, "mask")
    assert said in cause.message


# ---- mixtures and chains -------------------------------------------------------------


MEANS = {"mean": RNG.normal(size=(3, 4))}
SIGMA, WEIGHT = np.array([0.7, 1.1, 1.6]), np.log(np.array([0.5, 0.3, 0.2]))


def mixture(p):
    z = (X[:, None] - p["mean"]) / SIGMA[:, None]
    return -np.mean(log_sum_exp(-np.sum(z**2, axis=2) / 2 + WEIGHT, axis=1))


def responsibilities(change=lambda joint: softmax(joint), weight=WEIGHT):
    z = (X[:, None] - MEANS["mean"]) / SIGMA[:, None]
    return z, change(-np.sum(z**2, axis=2) / 2 + weight)


@pytest.mark.parametrize(
    ("change", "weight", "code"),
    [
        (lambda joint: softmax(joint, axis=0), WEIGHT, "reduction"),
        (lambda joint: np.eye(3)[joint.argmax(axis=1)], WEIGHT, "local_derivative"),
        (softmax, 0.0, "local_derivative"),
    ],
)
def test_other_responsibilities_of_a_mixture_are_named(change, weight, code):
    z, share = responsibilities(change, weight)
    d = -np.sum(share[:, :, None] * z, axis=0) / SIGMA[:, None] / len(X)
    named(mixture, MEANS, {"mean": d}, code)


TABLE = RNG.normal(size=(3, 3))


def test_exchanged_indices_are_named():
    i, j = RNG.integers(0, 3, 8), RNG.integers(0, 3, 8)

    def loss(p):
        return np.sum(np.sin(p["T"][i, j]))

    d = np.zeros((3, 3))
    np.add.at(d, (j, i), np.cos(TABLE[i, j]))
    named(loss, {"T": TABLE}, {"T": d}, "layout")
