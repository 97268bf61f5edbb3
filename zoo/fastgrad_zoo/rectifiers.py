"""Dense networks of rectifiers, leaky and learned and many; samples are rows."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


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
        "inputs_in_another_order",
        WideNet,
        "layout",
        ("W0",),
        "The samples have been shuffled between the forward and the backward pass.",
        operation="matmul",
        also=("stale",),
    ),
)

PROBLEMS = (LeakyNet, PReluNet, WideNet)
