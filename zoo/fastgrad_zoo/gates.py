"""Recurrent networks with gates: LSTM and GRU."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import sigmoid
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class LSTM(Problem):
    """An LSTM read out from its last state and its last cell."""

    name = "lstm"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 4,
        steps: int = 4,
        features: int = 3,
        hidden: int = 4,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(steps, batch, features))
        self.y = rng.normal(size=batch)
        self.params = {}
        for gate in "ifog":
            shape = (features + hidden, hidden)
            self.params[f"W{gate}"] = rng.normal(size=shape) * 0.6
            self.params[f"b{gate}"] = rng.normal(size=hidden) * 0.3
        self.params["v"] = rng.normal(size=hidden)
        self.params["u"] = rng.normal(size=hidden)

    def forward(self, params: Params) -> tuple[list[tuple[Array, ...]], Array, Array]:
        """Return each step's input, gates and cells, then the last state and cell."""
        h = c = np.zeros((self.x.shape[1], len(params["v"])))
        steps = []
        for x in self.x:
            s = np.concatenate([x, h], axis=1)
            i = sigmoid(s @ params["Wi"] + params["bi"])
            f = sigmoid(s @ params["Wf"] + params["bf"])
            o = sigmoid(s @ params["Wo"] + params["bo"])
            g = np.tanh(s @ params["Wg"] + params["bg"])
            before, c = c, f * c + i * g
            h = o * np.tanh(c)
            steps.append((s, i, f, o, g, before, c))
        return steps, h, c

    def loss(self, params: Params) -> Any:
        """Return half the mean squared error of the readout."""
        _, h, c = self.forward(params)
        return 0.5 * np.mean((h @ params["v"] + c @ params["u"] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        steps, h, c = self.forward(params)
        derror = (h @ params["v"] + c @ params["u"] - self.y) / len(self.y)
        grads = {name: np.zeros_like(value) for name, value in params.items()}
        grads["v"], grads["u"] = h.T @ derror, c.T @ derror
        dh, dc = np.outer(derror, params["v"]), np.outer(derror, params["u"])
        if bug == "last_cell_state_dropped":
            dc = np.zeros_like(dc)
        for s, i, f, o, g, before, cell in reversed(steps):
            t = np.tanh(cell)
            dcell = dc + dh * o * (1 - t**2)
            if bug == "cell_tanh_derivative_missing":
                dcell = dc + dh * o
            df = dcell * before * f * (1 - f)
            if bug == "forget_gate_sigmoid_for_derivative":
                df = dcell * before * f
            read = t
            if bug == "output_gate_reads_previous_cell":
                read = np.tanh(before)
            dgates = {
                "i": dcell * g * i * (1 - i),
                "f": df,
                "o": dh * read * o * (1 - o),
                "g": dcell * i * (1 - g**2),
            }
            ds = np.zeros_like(s)
            for gate, dz in dgates.items():
                grads[f"W{gate}"] += s.T @ dz
                if bug == "output_gate_error_in_three_gates":
                    grads[f"b{gate}"] += np.sum(dgates["o"], axis=0)
                else:
                    grads[f"b{gate}"] += np.sum(dz, axis=0)
                ds += dz @ params[f"W{gate}"].T
            dc = dcell * f
            if bug == "cell_carried_without_forget_gate":
                dc = dcell
            if bug == "cell_path_not_carried":
                dc = np.zeros_like(dc)
            dh = ds[:, self.x.shape[2] :]
            if bug == "state_cut_from_front_of_input":
                dh = ds[:, : h.shape[1]]
            if bug == "state_path_not_carried":
                dh = np.zeros_like(dh)
        if bug == "averaged_over_time":
            for gate in "ifog":
                grads[f"W{gate}"] /= len(steps)
                grads[f"b{gate}"] /= len(steps)
        return grads


class GRU(Problem):
    """A gated recurrent unit over sequences that differ in length."""

    name = "gru"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 4,
        steps: int = 5,
        features: int = 3,
        hidden: int = 4,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(steps, batch, features))
        self.y = rng.normal(size=batch)
        lengths = steps - np.arange(batch) % (steps - 1)
        self.present = (np.arange(steps)[:, None] < lengths).astype(float)
        self.params = {}
        for gate in "zrn":
            self.params[f"W{gate}"] = rng.normal(size=(features, hidden)) * 0.8
            self.params[f"U{gate}"] = rng.normal(size=(hidden, hidden)) * 0.8
            self.params[f"b{gate}"] = rng.normal(size=hidden) * 0.3
        self.params["c"] = rng.normal(size=hidden) * 0.3
        self.params["v"] = rng.normal(size=hidden)

    def forward(self, params: Params) -> tuple[list[tuple[Array, ...]], Array]:
        """Return each step's state before it, gates and candidate; the last state."""
        h = np.zeros((self.x.shape[1], len(params["v"])))
        steps = []
        for x, there in zip(self.x, self.present, strict=True):
            z = sigmoid(x @ params["Wz"] + h @ params["Uz"] + params["bz"])
            r = sigmoid(x @ params["Wr"] + h @ params["Ur"] + params["br"])
            u = h @ params["Un"] + params["c"]
            n = np.tanh(x @ params["Wn"] + params["bn"] + r * u)
            steps.append((h, z, r, u, n))
            there = there.reshape(-1, 1)
            h = there * ((1 - z) * n + z * h) + (1 - there) * h
        return steps, h

    def loss(self, params: Params) -> Any:
        """Return the mean squared error of the readout."""
        return np.mean((self.forward(params)[-1] @ params["v"] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        steps, last = self.forward(params)
        derror = 2 * (last @ params["v"] - self.y) / len(self.y)
        grads = {name: np.zeros_like(value) for name, value in params.items()}
        grads["v"] = last.T @ derror
        dh = np.outer(derror, params["v"])
        for t in reversed(range(len(steps))):
            h, z, r, u, n = steps[t]
            there = self.present[t].reshape(-1, 1)
            if bug == "padded_steps_run_in_backward":
                there = np.ones_like(there)
            dnew, dbefore = there * dh, (1 - there) * dh
            if bug == "padded_steps_stop_gradient":
                dbefore = np.zeros_like(dh)
            dn, dz = dnew * (1 - z), dnew * (h - n)
            direct = dnew * z
            if bug == "update_gate_convention_exchanged":
                dn, dz, direct = dnew * z, dnew * (n - h), dnew * (1 - z)
            if bug == "kept_state_not_carried":
                direct = np.zeros_like(dh)
            inner = dn * (1 - n**2)
            du, dr = inner * r, inner * u
            grads["c"] += np.sum(du, axis=0)
            if bug == "candidate_bias_without_reset":
                grads["c"] += np.sum(inner - du, axis=0)
            into = {"z": dz * z * (1 - z), "r": dr * r * (1 - r), "n": du}
            if bug == "reset_gate_derivative_of_tanh":
                into["r"] = dr * (1 - r**2)
            dh = dbefore + direct
            for gate, dgate in into.items():
                grads[f"U{gate}"] += h.T @ dgate
                if bug == "reset_gate_passes_nothing_back" and gate == "r":
                    continue
                dh = dh + dgate @ params[f"U{gate}"].T
            into["n"] = inner
            for gate, dgate in into.items():
                grads[f"W{gate}"] += self.x[t].T @ dgate
                grads[f"b{gate}"] += np.sum(dgate, axis=0)
        return grads


GATES = tuple(f"{kind}{gate}" for gate in "ifog" for kind in "Wb")


GRU_GATES = (*(f"{kind}{gate}" for gate in "zrn" for kind in "WUb"), "c")


BUGS = (
    Bug(
        "last_cell_state_dropped",
        LSTM,
        "accumulation",
        GATES,
        "What the loss reads from the last cell is not passed back.",
        operation="matmul",
        link="https://github.com/deeplearning4j/deeplearning4j/issues/8838",
    ),
    Bug(
        "cell_tanh_derivative_missing",
        LSTM,
        "local_derivative",
        GATES,
        "The derivative of tanh at the cell is left out.",
        operation="tanh",
    ),
    Bug(
        "forget_gate_sigmoid_for_derivative",
        LSTM,
        "local_derivative",
        GATES,
        "The forget gate's gradient is multiplied by its value, not by its derivative.",
        operation="sigmoid",
        link="https://github.com/CaptainE/RNN-LSTM-in-numpy/issues/1",
    ),
    Bug(
        "output_gate_error_in_three_gates",
        LSTM,
        "layout",
        ("bi", "bf", "bg"),
        "Three gates' bias gradients are computed from the output gate's error.",
        link="https://github.com/lhnguyen102/cuTAGI/issues/77",
    ),
    Bug(
        "cell_path_not_carried",
        LSTM,
        "accumulation",
        GATES,
        "The cell's gradient is not carried to the step before.",
        operation="multiply",
    ),
    Bug(
        "state_path_not_carried",
        LSTM,
        "accumulation",
        GATES,
        "The state's gradient is not carried to the step before.",
        operation="matmul",
        link="https://github.com/CaptainE/RNN-LSTM-in-numpy/issues/1",
    ),
    Bug(
        "averaged_over_time",
        LSTM,
        "scale",
        GATES,
        "The gates' gradients are averaged over the steps, not summed.",
        also=("reduction",),
        link="https://datascience.stackexchange.com/questions/30850/"
        "gradientchecking-can-i-blame-float-precision",
    ),
    Bug(
        "padded_steps_run_in_backward",
        GRU,
        "mask",
        GRU_GATES,
        "The backward pass goes through the cell at steps behind a sequence's end too.",
        operation="multiply",
    ),
    Bug(
        "padded_steps_stop_gradient",
        GRU,
        "mask",
        GRU_GATES,
        "The steps behind a sequence's end do not pass the state's gradient on.",
        operation="multiply",
        also=("accumulation",),
    ),
    Bug(
        "update_gate_convention_exchanged",
        GRU,
        "local_derivative",
        GRU_GATES,
        "The update gate weighs the old state by 1 - z, as other papers write it.",
        operation="multiply",
        also=("layout", "sign"),
    ),
    Bug(
        "kept_state_not_carried",
        GRU,
        "accumulation",
        GRU_GATES,
        "What the update gate keeps of the old state passes no gradient back.",
        operation="multiply",
    ),
    Bug(
        "candidate_bias_without_reset",
        GRU,
        "local_derivative",
        ("c",),
        "The bias inside the reset gate's product gets the gradient outside it.",
        operation="multiply",
        also=("layout",),
    ),
    Bug(
        "reset_gate_derivative_of_tanh",
        GRU,
        "local_derivative",
        GRU_GATES,
        "The reset gate, a sigmoid, has the derivative of tanh.",
        operation="sigmoid",
    ),
    Bug(
        "reset_gate_passes_nothing_back",
        GRU,
        "accumulation",
        GRU_GATES,
        "The old state receives no gradient through the reset gate.",
        operation="matmul",
    ),
    Bug(
        "output_gate_reads_previous_cell",
        LSTM,
        "stale",
        GATES,
        "The output gate's gradient uses the cell before the step, not behind it.",
        operation="multiply",
        also=("local_derivative", "geometry"),
    ),
    Bug(
        "state_cut_from_front_of_input",
        LSTM,
        "layout",
        GATES,
        "The state's gradient is cut from the front, where the input's gradient is.",
        operation="concatenate",
        also=("geometry",),
    ),
    Bug(
        "cell_carried_without_forget_gate",
        LSTM,
        "local_derivative",
        GATES,
        "The cell's gradient is carried back without the factor of the forget gate.",
        operation="multiply",
    ),
)

PROBLEMS = (LSTM, GRU)
