"""Models of statistics with a link function."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import sigmoid
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class LogisticRegression(Problem):
    """Course-style logistic regression, the intercept in a column of ones."""

    name = "logistic_regression"

    def __init__(self, *, seed: int = 0, batch: int = 20, features: int = 24) -> None:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(batch, features))
        self.x = np.concatenate([np.ones((batch, 1)), x], axis=1)
        self.y = rng.integers(2, size=batch)
        self.lam = 2.0
        self.params = {"theta": rng.normal(size=features + 1) * 0.5}

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy plus lambda / 2m without the intercept."""
        theta, m = params["theta"], len(self.y)
        p = sigmoid(self.x @ theta)
        cost = -(self.y @ np.log(p) + (1 - self.y) @ np.log(1 - p)) / m
        return cost + self.lam / (2 * m) * np.sum(theta[1:] ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        theta, m = params["theta"], len(self.y)
        error = sigmoid(self.x @ theta) - self.y
        decay = theta.copy()
        decay[0] = 0
        if bug == "intercept_decay_of_one":
            decay[0] = 1
        if bug == "intercept_regularized":
            decay[0] = theta[0]
        if bug == "wrong_index_not_regularized":
            decay[:2] = theta[0], 0
        if bug == "penalty_off_by_one":
            decay[1:] = theta[:-1]
        if bug == "intercept_zeroed_in_place":
            decay = theta
            decay[1] = 0
        gradient = self.x.T @ error / m
        if bug == "intercept_not_averaged":
            gradient[0] = np.sum(error)
        return {"theta": gradient + self.lam / m * decay}


class PoissonRegression(Problem):
    """Counts with a log link and exposures."""

    name = "poisson_regression"

    def __init__(self, *, seed: int = 0, batch: int = 25, features: int = 20) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features)) / features**0.5
        self.exposure = rng.uniform(0.5, 3, size=batch)
        self.y = rng.poisson(2.0, size=batch)
        self.params = {
            "beta": rng.normal(size=features),
            "intercept": rng.normal(size=1) * 0.3,
        }

    def loss(self, params: Params) -> Any:
        """Return the negative log-likelihood up to a constant."""
        eta = self.x @ params["beta"] + params["intercept"]
        return np.sum(self.exposure * np.exp(eta) - self.y * eta)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        eta = self.x @ params["beta"] + params["intercept"]
        residual = self.exposure * np.exp(eta) - self.y
        if bug == "exp_derivative_missing":
            residual = self.exposure * eta - self.y
        if bug == "exposure_forgotten":
            residual = np.exp(eta) - self.y
        if bug == "exposure_not_logged":
            residual = np.exp(eta + self.exposure) - self.y
        if bug == "working_residual":
            residual = 1 - self.y / (self.exposure * np.exp(eta))
        if bug == "likelihood_maximized":
            residual = -residual
        intercept = np.sum(residual, keepdims=True)
        if bug == "intercept_left_zero":
            intercept = np.zeros(1)
        if bug == "intercept_averaged":
            intercept = np.mean(residual, keepdims=True)
        return {"beta": self.x.T @ residual, "intercept": intercept}


class GroupedCloglog(Problem):
    """Yes/no data with a complementary log-log link and one intercept a group."""

    name = "grouped_cloglog"

    def __init__(self, *, seed: int = 0, batch: int = 30, features: int = 12) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features)) / features**0.5
        self.group = np.arange(batch) % 10
        self.y = rng.integers(2, size=batch)
        self.y[self.group == 0] = 1
        intercept = rng.normal(size=10) * 0.5
        intercept[0] = -42.0  # the probability is far below machine precision
        self.params = {"beta": rng.normal(size=features), "intercept": intercept}

    def rate(self, params: Params) -> Array:
        """Return minus the log-probability of a no."""
        return np.exp(self.x @ params["beta"] + params["intercept"][self.group])

    def loss(self, params: Params) -> Any:
        """Return the mean negative log-likelihood."""
        t = self.rate(params)
        return np.mean((1 - self.y) * t - self.y * np.log(-np.expm1(-t)))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        t = self.rate(params)
        odds = t / np.expm1(t)
        if bug == "tail_cancels":
            p = 1 - np.exp(-t)
            odds = t * np.exp(-t) * np.divide(1, p, out=np.zeros_like(p), where=p > 0)
        if bug == "tail_divided_by_zero":
            odds = t * np.exp(-t) / (1 - np.exp(-t))
        if bug == "log_probability_for_probability":
            odds = t * np.exp(-t)
        deta = ((1 - self.y) * t - self.y * odds) / len(self.y)
        dintercept = np.zeros(10)
        np.add.at(dintercept, self.group, deta)
        if bug == "rows_taken_as_sorted":
            dintercept[:] = 0
            np.add.at(dintercept, np.sort(self.group), deta)
        if bug == "group_averaged":
            dintercept /= np.maximum(np.bincount(self.group, minlength=10), 1)
        if bug == "group_total_overwritten":
            dintercept[self.group] = deta
        return {"beta": self.x.T @ deta, "intercept": dintercept}


BUGS = (
    Bug(
        "intercept_zeroed_in_place",
        LogisticRegression,
        "mutated",
        ("theta",),
        "An alias is zeroed for the penalty, at the wrong index, which changes theta.",
        also=("regularization",),
        link="https://github.com/dibgerge/ml-coursera-python-assignments/issues/45",
    ),
    Bug(
        "intercept_decay_of_one",
        LogisticRegression,
        "regularization",
        ("theta",),
        "The intercept's penalty comes from a column of ones, not of zeros.",
        also=("partial",),
        link="https://github.com/JWarmenhoven/Coursera-Machine-Learning/issues/3",
    ),
    Bug(
        "intercept_regularized",
        LogisticRegression,
        "regularization",
        ("theta",),
        "The gradient penalizes the intercept, the loss does not.",
        also=("partial",),
        link="https://github.com/trekhleb/homemade-machine-learning/pull/63",
    ),
    Bug(
        "wrong_index_not_regularized",
        LogisticRegression,
        "regularization",
        ("theta",),
        "The penalty leaves out index 1 instead of index 0.",
        also=("partial",),
    ),
    Bug(
        "exp_derivative_missing",
        PoissonRegression,
        "local_derivative",
        ("beta", "intercept"),
        "The mean is the linear predictor itself, not its exponential.",
        operation="exp",
    ),
    Bug(
        "exposure_forgotten",
        PoissonRegression,
        "local_derivative",
        ("beta", "intercept"),
        "The expected count lacks the exposure.",
        operation="multiply",
        also=("upstream",),
    ),
    Bug(
        "likelihood_maximized",
        PoissonRegression,
        "sign",
        ("beta", "intercept"),
        "The gradient is that of the log-likelihood, the loss is its negative.",
    ),
    Bug(
        "intercept_left_zero",
        PoissonRegression,
        "zero",
        ("intercept",),
        "The intercept's gradient is never written.",
    ),
    Bug(
        "intercept_averaged",
        PoissonRegression,
        "reduction",
        ("intercept",),
        "The intercept's gradient is averaged, the loss is a sum.",
        operation="add",
        also=("scale",),
    ),
    Bug(
        "tail_cancels",
        GroupedCloglog,
        "precision",
        ("beta", "intercept"),
        "1 - exp(-t) cancels to 0 for small t, and so does the derivative.",
        operation="expm1",
        also=("partial", "local_derivative", "zero"),
        link="https://github.com/jax-ml/jax/issues/39794",
    ),
    Bug(
        "log_probability_for_probability",
        GroupedCloglog,
        "local_derivative",
        ("beta", "intercept"),
        "The derivative of the logarithm, one over the probability, is left out.",
        operation="log",
    ),
    Bug(
        "group_total_overwritten",
        GroupedCloglog,
        "duplicate_index",
        ("intercept",),
        "The last row of a group overwrites the gradients of the others.",
        operation="getitem",
    ),
    Bug(
        "tail_divided_by_zero",
        GroupedCloglog,
        "nonfinite",
        ("beta", "intercept"),
        "1 - exp(-t) cancels to 0 for small t, and is divided by.",
        operation="expm1",
        link="https://github.com/jax-ml/jax/issues/40342",
    ),
    Bug(
        "penalty_off_by_one",
        LogisticRegression,
        "regularization",
        ("theta",),
        "Each coefficient gets the penalty of the one before it.",
        operation="getitem",
        also=("geometry",),
    ),
    Bug(
        "intercept_not_averaged",
        LogisticRegression,
        "scale",
        ("theta",),
        "The intercept's gradient is a sum over samples, all others are averages.",
        operation="divide",
        also=("reduction", "partial"),
    ),
    Bug(
        "exposure_not_logged",
        PoissonRegression,
        "local_derivative",
        ("beta", "intercept"),
        "The exposure itself is added to the predictor, not its logarithm.",
        operation="multiply",
    ),
    Bug(
        "working_residual",
        PoissonRegression,
        "local_derivative",
        ("beta", "intercept"),
        "The residual is divided by the mean, as for reweighted least squares.",
        operation="exp",
        also=("upstream",),
    ),
    Bug(
        "rows_taken_as_sorted",
        GroupedCloglog,
        "layout",
        ("intercept",),
        "The rows are summed as if they were sorted by group.",
        operation="getitem",
        also=("duplicate_index", "geometry"),
    ),
    Bug(
        "group_averaged",
        GroupedCloglog,
        "reduction",
        ("intercept",),
        "The gradient of a group's intercept is averaged over its rows, not summed.",
        operation="getitem",
        also=("scale", "duplicate_index"),
    ),
)

PROBLEMS = (LogisticRegression, PoissonRegression, GroupedCloglog)
