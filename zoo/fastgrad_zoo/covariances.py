"""Likelihoods through a factored covariance matrix."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


class LowerTriangular(Problem):
    """Whitening by a matrix of which only the lower triangle is read."""

    name = "lower_triangular"

    def __init__(self, *, seed: int = 0, batch: int = 10, features: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        noise = rng.normal(size=(features, features)) * 0.3
        self.params = {"L": np.eye(features) + noise, "b": rng.normal(size=features)}

    def loss(self, params: Params) -> Any:
        """Return the negative log-likelihood of standard normal x L^T + b."""
        lower = np.tril(params["L"])
        z = self.x @ lower.T + params["b"]
        return 0.5 * np.mean(np.sum(z**2, axis=1)) - np.sum(np.log(np.diag(lower) ** 2))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        lower = np.tril(params["L"])
        dz = (self.x @ lower.T + params["b"]) / len(self.x)
        dl = dz.T @ self.x - np.diag(2 / np.diag(lower))
        if bug == "log_square_halved":
            dl = dz.T @ self.x - np.diag(1 / np.diag(lower))
        if bug == "ignored_triangle_receives_gradient":
            return {"L": dl, "b": np.sum(dz, axis=0)}
        dl = np.tril(dl)
        if bug == "upper_triangle_for_lower":
            dl = dl.T
        if bug == "diagonal_only":
            dl = np.diag(np.diag(dl))
        if bug == "diagonal_left_out_of_triangle":
            dl = np.tril(dl, -1)
        if bug == "triangle_weight_transposed":
            dl = np.tril(self.x.T @ dz - np.diag(2 / np.diag(lower)))
        return {"L": dl, "b": np.sum(dz, axis=0)}


class GaussianProcess(Problem):
    """A marginal likelihood in the logs of length scales, variance and noise."""

    name = "gaussian_process"

    def __init__(self, *, seed: int = 0, batch: int = 10, features: int = 20) -> None:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(batch, features))
        self.squares = (x[:, None, :] - x[None, :, :]) ** 2
        self.y = rng.normal(size=batch)
        self.params = {
            "log_length": np.log(features) / 2 + 0.3 * rng.normal(size=features),
            "log_variance": rng.normal(size=1) * 0.3,
            "log_noise": rng.normal(size=1) * 0.3 - 1,
            "mean": rng.normal(size=1),
        }

    def kernel(self, params: Params) -> tuple[Array, Array]:
        """Return the covariance without and with the noise."""
        distance = np.sum(self.squares * np.exp(-2 * params["log_length"]), axis=-1)
        smooth = np.exp(params["log_variance"] - distance / 2)
        return smooth, smooth + np.exp(params["log_noise"]) * np.eye(len(self.y))

    def loss(self, params: Params) -> Any:
        """Return the negative log marginal likelihood up to a constant."""
        _, k = self.kernel(params)
        r = self.y - params["mean"]
        return 0.5 * r @ np.linalg.solve(k, r) + 0.5 * np.linalg.slogdet(k)[1]

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        smooth, k = self.kernel(params)
        inverse = np.linalg.inv(k)
        alpha = inverse @ (self.y - params["mean"])
        if bug == "mean_not_subtracted":
            alpha = inverse @ self.y
        dk = 0.5 * (inverse - np.outer(alpha, alpha))
        if bug == "log_likelihood_not_negated":
            alpha, dk = -alpha, -dk
        if bug == "determinant_term_missing":
            dk = -0.5 * np.outer(alpha, alpha)
        if bug == "data_term_sign":
            dk = 0.5 * (inverse + np.outer(alpha, alpha))
        dvariance = np.sum(dk * smooth, keepdims=True).reshape(1)
        if bug == "variance_scales_noise_too":
            dvariance = np.sum(dk * k, keepdims=True).reshape(1)
        scaled = self.squares * np.exp(-2 * params["log_length"])
        dlength = np.sum((dk * smooth)[:, :, None] * scaled, axis=(0, 1))
        if bug == "length_in_place_of_its_log":
            dlength = dlength * np.exp(-params["log_length"])
        if bug == "each_pair_once":
            dlength = dlength / 2
        dnoise = np.exp(params["log_noise"]) * np.trace(dk)
        if bug == "noise_on_every_pair":
            dnoise = np.exp(params["log_noise"]) * np.sum(dk)
        return {
            "log_length": dlength,
            "log_variance": dvariance,
            "log_noise": dnoise,
            "mean": -np.sum(alpha, keepdims=True),
        }


BUGS = (
    Bug(
        "log_square_halved",
        LowerTriangular,
        "local_derivative",
        ("L",),
        "The derivative of log d^2 is taken as 1 / d.",
        operation="power",
        also=("scale",),
    ),
    Bug(
        "ignored_triangle_receives_gradient",
        LowerTriangular,
        "mask",
        ("L",),
        "Entries above the diagonal, which the loss never reads, receive a gradient.",
        operation="tril",
        link="https://github.com/jax-ml/jax/issues/40421",
    ),
    Bug(
        "upper_triangle_for_lower",
        LowerTriangular,
        "layout",
        ("L",),
        "The triangle's gradient is returned transposed.",
        operation="tril",
        also=("mask",),
    ),
    Bug(
        "diagonal_only",
        LowerTriangular,
        "partial",
        ("L",),
        "Only the diagonal receives a gradient.",
        operation="tril",
        also=("mask",),
    ),
    Bug(
        "determinant_term_missing",
        GaussianProcess,
        "accumulation",
        ("log_length", "log_variance", "log_noise"),
        "The log-determinant's gradient is left out.",
        operation="slogdet",
    ),
    Bug(
        "data_term_sign",
        GaussianProcess,
        "local_derivative",
        ("log_length", "log_variance", "log_noise"),
        "The derivative of the inverse lacks its minus.",
        operation="solve",
        also=("sign",),
    ),
    Bug(
        "length_in_place_of_its_log",
        GaussianProcess,
        "reparametrized",
        ("log_length",),
        "The gradient is that of the length scales, not of their logarithms.",
        operation="exp",
    ),
    Bug(
        "each_pair_once",
        GaussianProcess,
        "scale",
        ("log_length",),
        "Each pair of points is counted once, the sum has it twice.",
        operation="sum",
        also=("accumulation",),
    ),
    Bug(
        "noise_on_every_pair",
        GaussianProcess,
        "mask",
        ("log_noise",),
        "The noise, which is on the diagonal only, gets the gradient of every entry.",
        operation="multiply",
        also=("reduction",),
    ),
    Bug(
        "log_likelihood_not_negated",
        GaussianProcess,
        "sign",
        ("log_length", "log_variance", "log_noise", "mean"),
        "The gradient is that of the log-likelihood, the loss is its negative.",
        operation="negative",
    ),
    Bug(
        "diagonal_left_out_of_triangle",
        LowerTriangular,
        "mask",
        ("L",),
        "The triangle is cut below the diagonal, which receives no gradient.",
        operation="tril",
        also=("partial", "zero", "geometry"),
    ),
    Bug(
        "triangle_weight_transposed",
        LowerTriangular,
        "layout",
        ("L",),
        "The weight's gradient is transposed before its lower triangle is taken.",
        operation="matmul",
    ),
    Bug(
        "mean_not_subtracted",
        GaussianProcess,
        "local_derivative",
        ("log_length", "log_variance", "log_noise", "mean"),
        "The gradient uses the data without their mean subtracted.",
        operation="subtract",
        also=("stale",),
    ),
    Bug(
        "variance_scales_noise_too",
        GaussianProcess,
        "local_derivative",
        ("log_variance",),
        "The variance's gradient uses the covariance with the noise on its diagonal.",
        operation="add",
        also=("accumulation", "mask"),
    ),
)

PROBLEMS = (LowerTriangular, GaussianProcess)
