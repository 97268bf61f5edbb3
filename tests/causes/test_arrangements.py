"""Naming arrays that are cut, moved, summed in advance, or laid out in another order."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import fastgrad as fg

RNG = np.random.default_rng(0)


def named(loss, params, grads):
    """The codes of the causes, after seeing that the gradient is wrong."""
    report = fg.check_gradient(loss, params, grads)
    assert report.verdict == "wrong"
    return {cause.code for cause in report.causes}, report.causes[0].message


# ---- a regression on a sequence: x (N, T, F), with W (F, C), and b (C) -------------

X = RNG.normal(size=(6, 8, 3))
TARGET = RNG.normal(size=(6, 8, 4))
SEQUENCE = {"W": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)}


def of_sequence(p):
    return -np.sum(TARGET * np.log(1 + np.exp(X @ p["W"] + p["b"])))


def sequence_gradient(p, target=TARGET, for_w=lambda d: d, for_b=lambda d: d):
    d = -target / (1 + np.exp(-(X @ p["W"] + p["b"])))
    return {
        "W": np.einsum("ntf,ntc->fc", X, for_w(d)),
        "b": for_b(d).sum(axis=(0, 1)),
    }


def test_the_right_gradient_of_the_sequence_is_correct():
    grads = sequence_gradient(SEQUENCE)
    assert fg.check_gradient(of_sequence, SEQUENCE, grads).verdict == "correct"


def cut(d):
    kept = np.zeros_like(d)
    kept[:, 2:5] = d[:, 2:5]
    return kept


def late(d):
    return np.concatenate([np.zeros_like(d[:, :1]), d[:, :-1]], axis=1)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"for_b": cut}, "geometry", "only at 2:5 along axis 1"),
        ({"for_w": cut}, "geometry", "only at 2:5 along axis 1"),
        ({"for_w": late}, "geometry", "moved by 1 along axis 1"),
        ({"for_w": lambda d: d[:, ::-1]}, "geometry", "reversed"),
        (
            {
                "target": np.broadcast_to(
                    TARGET.mean(axis=1, keepdims=True), TARGET.shape
                )
            },
            "reduction",
            "averaged over axis 1",
        ),
        (
            {"target": np.roll(TARGET, 1, axis=1)},
            "layout",
            "rolled by 1 along axis 1",
        ),
        ({"target": np.roll(TARGET, -2, axis=0)}, "layout", "rolled by -2"),
        (
            {"target": TARGET.reshape(6, 4, 8).transpose(0, 2, 1)},
            "layout",
            "in the order (0, 2, 1)",
        ),
    ],
)
def test_misarranged_arrays_are_named(changes, code, said):
    grads = sequence_gradient(SEQUENCE, **changes)
    codes, message = named(of_sequence, SEQUENCE, grads)
    assert code in codes
    assert said in message


@pytest.mark.parametrize(
    "turn",
    [
        lambda d: d * RNG.uniform(0.5, 1.5, size=d.shape),
        lambda d: d[RNG.permutation(6)],
        lambda d: cut(d) + 1e-4 * d,
    ],
)
def test_arrays_that_are_nearly_or_randomly_so_are_unknown(turn):
    grads = sequence_gradient(SEQUENCE, for_w=turn)
    codes, _ = named(of_sequence, SEQUENCE, grads)
    assert codes == {"unknown"}


# ---- in loops ------------------------------------------------------------------------

LAYERS = {f"W{k}": RNG.normal(size=(6, 6)) / 2 for k in range(3)}
INPUT = RNG.normal(size=(12, 6))


def of_layers(p):
    a = INPUT
    for k in range(3):
        a = np.tanh(a @ p[f"W{k}"])
    return np.sum(a**2)


def test_an_array_cut_in_every_turn_of_a_loop_is_named():
    values = [INPUT]
    for k in range(3):
        values.append(np.tanh(values[-1] @ LAYERS[f"W{k}"]))
    grads, g = {}, 2 * values[-1]
    for k in (2, 1, 0):
        g = g * (1 - values[k + 1] ** 2)
        g = g * (np.arange(12) < 7)[:, None]
        grads[f"W{k}"] = values[k].T @ g
        g = g @ LAYERS[f"W{k}"].T
    codes, message = named(of_layers, LAYERS, grads)
    assert codes <= {"partial", "geometry"}
    assert "0:7 along axis 0" in message


# ---- pairs and triangles -------------------------------------------------------------

GOAL = RNG.normal(size=(6, 6))
POINTS = {"P": RNG.normal(size=(6, 3))}


def of_pairs(p):
    return np.sum((p["P"] @ p["P"].T - GOAL) ** 2)


def pairs_gradient(turn):
    p = POINTS["P"]
    d = turn(2 * (p @ p.T - GOAL))
    return {"P": d @ p + d.T @ p}


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        (np.tril, "mask"),
        (lambda d: np.triu(d, 1), "mask"),
        (lambda d: d - np.diag(np.diag(d)), "mask"),
        (lambda d: np.diag(np.diag(d)), "mask"),
        (lambda d: 2 * np.triu(d, 1), "accumulation"),
        (lambda d: d + np.diag(np.diag(d)), "accumulation"),
    ],
)
def test_triangles_and_diagonals_of_pairs_are_named(turn, code):
    codes, message = named(of_pairs, POINTS, pairs_gradient(turn))
    assert code in codes
    assert "triangle" in message or "diagonal" in message


# ---- layouts and windows -------------------------------------------------------------

IMAGES = RNG.normal(size=(4, 2, 6, 6))
FILTERS = {"K": RNG.normal(size=(3, 2, 3, 3)) / 3, "V": RNG.normal(size=(48, 2)) / 5}
WINDOWS = sliding_window_view(IMAGES, (3, 3), axis=(2, 3))


def of_images(p):
    z = np.tanh(np.einsum("nchwij,fcij->nfhw", WINDOWS, p["K"]))
    return np.sum(np.sin(z.reshape(4, -1) @ p["V"]))


def images_gradient(windows=WINDOWS, unflatten=lambda g: g.reshape(4, 3, 4, 4)):
    z = np.tanh(np.einsum("nchwij,fcij->nfhw", WINDOWS, FILTERS["K"]))
    flat = z.reshape(4, -1)
    d = np.cos(flat @ FILTERS["V"])
    dz = unflatten(d @ FILTERS["V"].T) * (1 - z**2)
    return {"K": np.einsum("nchwij,nfhw->fcij", windows, dz), "V": flat.T @ d}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        (
            {"unflatten": lambda g: g.reshape(4, 4, 4, 3).transpose(0, 3, 1, 2)},
            "layout",
        ),
        ({"unflatten": lambda g: g.reshape((4, 3, 4, 4), order="F")}, "layout"),
    ],
)
def test_layouts_and_windows_are_named(changes, code):
    grads = images_gradient(**changes)
    if code is None:
        assert fg.check_gradient(of_images, FILTERS, grads).ok
    else:
        assert code in named(of_images, FILTERS, grads)[0]


# ---- running sums and products, indices, normalisations ------------------------------

STEPS = {"f": RNG.uniform(0.5, 1.5, size=(3, 6))}
CURVE = RNG.normal(size=(3, 6))


def later(g):
    return np.flip(np.flip(g, 1).cumsum(1), 1)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g: g,
        lambda g: g.cumsum(axis=1),
        lambda g: g.cumsum(axis=1) - g,
        lambda g: np.broadcast_to(g.sum(axis=1, keepdims=True), g.shape),
    ],
)
def test_wrong_derivatives_of_running_sums_are_named(rule):
    def loss(p):
        return np.sum(CURVE * np.cumsum(p["f"], axis=1) ** 2)

    x = STEPS["f"]
    grads = {"f": rule(2 * CURVE * np.cumsum(x, axis=1))}
    codes, message = named(loss, STEPS, grads)
    assert "accumulation" in codes
    assert "np.cumsum" in message
