"""One wrong gradient for each kind of mistake, which nothing but that kind explains.

All are given as arrays, so that the loss's program alone has to say what is wrong.
"""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(0)
W, C, D = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5)), RNG.normal(size=(5, 5))
X, CX, V = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 5)), RNG.normal(size=5)
W1, B1, K = RNG.normal(size=7), RNG.normal(size=5), RNG.normal(size=(3, 3))
T, CT = RNG.normal(size=(2, 2, 4, 5))


# ---- a part of a rule ----------------------------------------------------------------


def normalised(p):
    centred = p["W"] - p["W"].mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True))


def of_normalised(axis):
    y, s = normalised({"W": W}), W.std(1, keepdims=True)
    g = 2 * C * y
    means = np.mean(g, axis, keepdims=True), np.mean(g * y, axis, keepdims=True)
    return {"W": (g - means[0] - y * means[1]) / s}


def softmax(w):
    e = np.exp(w - w.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def of_softmax(g, axis=1):
    s = softmax(W)
    return s * (g - np.sum(g * s, axis, keepdims=True))


S, SCALE = softmax(W), np.array([[3.7]])  # which is no number of the loss
OTHER = RNG.normal(size=(4, 5))
CHOSEN = C * np.cos(np.maximum(W**2, OTHER))
A, B = RNG.normal(size=(4, 4)) + 4 * np.eye(4), RNG.normal(size=(4, 3))
CB = RNG.normal(size=(4, 3))

RULES = {
    "both means over another axis": (
        lambda p: np.sum(C * normalised(p) ** 2), {"W": W}, of_normalised(0),
        "reduction", "mean(g, axis=(0,)) - n * mean(g * n, axis=(0,))",
    ),
    "a sign within": (
        lambda p: np.sum(C * np.tanh(p["W"])), {"W": W}, {"W": C * (1 + np.tanh(W) ** 2)},
        "local_derivative", "g * (1 + y**2), where g * (1 - y**2) is due",
    ),
    "a normalisation passes what comes down": (
        lambda p: np.sum(C * normalised(p) ** 2), {"W": W},
        {"W": 2 * C * normalised({"W": W}) / W.std(1, keepdims=True)},
        "cross_term", "sends g / s, where (g - mean(g",
    ),
    "a sum over another axis": (
        lambda p: np.sum(C * softmax(p["W"]) ** 2), {"W": W},
        {"W": of_softmax(2 * C * S, 0)}, "reduction", "sum(g * p, axis=(0,))",
    ),
    "a rule for one of two uses": (
        lambda p: np.sum(C * softmax(p["W"]) ** 2) + np.sum(np.sin(softmax(p["W"])) * CX[:4]),
        {"W": W}, {"W": of_softmax(2 * C * S) + S * (1 - S) * np.cos(S) * CX[:4]},
        "cross_term", "p * (g - g * p)",
    ),
    "an operation passes what comes down": (
        lambda p: np.sum(C * (3.7 / np.exp(p["W"]))), {"W": W}, {"W": C * np.exp(W)},
        "local_derivative", "the derivative of np.divide",
    ),
    "an operation passes what it is to scale": (
        lambda p: np.sum(C * np.sin(p["W"] / SCALE)), {"W": W}, {"W": C * np.cos(W / SCALE)},
        "scale", "the derivative of np.divide",
    ),
    "the first entry for the largest": (
        lambda p: np.sum(V[:4] * np.sin(p["W"].max(1))), {"W": W},
        {"W": (V[:4] * np.cos(W.max(1)))[:, None] * (np.arange(5) == 0)},
        "mask", "to the first entry, not to the largest",
    ),
    "a value for its slope": (
        lambda p: np.sum(C * np.log(1 + np.exp(p["W"])) ** 2), {"W": W},
        {"W": 2 * C * np.log(1 + np.exp(W)) ** 2},
        "local_derivative", "is used for its derivative by what it is made of",
    ),
    "the other branch of a choice": (
        lambda p: np.sum(C * np.sin(np.maximum(p["W"] ** 2, p["U"]))), {"W": W, "U": OTHER},
        {"W": CHOSEN * (OTHER >= W**2) * 2 * W, "U": CHOSEN * (W**2 > OTHER)},
        "mask", "the branches of np.maximum",
    ),
    "ones come down": (
        lambda p: np.sum(CX * np.tanh(X @ p["W"]) ** 2), {"W": W},
        {"W": X.T @ np.ones((6, 5))}, "upstream", "is taken to be ones",
    ),
    "the right-hand side for the solution": (
        lambda p: np.sum(CB * np.linalg.solve(p["A"], B)), {"A": A},
        {"A": -np.linalg.solve(A.T, CB) @ B.T}, "local_derivative", "`B` of the loss where y",
    ),
}  # fmt: skip


# ---- elsewhere, and at other places --------------------------------------------------

PADDED = D**2 * np.cos(D * np.pad(K, 1))
STRIDED = np.zeros(7)
STRIDED[:4] = 2 * C[:, 0] * W1[::2]
BIASED = D * (1 - np.tanh(D + B1) ** 2)
INSIDE = np.zeros_like(T)
INSIDE[:, 1:, 1:] = (2 * CT * np.tanh(T))[:, 1:, 1:]
SWAPPED = {"W": 3 * W[::-1] ** 2, "U": 2 * C * W}

ROWS = np.array([0, 2, 2, 1, 0, 0])  # none of them the last
GIVEN, AVERAGED = CX[:, :3] * np.cos(B[ROWS]), np.zeros((4, 3))
AVERAGED[:3] = [GIVEN[row == ROWS].mean(0) for row in range(3)]

PLACES = {
    "rows taken twice are averaged": (
        lambda p: np.sum(CX[:, :3] * np.sin(p["B"][ROWS])), {"B": B}, {"B": AVERAGED},
        "duplicate_index", "takes twice are averaged, not added",
    ),
    "a stride": (
        lambda p: np.sum(C[:, 0] * p["w"][::2] ** 2), {"w": W1}, {"w": STRIDED},
        "geometry", "the stride of [...]",
    ),
    "a corner": (
        lambda p: np.sum(np.sin(D * np.pad(p["K"], 1)) * D), {"K": K}, {"K": PADDED[:3, :3]},
        "geometry", "is cut at its corner",
    ),
    "the far corner": (
        lambda p: np.sum(np.sin(D * np.pad(p["K"], 1)) * D), {"K": K}, {"K": PADDED[2:, 2:]},
        "geometry", "is cut at its far corner",
    ),
    "a border of two axes": (
        lambda p: np.sum(CT * np.tanh(p["T"]) ** 2), {"T": T},
        {"T": INSIDE * (1 - np.tanh(T) ** 2)},
        "geometry", "is used only at 1:4, 1:5 along axes (1, 2)",
    ),
    "the axis that a bias is repeated along": (
        lambda p: np.sum(D * np.tanh(D + p["b"])), {"b": B1}, {"b": BIASED.sum(1)},
        "reduction", "is summed over axes (1,), not (0,)",
    ),
    "the names of two blocks": (
        lambda p: np.sum(C * p["W"] ** 2) + np.sum(p["U"] ** 3), {"W": W, "U": W[::-1].copy()},
        SWAPPED, "layout", "W holds the gradient of U",
    ),
}  # fmt: skip


# ---- several operations --------------------------------------------------------------

Z, ZC, ZY = RNG.normal(size=(3, 3, 4)) + 1j * RNG.normal(size=(3, 3, 4))
M = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))
PARTS = {"re": Z.real, "im": Z.imag}


def squares(of):
    return lambda p: np.sum(np.abs(of(p["re"] + 1j * p["im"]) - ZY) ** 2)


def parts(z):
    return {"re": z.real, "im": z.imag}


def pieces(p):
    whole = p["W"].reshape(4, 5)
    return np.sum(C[:2] * np.sin(whole[1:3])) + np.sum(C[2:] * whole[2:4] ** 2)


WRITTEN = np.zeros((4, 5))
WRITTEN[1:3] = C[:2] * np.cos(W[1:3])
WRITTEN[2:4] = 2 * C[2:] * W[2:4]
U2, Y2 = RNG.normal(size=(5, 3)), RNG.normal(size=(6, 3))
H = np.tanh(X @ W)
DOUT = 2 * (H @ U2 - Y2)
LATE = U2 - 0.01 * H.T @ DOUT

CLIPPED = 3 * C * np.cos(W) / np.linalg.norm(C * np.cos(W))

SMALL = 2e-6 * C * np.cos(W)

SEVERAL = {
    "digits of small numbers": (
        lambda p: 2e-6 * np.sum(C * np.sin(p["W"])), {"W": W},
        {"W": SMALL.astype(np.float16).astype(float)}, "precision", "representable in float16,",
    ),
    "the norm of all is a round number": (
        lambda p: 4 * np.sum(C * np.sin(p["W"])), {"W": W}, {"W": CLIPPED},
        "clipped", "the gradient is scaled to the norm 3",
    ),
    "complex products": (
        squares(lambda z: ZC * z), PARTS, parts(2 * ZC * (ZC * Z - ZY)),
        "conjugate", "the other factor of np.multiply",
    ),
    "complex products of matrices": (
        squares(lambda z: M @ z), PARTS, parts(2 * M.T @ (M @ Z - ZY)),
        "conjugate", "the other factor of np.matmul",
    ),
    "pieces of a view that overlap are written": (
        pieces, {"W": W}, {"W": WRITTEN},
        "accumulation", "replaces what it is to be added to",
    ),
    "noise is left out of all that follows": (
        lambda p: np.sum(C * np.sin(p["W"] + CX[:4]) ** 3 * p["W"]), {"W": W},
        {"W": C * (3 * np.sin(W) ** 2 * np.cos(W) * W + np.sin(W) ** 3)},
        "stale", "the gradient is taken at np.add",
    ),
    "one layer is updated before the other": (
        lambda p: np.sum((np.tanh(X @ p["W"]) @ p["U"] - Y2) ** 2),
        {"W": W, "U": U2}, {"W": X.T @ (DOUT @ LATE.T * (1 - H**2)), "U": H.T @ DOUT},
        "stale", "uses U after it has been updated",
    ),
    "of all blocks penalties alone are left": (
        lambda p: np.sum(np.sin(p["W"]) * C) + 0.37 * (np.sum(p["W"] ** 2) + np.sum(p["V"] ** 2)),
        {"W": W, "V": V}, {"W": 0.74 * W, "V": 0.74 * V},
        "zero", "only 0.74 times the parameters is left",
    ),
}  # fmt: skip

# ---- in the turns of a loop ----------------------------------------------------------

U3, STEPS = 0.7 * RNG.normal(size=(3, 3)), RNG.normal(size=(4, 3))
START = np.full(3, 0.3)


def recurrent(p):
    h, total = START, 0.0
    for t in range(4):
        h = np.tanh(STEPS[t] + h @ p["U"])
        total = total + np.sum(CB[t] * h)
    return total


def of_recurrent(read):
    """The gradient, which reads something of the states for the one before."""
    states = [START]
    for t in range(4):
        states.append(np.tanh(STEPS[t] + states[-1] @ U3))
    total, passed = np.zeros((3, 3)), np.zeros(3)
    for t in reversed(range(4)):
        d = (passed + CB[t]) * (1 - states[t + 1] ** 2)
        total += np.outer(read(t, states), d)
        passed = d @ U3.T
    return {"U": total}


LOOPS = {
    "the data of a turn": (
        recurrent, {"U": U3}, of_recurrent(lambda t, states: STEPS[t]),
        "local_derivative", "uses `STEPS[t]` of the loss where",
    ),
    "states in the wrong order": (
        recurrent, {"U": U3}, of_recurrent(lambda t, states: states[3 - t]),
        "local_derivative", "uses `np.tanh((STEPS[t] + ",
    ),
}  # fmt: skip

CASES = RULES | PLACES | SEVERAL | LOOPS


@pytest.mark.parametrize("kind", CASES)
def test_a_mistake_of_this_kind_is_named(kind):
    loss, params, grads, code, said = CASES[kind]
    cause = fg.check_gradient(loss, params, grads).causes[0]
    assert cause.code == code
    assert said in cause.message


@pytest.mark.parametrize(
    ("slope", "code"), [(W < 0.3, "mask"), (W, "local_derivative")]
)
def test_what_stands_for_a_choice_is_one_thing(slope, code):
    wrong = {"W": 2 * C * np.maximum(W, 0.3) * slope}
    report = fg.check_gradient(
        lambda p: np.sum(C * np.maximum(p["W"], 0.3) ** 2), {"W": W}, wrong
    )
    assert [cause.code for cause in report.causes] == [code]


def test_a_factor_is_the_length_of_an_axis_of_a_parameter():
    """Where no program says so."""
    scope = {"np": np, "C": C}
    exec("def unseen(p):\n    return float(np.sum(C * np.sin(p['W'])))", scope)
    report = fg.check_gradient(scope["unseen"], {"W": W}, {"W": C * np.cos(W) / 5})
    assert report.engine == "python"
    assert "a factor of 1 / 5, axis 1 of W" in report.causes[0].message


def test_what_is_left_is_that_of_the_worst_entry():
    """Once the factor is that of least squares."""
    right, off = 1e-3 * C * np.cos(W), np.ones((4, 5))
    off[np.unravel_index(np.abs(right).argmax(), right.shape)] += 5e-10
    given = 2 * off * right
    fitted = np.vdot(given, right) / np.vdot(right, right) * right
    report = fg.check_gradient(
        lambda p: 1e-3 * np.sum(C * np.sin(p["W"])), {"W": W}, {"W": given}
    )
    assert report.causes[0].code == "scale"
    left = np.abs(given - fitted).max() / np.abs(fitted).max()
    assert report.causes[0].residual == pytest.approx(left, rel=1e-3)


def test_entries_that_were_not_measured_are_wrong_with_their_row():
    w, c = RNG.normal(size=(2, 20, 30))
    wrong = c * np.cos(w) * (np.arange(20) != 3)[:, None]
    report = fg.check_gradient(
        lambda p: np.sum(c * np.sin(p["W"])), {"W": w}, {"W": wrong}, coverage=300
    )
    assert report.causes[0].code == "partial"
    assert "zero at index 3 of axis 0" in report.causes[0].message
