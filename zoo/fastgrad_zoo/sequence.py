"""Recurrent networks without gates."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


class RecurrentNet(Problem):
    """A tanh recurrent network with a target at each step."""

    name = "recurrent_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 4,
        steps: int = 5,
        features: int = 3,
        hidden: int = 6,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(steps, batch, features))
        self.y = rng.normal(size=(steps, batch))
        self.params = {
            "Wx": rng.normal(size=(features, hidden)) / features**0.5,
            "Wh": rng.normal(size=(hidden, hidden)) / hidden**0.5,
            "b": rng.normal(size=hidden) * 0.3,
            "v": rng.normal(size=hidden) / hidden**0.5,
            "c": rng.normal(size=1) * 0.3,
            "h0": rng.normal(size=hidden) * 0.3,
        }
        self.scratch = np.zeros((batch, hidden))

    def forward(self, params: Params) -> tuple[list[Array], list[Array]]:
        """Return the states, from the initial one on, and the predictions."""
        h = params["h0"] + np.zeros((self.x.shape[1], 1))
        states, predictions = [h], []
        for x in self.x:
            h = np.tanh(x @ params["Wx"] + h @ params["Wh"] + params["b"])
            states.append(h)
            predictions.append(h @ params["v"] + params["c"])
        return states, predictions

    def loss(self, params: Params) -> Any:
        """Return the squared errors of all steps, averaged over samples."""
        _, predictions = self.forward(params)
        errors = [
            np.sum((p - y) ** 2) for p, y in zip(predictions, self.y, strict=True)
        ]
        return sum(errors) / self.x.shape[1]

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        steps, n = self.y.shape
        states, predictions = self.forward(params)
        grads = {name: np.zeros_like(value) for name, value in params.items()}
        carried = np.zeros_like(states[0])
        if bug == "carried_buffer_not_cleared":
            carried = self.scratch
        for t in reversed(range(steps)):
            before, h = states[t], states[t + 1]
            derror = 2 * (predictions[t] - self.y[t]) / n
            grads["v"] += h.T @ derror
            grads["c"] += np.sum(derror)
            dh = np.outer(derror, params["v"]) + carried
            if bug == "later_steps_not_carried":
                dh = np.outer(derror, params["v"])
            if bug == "carried_assigned_over" and t < steps - 1:
                dh = carried
            if bug == "truncated_through_time" and t == steps - 3:
                dh = np.outer(derror, params["v"])
            dz = dh * (1 - h**2)
            if bug == "state_derivative_missing":
                dz = dh
            if bug == "carried_added_behind_activation":
                dz = np.outer(derror, params["v"]) * (1 - h**2) + carried
            x = self.x[t]
            if bug == "inputs_indexed_from_the_end":
                x = self.x[steps - 1 - t]
            grads["Wx"] += x.T @ dz
            if bug == "state_of_wrong_step":
                before = h
            if bug == "last_step_overwrites":
                grads["Wh"] *= 0
            grads["Wh"] += before.T @ dz
            grads["b"] += np.sum(dz, axis=0)
            carried = dz @ params["Wh"].T
            if bug == "carried_gradient_clipped":
                carried = np.clip(carried, -0.02, 0.02)
            if bug == "recurrent_weight_not_transposed":
                carried = dz @ params["Wh"]
        grads["h0"] += np.sum(carried, axis=0)
        if bug == "initial_state_without_weight":
            grads["h0"] = np.sum(dz, axis=0)
        self.scratch = carried
        if bug == "initial_state_left_zero":
            grads["h0"] *= 0
        if bug == "initial_state_of_one_sample":
            grads["h0"] = carried[0]
        return grads


BUGS = (
    Bug(
        "later_steps_not_carried",
        RecurrentNet,
        "accumulation",
        ("Wx", "Wh", "b", "h0"),
        "The gradient of a state is taken from its own output, not from later steps.",
        operation="matmul",
        also=("partial",),
        link="https://github.com/qixianbiao/RNN/issues/2",
    ),
    Bug(
        "carried_assigned_over",
        RecurrentNet,
        "accumulation",
        ("Wx", "Wh", "b", "h0"),
        "The gradient from later steps is assigned over that of the step's own output.",
        operation="matmul",
    ),
    Bug(
        "truncated_through_time",
        RecurrentNet,
        "accumulation",
        ("Wx", "Wh", "b", "h0"),
        "The gradient is cut between two steps in the middle of the sequence.",
        operation="matmul",
        also=("partial",),
    ),
    Bug(
        "state_derivative_missing",
        RecurrentNet,
        "local_derivative",
        ("Wx", "Wh", "b", "h0"),
        "The derivative of tanh is left out at each step.",
        operation="tanh",
    ),
    Bug(
        "carried_added_behind_activation",
        RecurrentNet,
        "local_derivative",
        ("Wx", "Wh", "b", "h0"),
        "The gradient from later steps is not multiplied by the derivative of tanh.",
        operation="tanh",
    ),
    Bug(
        "state_of_wrong_step",
        RecurrentNet,
        "geometry",
        ("Wh",),
        "The recurrent weight's gradient uses the new state, not the previous one.",
        operation="matmul",
        also=("stale", "local_derivative"),
    ),
    Bug(
        "last_step_overwrites",
        RecurrentNet,
        "accumulation",
        ("Wh",),
        "Each step assigns the shared weight's gradient instead of adding to it.",
        operation="matmul",
        also=("partial",),
        link="https://github.com/sony/nnabla/pull/532",
    ),
    Bug(
        "recurrent_weight_not_transposed",
        RecurrentNet,
        "layout",
        ("Wx", "Wh", "b", "h0"),
        "The gradient is carried back by the recurrent weight, not its transpose.",
        operation="matmul",
        link="https://github.com/pulp-platform/pulp-trainlib/issues/3",
    ),
    Bug(
        "initial_state_left_zero",
        RecurrentNet,
        "zero",
        ("h0",),
        "The initial state never receives a gradient.",
    ),
    Bug(
        "initial_state_of_one_sample",
        RecurrentNet,
        "reduction",
        ("h0",),
        "The initial state's gradient is that of the first sample, not the sum.",
        operation="add",
        also=("partial",),
    ),
    Bug(
        "carried_buffer_not_cleared",
        RecurrentNet,
        "stale",
        ("Wx", "Wh", "b", "h0"),
        "The buffer of the carried gradient still holds the last call's values.",
        also=("accumulation",),
        link="https://github.com/BVLC/caffe/pull/6186",
        wrong_from_call=2,
    ),
    Bug(
        "carried_gradient_clipped",
        RecurrentNet,
        "clipped",
        ("Wx", "Wh", "b", "h0"),
        "The gradient is clipped to 0.02 as it is carried from step to step.",
        operation="matmul",
    ),
    Bug(
        "inputs_indexed_from_the_end",
        RecurrentNet,
        "geometry",
        ("Wx",),
        "The loop runs backwards in time, but takes the inputs from the first one on.",
        operation="matmul",
        also=("layout",),
    ),
    Bug(
        "initial_state_without_weight",
        RecurrentNet,
        "local_derivative",
        ("h0",),
        "The initial state's gradient is not passed back by the recurrent weight.",
        operation="matmul",
    ),
)

PROBLEMS = (RecurrentNet,)
