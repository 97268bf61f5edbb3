"""Naming: a variable in all its uses, or elements where they are not due."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(12)
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
OTHER = np.tanh(RNG.normal(size=(6, 3)))
ROWS, COLUMNS = RNG.integers(0, 4, size=6), np.arange(6) % 4
BAR = np.triu(np.ones((6, 6)), 1)
SQUARE = {k: RNG.normal(size=(3, 3)) / 2 for k in "UVW"}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gated(wrong):
    """Gates in a loop: what a line reads, exchanged, or of the turn after."""

    def run(p):
        h, tape = np.zeros(3), []
        for x in X[:4]:
            u, v = np.tanh(x @ p["U"] + h), sigmoid(x @ p["V"])
            tape.append((h, u, v))
            h = 0.5 * h + u * v
        return h, tape

    def loss(p):
        return np.sum(run(p)[0] ** 2)

    def grads(p):
        h, tape = run(p)
        g, d = {k: np.zeros((3, 3)) for k in "UV"}, 2 * h
        after = [one[1:] for one in tape[1:]] + [tape[-1][1:]]
        for t in range(3, -1, -1):
            _, u, v = tape[t]
            du, dv = d * v, d * u
            if wrong == "exchanged":
                du, dv = d * u, d * v
            w = after[t][1] if wrong == "of another turn" else v
            du, dv = du * (1 - u**2), dv * (w * (1 - w))
            g["U"] += np.outer(X[t], du)
            g["V"] += np.outer(X[t], dv)
            d = 0.5 * d + du
        return g

    return loss, {k: SQUARE[k] for k in "UV"}, grads


def layers(wrong):
    """Two layers, of which a value is that of an earlier call."""

    def loss(p):
        return np.sum((np.tanh(X @ p["U"]) @ p["V"] - Y) ** 2)

    def grads(p):
        h = OTHER if wrong == "cached" else np.tanh(X @ p["U"])
        d = 2 * (h @ p["V"] - Y)
        return {"U": X.T @ (d @ p["V"].T * (1 - h**2)), "V": h.T @ d}

    return loss, {k: SQUARE[k] for k in "UV"}, grads


def table(wrong):
    """Rows that are taken, and written back elsewhere, or in another order."""

    def loss(p):
        return np.sum(np.sin(p["E"][ROWS]) * X)

    def grads(p):
        d, dE = np.cos(p["E"][ROWS]) * X, np.zeros((4, 3))
        if wrong == "in another order":
            d = d.reshape(3, 6).T.reshape(6, 3)
        np.add.at(dE, COLUMNS if wrong == "written elsewhere" else ROWS, d)
        return {"E": dE}

    return loss, {"E": RNG.normal(size=(4, 3))}, grads


def attention(wrong, bar=-np.inf):
    """Causal weights, computed again for the gradient."""
    future = np.where(BAR > 0, bar, 0.0)

    def loss(p):
        return np.sum((softmax(X @ p["U"] @ X.T + future) @ Y) ** 2)

    def grads(p):
        s = X @ p["U"] @ X.T
        a = softmax(s if wrong else s + future)
        da = 2 * (a @ Y) @ Y.T
        ds = a * (da - np.sum(da * a, axis=1, keepdims=True))
        return {"U": X.T @ ds @ X}

    return loss, {"U": SQUARE["U"]}, grads


def system(wrong):
    """The adjoint of a linear system, whose matrix has a term."""

    def loss(p):
        return np.sum(np.linalg.solve(np.eye(3) - p["U"] @ p["V"], Y[0]) ** 2)

    def grads(p):
        A = np.eye(3) - p["U"] @ p["V"]
        x, B = np.linalg.solve(A, Y[0]), A
        if wrong == "sign":
            B = np.eye(3) + p["U"] @ p["V"]
        if wrong == "factor":
            B = np.eye(3) - p["U"]
        d = np.outer(np.linalg.solve(B.T, 2 * x), x)
        return {"U": d @ p["V"].T, "V": p["U"].T @ d}

    return loss, {k: SQUARE[k] for k in "UV"}, grads


#: The model, what is wrong, codes, and what is said.
KINDS = [
    (gated, "exchanged", {"layout"}, "exchanged"),
    (gated, "of another turn", {"stale", "local_derivative"}, ""),
    (layers, "cached", {"stale"}, "stands where"),
    (table, "written elsewhere", {"layout"}, "is to be written where the loss reads"),
    (table, "in another order", {"layout"}, "order"),
    (attention, "mask", {"mask"}, ""),
    (system, "sign", {"sign"}, "np.subtract is due"),
    (system, "factor", {"local_derivative"}, ""),
]


@pytest.mark.parametrize(("model", "wrong", "codes", "said"), KINDS)
def test_the_variable_is_named_with_its_line(model, wrong, codes, said):
    report = fg.check_gradient(*model(wrong))
    assert report.verdict == "wrong"
    assert report.causes[0].code in codes
    assert said in report.causes[0].message
    assert "the mistake is in" in report.causes[0].message


@pytest.mark.parametrize("bar", [-np.inf, -1e9])
def test_a_mask_forgotten_is_one_however_it_hides(bar):
    report = fg.check_gradient(*attention("mask", bar))
    assert report.causes[0].code == "mask"


@pytest.mark.parametrize("model", dict.fromkeys(one[0] for one in KINDS))
def test_right_gradients_have_no_causes(model):
    report = fg.check_gradient(*model(""))
    assert report.verdict == "correct"
    assert not report.causes


def fold(p, k, h):
    """Call itself for each of some steps."""
    return h if k == 0 else fold(p, k - 1, np.tanh(h @ p["U"]))


def unfold(p, g, k, h, wrong):
    """Hand the gradient back through the same calls."""
    if k == 0:
        return 2 * h
    after = np.tanh(h @ p["U"])
    d = unfold(p, g, k - 1, after, wrong) * (1 - after**2)
    g["U"] += h.T @ d
    return d @ (p["U"] if wrong else p["U"].T)  # the line that is told


def test_the_line_is_one_of_the_function_that_calls_itself():
    def loss(p):
        return np.sum(fold(p, 3, X) ** 2)

    def grads(p):
        g = {"U": np.zeros((3, 3))}
        unfold(p, g, 3, X, True)
        return g

    first = unfold.__code__.co_firstlineno
    report = fg.check_gradient(loss, {"U": SQUARE["U"]}, grads)
    assert report.causes[0].code == "layout"
    assert f"in line {first + 7} of your gradient code" in report.causes[0].message
