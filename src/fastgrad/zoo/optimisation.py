"""Test functions of optimisation, and unknowns inside a simulated system."""

from typing import Any

import numpy as np

from fastgrad.zoo._registry import Array, Bug, Params, Problem


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
        dx = dgram @ x + dgram.T @ x
        if bug == "transposed_use_missing":
            dx = dgram @ x
        if bug == "gram_symmetry_assumed":
            dx = 2 * dgram @ x
        dy = self.quadratic @ y + self.quadratic.T @ y
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

    def loss(self, params: Params) -> Any:
        """Return the average value at the perturbed points."""
        points = params["theta"] + self.sigma * self.noise
        return np.mean(np.sum(points**4 / 4 - np.sin(3 * points), axis=1))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        points = params["theta"] + self.sigma * self.noise
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


class ProductOfFactors(Problem):
    """Survival curves: cumulative products of factors, one of which is zero."""

    name = "product_of_factors"

    def __init__(self, *, seed: int = 0, batch: int = 5, steps: int = 6) -> None:
        rng = np.random.default_rng(seed)
        self.target = rng.uniform(size=(batch, steps))
        factors = rng.uniform(0.5, 1.5, size=(batch, steps))
        factors[0, 3] = 0.0
        self.params = {"factors": factors}

    def loss(self, params: Params) -> Any:
        """Return the squared error of the cumulative products."""
        curve = np.cumprod(params["factors"], axis=1)
        return np.sum((curve - self.target) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        factors = params["factors"]
        curve = np.cumprod(factors, axis=1)
        dcurve = 2 * (curve - self.target)
        if bug == "product_divided_by_factor":
            return {"factors": _sum_from(dcurve * curve) / factors}
        if bug == "product_divided_where_not_zero":
            safe = np.where(factors == 0, np.inf, factors)
            return {"factors": _sum_from(dcurve * curve) / safe}
        before = np.ones_like(factors)
        before[:, 1:] = curve[:, :-1]
        later = dcurve.copy()
        for k in reversed(range(factors.shape[1] - 1)):
            later[:, k] += later[:, k + 1] * factors[:, k + 1]
        if bug == "own_step_only":
            later = dcurve
        return {"factors": before * later}


def _sum_from(x: Array) -> Array:
    """Sum each row from each column to its end."""
    return np.cumsum(x[:, ::-1], axis=1)[:, ::-1]


class BroadcastMax(Problem):
    """Each row's maximum is added back to the whole row."""

    name = "broadcast_max"

    def __init__(self, *, seed: int = 0, batch: int = 6, size: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.weight = rng.normal(size=(batch, size))
        self.params = {
            "x": rng.normal(size=(batch, size)),
            "temperature": rng.uniform(1, 2, size=1),
        }

    def loss(self, params: Params) -> Any:
        """Return a weighted sum of tanh((x + max x) / temperature)."""
        x = params["x"]
        total = (x + np.max(x, axis=1, keepdims=True)) / params["temperature"]
        return np.sum(self.weight * np.tanh(total))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        x, temperature = params["x"], params["temperature"]
        top = np.max(x, axis=1, keepdims=True)
        total = (x + top) / temperature
        dtotal = self.weight * (1 - np.tanh(total) ** 2)
        dtemperature = np.sum(dtotal * -total / temperature, keepdims=True).reshape(1)
        if bug == "temperature_of_one_row":
            dtemperature = np.sum(dtotal * -total / temperature, axis=1)[:1]
        dsum = dtotal / temperature
        dtop = np.sum(dsum, axis=1, keepdims=True)
        if bug == "max_upstream_not_reduced":
            dtop = dsum
        if bug == "max_detached":
            dtop = np.zeros_like(dtop)
        winner = x == top
        if bug == "winner_of_whole_array":
            winner = x == np.max(x)
        return {"x": dsum + winner * dtop, "temperature": dtemperature}


class PopulationFit(Problem):
    """Predators and prey by explicit Euler steps, fitted to observations."""

    name = "population_fit"

    def __init__(self, *, seed: int = 0, batch: int = 6, steps: int = 8) -> None:
        rng = np.random.default_rng(seed)
        self.steps, self.dt = steps, 0.1
        self.observed = rng.uniform(0.5, 2, size=(steps, 2, batch))
        self.params = {
            "log_rates": rng.normal(size=4) * 0.3,
            "start": rng.uniform(0.5, 2, size=(2, batch)),
            "control": rng.normal(size=steps) * 0.5,
        }

    def simulate(self, params: Params) -> list[tuple[Array, Array]]:
        """Return prey and predators at all times, the initial one included."""
        a, b, c, d = np.exp(params["log_rates"])
        prey, predator = params["start"]
        path = [(prey, predator)]
        for k in range(self.steps):
            growth = a * prey - b * prey * predator + params["control"][k]
            decline = c * prey * predator - d * predator
            prey, predator = prey + self.dt * growth, predator + self.dt * decline
            path.append((prey, predator))
        return path

    def loss(self, params: Params) -> Any:
        """Return the squared errors at all observed times."""
        path = self.simulate(params)[1:]
        total = 0
        for (prey, predator), seen in zip(path, self.observed, strict=True):
            total = total + np.sum((prey - seen[0]) ** 2 + (predator - seen[1]) ** 2)
        return total

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient, by the adjoint recursion."""
        a, b, c, d = rates = np.exp(params["log_rates"])
        path = self.simulate(params)
        drates, dcontrol = np.zeros(4), np.zeros(self.steps)
        dprey = np.zeros_like(path[0][0])
        dpredator = np.zeros_like(dprey)
        for k in reversed(range(self.steps)):
            prey, predator = path[k]
            seen_prey, seen_predator = self.observed[k]
            if bug != "last_observation_dropped" or k < self.steps - 1:
                dprey = dprey + 2 * (path[k + 1][0] - seen_prey)
                dpredator = dpredator + 2 * (path[k + 1][1] - seen_predator)
            if bug == "state_of_next_step":
                prey, predator = path[k + 1]
            u, w = self.dt * dprey, self.dt * dpredator
            both = prey * predator
            drates += [
                np.sum(u * prey),
                -np.sum(u * both),
                np.sum(w * both),
                -np.sum(w * predator),
            ]
            dcontrol[k] = np.sum(u)
            if bug == "time_step_missing":
                dcontrol[k] = np.sum(dprey)
            to_prey = u * (a - b * predator) + w * c * predator
            to_predator = -u * b * prey + w * (c * prey - d)
            if bug == "coupling_dropped":
                to_prey = u * (a - b * predator)
            if bug == "adjoint_sign":
                to_prey, to_predator = -to_prey, -to_predator
            dprey, dpredator = dprey + to_prey, dpredator + to_predator
        dstart = np.array([dprey, dpredator])
        if bug == "start_detached":
            dstart = np.zeros_like(dstart)
        dlog = drates * rates
        if bug == "rates_in_place_of_their_logs":
            dlog = drates
        if bug == "controls_off_by_one":
            dcontrol = np.roll(dcontrol, -1)
        return {"log_rates": dlog, "start": dstart, "control": dcontrol}


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
        "product_divided_by_factor",
        ProductOfFactors,
        "nonfinite",
        ("factors",),
        "The product is divided by each factor, and one of them is zero.",
        operation="cumprod",
        link="https://github.com/tensorflow/tensorflow/issues/3862",
    ),
    Bug(
        "product_divided_where_not_zero",
        ProductOfFactors,
        "partial",
        ("factors",),
        "The division by a factor of zero is avoided by returning zero.",
        operation="cumprod",
        also=("zero",),
        link="https://github.com/tensorflow/tensorflow/issues/119430",
    ),
    Bug(
        "own_step_only",
        ProductOfFactors,
        "accumulation",
        ("factors",),
        "A factor's later uses in the cumulative product are left out.",
        operation="cumprod",
    ),
    Bug(
        "max_upstream_not_reduced",
        BroadcastMax,
        "reduction",
        ("x",),
        "The maximum's gradient is not summed over the row it was broadcast to.",
        operation="max",
        link="https://github.com/NervanaSystems/neon/issues/170",
    ),
    Bug(
        "max_detached",
        BroadcastMax,
        "accumulation",
        ("x",),
        "The maximum passes nothing back.",
        operation="max",
    ),
    Bug(
        "winner_of_whole_array",
        BroadcastMax,
        "mask",
        ("x",),
        "Only the row with the largest maximum passes its gradient back.",
        operation="max",
        also=("reduction",),
    ),
    Bug(
        "temperature_of_one_row",
        BroadcastMax,
        "reduction",
        ("temperature",),
        "The scalar's gradient is that of the first row.",
        operation="divide",
        also=("partial",),
    ),
    Bug(
        "last_observation_dropped",
        PopulationFit,
        "accumulation",
        ("log_rates", "start", "control"),
        "The error at the final time is not passed back.",
        operation="add",
        also=("partial",),
        link="https://github.com/SciML/SciMLSensitivity.jl/pull/549",
    ),
    Bug(
        "state_of_next_step",
        PopulationFit,
        "stale",
        ("log_rates", "start", "control"),
        "The adjoint uses the states one step later.",
        also=("geometry", "local_derivative"),
    ),
    Bug(
        "time_step_missing",
        PopulationFit,
        "scale",
        ("control",),
        "The controls' gradient lacks the factor dt.",
        operation="multiply",
        also=("local_derivative",),
    ),
    Bug(
        "coupling_dropped",
        PopulationFit,
        "accumulation",
        ("log_rates", "start", "control"),
        "The predators' dependence on the prey is left out of the adjoint.",
        operation="multiply",
        also=("cross_term",),
    ),
    Bug(
        "adjoint_sign",
        PopulationFit,
        "local_derivative",
        ("log_rates", "start", "control"),
        "The adjoint is stepped with the wrong sign.",
        also=("sign",),
    ),
    Bug(
        "start_detached",
        PopulationFit,
        "zero",
        ("start",),
        "The initial state receives no gradient.",
    ),
    Bug(
        "rates_in_place_of_their_logs",
        PopulationFit,
        "reparametrized",
        ("log_rates",),
        "The gradient is that of the rates, not of their logarithms.",
        operation="exp",
        also=("local_derivative",),
    ),
    Bug(
        "controls_off_by_one",
        PopulationFit,
        "geometry",
        ("control",),
        "Each control receives the next one's gradient.",
        operation="getitem",
        also=("layout",),
    ),
    Bug(
        "written_into_integers",
        Rosenbrock,
        "precision",
        ("x",),
        "The gradient is written into an array of integers, without its fractions.",
        subtle=True,
    ),
)

PROBLEMS = (
    Rosenbrock,
    HangingChain,
    Rastrigin,
    GramMatching,
    SmoothedObjective,
    ProductOfFactors,
    BroadcastMax,
    PopulationFit,
)
