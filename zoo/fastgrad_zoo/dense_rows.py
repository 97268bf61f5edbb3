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


class LeakyNet(Problem):
    """Regression on several outputs with leaky relu; samples are rows."""

    name = "leaky_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 9,
        features: int = 4,
        hidden: int = 8,
        outputs: int = 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.normal(size=(batch, outputs))
        self.slope = 0.2
        self.params = {
            "W1": rng.normal(size=(features, hidden)) / features**0.5,
            "b1": rng.normal(size=hidden) * 0.3,
            "W2": rng.normal(size=(hidden, outputs)) / hidden**0.5,
            "b2": rng.normal(size=outputs) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the hidden input and output, and the prediction."""
        z = self.x @ params["W1"] + params["b1"]
        h = np.where(z > 0, z, self.slope * z)
        return z, h, h @ params["W2"] + params["b2"]

    def loss(self, params: Params) -> Any:
        """Return half the mean square over samples and outputs."""
        return 0.5 * np.mean((self.forward(params)[-1] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        z, h, prediction = self.forward(params)
        dprediction = (prediction - self.y) / self.y.size
        if bug == "absolute_error_gradient":
            dprediction = np.sign(prediction - self.y) / self.y.size
        if bug == "outputs_not_averaged":
            dprediction = (prediction - self.y) / len(self.y)
        if bug == "target_minus_prediction":
            dprediction = (self.y - prediction) / self.y.size
        if bug == "half_square_doubled":
            dprediction = 2 * (prediction - self.y) / self.y.size
        if bug == "first_output_only":
            dprediction = dprediction * (np.arange(self.y.shape[1]) == 0)
        dh = dprediction @ params["W2"].T
        dz = dh * np.where(z > 0, 1, self.slope)
        if bug == "leaky_slope_ignored":
            dz = dh * (z > 0)
        if bug == "leaky_slope_inverted":
            dz = dh * np.where(z > 0, self.slope, 1)
        dw1 = self.x.T @ dz
        if bug == "first_samples_only":
            dw1 = self.x[:4].T @ dz[:4]
        db1, db2 = np.sum(dz, axis=0), np.sum(dprediction, axis=0)
        if bug == "biases_not_averaged":
            db1, db2 = self.y.size * db1, self.y.size * db2
        return {"W1": dw1, "b1": db1, "W2": h.T @ dprediction, "b2": db2}


class PReluNet(Problem):
    """A network whose leaky relu has one slope to learn, here a negative one."""

    name = "prelu_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 10, features: int = 5, hidden: int = 6
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.normal(size=batch)
        self.params = {
            "W": rng.normal(size=(features, hidden)) / features**0.5,
            "b": rng.normal(size=hidden) * 0.3,
            "slope": np.array([-0.4]),
            "v": rng.normal(size=hidden) / hidden**0.5,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the hidden input and output, and the prediction."""
        z = self.x @ params["W"] + params["b"]
        h = np.maximum(z, 0) + params["slope"] * np.minimum(z, 0)
        return z, h, h @ params["v"]

    def loss(self, params: Params) -> Any:
        """Return the sum of squares."""
        return np.sum((self.forward(params)[-1] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        z, h, prediction = self.forward(params)
        dprediction = 2 * (prediction - self.y)
        dh = np.outer(dprediction, params["v"])
        negative = z < 0
        if bug == "prelu_mask_from_output":
            negative = h < 0
        dz = dh * np.where(negative, params["slope"], 1)
        dslope = np.sum(dh * negative * z, keepdims=True).reshape(1)
        if bug == "prelu_slope_from_output":
            dslope = np.sum(dh * negative * h, keepdims=True).reshape(1)
        if bug == "prelu_slope_of_first_unit":
            dslope = np.sum(dh * negative * z, axis=0)[:1]
        if bug == "prelu_slope_averaged":
            dslope = dslope / len(self.y)
        return {
            "W": self.x.T @ dz,
            "b": np.sum(dz, axis=0),
            "slope": dslope,
            "v": h.T @ dprediction,
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


class WideNet(Problem):
    """A larger relu network, 18,380 parameters, for checkers that sample or search."""

    name = "wide_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 16,
        features: int = 100,
        hidden: int = 150,
        middle: int = 20,
        classes: int = 10,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = one_hot(rng.integers(classes, size=batch), classes)
        sizes = (features, hidden, middle, classes)
        self.depth = len(sizes) - 1
        self.params = {}
        for i in range(self.depth):
            shape = sizes[i : i + 2]
            self.params[f"W{i}"] = rng.normal(size=shape) * (2 / shape[0]) ** 0.5
            self.params[f"b{i}"] = rng.normal(size=shape[1]) * 0.2

    def forward(self, params: Params) -> list[Array]:
        """Return the input of every layer and the log-probabilities."""
        values = [self.x]
        for i in range(self.depth):
            z = values[-1] @ params[f"W{i}"] + params[f"b{i}"]
            last = i == self.depth - 1
            values.append(log_softmax(z, axis=1) if last else np.maximum(z, 0))
        return values

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy."""
        return -np.sum(self.y * self.forward(params)[-1]) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        *inputs, log_p = self.forward(params)
        dz = (np.exp(log_p) - self.y) / len(self.x)
        grads: Params = {}
        for i in reversed(range(self.depth)):
            grads[f"W{i}"] = inputs[i].T @ dz
            if bug == "inputs_in_another_order" and i == 0:
                order = np.random.default_rng(5).permutation(len(self.x))
                grads["W0"] = self.x[order].T @ dz
            grads[f"b{i}"] = np.sum(dz, axis=0)
            dz = dz @ params[f"W{i}"].T * (inputs[i] > 0)
        if bug == "one_entry_of_many":
            grads["W0"][-1, -1] += 0.1 * np.std(grads["W0"])
        if bug == "one_column_of_many":
            column = np.argmax(np.sum(grads["W0"] ** 2, axis=0))
            grads["W0"][:, column] = 0.0
        if bug == "rounded_to_bfloat16":
            grads = {name: _to_bfloat16(grad) for name, grad in grads.items()}
        return {name: grads[name] for name in params}


def _to_bfloat16(x: Array) -> Array:
    """Round to the 8 significant bits of bfloat16, halves away from zero."""
    bits = x.astype(np.float32).view(np.uint32) + np.uint32(0x8000)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32).astype(float)


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
        "outputs_not_averaged",
        LeakyNet,
        "scale",
        ("W1", "b1", "W2", "b2"),
        "The loss is the mean over outputs, the gradient that of their sum.",
        operation="mean",
        link="https://github.com/scikit-learn/scikit-learn/issues/8349",
    ),
    Bug(
        "target_minus_prediction",
        LeakyNet,
        "sign",
        ("W1", "b1", "W2", "b2"),
        "The error is target minus prediction.",
        operation="subtract",
    ),
    Bug(
        "half_square_doubled",
        LeakyNet,
        "scale",
        ("W1", "b1", "W2", "b2"),
        "The factor 2 of the square is kept although the loss has a factor 1/2.",
        operation="power",
    ),
    Bug(
        "first_output_only",
        LeakyNet,
        "partial",
        ("W1", "b1", "W2", "b2"),
        "Only the error of the first output is passed back.",
        operation="mean",
    ),
    Bug(
        "leaky_slope_ignored",
        LeakyNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative on the negative side is taken as 0, as for relu.",
        operation="where",
        also=("mask",),
        link="https://github.com/deeplearning4j/deeplearning4j/issues/8178",
    ),
    Bug(
        "leaky_slope_inverted",
        LeakyNet,
        "mask",
        ("W1", "b1"),
        "The slopes of the positive and the negative side are exchanged.",
        operation="where",
        also=("local_derivative",),
    ),
    Bug(
        "first_samples_only",
        LeakyNet,
        "partial",
        ("W1",),
        "Only the first four samples contribute to W1.",
        operation="matmul",
        also=("reduction",),
    ),
    Bug(
        "prelu_mask_from_output",
        PReluNet,
        "mask",
        ("W", "b", "slope"),
        "The side is read from the output, whose sign a negative slope changes.",
        operation="minimum",
        also=("local_derivative",),
        link="https://github.com/apache/mxnet/pull/3277",
    ),
    Bug(
        "prelu_slope_of_first_unit",
        PReluNet,
        "reduction",
        ("slope",),
        "The shared slope's gradient is summed over samples but not over units.",
        operation="multiply",
        also=("partial",),
        link="https://github.com/apache/tvm/pull/2465",
    ),
    Bug(
        "prelu_slope_averaged",
        PReluNet,
        "reduction",
        ("slope",),
        "The shared slope's gradient is averaged over samples, the loss is a sum.",
        operation="multiply",
        also=("scale",),
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
        "one_entry_of_many",
        WideNet,
        "partial",
        ("W0",),
        "One entry of 15,000 is off by a tenth of a standard deviation.",
        subtle=True,
    ),
    Bug(
        "one_column_of_many",
        WideNet,
        "partial",
        ("W0",),
        "One unit's weights receive no gradient.",
        also=("zero",),
    ),
    Bug(
        "rounded_to_bfloat16",
        WideNet,
        "precision",
        ("W0", "b0", "W1", "b1", "W2", "b2"),
        "The gradient is rounded to bfloat16.",
        link="https://github.com/tenstorrent/tt-metal/pull/53386",
        subtle=True,
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
        "absolute_error_gradient",
        LeakyNet,
        "local_derivative",
        ("W1", "b1", "W2", "b2"),
        "The gradient is that of the absolute error, the loss has its square.",
        operation="power",
        also=("upstream",),
    ),
    Bug(
        "biases_not_averaged",
        LeakyNet,
        "scale",
        ("b1", "b2"),
        "The weights' gradients are averaged, those of the biases are not.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "prelu_slope_from_output",
        PReluNet,
        "local_derivative",
        ("slope",),
        "The slope's gradient multiplies by the output, not by the input.",
        operation="multiply",
        also=("scale",),
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
    Bug(
        "inputs_in_another_order",
        WideNet,
        "layout",
        ("W0",),
        "The samples have been shuffled between the forward and the backward pass.",
        operation="matmul",
        also=("stale",),
    ),
)

PROBLEMS = (TwoLayerNet, LeakyNet, PReluNet, HingeClassifier, WideNet)
