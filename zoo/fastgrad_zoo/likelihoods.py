"""Gaussian likelihoods and covariances."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


class HeteroscedasticGaussian(Problem):
    """Mean and log-deviation both linear in the features."""

    name = "heteroscedastic_gaussian"

    def __init__(self, *, seed: int = 0, batch: int = 20, features: int = 12) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features)) / features**0.5
        self.y = rng.normal(size=batch)
        self.params = {
            "mean": rng.normal(size=features),
            "log_sigma": rng.normal(size=features) * 0.5,
            "prior_log_scale": rng.normal(size=1) * 0.2,
        }

    def loss(self, params: Params) -> Any:
        """Return the negative log-posterior under a Gaussian prior on the mean."""
        log_sigma = self.x @ params["log_sigma"]
        z = (self.y - self.x @ params["mean"]) / np.exp(log_sigma)
        log_scale = params["prior_log_scale"]
        prior = np.sum(params["mean"] ** 2) / (2 * np.exp(2 * log_scale))
        count = params["mean"].size
        return np.sum(log_sigma + z**2 / 2) + np.sum(prior + count * log_scale)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        sigma = np.exp(self.x @ params["log_sigma"])
        z = (self.y - self.x @ params["mean"]) / sigma
        dmean = -self.x.T @ (z / sigma)
        if bug == "variance_for_deviation":
            dmean = -self.x.T @ (z / sigma**2)
        precision = np.exp(-2 * params["prior_log_scale"])
        decay = precision * params["mean"]
        if bug == "prior_missing":
            decay = np.zeros_like(decay)
        if bug == "prior_doubled":
            decay = 2 * decay
        dlog = 1 - z**2
        if bug == "half_kept_in_square":
            dlog = 1 - z**2 / 2
        if bug == "normalizer_missing":
            dlog = -(z**2)
        if bug == "sigma_in_place_of_its_log":
            dlog = (1 - z**2) / sigma
        squares = precision * np.sum(params["mean"] ** 2)
        dscale = params["mean"].size - squares
        if bug == "scale_in_place_of_its_log":
            dscale = dscale * np.exp(-params["prior_log_scale"])
        return {
            "mean": dmean + decay,
            "log_sigma": self.x.T @ dlog,
            "prior_log_scale": dscale,
        }


class PrecisionMatrix(Problem):
    """A Gaussian's mean and precision matrix, all entries of which are free."""

    name = "precision_matrix"

    def __init__(self, *, seed: int = 0, batch: int = 12, features: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        noise = rng.normal(size=(features, features))
        self.params = {
            "mu": rng.normal(size=features) * 0.5,
            "precision": np.eye(features) * features + noise,
        }

    def loss(self, params: Params) -> Any:
        """Return the negative log-likelihood up to a constant."""
        d, p = self.x - params["mu"], params["precision"]
        _, logdet = np.linalg.slogdet(p)
        return 0.5 * np.sum((d @ p) * d) - 0.5 * len(d) * logdet

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        d, p = self.x - params["mu"], params["precision"]
        scatter, inverse = d.T @ d, np.linalg.inv(p)
        dprecision = 0.5 * scatter - 0.5 * len(d) * inverse.T
        if bug == "scatter_about_sample_mean":
            centred = self.x - np.mean(self.x, axis=0)
            dprecision = 0.5 * centred.T @ centred - 0.5 * len(d) * inverse.T
        if bug == "log_determinant_sign":
            dprecision = 0.5 * scatter + 0.5 * len(d) * inverse.T
        if bug == "inverse_not_transposed":
            dprecision = 0.5 * scatter - 0.5 * len(d) * inverse
        if bug == "off_diagonal_doubled":
            dprecision = dprecision * (2 - np.eye(len(p)))
        if bug == "log_determinant_of_one_sample":
            dprecision = 0.5 * scatter - 0.5 * inverse.T
        dmu = -0.5 * np.sum(d @ (p + p.T), axis=0)
        if bug == "quadratic_form_one_side":
            dmu = -0.5 * np.sum(d @ p, axis=0)
        if bug == "symmetry_assumed":
            dmu = -np.sum(d @ p, axis=0)
        return {"mu": dmu, "precision": dprecision}


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
        "variance_for_deviation",
        HeteroscedasticGaussian,
        "local_derivative",
        ("mean",),
        "The residual is divided by the variance once more than it should be.",
        operation="divide",
    ),
    Bug(
        "prior_missing",
        HeteroscedasticGaussian,
        "regularization",
        ("mean",),
        "The prior's gradient is left out.",
    ),
    Bug(
        "prior_doubled",
        HeteroscedasticGaussian,
        "regularization",
        ("mean",),
        "The prior's gradient lacks its factor 1/2.",
    ),
    Bug(
        "normalizer_missing",
        HeteroscedasticGaussian,
        "accumulation",
        ("log_sigma",),
        "The normalizing term, the log of the deviation, is left out.",
        operation="add",
        link="https://github.com/EnzymeAD/Enzyme.jl/issues/2387",
    ),
    Bug(
        "sigma_in_place_of_its_log",
        HeteroscedasticGaussian,
        "local_derivative",
        ("log_sigma",),
        "The derivative is that in the deviation, not in its logarithm.",
        operation="exp",
        also=("reparametrized",),
    ),
    Bug(
        "scale_in_place_of_its_log",
        HeteroscedasticGaussian,
        "reparametrized",
        ("prior_log_scale",),
        "The gradient is that of the prior's scale, not of its logarithm.",
        operation="exp",
        also=("scale", "local_derivative"),
    ),
    Bug(
        "log_determinant_sign",
        PrecisionMatrix,
        "local_derivative",
        ("precision",),
        "The log-determinant's gradient has the wrong sign.",
        operation="slogdet",
        also=("sign",),
        link="https://github.com/HIPS/autograd/pull/412",
    ),
    Bug(
        "inverse_not_transposed",
        PrecisionMatrix,
        "layout",
        ("precision",),
        "The log-determinant's gradient is the inverse, not its transpose.",
        operation="slogdet",
    ),
    Bug(
        "off_diagonal_doubled",
        PrecisionMatrix,
        "accumulation",
        ("precision",),
        "Off-diagonal entries count twice, as if one entry stood for two.",
        also=("layout", "scale"),
        link="https://github.com/pytorch/pytorch/issues/18825",
    ),
    Bug(
        "log_determinant_of_one_sample",
        PrecisionMatrix,
        "reduction",
        ("precision",),
        "The log-determinant is counted once, not once for each sample.",
        operation="multiply",
        also=("scale", "local_derivative"),
    ),
    Bug(
        "quadratic_form_one_side",
        PrecisionMatrix,
        "accumulation",
        ("mu",),
        "Only one of the two uses of the residual in the quadratic form is counted.",
        operation="matmul",
    ),
    Bug(
        "symmetry_assumed",
        PrecisionMatrix,
        "layout",
        ("mu",),
        "The quadratic form's matrix is taken to be symmetric, which it is not.",
        operation="matmul",
        also=("accumulation",),
    ),
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
        "half_kept_in_square",
        HeteroscedasticGaussian,
        "local_derivative",
        ("log_sigma",),
        "The factor 1/2 of the square is kept in its derivative.",
        operation="power",
    ),
    Bug(
        "scatter_about_sample_mean",
        PrecisionMatrix,
        "stale",
        ("precision",),
        "The scatter is taken about the sample mean, not about the parameter.",
        operation="subtract",
        also=("local_derivative",),
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

PROBLEMS = (
    HeteroscedasticGaussian,
    PrecisionMatrix,
    LowerTriangular,
    GaussianProcess,
)
