"""Naming: the code of a repair follows from what differs in the line."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(11)
X, Y = RNG.normal(size=(6, 8, 3)), RNG.normal(size=(6, 4))
PARAMS = {"K": RNG.normal(size=(3, 3, 4)) / 3, "V": RNG.normal(size=(4, 4)) / 2}
TAPS = range(3)


def window(tap, step):
    return X[:, tap * step : tap * step + 4]


def values(p):
    h = np.tanh(sum(window(k, 2) @ p["K"][k] for k in TAPS)).mean(axis=1)
    branch = np.tanh(h @ p["V"])
    return h, branch, h + branch


def loss(p):
    _, _, out = values(p)
    return 0.5 * np.sum((out - Y) ** 2) + 0.1 * np.sum(p["V"] ** 2)


def gradient(p, step=2, skip="both", decay=0.2, edited=None):
    a = np.tanh(sum(window(k, 2) @ p["K"][k] for k in TAPS))
    h, branch, out = values(p)
    dout = out - Y
    dt = dout * (1 - branch**2)
    back = dt @ p["V"].T
    dh = {"both": dout + back, "one": dout, "other": back}[skip]
    da = dh[:, None, :] / a.shape[1] * (1 - a**2)
    windows = [window(k, step) for k in TAPS]
    dK = np.array([np.tensordot(w, da, axes=((0, 1), (0, 1))) for w in windows])
    dV = h.T @ dt + decay * p["V"]
    if edited is not None:
        dV[1, 2] *= edited
    return {"K": dK, "V": dV}


#: What is wrong, and the cause.
MISTAKES = {
    "windows elsewhere in some turns": ({"step": 1}, "geometry"),
    "a use left out": ({"skip": "one"}, "accumulation"),
    "the other use left out": ({"skip": "other"}, "accumulation"),
    "a penalty counted twice": ({"decay": 0.4}, "regularization"),
    "one entry": ({"edited": 1.05}, "partial"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_the_code_follows_from_what_differs(kind):
    wrong, code = MISTAKES[kind]
    report = fg.check_gradient(loss, PARAMS, lambda p: gradient(p, **wrong))
    assert report.causes[0].code == code


def test_the_right_gradient_has_no_causes():
    report = fg.check_gradient(loss, PARAMS, gradient)
    assert report.verdict == "correct"
    assert not report.causes


def test_what_is_multiplied_by_zero_is_zero_and_called_by_its_line():
    rng = np.random.default_rng(4)
    params = {"h0": rng.normal(size=3), "W": rng.normal(size=(3, 3))}

    def final(p):
        return np.sum(np.sin(p["W"] @ p["h0"]))

    def grads(p):
        slope = np.cos(p["W"] @ p["h0"])
        found = {"W": np.outer(slope, p["h0"])}
        found["h0"] = p["W"].T @ slope
        found["h0"] *= 0
        return found

    (cause,) = fg.check_gradient(final, params, grads).causes
    assert cause.code == "zero"
    assert 'found["h0"] *= 0' in cause.message
    assert "is due where" not in cause.message
