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


def second(d):
    kept = np.zeros_like(d)
    kept[:, ::2] = d[:, ::2]
    return kept


def late(d):
    return np.concatenate([np.zeros_like(d[:, :1]), d[:, :-1]], axis=1)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"for_b": cut}, "geometry", "only at 2:5 along axis 1"),
        ({"for_w": cut}, "geometry", "only at 2:5 along axis 1"),
        ({"for_w": second}, "geometry", "even places of axis 1"),
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
            {"for_w": lambda d: np.repeat(d.reshape(6, 8, 2, 2).mean(-1), 2, axis=-1)},
            "reduction",
            "averaged over groups of 2 along axis",
        ),
        (
            {"target": np.roll(TARGET, 1, axis=1)},
            "geometry",
            "rolled by 1 along axis 1",
        ),
        ({"target": np.roll(TARGET, -2, axis=0)}, "geometry", "rolled by -2"),
        ({"target": np.sort(TARGET, axis=1)}, "layout", "sorted along axis 1"),
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


@pytest.mark.parametrize("square", [np.square, lambda e: e * e, lambda e: e**2])
@pytest.mark.parametrize(
    ("turn", "code"),
    [
        (lambda y: np.roll(y, 1, axis=0), "geometry"),
        (lambda y: np.flip(y, axis=1), "geometry"),
        (lambda y: np.sort(y, axis=0), "layout"),
        (lambda y: np.broadcast_to(y[:1], y.shape), "reduction"),
    ],
)
def test_misarranged_targets_of_a_squared_error_are_named(square, turn, code):
    def loss(p):
        return np.sum(square(X[0] @ p["W"] + p["b"] - TARGET[0]))

    error = X[0] @ SEQUENCE["W"] + SEQUENCE["b"] - turn(TARGET[0])
    grads = {"W": 2 * X[0].T @ error, "b": 2 * error.sum(axis=0)}
    codes, message = named(loss, SEQUENCE, grads)
    assert code in codes
    assert "in W" in message


LABELS = RNG.integers(4, size=8)


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        (lambda y: np.roll(y, 1), "layout"),
        (np.sort, "layout"),
        (lambda y: (y + 1) % 4, "geometry"),
    ],
)
def test_labels_of_other_rows_are_named(turn, code):
    def loss(p):
        z = X[0] @ p["W"] + p["b"]
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -np.mean(log_p[np.arange(8), LABELS])

    z = X[0] @ SEQUENCE["W"] + SEQUENCE["b"]
    d = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    d[np.arange(8), turn(LABELS)] -= 1
    grads = {"W": X[0].T @ d / 8, "b": d.mean(axis=0)}
    assert code in named(loss, SEQUENCE, grads)[0]


def test_a_gradient_assigned_where_it_is_to_be_added_is_named():
    def loss(p):
        a = np.tanh(X[0] @ p["W"] + p["b"])
        return np.sum(np.sin(a)) + np.sum(TARGET[0] * a) + np.sum(np.exp(a))

    a = np.tanh(X[0] @ SEQUENCE["W"] + SEQUENCE["b"])
    d = np.exp(a) * (1 - a**2)
    grads = {"W": X[0].T @ d, "b": d.sum(axis=0)}
    codes, message = named(loss, SEQUENCE, grads)
    assert codes == {"accumulation"}
    assert "not added" in message or "only one counts" in message


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
    assert codes == {"geometry"}
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


def before(x):
    return np.concatenate([np.ones((3, 1)), np.cumprod(x, axis=1)[:, :-1]], axis=1)


@pytest.mark.parametrize(
    ("running", "rule"),
    [
        (np.cumprod, lambda x, g: g * before(x)),
        (np.cumprod, lambda x, g: later(g) * before(x)),
        (np.cumsum, lambda x, g: g),
        (np.cumsum, lambda x, g: g.cumsum(axis=1)),
        (np.cumsum, lambda x, g: np.diff(g, axis=1, prepend=0)),
    ],
)
def test_wrong_derivatives_of_running_sums_and_products_are_named(running, rule):
    def loss(p):
        return np.sum(CURVE * running(p["f"], axis=1) ** 2)

    x = STEPS["f"]
    grads = {"f": rule(x, 2 * CURVE * running(x, axis=1))}
    assert "accumulation" in named(loss, STEPS, grads)[0]


GROUP = RNG.integers(5, size=20)


def test_rows_taken_as_sorted_are_named():
    weights, params = RNG.normal(size=20), {"u": RNG.normal(size=5)}

    def loss(p):
        return np.sum(weights * np.sin(p["u"][GROUP]))

    grads = {"u": np.zeros(5)}
    np.add.at(grads["u"], np.sort(GROUP), weights * np.cos(params["u"][GROUP]))
    assert named(loss, params, grads)[0] == {"layout"}


def test_averages_over_parts_of_a_group_are_named():
    target, params = RNG.normal(size=(4, 12)), {"x": RNG.normal(size=(4, 12))}

    def loss(p):
        centred = p["x"] - p["x"].mean(axis=1, keepdims=True)
        spread = np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-3)
        return np.sum(target * np.tanh(centred / spread))

    x = params["x"]
    centred = x - x.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-3)
    n = centred / spread
    g = target * (1 - np.tanh(n) ** 2)

    def mean(a):
        return np.repeat(a.reshape(4, 3, 4).mean(axis=2), 4, axis=1)

    grads = {"x": (g - mean(g) - n * mean(g * n)) / spread}
    assert "reduction" in named(loss, params, grads)[0]
