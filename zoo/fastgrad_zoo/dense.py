"""Dense networks as courses write them, samples in columns: W @ a + b."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot, sigmoid
from fastgrad_zoo._registry import Array, Params, Problem


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
