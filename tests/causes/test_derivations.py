"""Derivations gone wrong in one place: statistics, loops, arrays read elsewhere."""

import numpy as np
import pytest

import fastgrad as fg
import fastgrad_zoo as zoo

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(24, 5)), RNG.normal(size=(24, 3))
C = RNG.normal(size=(24, 4))


def causes(loss, params, grads):
    return fg.check_gradient(loss, params, grads).causes


# ---- products with a direction ------------------------------------------------------


@pytest.mark.parametrize("problem", zoo.problems()[::4], ids=lambda p: p.name)
def test_directions_pushed_forward_are_what_gradients_say(problem, reverse):
    """How the loss moves with its parameters is their gradient times the direction."""
    program, rng = reverse.program, np.random.default_rng(5)
    along = {p: 1e-3 * rng.standard_normal(p.shape) for p in program.parameters}
    moved = reverse.tangents(along).get(program.result, 0.0)
    parts = [reverse.gradient[p] * v for p, v in along.items() if p in reverse.gradient]
    size = sum(np.abs(part).sum() for part in parts)
    assert moved == pytest.approx(sum(map(np.sum, parts)), abs=1e-5 * size)


# ---- statistics ---------------------------------------------------------------------


def softmax(axes):
    def loss(p):
        e = np.exp(X @ p["W"])
        return np.sum(e / np.sum(e, axis=1, keepdims=True) * C)

    def grads(p):
        e = np.exp(X @ p["W"])
        s = e / np.sum(e, axis=1, keepdims=True)
        return {"W": X.T @ (s * (C - np.sum(s * C, axis=axes, keepdims=True)))}

    return loss, {"W": RNG.normal(size=(5, 4))}, grads


@pytest.mark.parametrize("axes", [(0,), (0, 1)])
def test_sums_over_other_axes(axes):
    loss, params, grads = softmax(axes)
    (cause,) = causes(loss, params, grads(params))
    assert cause.code == "reduction"
    assert f"p * (g - sum(g * p, axis={axes})), where " in cause.message
    assert "p * (g - sum(g * p, axis=(1,))) is due" in cause.message


def normalised(back):
    def loss(p):
        z = X @ p["W"]
        m = z.mean(1, keepdims=True)
        s = np.sqrt(np.mean((z - m) ** 2, 1, keepdims=True) + 1e-5)
        return np.sum((z - m) / s * C)

    def grads(p):
        z = X @ p["W"]
        m = z.mean(1, keepdims=True)
        s = np.sqrt(np.mean((z - m) ** 2, 1, keepdims=True) + 1e-5)
        return {"W": X.T @ back((z - m) / s, s)}

    params = {"W": RNG.normal(size=(5, 4))}
    return causes(loss, params, grads(params))


def over(a, axis=1):
    return a.mean(axis, keepdims=True)


DUE = "(g - mean(g, axis=(1,)) - n * mean(g * n, axis=(1,))) / s is due"
NORMALISATIONS = [
    (lambda y, s: (C - over(C) - y * over(C * y)) / s, [], ""),
    (lambda y, s: C / s, ["cross_term"], f"sends g / s, where {DUE}"),
    (lambda y, s: (C - y * over(C * y)) / s, ["cross_term", "accumulation"],
     "normalises by is treated as a constant"),
    (lambda y, s: (C - over(C)) / s, ["cross_term", "accumulation"],
     "normalises by is treated as a constant"),
    (lambda y, s: C - over(C) - y * over(C * y), ["local_derivative"],
     f"sends g - mean(g, axis=(1,)) - n * mean(g * n, axis=(1,)), where {DUE}"),
    (lambda y, s: (C - over(C, 0) - y * over(C * y)) / s, ["reduction"],
     f"sends (g - mean(g, axis=(0,)) - n * mean(g * n, axis=(1,))) / s, where {DUE}"),
]  # fmt: skip


@pytest.mark.parametrize(("back", "codes", "said"), NORMALISATIONS)
def test_what_a_normalisation_sends_back(back, codes, said):
    found = normalised(back)
    assert [cause.code for cause in found] == codes
    assert all(said in cause.message for cause in found[:1])


# ---- loops --------------------------------------------------------------------------

STEPS = RNG.normal(size=(6, 4, 7))
CELL = {name: RNG.normal(size=(4, 4)) / 2 for name in "UV"}
CELL["c"] = RNG.normal(size=(4, 1))


def unrolled(p):
    h = np.zeros((4, 7))
    for x in STEPS:
        h = np.tanh(p["U"] @ h + p["V"] @ x + p["c"])
    return np.sum(h**2) / 7


def through_time(slope=lambda h: 1 - h * h):
    p, states = CELL, [np.zeros((4, 7))]
    for x in STEPS:
        states.append(np.tanh(p["U"] @ states[-1] + p["V"] @ x + p["c"]))
    g = {name: np.zeros_like(w) for name, w in p.items()}
    d = 2 * states[-1] / 7
    for t in range(len(STEPS), 0, -1):
        dz = d * slope(states[t])
        g["U"] += dz @ states[t - 1].T
        g["V"] += dz @ STEPS[t - 1].T
        g["c"] += dz.sum(1, keepdims=True)
        d = p["U"].T @ dz
    return g


@pytest.mark.parametrize(
    ("wrong", "codes", "said"),
    [
        ({}, [], ""),
        ({"slope": lambda h: 1.0}, ["local_derivative"], "np.tanh"),
        ({"slope": lambda h: 1 - h}, ["local_derivative"], "sends g * (1 - y), where"),
    ],
)
def test_mistakes_in_every_turn(wrong, codes, said):
    """Of three arrays, each used in six turns."""
    found = causes(unrolled, CELL, through_time(**wrong))
    assert [cause.code for cause in found] == codes
    for cause in found:
        assert said in cause.message
        assert set(cause.blocks) == {"U", "V", "c"}


# ---- arrays read elsewhere ----------------------------------------------------------


@pytest.mark.parametrize(("hidden", "code"), [(2, "layout"), (3, "geometry")])
def test_halves_exchanged_and_rows_reversed(hidden, code):
    """Of two, one way round is as good as the other; of three it is an order."""
    params = {"W": RNG.normal(size=(5, hidden)), "V": RNG.normal(size=(hidden, 3))}

    def loss(p):
        return np.sum((np.tanh(X @ p["W"]) @ p["V"] - Y) ** 2) / len(X)

    h = np.tanh(X @ params["W"])
    e = 2 * (h @ params["V"] - Y) / len(X)
    d = (e @ params["V"].T)[:, ::-1] * (1 - h * h)
    (cause,) = causes(loss, params, {"W": X.T @ d, "V": h.T @ e})
    assert (cause.code, cause.blocks) == (code, ("W",))
    assert "reversed along axis" in cause.message


def _later(x):
    moved = np.zeros_like(x)
    moved[1:] = x[:-1]
    return moved


@pytest.mark.parametrize(
    ("of_data", "of_errors", "code", "said"),
    [
        (
            lambda x: x,
            lambda d: d.T.reshape(d.shape),
            "layout",
            "flattened with its axes",
        ),
        (lambda x: np.roll(x, 1, 0), lambda d: d, "layout", "rolled by 1 along axis 0"),
        (_later, lambda d: d, "geometry", "stands where"),
        (lambda x: x[:, ::-1], lambda d: d, "geometry", "reversed along axis 0"),
    ],
)
def test_elements_that_stand_elsewhere(of_data, of_errors, code, said):
    params = {"W": RNG.normal(size=(5, 3)), "b": RNG.normal(size=3)}

    def loss(p):
        return np.sum((np.tanh(X @ p["W"] + p["b"]) - Y) ** 2) / len(X)

    def grads(p):
        h = np.tanh(X @ p["W"] + p["b"])
        d = of_errors(2 * (h - Y) / len(X) * (1 - h**2))
        return {"W": of_data(X).T @ d, "b": d.sum(axis=0)}

    cause = causes(loss, params, grads)[0]
    assert cause.code == code
    assert said in cause.message
