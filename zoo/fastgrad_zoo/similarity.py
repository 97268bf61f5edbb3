"""Similarities of all pairs: contrastive learning and kernel ridge regression."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class ContrastiveNet(Problem):
    """Two views of each sample are to be more similar than those of two samples."""

    name = "contrastive_net"
    batched = False  # one pair alone has no other to differ from

    def __init__(
        self,
        *,
        seed: int = 0,
        pairs: int = 6,
        width: int = 4,
        log_scale: float = 1.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.left = rng.normal(size=(pairs, 5))
        self.right = rng.normal(size=(pairs, 6))
        self.params = {
            "E": rng.normal(size=(5, width)),
            "F": rng.normal(size=(6, width)),
            "log_scale": log_scale + 0.2 * rng.normal(size=1),
        }

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return the norms and the unit features of both views, and the cosines."""
        u, v = self.left @ params["E"], self.right @ params["F"]
        norm_u = np.sqrt(np.sum(u**2, axis=1, keepdims=True))
        norm_v = np.sqrt(np.sum(v**2, axis=1, keepdims=True))
        u, v = u / norm_u, v / norm_v
        return norm_u, norm_v, u, v, u @ v.T

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy of finding either view from the other."""
        logits = np.exp(params["log_scale"]) * self.forward(params)[-1]
        pair = np.eye(len(self.left))
        from_left = -np.sum(pair * log_softmax(logits, axis=1))
        from_right = -np.sum(pair * log_softmax(logits, axis=0))
        return (from_left + from_right) / (2 * len(self.left))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n = len(self.left)
        norm_u, norm_v, u, v, cosine = self.forward(params)
        scale, pair = np.exp(params["log_scale"]), np.eye(n)
        logits = scale * cosine
        from_left = np.exp(log_softmax(logits, axis=1))
        from_right = np.exp(log_softmax(logits, axis=0))
        if bug == "both_views_over_rows":
            from_right = from_left
        if bug == "similarities_overflow":
            powers = np.exp(logits)
            from_left = powers / np.sum(powers, axis=1, keepdims=True)
            from_right = powers / np.sum(powers, axis=0, keepdims=True)
        dlogits = (from_left + from_right - 2 * pair) / (2 * n)
        if bug == "second_view_not_scored":
            dlogits = (from_left - pair) / (2 * n)
        if bug == "own_pair_masked_out":
            dlogits = dlogits * (1 - pair)
        dcosine = scale * dlogits
        if bug == "similarity_scale_divides":
            dcosine = dlogits / scale
        du, dv = dcosine @ v, dcosine.T @ u
        if bug == "similarities_not_transposed":
            dv = dcosine @ u
        if bug == "unit_length_projection_dropped":
            du, dv = du / norm_u, dv / norm_v
        else:
            du = (du - u * np.sum(du * u, axis=1, keepdims=True)) / norm_u
            dv = (dv - v * np.sum(dv * v, axis=1, keepdims=True)) / norm_v
        if bug == "second_view_detached":
            dv = np.zeros_like(v)
        dscale = np.sum(dlogits * logits, keepdims=True).reshape(1)
        if bug == "similarity_scale_for_its_log":
            dscale = dscale / scale
        return {"E": self.left.T @ du, "F": self.right.T @ dv, "log_scale": dscale}


class KernelRidge(Problem):
    """Length scales, ridge and labels, tuned by the error on validation data."""

    name = "kernel_ridge"

    def __init__(self, *, seed: int = 0, batch: int = 10, features: int = 12) -> None:
        rng = np.random.default_rng(seed)
        x, held_out = rng.normal(size=(batch, features)), rng.normal(size=(7, features))
        self.squares = (x[:, None, :] - x[None, :, :]) ** 2
        self.to_held_out = (held_out[:, None, :] - x[None, :, :]) ** 2
        self.y = rng.normal(size=7)
        self.params = {
            "log_length": np.log(features) / 2 + 0.3 * rng.normal(size=features),
            "log_ridge": 0.3 * rng.normal(size=1) - 1,
            "labels": rng.normal(size=batch),
        }
        self.system = np.zeros((batch, batch))

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return both kernels, the regularised one, coefficients and predictions."""
        precision = np.exp(-2 * params["log_length"])
        k = np.exp(-np.sum(self.squares * precision, axis=-1) / 2)
        cross = np.exp(-np.sum(self.to_held_out * precision, axis=-1) / 2)
        system = k + np.exp(params["log_ridge"]) * np.eye(len(self.squares))
        alpha = np.linalg.solve(system, params["labels"])
        return k, cross, system, alpha, cross @ alpha

    def loss(self, params: Params) -> Any:
        """Return the mean squared error on the validation data."""
        return np.mean((self.forward(params)[-1] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        k, cross, system, alpha, prediction = self.forward(params)
        ridge = np.exp(params["log_ridge"])
        if bug == "ridge_added_at_every_call":
            self.system += ridge * np.eye(len(alpha))
            system = k + self.system
            alpha = np.linalg.solve(system, params["labels"])
            prediction = cross @ alpha
        dprediction = 2 * (prediction - self.y) / len(self.y)
        if bug == "divided_by_training_size":
            dprediction = 2 * (prediction - self.y) / len(alpha)
        dcross = np.outer(dprediction, alpha)
        dalpha = cross.T @ dprediction
        if bug == "coefficients_detached":
            dalpha = np.zeros_like(dalpha)
        dlabels = np.linalg.solve(system.T, dalpha)
        if bug == "ridge_left_out_of_adjoint_solve":
            dlabels = np.linalg.solve(k.T, dalpha)
        dsystem = -np.outer(dlabels, alpha)
        if bug == "adjoint_solve_sign":
            dsystem = -dsystem
        if bug == "labels_for_coefficients":
            dsystem = -np.outer(dlabels, params["labels"])
        if bug == "labels_not_solved_for":
            dlabels = dalpha
        precision = np.exp(-2 * params["log_length"])
        dlength = np.sum((dsystem * k)[:, :, None] * self.squares, axis=(0, 1))
        if bug != "validation_kernel_detached":
            dlength += np.sum((dcross * cross)[:, :, None] * self.to_held_out, (0, 1))
        dlength = dlength * precision
        if bug == "length_scales_missing_in_derivative":
            dlength = dlength / precision
        dridge = ridge * np.trace(dsystem)
        return {"log_length": dlength, "log_ridge": dridge, "labels": dlabels}


BUGS = (
    Bug(
        "both_views_over_rows",
        ContrastiveNet,
        "reduction",
        ("E", "F", "log_scale"),
        "Both softmaxes are taken over rows, the second belongs to columns.",
        operation="log_softmax",
        also=("cross_term", "accumulation", "layout"),
    ),
    Bug(
        "similarities_overflow",
        ContrastiveNet,
        "nonfinite",
        ("E", "F", "log_scale"),
        "The softmax of large similarities is taken without subtracting the largest.",
        operation="exp",
        settings={"log_scale": 7.5},
    ),
    Bug(
        "second_view_not_scored",
        ContrastiveNet,
        "accumulation",
        ("E", "F", "log_scale"),
        "The loss has a term for each view, the gradient that of the first only.",
        operation="log_softmax",
    ),
    Bug(
        "own_pair_masked_out",
        ContrastiveNet,
        "mask",
        ("E", "F", "log_scale"),
        "The diagonal of the similarities, where the true pairs are, gets no gradient.",
        operation="multiply",
        also=("partial",),
    ),
    Bug(
        "similarity_scale_divides",
        ContrastiveNet,
        "scale",
        ("E", "F"),
        "The gradient is divided by the scale as by a temperature, not multiplied.",
        operation="multiply",
        also=("local_derivative",),
    ),
    Bug(
        "similarities_not_transposed",
        ContrastiveNet,
        "layout",
        ("F",),
        "The second view's gradient multiplies without transposing the similarities'.",
        operation="matmul",
        link="https://github.com/tile-ai/TileOPs/pull/54",
    ),
    Bug(
        "unit_length_projection_dropped",
        ContrastiveNet,
        "cross_term",
        ("E", "F"),
        "The gradient does not flow through the norms of the features.",
        operation="divide",
    ),
    Bug(
        "second_view_detached",
        ContrastiveNet,
        "zero",
        ("F",),
        "The second view's features pass nothing back.",
        operation="matmul",
    ),
    Bug(
        "similarity_scale_for_its_log",
        ContrastiveNet,
        "reparametrized",
        ("log_scale",),
        "The gradient is that of the scale, not of its logarithm.",
        operation="exp",
        also=("scale", "local_derivative"),
    ),
    Bug(
        "ridge_added_at_every_call",
        KernelRidge,
        "accumulation",
        ("log_length", "log_ridge", "labels"),
        "The ridge is added in place to a matrix that is kept between calls.",
        operation="solve",
        also=("stale",),
        wrong_from_call=2,
    ),
    Bug(
        "divided_by_training_size",
        KernelRidge,
        "scale",
        ("log_length", "log_ridge", "labels"),
        "The error is averaged over the number of training data, not of validation.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "coefficients_detached",
        KernelRidge,
        "zero",
        ("log_length", "log_ridge", "labels"),
        "The fitted coefficients are taken to be constants.",
        operation="solve",
        also=("accumulation",),
    ),
    Bug(
        "ridge_left_out_of_adjoint_solve",
        KernelRidge,
        "local_derivative",
        ("log_length", "log_ridge", "labels"),
        "The solve on the way back uses the kernel without the ridge.",
        operation="solve",
        also=("stale",),
    ),
    Bug(
        "adjoint_solve_sign",
        KernelRidge,
        "local_derivative",
        ("log_length", "log_ridge"),
        "The derivative of a solve with respect to its matrix lacks its minus.",
        operation="solve",
        also=("sign",),
    ),
    Bug(
        "labels_for_coefficients",
        KernelRidge,
        "local_derivative",
        ("log_length", "log_ridge"),
        "The matrix's gradient uses the right-hand side, not the solution.",
        operation="solve",
    ),
    Bug(
        "labels_not_solved_for",
        KernelRidge,
        "local_derivative",
        ("labels",),
        "The labels' gradient is that of the coefficients, without the solve.",
        operation="solve",
    ),
    Bug(
        "validation_kernel_detached",
        KernelRidge,
        "accumulation",
        ("log_length",),
        "The length scales' use in the kernel of the validation data is left out.",
        operation="multiply",
    ),
    Bug(
        "length_scales_missing_in_derivative",
        KernelRidge,
        "local_derivative",
        ("log_length",),
        "The squared differences are not divided by the squared length scales.",
        operation="multiply",
        also=("reparametrized",),
    ),
)

PROBLEMS = (ContrastiveNet, KernelRidge)
