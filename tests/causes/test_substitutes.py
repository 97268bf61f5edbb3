"""Naming: variables mistaken for others, terms off by factors, steps solved for."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(7, 9)), RNG.normal(size=(7, 3))
PARAMS = {
    "W1": RNG.normal(size=(9, 6)) / 3,
    "b1": RNG.normal(size=6) * 0.2,
    "W2": RNG.normal(size=(6, 6)) / 2,
    "b2": RNG.normal(size=6) * 0.2,
    "W3": RNG.normal(size=(6, 3)) / 2,
}


def values(p):
    a1 = np.tanh(X @ p["W1"] + p["b1"])
    a2 = np.tanh(a1 @ p["W2"] + p["b2"])
    return a1, a2, a2 @ p["W3"]


def loss(p):
    return 0.5 * np.mean(np.sum((values(p)[-1] - Y) ** 2, axis=1))


def backward(p, slope1=lambda a: 1 - a**2, error=lambda out: out - Y, **instead):
    """The gradient, with some variables taken for others."""
    a1, a2, out = values(p)
    d = {"a1": a1, "a2": a2}
    d["out"] = error(out) / len(X)
    d["da2"] = d["out"] @ p["W3"].T
    d["dz2"] = d["da2"] * (1 - a2**2)
    d["da1"] = d["dz2"] @ p["W2"].T
    d["dz1"] = d["da1"] * slope1(a1)

    def of(name):
        return d[instead.get(name.replace(".", "_"), name.split(".")[1])]

    return {
        "W1": X.T @ of("W1.dz1"),
        "b1": of("b1.dz1").sum(0),
        "W2": of("W2.a1").T @ of("W2.dz2"),
        "b2": of("b2.dz2").sum(0),
        "W3": of("W3.a2").T @ d["out"],
    }


def cause(grads, of=loss, params=PARAMS):
    report = fg.check_gradient(of, params, grads)
    assert report.verdict == "wrong"
    return report.causes[0]


@pytest.mark.parametrize(
    ("instead", "code", "blocks"),
    [
        ({"b1_dz1": "da1"}, "local_derivative", ("b1",)),
        ({"b1_dz1": "a1"}, "upstream", ("b1",)),
        ({"W2_a1": "a2"}, "local_derivative", ("W2",)),
        ({"W3_a2": "a1"}, "local_derivative", ("W3",)),
        ({"W2_dz2": "da2"}, "local_derivative", ("W2",)),
    ],
)
def test_a_variable_in_place_of_another_is_named(instead, code, blocks):
    found = cause(backward(PARAMS, **instead))
    assert (found.code, found.blocks) == (code, blocks)
    assert found.residual < 1e-9


def test_the_array_that_stands_there_is_named_by_its_line():
    message = cause(backward(PARAMS, W3_a2="a1")).message
    assert "uses `a1` of the loss (test_substitutes.py, line" in message


@pytest.mark.parametrize(
    ("slope", "shown"),
    [
        (lambda a: 1 + a**2, "1 + y**2"),
        (lambda a: 1 - a, "1 - y"),
    ],
)
def test_the_powers_of_a_wrong_derivative_are_found(slope, shown):
    found = cause(backward(PARAMS, slope1=slope))
    assert (found.code, found.blocks) == ("local_derivative", ("W1", "b1"))
    assert shown in found.message


def test_the_derivative_of_another_function_is_named_but_for_a_factor():
    found = cause(backward(PARAMS, slope1=lambda a: np.exp(-(np.arctanh(a) ** 2))))
    assert (found.code, found.blocks) == ("local_derivative", ("W1", "b1"))
    assert "exp(-x**2)" in found.message


def test_a_step_that_is_no_function_of_its_input_is_not_called_one():
    noise = RNG.uniform(0.5, 1.5, size=(7, 6))
    found = cause(backward(PARAMS, slope1=lambda a: noise))
    assert found.code == "unknown"


@pytest.mark.parametrize("error", [lambda out: out, lambda out: out + Y])
def test_a_residual_without_its_target_is_named(error):
    found = cause(backward(PARAMS, error=error))
    assert found.code == "local_derivative"
    assert len(found.blocks) == 5


def test_weights_updated_before_the_gradient_goes_back_are_stale():
    right = backward(PARAMS)
    moved = {**PARAMS, "W3": PARAMS["W3"] - 0.3 * right["W3"]}
    a1, a2, out = values(PARAMS)
    d2 = (out - Y) / 7 @ moved["W3"].T * (1 - a2**2)
    d1 = d2 @ PARAMS["W2"].T * (1 - a1**2)
    grads = right | {"W1": X.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2, "b2": d2.sum(0)}
    found = cause(grads)
    assert (found.code, found.blocks) == ("stale", ("W1", "b1", "W2", "b2"))
    assert "W3" in found.message


def test_a_missing_conjugate_is_named():
    a = RNG.normal(size=(12, 5)) + 1j * RNG.normal(size=(12, 5))
    y = RNG.normal(size=12) + 1j * RNG.normal(size=12)

    def residual(p):
        return a @ (p["re"] + 1j * p["im"]) - y

    def squares(p):
        r = residual(p)
        return np.sum((r * np.conj(r)).real)

    def grads(p):
        g = 2 * a.T @ residual(p)
        return {"re": g.real, "im": g.imag}

    params = {"re": RNG.normal(size=5), "im": RNG.normal(size=5)}
    assert cause(grads, squares, params).code == "conjugate"


def test_the_penalty_of_others_on_one_bias_is_a_penalty():
    def penalised(p):
        return loss(p) + 0.05 * np.sum(p["W1"] ** 2)

    grads = backward(PARAMS)
    grads["W1"] = grads["W1"] + 0.1 * PARAMS["W1"]
    grads["b2"][2] += 0.1 * PARAMS["b2"][2]
    found = cause(grads, penalised)
    assert (found.code, found.blocks) == ("regularization", ("b2",))


def test_rows_clipped_by_their_norm_are_named():
    grads = backward(PARAMS)
    norm = np.linalg.norm(grads["W1"], axis=1, keepdims=True)
    grads["W1"] = grads["W1"] * np.minimum(1, 0.05 / norm)
    found = cause(grads)
    assert (found.code, found.blocks) == ("clipped", ("W1",))


def test_a_lone_wrong_entry_of_many_is_partial():
    w = RNG.normal(size=(60, 40))
    grads = np.cos(w)
    grads[17, 3] *= 1.1
    found = cause(grads, lambda w: np.sum(np.sin(w)), w)
    assert found.code == "partial"
    assert "[17, 3]" in found.message


def test_what_is_left_over_from_the_call_before_is_stale():
    state = {"carried": np.zeros(3)}

    def grads(w):
        state["carried"] = 2 * w + 0.4 * state["carried"]
        return state["carried"].copy()

    report = fg.check_gradient(lambda w: np.sum(w**2), np.arange(1.0, 4.0), grads)
    assert (report.verdict, report.causes[0].code) == ("wrong", "stale")


def test_a_random_gradient_is_not_taken_for_a_settling_one():
    rng = np.random.default_rng(0)

    def grads(w):
        return 2 * w + 0.01 * rng.normal(size=w.shape)

    report = fg.check_gradient(lambda w: np.sum(w**2), np.arange(1.0, 9.0), grads)
    assert report.causes[0].code == "nondeterministic"


#: Where in the image a kernel lies that gives output [i, j].
PLACES = {
    "as it was": lambda i, j: (2 * i, 2 * j),
    "without stride": lambda i, j: (i, j),
    "stride of rows alone": lambda i, j: (2 * i, j),
    "a step late": lambda i, j: (2 * i + 1, 2 * j),
}


@pytest.mark.parametrize("wrong", [name for name in PLACES if name != "as it was"])
def test_other_elements_of_an_array_are_called_as_the_line_calls_them(wrong):
    rng = np.random.default_rng(1)
    image, weights = rng.normal(size=(9, 9)), rng.normal(size=(2, 3))
    kernel, place = 0.4 * rng.normal(size=(3, 3)), PLACES[wrong]
    turns = [(i, j) for i in range(2) for j in range(3)]

    def convolved(w):
        out = np.zeros((2, 3))
        for i, j in turns:
            out[i, j] = np.sum(image[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * w)
        return out

    def loss(w):
        return np.sum(weights * np.tanh(convolved(w)))

    def grads(w):
        dout, dw = weights * (1 - np.tanh(convolved(w)) ** 2), np.zeros((3, 3))
        for i, j in turns:
            a, b = place(i, j)
            dw += dout[i, j] * image[a : a + 3, b : b + 3]
        return dw

    (found,) = fg.check_gradient(loss, kernel, grads).causes
    assert found.code == "geometry"
    assert "`image[a:a + 3, b:b + 3]`" in found.message
    assert "`image[2 * i:2 * i + 3, 2 * j:2 * j + 3]`" in found.message


def test_an_array_in_place_of_another_is_called_by_its_name():
    rng = np.random.default_rng(2)
    inputs, outputs, weight = rng.normal(size=(3, 8))

    def loss(w):
        return np.sum(weight * (w[0] * inputs + w[1] - outputs) ** 2)

    def grads(w):
        error = 2 * weight * (w[0] * inputs + w[1] - outputs)
        return np.array([error @ outputs, np.sum(error)])

    found = fg.check_gradient(loss, np.array([0.3, 0.2]), grads).causes[0]
    assert found.code in ("stale", "local_derivative")
    assert "`outputs` is used where `inputs`" in found.message
