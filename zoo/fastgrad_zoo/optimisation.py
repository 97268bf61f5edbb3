"""Objectives of optimisation, one vector of parameters each."""

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
)

PROBLEMS = (Rosenbrock, HangingChain, Rastrigin)
