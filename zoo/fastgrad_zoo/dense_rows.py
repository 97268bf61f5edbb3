"""Dense networks and classifiers whose samples are rows: x @ W + b."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class TwoLayerNet(Problem):
    """A relu layer and a softmax with integer labels; samples are rows."""

    name = "two_layer_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 11,
        features: int = 6,
        hidden: int = 10,
        classes: int = 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.integers(classes, size=batch)
        self.reg = 0.05
        self.params = {
            "W1": rng.normal(size=(features, hidden)) * (2 / features) ** 0.5,
            "b1": rng.normal(size=hidden) * 0.3,
            "W2": rng.normal(size=(hidden, classes)) * (2 / hidden) ** 0.5,
            "b2": rng.normal(size=classes) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the hidden input and output, and the log-probabilities."""
        z = self.x @ params["W1"] + params["b1"]
        h = np.maximum(0, z)
        return z, h, log_softmax(h @ params["W2"] + params["b2"], axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy plus reg times the squared weights."""
        log_p = self.forward(params)[-1]
        data = -np.mean(log_p[np.arange(len(self.y)), self.y])
        w1, w2 = params["W1"], params["W2"]
        return data + self.reg * (np.sum(w1 * w1) + np.sum(w2 * w2))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n = len(self.y)
        z, h, log_p = self.forward(params)
        dscores = np.exp(log_p)
        if bug == "log_softmax_jacobian_identity":
            dscores = np.zeros_like(log_p)
        if bug != "true_class_not_subtracted":
            dscores[np.arange(n), self.y] -= 1
        dscores /= n
        if bug == "softmax_derivative_kept":
            p = np.exp(log_p)
            dscores = p * (dscores - np.sum(p * dscores, axis=1, keepdims=True))
        dh = dscores @ params["W2"].T
        if bug == "hidden_layer_overwritten":
            h[:] = dh
        dz = dh * (z > 0)
        if bug == "relu_derivative_missing":
            dz = dh
        if bug == "relu_mask_inverted":
            dz = dh * (z <= 0)
        if bug == "relu_mask_from_upstream":
            dz = dh * (dh > 0)
        w1, w2 = params["W1"], params["W2"]
        penalty1, penalty2 = 2 * self.reg * w1, 2 * self.reg * w2
        if bug == "l2_without_factor_two":
            penalty1, penalty2 = self.reg * w1, self.reg * w2
        if bug == "penalty_averaged_too":
            penalty1, penalty2 = penalty1 / n, penalty2 / n

        if bug == "l1_in_place_of_l2":
            penalty1, penalty2 = self.reg * np.sign(w1), self.reg * np.sign(w2)
        if bug == "l2_on_first_layer_only":
            penalty2 = np.zeros_like(w2)
        db1, db2 = np.sum(dz, axis=0), np.sum(dscores, axis=0)
        if bug == "l2_on_biases":
            db1 = db1 + 2 * self.reg * params["b1"]
            db2 = db2 + 2 * self.reg * params["b2"]
        return {
            "W1": self.x.T @ dz + penalty1,
            "b1": db1,
            "W2": h.T @ dscores + penalty2,
            "b2": db2,
        }


class HingeClassifier(Problem):
    """A linear multiclass support vector machine; samples are rows."""

    name = "hinge_classifier"

    def __init__(
        self, *, seed: int = 0, batch: int = 14, features: int = 6, classes: int = 5
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.integers(classes, size=batch)
        self.reg = 0.02
        self.params = {"W": rng.normal(size=(features, classes)) * 0.4}

    def margins(self, params: Params) -> Array:
        """Return how far each wrong class comes within 1 of the true one's score."""
        scores = self.x @ params["W"]
        true = scores[np.arange(len(self.y)), self.y]
        wrong = 1 - one_hot(self.y, scores.shape[1])
        return np.maximum(0, scores - true.reshape(-1, 1) + 1) * wrong

    def loss(self, params: Params) -> Any:
        """Return the mean hinge loss plus reg times the squared weights."""
        hinge = np.sum(self.margins(params)) / len(self.y)
        return hinge + self.reg * np.sum(params["W"] ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n = len(self.y)
        true = one_hot(self.y, params["W"].shape[1])
        violated = (self.margins(params) > 0).astype(float)
        if bug == "squared_hinge_gradient":
            violated = 2 * self.margins(params)
        if bug == "worst_class_only":
            margins = self.margins(params)
            violated = violated * (margins == np.max(margins, axis=1, keepdims=True))
        if bug == "hinge_mask_missing":
            violated = 1 - true
        times = np.sum(violated, axis=1, keepdims=True)
        if bug == "hinge_true_class_once":
            times = (times > 0).astype(float)
        if bug == "hinge_true_class_missing":
            times = np.zeros_like(times)
        dw = self.x.T @ (violated - times * true)
        if bug == "hinge_true_class_assigned":
            for i in range(n):
                dw[:, self.y[i]] = -times[i] * self.x[i]
        return {"W": dw / n + 2 * self.reg * params["W"]}


BUGS = (
    Bug(
        "log_softmax_jacobian_identity",
        TwoLayerNet,
        "cross_term",
        ("W1", "b1", "W2", "b2"),
        "The log-softmax passes its gradient through, without the term from its sum.",
        operation="log_softmax",
        also=("accumulation",),
        link="https://github.com/mlpack/mlpack/pull/3469",
    ),
    Bug(
        "true_class_not_subtracted",
        TwoLayerNet,
        "accumulation",
        ("W1", "b1", "W2", "b2"),
        "The 1 of the true class is not subtracted from the probabilities.",
        operation="getitem",
        also=("cross_term",),
    ),
    Bug(
        "relu_derivative_missing",
        TwoLayerNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of relu is left out.",
        operation="maximum",
        also=("mask",),
    ),
    Bug(
        "relu_mask_inverted",
        TwoLayerNet,
        "mask",
        ("W1", "b1"),
        "The gradient passes where relu is off and stops where it is on.",
        operation="maximum",
        also=("local_derivative",),
    ),
    Bug(
        "relu_mask_from_upstream",
        TwoLayerNet,
        "mask",
        ("W1", "b1"),
        "The gradient passes where it is positive, not where relu's input is.",
        operation="maximum",
        also=("local_derivative",),
    ),
    Bug(
        "l2_without_factor_two",
        TwoLayerNet,
        "regularization",
        ("W1", "W2"),
        "The penalty reg W^2 contributes reg W, not 2 reg W.",
        operation="multiply",
        link="https://github.com/jingtinghuang/CS231n-Spring-2017/issues/3",
    ),
    Bug(
        "l1_in_place_of_l2",
        TwoLayerNet,
        "regularization",
        ("W1", "W2"),
        "The penalty's gradient is that of L1, the loss has L2.",
        operation="multiply",
    ),
    Bug(
        "l2_on_first_layer_only",
        TwoLayerNet,
        "regularization",
        ("W2",),
        "The penalty's gradient is left out of the second layer.",
        operation="multiply",
    ),
    Bug(
        "l2_on_biases",
        TwoLayerNet,
        "regularization",
        ("b1", "b2"),
        "The gradient penalizes the biases, the loss does not.",
    ),
    Bug(
        "hinge_mask_missing",
        HingeClassifier,
        "mask",
        ("W",),
        "Every class counts as one that violates the margin.",
        operation="maximum",
        also=("local_derivative",),
    ),
    Bug(
        "hinge_true_class_once",
        HingeClassifier,
        "accumulation",
        ("W",),
        "The true class is updated once a sample, not once for each violated margin.",
        operation="getitem",
        link="https://github.com/aroetter/cs231n-assignment1/issues/1",
    ),
    Bug(
        "hinge_true_class_missing",
        HingeClassifier,
        "accumulation",
        ("W",),
        "The true class's share is left out.",
        operation="getitem",
    ),
    Bug(
        "hinge_true_class_assigned",
        HingeClassifier,
        "accumulation",
        ("W",),
        "The true class's share is assigned with = for -=, so the last sample wins.",
        operation="getitem",
        also=("duplicate_index",),
        link="https://github.com/bruceoutdoors/CS231n/issues/5",
    ),
    Bug(
        "hidden_layer_overwritten",
        TwoLayerNet,
        "local_derivative",
        ("W2",),
        "The hidden layer's gradient is written over its values, which W2 still needs.",
        operation="matmul",
        also=("stale",),
    ),
    Bug(
        "softmax_derivative_kept",
        TwoLayerNet,
        "cross_term",
        ("W1", "b1", "W2", "b2"),
        "The softmax Jacobian is applied to p - y, which contains it already.",
        operation="log_softmax",
        also=("local_derivative",),
        link="https://github.com/pytorch/pytorch/issues/52241",
    ),
    Bug(
        "penalty_averaged_too",
        TwoLayerNet,
        "regularization",
        ("W1", "W2"),
        "The penalty's gradient is divided by the batch size along with the data's.",
    ),
    Bug(
        "squared_hinge_gradient",
        HingeClassifier,
        "local_derivative",
        ("W",),
        "The gradient is that of the squared hinge, the loss has the hinge itself.",
        operation="maximum",
        also=("upstream",),
    ),
    Bug(
        "worst_class_only",
        HingeClassifier,
        "mask",
        ("W",),
        "Only the class that violates the margin most is counted.",
        operation="maximum",
        also=("partial", "local_derivative", "accumulation"),
    ),
)

PROBLEMS = (TwoLayerNet, HingeClassifier)
