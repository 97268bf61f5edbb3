"""Likelihoods of regression: of the deviation, and of a precision matrix."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Bug, Params, Problem


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
)

PROBLEMS = (HeteroscedasticGaussian, PrecisionMatrix)
