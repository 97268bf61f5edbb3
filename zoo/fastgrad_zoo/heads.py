"""One network, two uses: two losses, two inputs."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class MultiTaskNet(Problem):
    """One tanh trunk, two heads, and a weighted sum of their losses."""

    name = "multi_task_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 8,
        features: int = 5,
        hidden: int = 6,
        classes: int = 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.target = rng.normal(size=batch)
        self.y = one_hot(rng.integers(classes, size=batch), classes)
        self.weight = 0.3
        self.params = {
            "W": rng.normal(size=(features, hidden)) / features**0.5,
            "b": rng.normal(size=hidden) * 0.3,
            "r": rng.normal(size=hidden) / hidden**0.5,
            "C": rng.normal(size=(hidden, classes)) / hidden**0.5,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the trunk's output and those of the two heads."""
        h = np.tanh(self.x @ params["W"] + params["b"])
        return h, h @ params["r"], log_softmax(h @ params["C"], axis=1)

    def loss(self, params: Params) -> Any:
        """Return 0.3 times the squared error plus 0.7 times the cross-entropy."""
        _, prediction, log_p = self.forward(params)
        error = np.mean((prediction - self.target) ** 2)
        cross_entropy = -np.mean(np.sum(self.y * log_p, axis=1))
        return self.weight * error + (1 - self.weight) * cross_entropy

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n = len(self.x)
        h, prediction, log_p = self.forward(params)
        upstream, other = self.weight, 1 - self.weight
        if bug == "upstream_ignored":
            upstream = 1.0
        if bug == "task_weights_exchanged":
            upstream, other = other, upstream
        dprediction = upstream * 2 * (prediction - self.target) / n
        if bug == "regression_error_reversed":
            dprediction = upstream * 2 * (self.target - prediction) / n
        dscores = other * (np.exp(log_p) - self.y) / n
        from_regression = np.outer(dprediction, params["r"])
        from_classes = dscores @ params["C"].T
        dh = from_regression + from_classes
        if bug == "trunk_not_weighted":
            dh = from_regression / upstream + from_classes / other
        if bug == "last_head_overwrites":
            dh = from_classes
        if bug == "second_head_detached":
            dh = from_regression
        dz = dh * (1 - h**2)
        return {
            "W": self.x.T @ dz,
            "b": np.sum(dz, axis=0),
            "r": h.T @ dprediction,
            "C": h.T @ dscores,
        }


class SiameseNet(Problem):
    """The distance between two inputs' features is to be small or large."""

    name = "siamese_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 10, features: int = 6, hidden: int = 4
    ) -> None:
        rng = np.random.default_rng(seed)
        self.left = rng.normal(size=(batch, features))
        self.right = rng.normal(size=(batch, features))
        self.same = (np.arange(batch) % 2).astype(float)
        self.params = {
            "W": rng.normal(size=(features, hidden)) / features**0.5,
            "b": rng.normal(size=hidden) * 0.3,
            "scale": rng.uniform(0.5, 1.5, size=hidden),
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return both features and the squared distance."""
        left = np.tanh(self.left @ params["W"] + params["b"])
        right = np.tanh(self.right @ params["W"] + params["b"])
        distance = np.sum(params["scale"] * (left - right) ** 2, axis=1)
        return left, right, distance

    def loss(self, params: Params) -> Any:
        """Return the mean of the distance, or of exp(-distance) for different pairs."""
        distance = self.forward(params)[-1]
        apart = np.exp(-distance)
        return np.mean(self.same * distance + (1 - self.same) * apart)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        left, right, distance = self.forward(params)
        slope = self.same - (1 - self.same) * np.exp(-distance)
        if bug == "exp_derivative_sign":
            slope = self.same + (1 - self.same) * np.exp(-distance)
        ddistance = slope.reshape(-1, 1) / len(self.same)
        ddifference = ddistance * 2 * params["scale"] * (left - right)
        dleft, dright = ddifference, -ddifference
        if bug == "subtraction_derivative_sign":
            dright = ddifference
        if bug == "right_branch_detached":
            dright = np.zeros_like(right)
        first = self.left
        if bug == "input_of_last_call_for_both":
            first = self.right
        dleft = dleft * (1 - left**2)
        dright = dright * (1 - right**2)
        dscale = np.sum(ddistance * (left - right) ** 2, axis=0)
        if bug == "broadcast_scale_not_reduced":
            dscale = (ddistance * (left - right) ** 2)[0]
        return {
            "W": first.T @ dleft + self.right.T @ dright,
            "b": np.sum(dleft + dright, axis=0),
            "scale": dscale,
        }


BUGS = (
    Bug(
        "upstream_ignored",
        MultiTaskNet,
        "upstream",
        ("W", "b", "r"),
        "The squared error's backward pass ignores that the loss weighs it by 0.3.",
        operation="multiply",
        also=("scale",),
        link="https://github.com/chainer/chainer/pull/1178",
    ),
    Bug(
        "last_head_overwrites",
        MultiTaskNet,
        "accumulation",
        ("W", "b"),
        "The heads assign the trunk's gradient in turn, and the last one wins.",
        link="https://github.com/PaddlePaddle/Paddle/issues/1805",
    ),
    Bug(
        "second_head_detached",
        MultiTaskNet,
        "accumulation",
        ("W", "b"),
        "The classifier's gradient does not reach the trunk.",
        operation="matmul",
    ),
    Bug(
        "exp_derivative_sign",
        SiameseNet,
        "local_derivative",
        ("W", "b", "scale"),
        "The derivative of exp(-d) is taken as +exp(-d).",
        operation="negative",
        also=("sign",),
    ),
    Bug(
        "subtraction_derivative_sign",
        SiameseNet,
        "local_derivative",
        ("W", "b"),
        "The derivative of a - b with respect to b is taken as +1.",
        operation="subtract",
        also=("sign",),
        link="https://github.com/KhawajaAbaid/micrograd_c/issues/1",
    ),
    Bug(
        "right_branch_detached",
        SiameseNet,
        "accumulation",
        ("W", "b"),
        "The second branch of the shared network passes nothing back.",
        operation="subtract",
    ),
    Bug(
        "broadcast_scale_not_reduced",
        SiameseNet,
        "reduction",
        ("scale",),
        "The gradient of a broadcast operand is not summed over the samples.",
        operation="multiply",
        also=("partial",),
        link="https://github.com/deeplearning4j/nd4j/issues/2424",
    ),
    Bug(
        "task_weights_exchanged",
        MultiTaskNet,
        "upstream",
        ("W", "b", "r", "C"),
        "The weights of the two losses are exchanged.",
        operation="multiply",
        also=("scale",),
    ),
    Bug(
        "regression_error_reversed",
        MultiTaskNet,
        "sign",
        ("W", "b", "r"),
        "The regression's error is target minus prediction.",
        operation="subtract",
        also=("local_derivative", "upstream"),
    ),
    Bug(
        "trunk_not_weighted",
        MultiTaskNet,
        "upstream",
        ("W", "b"),
        "The heads hand the trunk the gradients of their losses without the weights.",
        operation="multiply",
        also=("scale", "local_derivative"),
    ),
    Bug(
        "input_of_last_call_for_both",
        SiameseNet,
        "stale",
        ("W",),
        "The layer keeps the input of its last call only, and uses it for both.",
        operation="matmul",
        also=("local_derivative",),
    ),
)

PROBLEMS = (MultiTaskNet, SiameseNet)
