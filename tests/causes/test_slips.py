"""Small slips of one line: another function's derivative, another number."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(24, 5)), RNG.normal(size=(24, 3))
PARAMS = {"W": RNG.normal(size=(5, 3)), "b": RNG.normal(size=3)}

#: A function, its derivative by value and argument, and how that is written.
FUNCTIONS = {
    "tanh": (np.tanh, lambda y, x: 1 - y * y, "1 - y**2"),
    "sigmoid": (
        lambda x: 1 / (1 + np.exp(-x)),
        lambda y, x: y * (1 - y),
        "y * (1 - y)",
    ),
    "sin": (np.sin, lambda y, x: np.cos(x), "cos(x)"),
    "exp": (np.exp, lambda y, x: y, "y"),
    "arctan": (np.arctan, lambda y, x: 1 / (1 + x * x), "1 / (1 + x**2)"),
}
#: One that is the same function of other things, and one that is the value alone.
SAME = {("sin", "tanh"), ("sigmoid", "exp")}


@pytest.mark.parametrize("forward", FUNCTIONS)
@pytest.mark.parametrize("other", FUNCTIONS)
def test_the_derivative_of_another_function(forward, other):
    f, s = FUNCTIONS[forward][0], FUNCTIONS[other][1]

    def loss(p):
        return np.sum((f(X @ p["W"] + p["b"]) - Y) ** 2) / len(X)

    z = X @ PARAMS["W"] + PARAMS["b"]
    d = 2 / len(X) * (f(z) - Y) * s(f(z), z)
    report = fg.check_gradient(loss, PARAMS, {"W": X.T @ d, "b": d.sum(axis=0)})
    if forward == other:
        assert report.verdict == "correct"
        return
    (cause,) = report.causes
    assert (cause.code, set(cause.blocks)) == ("local_derivative", {"W", "b"})
    if (forward, other) not in SAME:
        sent, due = (FUNCTIONS[name][2] for name in (other, forward))
        assert f"sends g * {sent}, where " in cause.message.replace(
            "(1 - y**2)", "1 - y**2"
        )
        assert f"g * {due} is due" in cause.message.replace("(1 - y**2)", "1 - y**2")


@pytest.mark.parametrize(
    ("slope", "said"),
    [
        (lambda y: 1, "the derivative of np.divide"),
        (lambda y: y, "the value of"),
        (lambda y: 1 - y, "np.divide"),
        (lambda y: 1 - y**2, "sends -g * (1 - y**2), where -g * y * (1 - y) is due"),
        (
            lambda y: y * (1 + y),
            "sends -g * y * (1 + y), where -g * y * (1 - y) is due",
        ),
        (lambda y: y**2, "the derivative of np.exp"),
    ],
)
def test_the_sigmoid_of_a_product_with_minus_the_data(slope, said):
    """``-X @ w`` is (-X) @ w: no operation holds the minus of the sigmoid."""
    w = PARAMS["W"][:, 0]

    def loss(w):
        return np.mean((1 / (1 + np.exp(-X @ w)) - Y[:, 0]) ** 2)

    y = 1 / (1 + np.exp(-X @ w))
    d = 2 / len(X) * (y - Y[:, 0])
    assert fg.check_gradient(loss, w, X.T @ (d * y * (1 - y))).ok
    (cause,) = fg.check_gradient(loss, w, X.T @ (d * slope(y))).causes
    assert cause.code == "local_derivative"
    assert said in cause.message


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (lambda e: e / 7.0, "7 stands where 24 is due"),
        (lambda e: e * 2.0 / 24 / 24, "a factor of 1 / 12"),
        (lambda e: e * 5.0 / 24, "divide by 5"),
    ],
)
def test_another_number(number, said):
    """Divided by or multiplied with: what stands there, or the factor, is told."""

    def loss(p):
        return np.sum((np.tanh(X @ p["W"] + p["b"]) - Y) ** 2) / len(X)

    def grads(p):
        h = np.tanh(X @ p["W"] + p["b"])
        d = number(2 * (h - Y)) * (1 - h**2)
        return {"W": X.T @ d, "b": d.sum(axis=0)}

    (cause,) = fg.check_gradient(loss, PARAMS, grads).causes
    assert (cause.code, set(cause.blocks)) == ("scale", {"W", "b"})
    assert said in cause.message


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("late", [False, True])
def test_pieces_exchanged_on_the_way_back(axis, late):
    """What one of two stacked arrays is sent is what the other is due."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 4, 4))
    weights = rng.normal(size=(8, 4) if axis == 0 else (4, 8))

    def loss(p):
        return np.sum(np.sin(np.concatenate([p["a"], np.tanh(p["b"])], axis)) * weights)

    def grads(p):
        both = np.concatenate([p["a"], np.tanh(p["b"])], axis)
        of_a, of_b = np.split(np.cos(both) * weights, 2, axis)
        if late:
            of_a = of_b
        else:
            of_b = of_a
        return {"a": of_a, "b": of_b * (1 - np.tanh(p["b"]) ** 2)}

    report = fg.check_gradient(loss, {"a": a, "b": b}, grads)
    (cause,) = report.causes
    assert cause.blocks == (("a",) if late else ("b",))
    assert cause.code == "geometry"


W = RNG.normal(size=(5, 3))


def scaled(w):
    return 3 * np.sum(np.tanh(X @ w) ** 2)


RIGHT = 6 * X.T @ (np.tanh(X @ W) * (1 - np.tanh(X @ W) ** 2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.trunc(RIGHT), "in integers, and off by"),
        (np.rint(RIGHT), "in nearest integers, and off by"),
        (RIGHT.astype(np.float16).astype(float), "in float16, and off by"),
        # Rounded on the way, too: some entries are the neighbour of what is nearest.
        (
            (RIGHT * (1 + 3e-4)).astype(np.float16).astype(float),
            "in float16, and off by",
        ),
    ],
)
def test_digits_that_are_missing(given, said):
    (cause,) = fg.check_gradient(scaled, W, given).causes
    assert cause.code == "precision"
    assert said in cause.message


def test_the_largest_entry_alone_is_not_called_clipped():
    """One entry that is too small, and the largest even so."""
    given = RIGHT.copy()
    order = np.argsort(np.abs(given), axis=None)
    given.flat[order[-1]] *= (
        1 + abs(given.flat[order[-2]] / given.flat[order[-1]])
    ) / 2
    (cause,) = fg.check_gradient(scaled, W, given).causes
    assert cause.code == "partial"


C = 1.7
#: A function with a number in it, its derivative, and what the number multiplies it by.
NUMBERED = {
    "c * w": (lambda w: C * w, lambda w: C, C),
    "w * c": (lambda w: w * C, lambda w: C, C),
    "w / c": (lambda w: w / C, lambda w: 1 / C, 1 / C),
    "c / w": (lambda w: C / w, lambda w: -C / w**2, C),
}


@pytest.mark.parametrize("function", NUMBERED)
@pytest.mark.parametrize(("power", "said"), [(-1, "left out"), (1, "applied twice")])
def test_a_number_left_out_or_applied_twice(function, power, said):
    value, slope, factor = NUMBERED[function]

    def loss(p):
        return np.sum(np.sin(p["W"])) + np.sum(RIGHT * np.tanh(value(p["W"])))

    w = PARAMS["W"]
    wrong = RIGHT * (1 - np.tanh(value(w)) ** 2) * slope(w) * factor**power
    report = fg.check_gradient(loss, {"W": w}, {"W": np.cos(w) + wrong})
    (cause, *_) = report.causes
    assert cause.code == "local_derivative"  # of what the function is of
    assert f"the constant {factor:.6g} of" in cause.message
    assert said in " ".join(cause.message.split())
