"""Gradients in loops over single numbers, in forward mode, with sums over axes."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(5)


def named(loss, params, grads):
    report = fg.check_gradient(loss, params, grads)
    assert report.verdict == "wrong"
    return report.causes[0]


# ---- one item after the other --------------------------------------------------------

GAMES = [(0, 1, 2), (3, 2, 0), (1, 3, 1), (2, 0, 2), (0, 3, 2)]
TEAMS = {"strength": RNG.normal(size=4), "draw": np.array(-0.3), "home": np.array(0.4)}


def seasons(p):
    total = 0.0
    for home, away, result in GAMES:
        mine, theirs = p["strength"][home] + p["home"], p["strength"][away]
        even = p["draw"] + 0.5 * (mine + theirs)
        norm = np.log(np.exp(mine) + np.exp(theirs) + np.exp(even))
        total = total + norm - (mine, theirs, even)[result]
    return total


def of_seasons(slip):
    """The gradient, as it is written for one game after the other."""

    def grads(p):
        s, ds, dhome, ddraw = p["strength"], np.zeros(4), 0.0, 0.0
        for home, away, result in GAMES:
            mine, theirs = s[home] + p["home"], s[away]
            even = p["draw"] + 0.5 * (mine + theirs)
            w = np.array([np.exp(mine), np.exp(theirs), np.exp(even)])
            q = w / w.sum()
            q[result] -= 1
            ds[home] += q[0] + (0.0 if slip == "of home" else 0.5) * q[2]
            ds[away] += q[1] + 0.5 * q[2]
            dhome += q[0] if slip == "half of draws" else q[0] + 0.5 * q[2]
            ddraw = q[2] if slip == "last" else ddraw + q[2]
        return {"strength": ds, "home": np.array(dhome), "draw": np.array(ddraw)}

    return grads


def test_the_gradient_of_seasons_is_right():
    assert fg.check_gradient(seasons, TEAMS, of_seasons("")).ok


@pytest.mark.parametrize(
    ("slip", "block"), [("half of draws", "home"), ("last", "draw")]
)
def test_a_slip_in_a_loop_over_items_is_told_as_one_of_turns(slip, block):
    cause = named(seasons, TEAMS, of_seasons(slip))
    assert (cause.code, cause.blocks) == ("accumulation", (block,))
    assert "along axis" not in cause.message


RATED = [(0, 1, 0.5), (1, 0, -1.0), (2, 1, 2.0), (0, 2, 1.5), (2, 0, -0.5), (1, 2, 0.3)]
RATERS = {"P": RNG.normal(size=(3, 2)), "Q": RNG.normal(size=(3, 2))}


def ratings(p):
    total = 0.0
    for u, i, r in RATED:
        total = total + (r - p["P"][u] @ p["Q"][i]) ** 2
        total = total + 0.1 * (np.sum(p["P"][u] ** 2) + np.sum(p["Q"][i] ** 2))
    return total


@pytest.mark.parametrize("decay", [0.2, 0.0])
def test_a_penalty_on_rows_that_are_taken_is_one(decay):
    def grads(p):
        g = {name: np.zeros((3, 2)) for name in p}
        for u, i, r in RATED:
            error = r - p["P"][u] @ p["Q"][i]
            g["P"][u] += -2 * error * p["Q"][i] + 0.2 * p["P"][u]
            g["Q"][i] += -2 * error * p["P"][u] + decay * p["Q"][i]
        return g

    if decay:
        assert fg.check_gradient(ratings, RATERS, grads).ok
        return
    cause = named(ratings, RATERS, grads)
    assert (cause.code, cause.blocks) == ("regularization", ("Q",))


# ---- sensitivities that run along ----------------------------------------------------

RETURNS = RNG.normal(size=5)
RISK = {"base": np.array(0.3), "shock": np.array(0.25), "keep": np.array(0.6)}


def volatility(p):
    total, v = 0.0, 1.2
    for r in RETURNS:
        total = total + 0.5 * (np.log(v) + r**2 / v)
        v = p["base"] + p["shock"] * r**2 + p["keep"] * v
    return total


def of_volatility(slip):
    """The gradient in forward mode, with one slip in the code for one parameter."""

    def grads(p):
        v, base, shock, keep = 1.2, 0.0, 0.0, 0.0
        found = np.zeros(3)
        for r in RETURNS:
            found = found + 0.5 * (1 / v - r**2 / v**2) * np.array([base, shock, keep])
            base = 1 + p["keep"] * base
            shock = r**2 + (0.0 if slip == "shock" else p["keep"]) * shock
            keep = v + (0.0 if slip == "keep" else p["keep"]) * keep
            v = p["base"] + p["shock"] * r**2 + p["keep"] * v
        return dict(zip(("base", "shock", "keep"), found, strict=True))

    return grads


def test_the_gradient_of_volatility_is_right():
    assert fg.check_gradient(volatility, RISK, of_volatility("")).ok


@pytest.mark.parametrize("slip", ["shock", "keep"])
def test_a_slip_in_the_forward_pass_of_one_parameter(slip):
    cause = named(volatility, RISK, of_volatility(slip))
    assert (cause.code, cause.blocks) == ("accumulation", (slip,))
    assert "alone" in cause.message


# ---- two accounts that are as good ---------------------------------------------------

A, B = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
LAYER = {"W": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}
#: Functions written as products of functions of one value; a term of the derivative.
PRODUCTS = {
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z))),
    "swish": (lambda z: z / (1 + np.exp(-z)), lambda z: 1 / (1 + np.exp(-z))),
}


@pytest.mark.parametrize("function", PRODUCTS)
def test_a_term_that_the_derivative_of_a_function_lacks(function):
    f, slope = PRODUCTS[function]
    z = A @ LAYER["W"] + LAYER["b"]
    d = 2 * (f(z) - B) * slope(z)

    def loss(p):
        return np.sum((f(A @ p["W"] + p["b"]) - B) ** 2)

    cause = named(loss, LAYER, {"W": A.T @ d, "b": d.sum(axis=0)})
    assert (cause.code, set(cause.blocks)) == ("local_derivative", {"W", "b"})


def test_twice_is_a_use_too_many_or_a_half_too_few():
    def loss(p):
        mean = 0.5 * (p["u"] + p["v"])
        return np.sum(np.sin(mean) + p["u"] ** 3)

    u, v = RNG.normal(size=(2, 5))
    d = np.cos(0.5 * (u + v))
    params, grads = {"u": u, "v": v}, {"u": d + 3 * u**2, "v": 0.5 * d}
    report = fg.check_gradient(loss, params, grads)
    assert {cause.code for cause in report.causes} == {"accumulation", "scale"}


TILT, SEEN = np.exp(1j * RNG.normal(size=8)), RNG.normal(size=8)
WAVES = {"x": RNG.normal(size=8), "k": RNG.normal(size=8)}


def blurred(p):
    spectrum = np.fft.fft(p["x"]) * np.fft.fft(p["k"]) * TILT
    return np.sum((np.real(np.fft.ifft(spectrum)) - SEEN) ** 2)


@pytest.mark.parametrize("slip", ["", "one", "both"])
def test_conjugates_that_a_product_lacks(slip):
    def grads(p):
        fx, fk = np.fft.fft(p["x"]), np.fft.fft(p["k"])
        back = np.fft.fft(2 * (np.real(np.fft.ifft(fx * fk * TILT)) - SEEN))
        if slip == "one":
            dx = back * np.conj(fk) * TILT
        elif slip == "both":
            dx = back * fk * TILT
        else:
            dx = back * np.conj(fk * TILT)
        dk = back * np.conj(fx * TILT)
        return {"x": np.real(np.fft.ifft(dx)), "k": np.real(np.fft.ifft(dk))}

    if not slip:
        assert fg.check_gradient(blurred, WAVES, grads).ok
        return
    cause = named(blurred, WAVES, grads)
    assert (cause.code, cause.blocks) == ("conjugate", ("x",))


# ---- sums over axes ------------------------------------------------------------------

X, Y = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))
SQUARE = {"W": RNG.normal(size=(4, 4)), "b": RNG.normal(size=4)}


def normed(p):
    unit = p["W"] / np.sqrt(np.sum(p["W"] ** 2, axis=0))
    return np.sum((X @ (np.exp(p["b"]) * unit) - Y) ** 2)


def balanced(p):
    gate = np.exp(X @ p["W"] + p["b"])
    return np.sum(np.mean(gate, axis=0) ** 2) + 0.1 * np.sum(gate)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_sum_over_the_wrong_axis_of_a_square_is_no_transposition(axis):
    def grads(p):
        length = np.sqrt(np.sum(p["W"] ** 2, axis=0))
        unit, scale = p["W"] / length, np.exp(p["b"])
        d = 2 * X.T @ (X @ (scale * unit) - Y)
        along = np.sum(d * unit, axis=axis)
        return {"W": scale / length * (d - unit * along), "b": scale * along}

    if axis == 0:
        assert fg.check_gradient(normed, SQUARE, grads).ok
        return
    cause = named(normed, SQUARE, grads)
    assert (cause.code, set(cause.blocks)) == ("reduction", {"W", "b"})


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_mean_over_an_axis_that_is_forgotten(forgotten):
    def grads(p):
        gate = np.exp(X @ p["W"] + p["b"])
        load = gate if forgotten else gate.mean(axis=0)
        d = (2 * load / len(X) + 0.1) * gate
        return {"W": X.T @ d, "b": d.sum(axis=0)}

    if not forgotten:
        assert fg.check_gradient(balanced, SQUARE, grads).ok
        return
    cause = named(balanced, SQUARE, grads)
    assert cause.code == "reduction"
    assert "`gate` is used where" in cause.message
