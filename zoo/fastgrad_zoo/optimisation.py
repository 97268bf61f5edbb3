"""Test functions of optimisation."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Bug, Params, Problem


class Rosenbrock(Problem):
    """Rosenbrock's function of many coordinates."""

    name = "rosenbrock"
    batched = False

    def __init__(self, *, seed: int = 0, size: int = 20) -> None:
        rng = np.random.default_rng(seed)
        self.params = {"x": rng.normal(size=size)}

    def loss(self, params: Params) -> Any:
        """Return the value."""
        x = params["x"]
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        x = params["x"]
        valley = x[1:] - x[:-1] ** 2
        g = np.zeros_like(x)
        g[:-1] = -400 * x[:-1] * valley - 2 * (1 - x[:-1])
        if bug == "inner_derivative_missing":
            g[:-1] = -200 * valley - 2 * (1 - x[:-1])
        if bug == "linear_term_sign":
            g[:-1] = -400 * x[:-1] * valley + 2 * (1 - x[:-1])
        if bug == "neighbour_forgotten":
            return {"x": g}
        if bug == "neighbour_shifted":
            g[:-1] += 200 * valley
            return {"x": g}
        g[1:] += 200 * valley
        if bug == "last_term_left_out":
            g[-2:] = 200 * valley[-2], 0
        if bug == "last_coordinate_forgotten":
            g[-1] = 0
        if bug == "written_into_integers":
            g = np.trunc(g)
        return {"x": g}


class HangingChain(Problem):
    """An energy of hyperbolic cosines of the slopes of a chain."""

    name = "hanging_chain"
    batched = False

    def __init__(self, *, seed: int = 0, size: int = 24) -> None:
        rng = np.random.default_rng(seed)
        self.weight = rng.uniform(0.5, 1.5, size=size)
        self.params = {
            "slope": rng.normal(size=size),
            "height": rng.normal(size=size) * 0.5,
        }

    def loss(self, params: Params) -> Any:
        """Return the energy."""
        bend = np.sum(self.weight * np.cosh(params["slope"]))
        return bend + np.sum(np.sinh(params["height"]) ** 2) / 2

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        slope, height = params["slope"], params["height"]
        dslope = self.weight * np.sinh(slope)
        if bug == "cosh_derivative_sign":
            dslope = self.weight * -np.sinh(slope)
        if bug == "weights_missing":
            dslope = np.sinh(slope)
        dheight = np.sinh(height) * np.cosh(height)
        if bug == "half_of_energy_forgotten":
            dheight = 2 * np.sinh(height) * np.cosh(height)
        if bug == "power_rule_without_inner":
            dheight = np.sinh(height)
        return {"slope": dslope, "height": dheight}


class Rastrigin(Problem):
    """Rastrigin's function, many waves on a bowl."""

    name = "rastrigin"
    batched = False

    def __init__(self, *, seed: int = 0, size: int = 30) -> None:
        rng = np.random.default_rng(seed)
        self.params = {"x": rng.normal(size=size)}
        self.first_point = self.params["x"] - 0.05 * rng.normal(size=size)

    def loss(self, params: Params) -> Any:
        """Return the value."""
        x = params["x"]
        return 10 * x.size + np.sum(x**2 - 10 * np.cos(2 * np.pi * x))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        x = params["x"]
        if bug == "gradient_of_first_call":
            x = self.first_point
        wave = 20 * np.pi * np.sin(2 * np.pi * x)
        if bug == "wave_amplitude_missing":
            wave = 2 * np.pi * np.sin(2 * np.pi * x)
        if bug == "cosine_derivative_sign":
            wave = -wave
        if bug == "cosine_inner_derivative_missing":
            wave = 10 * np.sin(2 * np.pi * x)
        if bug == "cosine_for_sine":
            wave = 20 * np.pi * np.cos(2 * np.pi * x)
        return {"x": 2 * x + wave}


class GramMatching(Problem):
    """A matrix whose Gram matrix is to match a target, which need not be symmetric."""

    name = "gram_matching"
    batched = False

    def __init__(self, *, seed: int = 0, size: int = 6, width: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.target = rng.normal(size=(size, size))
        self.quadratic = rng.normal(size=(size, size))
        self.params = {
            "X": rng.normal(size=(size, width)),
            "y": rng.normal(size=size),
        }

    def loss(self, params: Params) -> Any:
        """Return the squared mismatch plus a quadratic form, not a symmetric one."""
        x, y = params["X"], params["y"]
        mismatch = x @ x.T - self.target
        return np.sum(mismatch * mismatch) + y @ self.quadratic @ y

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        x, y = params["X"], params["y"]
        dgram = 2 * (x @ x.T - self.target)
        if bug == "diagonal_of_gram_ignored":
            dgram = dgram * (1 - np.eye(len(x)))
        dx = dgram @ x + dgram.T @ x
        if bug == "transposed_use_missing":
            dx = dgram @ x
        if bug == "gram_symmetry_assumed":
            dx = 2 * dgram @ x
        dy = self.quadratic @ y + self.quadratic.T @ y
        if bug == "diagonal_of_form_counted_once":
            dy = dy - np.diag(self.quadratic) * y
        if bug == "quadratic_form_half":
            dy = self.quadratic @ y
        if bug == "quadratic_form_of_transpose_twice":
            dy = 2 * self.quadratic.T @ y
        return {"X": dx, "y": dy}


class SmoothedObjective(Problem):
    """A bumpy function averaged over Gaussian perturbations of its argument."""

    name = "smoothed_objective"

    def __init__(self, *, seed: int = 0, batch: int = 16, size: int = 20) -> None:
        rng = np.random.default_rng(seed)
        self.noise = rng.normal(size=(batch, size))
        self.sigma = 0.3
        self.params = {"theta": rng.normal(size=size)}
        self.redrawn = rng.normal(size=(batch, size))

    def loss(self, params: Params) -> Any:
        """Return the average value at the perturbed points."""
        points = params["theta"] + self.sigma * self.noise
        return np.mean(np.sum(points**4 / 4 - np.sin(3 * points), axis=1))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        points = params["theta"] + self.sigma * self.noise
        slopes = points**3 - 3 * np.cos(3 * points)
        if bug == "inner_factor_three_missing":
            slopes = points**3 - np.cos(3 * points)
        if bug == "perturbations_redrawn":
            points = params["theta"] + self.sigma * self.redrawn
            slopes = points**3 - 3 * np.cos(3 * points)
        if bug == "sampled_at_the_centre":
            slopes = params["theta"] ** 3 - 3 * np.cos(3 * params["theta"])
            slopes = slopes * np.ones_like(points)
        g = np.mean(slopes, axis=0)
        if bug == "perturbation_scale_in_gradient":
            g = self.sigma * np.mean(slopes, axis=0)
        if bug == "one_draw_in_gradient":
            g = slopes[0]
        return {"theta": g}


BUGS = (
    Bug(
        "inner_derivative_missing",
        Rosenbrock,
        "local_derivative",
        ("x",),
        "The derivative of the inner square is left out.",
        operation="power",
    ),
    Bug(
        "linear_term_sign",
        Rosenbrock,
        "local_derivative",
        ("x",),
        "The term (1 - x)^2 contributes with the wrong sign.",
        operation="subtract",
        also=("sign",),
    ),
    Bug(
        "neighbour_forgotten",
        Rosenbrock,
        "accumulation",
        ("x",),
        "The use of a coordinate in its predecessor's term is left out.",
        operation="getitem",
    ),
    Bug(
        "neighbour_shifted",
        Rosenbrock,
        "geometry",
        ("x",),
        "The gradient of the slice x[1:] is written to x[:-1].",
        operation="getitem",
    ),
    Bug(
        "last_coordinate_forgotten",
        Rosenbrock,
        "partial",
        ("x",),
        "The last coordinate's gradient is never written.",
        operation="getitem",
        also=("geometry", "zero"),
    ),
    Bug(
        "cosh_derivative_sign",
        HangingChain,
        "sign",
        ("slope",),
        "The derivative of cosh is taken as -sinh.",
        operation="cosh",
        also=("local_derivative",),
        link="https://github.com/casadi/casadi/issues/2585",
    ),
    Bug(
        "weights_missing",
        HangingChain,
        "local_derivative",
        ("slope",),
        "The weights of the sum are left out.",
        operation="multiply",
        also=("upstream",),
    ),
    Bug(
        "power_rule_without_inner",
        HangingChain,
        "local_derivative",
        ("height",),
        "The derivative of sinh inside the square is left out.",
        operation="sinh",
    ),
    Bug(
        "cosine_derivative_sign",
        Rastrigin,
        "local_derivative",
        ("x",),
        "The derivative of cos is taken as sin.",
        operation="cos",
        also=("sign",),
        link="https://github.com/jax-ml/jax/issues/3213",
    ),
    Bug(
        "cosine_inner_derivative_missing",
        Rastrigin,
        "local_derivative",
        ("x",),
        "The factor 2 pi inside the cosine is left out.",
        operation="multiply",
    ),
    Bug(
        "cosine_for_sine",
        Rastrigin,
        "local_derivative",
        ("x",),
        "The derivative of cos is taken as -cos.",
        operation="cos",
    ),
    Bug(
        "gradient_of_first_call",
        Rastrigin,
        "stale",
        ("x",),
        "The gradient was cached at the point of the first call and is returned again.",
        link="https://github.com/bshillingford/autobw.torch/pull/7",
    ),
    Bug(
        "transposed_use_missing",
        GramMatching,
        "accumulation",
        ("X",),
        "Of the two uses of X in X X^T only the first is counted.",
        operation="matmul",
        link="https://github.com/NervanaSystems/neon/issues/169",
    ),
    Bug(
        "gram_symmetry_assumed",
        GramMatching,
        "layout",
        ("X",),
        "The Gram matrix's gradient is taken to be symmetric, which it is not.",
        operation="matmul",
        also=("accumulation",),
    ),
    Bug(
        "quadratic_form_half",
        GramMatching,
        "accumulation",
        ("y",),
        "Of the two uses of y in y^T A y only one is counted.",
        operation="matmul",
    ),
    Bug(
        "quadratic_form_of_transpose_twice",
        GramMatching,
        "layout",
        ("y",),
        "The quadratic form's matrix is taken to be symmetric, which it is not.",
        operation="matmul",
        also=("accumulation",),
    ),
    Bug(
        "sampled_at_the_centre",
        SmoothedObjective,
        "stale",
        ("theta",),
        "The gradient is taken at theta itself, not at the perturbed points.",
        operation="add",
        also=("local_derivative",),
    ),
    Bug(
        "perturbation_scale_in_gradient",
        SmoothedObjective,
        "scale",
        ("theta",),
        "The gradient is multiplied by the size of the perturbations.",
        operation="multiply",
        link="https://github.com/google-deepmind/optax/issues/1308",
    ),
    Bug(
        "one_draw_in_gradient",
        SmoothedObjective,
        "partial",
        ("theta",),
        "The gradient is that of the first perturbation alone.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "written_into_integers",
        Rosenbrock,
        "precision",
        ("x",),
        "The gradient is written into an array of integers, without its fractions.",
        subtle=True,
    ),
    Bug(
        "last_term_left_out",
        Rosenbrock,
        "geometry",
        ("x",),
        "The loop over pairs of neighbours ends one pair too early.",
        operation="getitem",
        also=("partial", "accumulation"),
    ),
    Bug(
        "half_of_energy_forgotten",
        HangingChain,
        "scale",
        ("height",),
        "The division of the squares by 2 is left out.",
        operation="divide",
        also=("local_derivative",),
    ),
    Bug(
        "wave_amplitude_missing",
        Rastrigin,
        "local_derivative",
        ("x",),
        "The factor 10 in front of the cosine is left out.",
        operation="multiply",
        also=("upstream",),
    ),
    Bug(
        "diagonal_of_gram_ignored",
        GramMatching,
        "mask",
        ("X",),
        "The Gram matrix's diagonal, though the loss has it, receives no gradient.",
        operation="multiply",
        also=("partial", "accumulation"),
    ),
    Bug(
        "diagonal_of_form_counted_once",
        GramMatching,
        "accumulation",
        ("y",),
        "The form's diagonal counts once, as if it had no square in it.",
        operation="matmul",
        also=("local_derivative", "layout"),
    ),
    Bug(
        "inner_factor_three_missing",
        SmoothedObjective,
        "local_derivative",
        ("theta",),
        "The factor 3 inside the sine is left out.",
        operation="multiply",
    ),
    Bug(
        "perturbations_redrawn",
        SmoothedObjective,
        "stale",
        ("theta",),
        "The gradient is taken at newly drawn perturbations.",
        operation="add",
        also=("local_derivative",),
    ),
)

PROBLEMS = (
    Rosenbrock,
    HangingChain,
    Rastrigin,
    GramMatching,
    SmoothedObjective,
)
