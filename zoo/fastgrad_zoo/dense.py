"""Dense networks as courses write them, samples in columns: W @ a + b."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot, sigmoid
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class TanhNet(Problem):
    """Two tanh layers and a softmax; samples are columns, L2 is lambda / 2m."""

    name = "tanh_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 12,
        features: int = 5,
        hidden: int = 7,
        classes: int = 4,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(features, batch))
        self.y = one_hot(rng.integers(classes, size=batch), classes).T
        self.lam = 0.6
        self.params = {
            "W1": rng.normal(size=(hidden, features)) / features**0.5,
            "b1": rng.normal(size=(hidden, 1)) * 0.3,
            "W2": rng.normal(size=(hidden, hidden)) / hidden**0.5,
            "b2": rng.normal(size=(hidden, 1)) * 0.3,
            "W3": rng.normal(size=(classes, hidden)) / hidden**0.5,
            "b3": rng.normal(size=(classes, 1)) * 0.3,
        }
        self.before_last_step = {
            name: value + 0.05 * rng.normal(size=value.shape)
            for name, value in self.params.items()
        }
        self.total = {name: np.zeros(v.shape) for name, v in self.params.items()}

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return every layer's values and the log-probabilities."""
        z1 = params["W1"] @ self.x + params["b1"]
        a1 = np.tanh(z1)
        z2 = params["W2"] @ a1 + params["b2"]
        a2 = np.tanh(z2)
        z3 = params["W3"] @ a2 + params["b3"]
        return z1, a1, z2, a2, log_softmax(z3, axis=0)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy plus lambda / 2m times the squared weights."""
        m = self.x.shape[1]
        log_p = self.forward(params)[-1]
        squares = sum(np.sum(params[name] ** 2) for name in ("W1", "W2", "W3"))
        return -np.sum(self.y * log_p) / m + self.lam / (2 * m) * squares

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        m = self.x.shape[1]
        z1, a1, _, a2, log_p = self.forward(params)
        if bug == "forward_cache_of_last_step":
            z1, a1, _, a2, log_p = self.forward(self.before_last_step)

        dz3 = (np.exp(log_p) - self.y) / m
        if bug == "batch_average_missing":
            dz3 = np.exp(log_p) - self.y
        if bug == "softmax_over_samples":
            z3 = params["W3"] @ a2 + params["b3"]
            dz3 = (np.exp(log_softmax(z3, axis=1)) - self.y) / m
        dw3 = dz3 @ a2.T
        db3 = np.sum(dz3, axis=1, keepdims=True)

        da2 = params["W3"].T @ dz3
        dz2 = da2 * (1 - a2**2)
        dw2 = dz2 @ a1.T
        if bug == "activation_of_wrong_layer":
            dw2 = dz2 @ a2.T
        if bug == "weight_gradient_transposed":
            dw2 = a1 @ dz2.T
        db2 = np.sum(dz2, axis=1, keepdims=True)

        da1 = params["W2"].T @ dz2
        if bug == "matmul_without_transpose":
            da1 = params["W2"] @ dz2
        if bug == "weight_gradient_in_place_of_weight":
            da1 = dw2.T @ dz2
        if bug == "layer_returns_no_input_gradient":
            da1 = np.zeros_like(a1)
        dz1 = da1 * (1 - a1**2)
        if bug == "tanh_derivative_missing":
            dz1 = da1
        if bug == "tanh_derivative_at_input":
            dz1 = da1 * (1 - z1**2)
        if bug == "tanh_derivative_at_output":
            dz1 = da1 * (1 - np.tanh(a1) ** 2)
        if bug == "tanh_derivative_of_sigmoid":
            dz1 = da1 * a1 * (1 - a1)
        if bug == "tanh_derivative_twice":
            dz1 = da1 * (1 - a1**2) ** 2
        if bug == "matrix_product_for_elementwise":
            dz1 = da1 @ (1 - a1**2)
        dw1 = dz1 @ self.x.T
        if bug == "batch_average_twice":
            dw1 = dz1 @ self.x.T / m
        if bug == "read_in_fortran_order":
            dw1 = dw1.ravel(order="F").reshape(dw1.shape)
        db1 = np.sum(dz1, axis=1, keepdims=True)
        if bug == "bias_gradient_behind_activation":
            db1 = np.sum(da1, axis=1, keepdims=True)
        if bug == "bias_summed_over_units":
            db1 = np.full_like(db1, np.sum(dz1))

        if bug == "bias_averaged_over_batch":
            db1, db2, db3 = db1 / m, db2 / m, db3 / m
        if bug == "bias_gradients_swapped":
            db1, db2 = db2, db1
        decay = self.lam / m
        if bug == "l2_missing":
            decay = 0.0
        if bug == "l2_not_averaged":
            decay = self.lam
        if bug == "l2_sign":
            decay = -self.lam / m
        if bug == "half_of_l2_kept":
            decay = self.lam / (2 * m)

        if bug == "weights_decayed_in_place":
            for name in ("W1", "W2", "W3"):
                params[name] -= decay * params[name]
            decay = 0.0
        grads = {
            "W1": dw1 + decay * params["W1"],
            "b1": db1,
            "W2": dw2 + decay * params["W2"],
            "b2": db2,
            "W3": dw3 + decay * params["W3"],
            "b3": db3,
        }
        if bug == "nothing_averaged":
            grads = {name: m * grad for name, grad in grads.items()}
        if bug == "one_entry":
            grads["W2"][3, 4] *= 1.05
        if bug == "one_row":
            grads["W2"][3] *= 0.9
        if bug == "rounded_to_float16":
            grads = {k: g.astype(np.float16).astype(float) for k, g in grads.items()}
        if bug == "clipped_by_value":
            grads = {name: np.clip(g, -0.02, 0.02) for name, g in grads.items()}
        if bug == "clipped_by_norm":
            norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
            grads = {name: g * 0.1 / norm for name, g in grads.items()}
        if bug == "accumulates_between_calls":
            for name, grad in grads.items():
                self.total[name] += grad
            grads = {name: total.copy() for name, total in self.total.items()}
        return grads


class SigmoidNet(Problem):
    """One sigmoid layer and one sigmoid output; samples are columns."""

    name = "sigmoid_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 15, features: int = 4, hidden: int = 6
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(features, batch))
        self.y = (np.arange(batch) % 2).reshape(1, batch)
        self.params = {
            "W1": rng.normal(size=(hidden, features)),
            "b1": rng.normal(size=(hidden, 1)) * 0.5,
            "W2": rng.normal(size=(1, hidden)),
            "b2": rng.normal(size=(1, 1)) * 0.5,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the hidden input and output, and the probability."""
        z1 = params["W1"] @ self.x + params["b1"]
        a1 = sigmoid(z1)
        a2 = sigmoid(params["W2"] @ a1 + params["b2"])
        return z1, a1, a2

    def loss(self, params: Params) -> Any:
        """Return the mean binary cross-entropy."""
        a2 = self.forward(params)[-1]
        return -np.mean(self.y * np.log(a2) + (1 - self.y) * np.log(1 - a2))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        m = self.x.shape[1]
        z1, a1, a2 = self.forward(params)
        if bug == "divisor_of_wrong_dimension_for_one_sample" and m == 1:
            m = self.x.shape[0]
        dz2 = (a2 - self.y) / m
        if bug == "predictions_in_place_of_probabilities":
            dz2 = (np.round(a2) - self.y) / m
        if bug == "one_minus_derivative_forgotten":
            dz2 = -(self.y * (1 - a2) + (1 - self.y) * a2) / m
        if bug == "cross_entropy_sign":
            dz2 = (self.y - a2) / m
        if bug == "output_derivative_kept":
            dz2 = (a2 - self.y) * a2 * (1 - a2) / m
        if bug == "positive_class_only":
            dz2 = self.y * (a2 - self.y) / m
        w2 = params["W2"]
        if bug == "weight_updated_before_use":
            w2 = w2 - 0.5 * dz2 @ a1.T
        da1 = w2.T @ dz2
        dz1 = da1 * a1 * (1 - a1)
        if bug == "sigmoid_derivative_missing":
            dz1 = da1
        if bug == "sigmoid_derivative_at_output":
            dz1 = da1 * sigmoid(a1) * (1 - sigmoid(a1))
        if bug == "sigmoid_derivative_at_input":
            dz1 = da1 * z1 * (1 - z1)
        if bug == "sigmoid_derivative_half":
            dz1 = da1 * (1 - a1)
        db1 = np.sum(dz1, axis=1, keepdims=True)
        if bug == "bias_skipped_for_one_sample" and m == 1:
            db1 = np.zeros_like(db1)
        if bug == "bias_of_first_sample":
            db1 = dz1[:, :1]
        return {
            "W1": dz1 @ self.x.T,
            "b1": db1,
            "W2": dz2 @ a1.T,
            "b2": np.sum(dz2, axis=1, keepdims=True),
        }


BUGS = (
    Bug(
        "tanh_derivative_missing",
        TanhNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of the first tanh is left out.",
        operation="tanh",
    ),
    Bug(
        "tanh_derivative_at_input",
        TanhNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of tanh is 1 - z^2 with z its input, where it is 1 - a^2.",
        operation="tanh",
        link="https://github.com/tsoding/nn.h/issues/18",
    ),
    Bug(
        "tanh_derivative_at_output",
        TanhNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of tanh is taken at its output, stored over its input.",
        operation="tanh",
        link="https://github.com/deeplearning4j/deeplearning4j/pull/364",
    ),
    Bug(
        "tanh_derivative_of_sigmoid",
        TanhNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of the sigmoid, a (1 - a), is used for tanh.",
        operation="tanh",
    ),
    Bug(
        "forward_cache_of_last_step",
        TanhNet,
        "stale",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "The activations are those of the weights before the last update.",
    ),
    Bug(
        "batch_average_missing",
        TanhNet,
        "scale",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "The data's gradient is summed over the batch, the loss is its mean.",
        operation="divide",
        link="https://github.com/hunkim/DeepLearningZeroToAll/issues/173",
    ),
    Bug(
        "batch_average_twice",
        TanhNet,
        "scale",
        ("W1",),
        "The gradient of W1 is divided by the batch size, which dz1 has been already.",
        operation="divide",
        link="https://community.deeplearning.ai/t/course-1-week-3-planar-assignment-4-5-exercise-6-backward-propagation-error-for-dw1-values/63071",
    ),
    Bug(
        "nothing_averaged",
        TanhNet,
        "scale",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "The loss averages data and penalty over the batch, the gradient neither.",
        operation="divide",
        link="https://github.com/dennybritz/nn-from-scratch/issues/13",
    ),
    Bug(
        "weight_gradient_transposed",
        TanhNet,
        "layout",
        ("W2",),
        "The gradient of the square weight W2 is transposed.",
        operation="matmul",
    ),
    Bug(
        "matmul_without_transpose",
        TanhNet,
        "layout",
        ("W1", "b1"),
        "The gradient is passed back by W2 where it should be by its transpose.",
        operation="matmul",
    ),
    Bug(
        "weight_gradient_in_place_of_weight",
        TanhNet,
        "local_derivative",
        ("W1", "b1"),
        "The gradient is passed back by the gradient of W2 instead of by W2.",
        operation="matmul",
        link="https://community.deeplearning.ai/t/week-3-exercise-6-cost-function/723602/2",
    ),
    Bug(
        "layer_returns_no_input_gradient",
        TanhNet,
        "zero",
        ("W1", "b1"),
        "The second layer passes nothing back, so W1 has its penalty only.",
        operation="matmul",
    ),
    Bug(
        "read_in_fortran_order",
        TanhNet,
        "layout",
        ("W1",),
        "A Fortran-ordered gradient is read as if it were C-ordered.",
        link="https://github.com/pytorch/pytorch/issues/30303",
    ),
    Bug(
        "bias_summed_over_units",
        TanhNet,
        "reduction",
        ("b1",),
        "The bias gradient is summed over all axes, and the total given to each unit.",
        operation="add",
        link="https://github.com/rasbt/stat453-deep-learning-ss21/issues/5",
    ),
    Bug(
        "bias_averaged_over_batch",
        TanhNet,
        "reduction",
        ("b1", "b2", "b3"),
        "The bias gradients are averaged over the batch instead of summed.",
        operation="add",
        also=("scale",),
        link="https://github.com/kvfrans/notes/issues/5",
    ),
    Bug(
        "bias_gradients_swapped",
        TanhNet,
        "layout",
        ("b1", "b2"),
        "The gradients of b1 and b2 are exchanged.",
    ),
    Bug(
        "l2_missing",
        TanhNet,
        "regularization",
        ("W1", "W2", "W3"),
        "The L2 penalty's gradient is left out.",
    ),
    Bug(
        "l2_not_averaged",
        TanhNet,
        "regularization",
        ("W1", "W2", "W3"),
        "The L2 penalty's gradient is not divided by the batch size.",
    ),
    Bug(
        "l2_sign",
        TanhNet,
        "regularization",
        ("W1", "W2", "W3"),
        "The L2 penalty's gradient is subtracted.",
    ),
    Bug(
        "one_entry",
        TanhNet,
        "partial",
        ("W2",),
        "One entry of W2's gradient is 5 % too large.",
        subtle=True,
    ),
    Bug(
        "one_row",
        TanhNet,
        "partial",
        ("W2",),
        "One row of W2's gradient is 10 % too small.",
        also=("scale",),
    ),
    Bug(
        "rounded_to_float16",
        TanhNet,
        "precision",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "The gradient is rounded to float16.",
        subtle=True,
    ),
    Bug(
        "clipped_by_value",
        TanhNet,
        "clipped",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "The entries are clipped to 0.02.",
    ),
    Bug(
        "clipped_by_norm",
        TanhNet,
        "clipped",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "The gradient is rescaled to norm 0.1.",
        also=("scale",),
    ),
    Bug(
        "accumulates_between_calls",
        TanhNet,
        "accumulation",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "Each call adds to the gradient that the last one returned.",
        wrong_from_call=2,
    ),
    Bug(
        "divisor_of_wrong_dimension_for_one_sample",
        SigmoidNet,
        "scale",
        ("W1", "b1", "W2", "b2"),
        "With one sample, the number of features is taken for the batch size.",
        operation="mean",
        link="https://github.com/deeplearning4j/deeplearning4j/pull/1452",
        settings={"batch": 1},
    ),
    Bug(
        "cross_entropy_sign",
        SigmoidNet,
        "sign",
        ("W1", "b1", "W2", "b2"),
        "The error is label minus probability.",
    ),
    Bug(
        "output_derivative_kept",
        SigmoidNet,
        "local_derivative",
        ("W1", "b1", "W2", "b2"),
        "The error keeps the factor a (1 - a), which cross-entropy cancels.",
        operation="log",
    ),
    Bug(
        "positive_class_only",
        SigmoidNet,
        "partial",
        ("W1", "b1", "W2", "b2"),
        "Only the samples with label 1 contribute.",
        also=("accumulation", "mask"),
    ),
    Bug(
        "sigmoid_derivative_missing",
        SigmoidNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of the hidden sigmoid is left out.",
        operation="sigmoid",
    ),
    Bug(
        "sigmoid_derivative_at_output",
        SigmoidNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of the sigmoid is taken at its output.",
        operation="sigmoid",
        link="https://github.com/benoitfragit/libBrain/issues/78",
    ),
    Bug(
        "sigmoid_derivative_at_input",
        SigmoidNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of the sigmoid is z (1 - z) with z its input.",
        operation="sigmoid",
    ),
    Bug(
        "sigmoid_derivative_half",
        SigmoidNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of the sigmoid lacks its factor a.",
        operation="sigmoid",
    ),
    Bug(
        "bias_skipped_for_one_sample",
        SigmoidNet,
        "zero",
        ("b1",),
        "With one sample, the bias is skipped.",
        operation="add",
        link="https://github.com/deeplearning4j/deeplearning4j/pull/364",
        settings={"batch": 1},
    ),
    Bug(
        "bias_of_first_sample",
        SigmoidNet,
        "reduction",
        ("b1",),
        "The bias gradient is that of the first sample, not the sum.",
        operation="add",
        also=("partial",),
        link="https://github.com/mlpack/mlpack/pull/3679",
    ),
    Bug(
        "weights_decayed_in_place",
        TanhNet,
        "mutated",
        ("W1", "W2", "W3"),
        "The penalty is subtracted from the weights, not added to their gradient.",
        also=("regularization",),
    ),
    Bug(
        "weight_updated_before_use",
        SigmoidNet,
        "stale",
        ("W1", "b1"),
        "The output weights are updated before the gradient goes back through them.",
        operation="matmul",
        also=("local_derivative",),
    ),
    Bug(
        "bias_gradient_behind_activation",
        TanhNet,
        "local_derivative",
        ("b1",),
        "The bias gradient sums the gradient behind the tanh, not that before it.",
        operation="tanh",
    ),
    Bug(
        "activation_of_wrong_layer",
        TanhNet,
        "local_derivative",
        ("W2",),
        "The weight's gradient multiplies by the layer's output, not by its input.",
        operation="matmul",
        also=("layout",),
    ),
    Bug(
        "softmax_over_samples",
        TanhNet,
        "reduction",
        ("W1", "b1", "W2", "b2", "W3", "b3"),
        "The softmax of the backward pass is taken over samples, not over classes.",
        operation="log_softmax",
        also=("cross_term", "local_derivative"),
    ),
    Bug(
        "tanh_derivative_twice",
        TanhNet,
        "local_derivative",
        ("W1", "b1"),
        "The derivative of tanh is applied by the layer and again by its caller.",
        operation="tanh",
    ),
    Bug(
        "matrix_product_for_elementwise",
        TanhNet,
        "local_derivative",
        ("W1", "b1"),
        "A matrix product stands where an elementwise one is due, and the shapes fit.",
        operation="tanh",
        link="https://community.deeplearning.ai/t/w3-ex-6-assertionerror-wrong-values-for-dw1/402919",
        settings={"batch": 7},
    ),
    Bug(
        "half_of_l2_kept",
        TanhNet,
        "regularization",
        ("W1", "W2", "W3"),
        "The penalty's factor 1/2 is kept, which the square's derivative cancels.",
    ),
    Bug(
        "predictions_in_place_of_probabilities",
        SigmoidNet,
        "local_derivative",
        ("W1", "b1", "W2", "b2"),
        "The error is that of the predicted class, 0 or 1, not of its probability.",
        operation="sigmoid",
    ),
    Bug(
        "one_minus_derivative_forgotten",
        SigmoidNet,
        "local_derivative",
        ("W1", "b1", "W2", "b2"),
        "The minus in 1 - a is forgotten, so the term of label 0 has the wrong sign.",
        operation="subtract",
        also=("sign",),
    ),
)

PROBLEMS = (TanhNet, SigmoidNet)
