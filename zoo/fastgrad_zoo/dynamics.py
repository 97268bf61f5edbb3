"""Steps of a differential equation, fitted to observations."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


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

    def simulate_in_place(self, params: Params) -> list[tuple[Array, Array]]:
        """Return what `simulate` would if it wrote each state over the last one."""
        a, b, c, d = np.exp(params["log_rates"])
        prey, predator = params["start"]
        path = [(prey, predator)]
        for k in range(self.steps):
            growth = a * prey - b * prey * predator + params["control"][k]
            decline = c * prey * predator - d * predator
            prey += self.dt * growth
            predator += self.dt * decline
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
        if bug == "simulated_in_place":
            path = self.simulate_in_place(params)
        drates, dcontrol = np.zeros(4), np.zeros(self.steps)
        dprey = np.zeros_like(path[0][0])
        dpredator = np.zeros_like(dprey)
        for k in reversed(range(self.steps)):
            prey, predator = path[k]
            seen_prey, seen_predator = self.observed[k]
            last = k == self.steps - 1
            counts = True
            if bug == "last_observation_dropped":
                counts = not last
            if bug == "last_observation_only":
                counts = last
            if counts:
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
            if bug == "control_taken_as_rate":
                dcontrol[k] = np.sum(u * prey)
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
        if bug == "prey_and_predators_exchanged":
            dstart = dstart[::-1].copy()
        dlog = drates * rates
        if bug == "rates_in_place_of_their_logs":
            dlog = drates
        if bug == "controls_off_by_one":
            dcontrol = np.roll(dcontrol, -1)
        return {"log_rates": dlog, "start": dstart, "control": dcontrol}


BUGS = (
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
        "simulated_in_place",
        PopulationFit,
        "mutated",
        ("log_rates", "start", "control"),
        "The states are stepped in place, which changes the initial one.",
        also=("stale",),
    ),
    Bug(
        "last_observation_only",
        PopulationFit,
        "accumulation",
        ("log_rates", "start", "control"),
        "Only the error at the final time is passed back.",
        operation="add",
        also=("partial",),
    ),
    Bug(
        "control_taken_as_rate",
        PopulationFit,
        "local_derivative",
        ("control",),
        "The control's gradient has the factor prey, as if the control were a rate.",
        operation="add",
        also=("upstream",),
    ),
    Bug(
        "prey_and_predators_exchanged",
        PopulationFit,
        "layout",
        ("start",),
        "The initial state's gradient has its two rows in the wrong order.",
    ),
)

PROBLEMS = (PopulationFit,)
