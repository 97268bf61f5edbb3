"""The line of the user's gradient code on which a mistake is."""

import copy
import functools
import inspect
import re

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 3))
MLP = {
    "W1": RNG.normal(size=(4, 5)),
    "b1": RNG.normal(size=5),
    "W2": RNG.normal(size=(5, 3)),
    "b2": RNG.normal(size=3),
}
XS = RNG.normal(size=(3, 3, 2))
RNN = {
    "U": RNG.normal(size=(2, 3)),
    "W": RNG.normal(size=(3, 3)) * 0.7,
    "v": RNG.normal(size=3),
}
BEFORE = copy.deepcopy(RNN)


def line_of(mark):
    """The number of the line of this file with a mark at its end."""
    lines = inspect.getsource(inspect.getmodule(line_of)).split("\n")
    (number,) = [k for k, line in enumerate(lines, 1) if line.endswith(f"  # {mark}")]
    return number


# ---- models: each line that may be wrong has the name of its bugs as its mark --------


def mlp_loss(p):
    h = np.tanh(X @ p["W1"] + p["b1"])
    return 0.5 * np.sum((h @ p["W2"] + p["b2"] - Y) ** 2) / len(X)


def functional(p, bugs):
    h = np.tanh(X @ p["W1"] + p["b1"])
    d = (h @ p["W2"] + p["b2"] - Y) / (1 if "mean" in bugs else len(X))  # mean
    back = d @ p["W2"].T
    dz = back * (1 - (h if "slope" in bugs else h**2))  # slope
    dW1 = X.T @ dz * (3 if "weights" in bugs else 1)  # weights
    db1 = np.mean(dz, axis=0) if "bias" in bugs else np.sum(dz, axis=0)  # bias
    return {"W1": dW1, "b1": db1, "W2": h.T @ d, "b2": d.sum(axis=0)}


def affine_back(d, x, W, bugs):
    dW = x.T @ (d**2 if "helper_weights" in bugs else d)  # helper_weights
    db = d.mean(axis=0) if "helper_bias" in bugs else d.sum(axis=0)  # helper_bias
    dx = (d + 1 if "helper_input" in bugs else d) @ W.T  # helper_input
    return dx, dW, db


def with_helpers(p, bugs):
    h = np.tanh(X @ p["W1"] + p["b1"])
    d = (h @ p["W2"] + p["b2"] - Y) / len(X)
    dh, dW2, db2 = affine_back(d, h, p["W2"], bugs)
    dz = dh * (1 - h**2)
    _, dW1, db1 = affine_back(dz, X, p["W1"], bugs)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


class Affine:
    def forward(self, x, W, b):
        self.x, self.W = x, W
        return x @ W + b

    def backward(self, d):
        self.dW, self.db = self.x.T @ d, d.sum(axis=0)
        return d @ self.W.T


class Network:
    def __init__(self):
        self.first, self.second = Affine(), Affine()

    def forward(self, p):
        self.h = np.tanh(self.first.forward(X, p["W1"], p["b1"]))
        return self.second.forward(self.h, p["W2"], p["b2"])

    def gradient(self, p, bugs):
        d = (self.forward(p) - Y) / len(X)
        back = self.second.backward(d)
        slope = 1 + self.h**2 if "class_slope" in bugs else 1 - self.h**2  # class_slope
        self.first.backward(back * slope)
        one, two = self.first, self.second
        return {"W1": one.dW, "b1": one.db, "W2": two.dW, "b2": two.db}


NETWORK = Network()


def with_classes(p, bugs):
    return NETWORK.gradient(p, bugs)


def states(p):
    hs = [np.zeros((3, 3))]
    for x in XS:
        hs.append(np.tanh(x @ p["U"] + hs[-1] @ p["W"]))
    return hs


def rnn_loss(p):
    return np.sum(np.sin(states(p)[-1] @ p["v"]))


def in_a_loop(p, bugs):
    hs = states(p)
    e = np.cos(hs[-1] @ p["v"])
    dU, dW = np.zeros_like(p["U"]), np.zeros_like(p["W"])
    dh = np.outer(e, p["v"] if "seed" not in bugs else p["v"] ** 2)  # seed
    for t in reversed(range(len(XS))):
        da = dh * (1 - hs[t + 1] ** (3 if "loop_slope" in bugs else 2))  # loop_slope
        dU += XS[t].T @ da
        dW += hs[t + 1 if "state" in bugs else t].T @ da  # state
        dh = da @ (p["W"] if "carry" in bugs else p["W"].T)  # carry
    return {"U": dU, "W": dW, "v": hs[-1].T @ e}


MODELS = {
    functional: (mlp_loss, MLP, ["mean", "slope", "weights", "bias"]),
    with_helpers: (mlp_loss, MLP, ["helper_weights", "helper_bias", "helper_input"]),
    with_classes: (mlp_loss, MLP, ["class_slope"]),
    in_a_loop: (rnn_loss, RNN, ["seed", "loop_slope", "state", "carry"]),
}
BUGS = [(code, bug) for code, (_, _, bugs) in MODELS.items() for bug in bugs]


@functools.cache
def report_on(code, *bugs):
    loss, params, _ = MODELS[code]
    return fg.check_gradient(loss, params, lambda p: code(p, bugs))


def told(report):
    """The lines that each cause says may be wrong."""
    for cause in report.causes:
        parts = re.findall(
            r"in (?:or behind )?(lines? [^`]*?) of your gradient code", cause.message
        )
        yield {int(n) for part in parts for n in re.findall(r"\d+", part)}


@pytest.mark.parametrize(("code", "bug"), BUGS)
def test_the_line_is_told(code, bug):
    report = report_on(code, bug)
    assert report.verdict == "wrong"
    assert all(line_of(bug) in lines for lines in told(report))


@pytest.mark.parametrize("code", MODELS)
def test_nothing_is_blamed_in_a_right_gradient(code):
    report = report_on(code)
    assert report.verdict == "correct"
    assert report.causes == ()


@pytest.mark.parametrize(
    ("code", "one", "two"),
    [
        (functional, "slope", "weights"),
        (functional, "slope", "bias"),
        (with_helpers, "helper_weights", "helper_input"),
    ],
)
def test_two_mistakes_in_a_block_are_both_located(code, one, two):
    lines = set().union(*told(report_on(code, one, two)))
    assert {line_of(one), line_of(two)} <= lines


def test_the_other_block_tells_two_mistakes_apart():
    """That of the bias has the first one only."""
    causes = report_on(functional, "slope", "weights").causes
    text = " ".join(cause.message for cause in causes)
    assert f"in line {line_of('slope')} of your" in text
    assert f"in line {line_of('weights')} of your" in text


def test_what_is_missing_is_behind_a_right_value():
    def grads(p):
        h = np.tanh(X @ p["W1"] + p["b1"])
        d = (h @ p["W2"] + p["b2"] - Y) / len(X)
        dz = d @ p["W2"].T  # the slope is missing behind this
        return {"W1": X.T @ dz, "b1": dz.sum(0), "W2": h.T @ d, "b2": d.sum(0)}

    (cause,) = fg.check_gradient(mlp_loss, MLP, grads).causes
    line = line_of("the slope is missing behind this")
    assert f"in or behind line {line} of your gradient code" in cause.message


def test_the_line_of_a_loss_that_returns_its_gradient_too():
    def both(p):
        return mlp_loss(p), functional(p, ["weights"])

    (cause,) = fg.check_gradient(both, MLP).causes
    assert f"line {line_of('weights')} of your gradient code" in cause.message


def test_the_line_of_code_with_further_arguments():
    def loss(p, bugs):
        return mlp_loss(p)

    (cause,) = fg.check_gradient(loss, MLP, functional, args=(["bias"],)).causes
    assert f"line {line_of('bias')} of your gradient code" in cause.message


def test_code_that_cannot_be_read_is_not_blamed():
    report = fg.check_gradient(mlp_loss, MLP, functional(MLP, ["slope"]))
    assert "of your gradient code" not in report.causes[0].message


def test_what_a_model_keeps_is_its_own_again():
    report_on(with_classes, "class_slope")
    assert type(NETWORK.h) is np.ndarray
    assert type(NETWORK.first.dW) is np.ndarray
    right = functional(MLP, ())
    assert all(np.allclose(with_classes(MLP, ())[k], v) for k, v in right.items())


def test_parameters_are_untouched():
    report_on(in_a_loop, "carry")
    assert all(np.array_equal(RNN[k], v) for k, v in BEFORE.items())


def passed_on(function):
    return function


ROWS = np.array([0, 1, 1, 3, 0])
TARGET = RNG.normal(size=(5, 3))


def embedding_loss(p):
    return np.sum((np.tanh(p["E"][ROWS]) - TARGET) ** 2)


def embedding_slopes(p):
    h = np.tanh(p["E"][ROWS])
    return 2 * (h - TARGET) * (1 - h**2)


@passed_on
def written_once(p):
    d = embedding_slopes(p)
    dE = np.zeros((4, 3))
    dE[ROWS] += d  # written once
    return {"E": dE}


@passed_on
def written_early_in_loops(p):
    d = embedding_slopes(p)
    dE = np.zeros((4, 3))
    for k in range(4):
        dE[ROWS[k]] += d[k]  # written early
    return {"E": dE}


@pytest.mark.parametrize(
    ("grads", "mark"),
    [(written_once, "written once"), (written_early_in_loops, "written early")],
)
def test_what_is_written_piece_by_piece_is_of_the_lines_that_write(grads, mark):
    """Not of the one on which the function begins."""
    params = {"E": RNG.normal(size=(4, 3))}
    message = fg.check_gradient(embedding_loss, params, grads).causes[0].message
    assert f"in line {line_of(mark)} of your gradient code" in message


NET = {"A": RNG.normal(size=(4, 4)) / 2, "c": RNG.normal(size=4)}
GOAL = RNG.normal(size=(6, 4))


def net_loss(p):
    return np.mean((np.tanh(X @ p["A"] + p["c"]) - GOAL) ** 2)


def sample_by_sample(p, begin=np.zeros_like, stop=None, back=0):
    """With another beginning, an early end, and slopes of the sample before."""
    h = np.tanh(X @ p["A"] + p["c"])
    d = {name: begin(value) for name, value in p.items()}
    for i in range(6):
        e = 2 * (h[i] - GOAL[i]) / GOAL.size
        dz = e * (1 - h[i - back] ** 2)
        d["A"] += np.outer(X[i], dz)
        d["c"] += dz
        if i == stop:
            break
    return d


@pytest.mark.parametrize(
    ("mistake", "codes", "said"),
    [
        ({"begin": np.ones_like}, {"accumulation"}, "every entry is off by 1,"),
        ({"begin": lambda x: x * 0 - 0.5}, {"accumulation"}, "entry is off by -0.5,"),
        ({"stop": 3}, {"partial", "geometry"}, "used only at 0:4 along axis 0"),
        ({"back": 1}, {"geometry"}, "is used where another one is due"),
    ],
)
def test_loops_that_begin_end_or_read_elsewhere(mistake, codes, said):
    report = fg.check_gradient(net_loss, NET, lambda p: sample_by_sample(p, **mistake))
    assert report.causes[0].code in codes
    assert said in report.causes[0].message
    assert not any("moved by" in cause.message for cause in report.causes)
    assert fg.check_gradient(net_loss, NET, sample_by_sample).ok


def test_long_lines_are_quoted_in_part():
    # fmt: off
    grads = lambda p: {"W": np.cos(p["W"] * X) * X * 3, "unused": (0, "and a line that is very long")}["W"]  # noqa: E731
    # fmt: on
    loss = lambda p: np.sum(np.sin(p["W"] * X))  # noqa: E731
    report = fg.check_gradient(loss, {"W": X}, lambda p: {"W": grads(p)})
    assert '`grads = lambda p: {"W": np.cos' in report.causes[0].message
    assert "very long" not in str(report)
