"""Where people check gradients: ones, zeros, equal numbers, whole ones.

There a wrong account may fit as well as the right one, which is to be told first, or
beside it.
"""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=6)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def network(p):
    h = sigmoid(X @ p["W"] + p["b"])
    return 0.5 * np.mean((h @ p["v"] - Y) ** 2) + 0.01 * np.sum(p["W"] ** 2)


def backward(slope):
    def grads(p):
        h = sigmoid(X @ p["W"] + p["b"])
        d = (h @ p["v"] - Y) / len(Y)
        dz = np.outer(d, p["v"]) * slope(h)
        dW = X.T @ dz + 0.02 * p["W"]
        return {"W": dW, "b": dz.sum(axis=0), "v": h.T @ d}

    return grads


ZEROS = {"W": np.zeros((3, 4)), "b": np.zeros(4), "v": np.full(4, 0.5)}


@pytest.mark.parametrize("slope", [np.ones_like, lambda h: 1 - h, lambda h: h])
def test_slopes_of_a_sigmoid_at_zero(slope):
    """Where all are one number a second point tells them from it, if there is one."""
    assert fg.check_gradient(network, ZEROS, backward(lambda h: h * (1 - h)))
    grads = backward(slope)
    assert fg.check_gradient(network, ZEROS, grads).causes[0].code == "local_derivative"
    causes = fg.check_gradient(network, ZEROS, grads(ZEROS)).causes
    assert {"scale", "local_derivative"} <= {cause.code for cause in causes}
    assert all("this point does not tell it from" in c.message for c in causes)


C = np.array([1.0, 2.0, 4.0])


@pytest.mark.parametrize("as_function", [True, False])
@pytest.mark.parametrize(
    ("loss", "w", "grads", "codes"),
    [
        (
            lambda w: np.sum(w**2) + C @ w**3,
            np.ones(3),
            lambda w: w + 3 * C * w**2,
            {"regularization", "scale"},
        ),
        (
            lambda w: np.sum(w**2) + C @ w**3,
            np.ones(3),
            lambda w: 3 * C * w**2,
            {"regularization"},
        ),
        (
            lambda w: np.sum(C * w**3),
            np.full(3, 3.0),
            lambda w: 3 * w**2,
            {"local_derivative", "scale"},
        ),
    ],
)
def test_plainer_accounts_of_equal_numbers_come_first(
    loss, w, grads, codes, as_function
):
    """No sum begins at -2, and nobody clips to 27."""
    report = fg.check_gradient(loss, w, grads if as_function else grads(w))
    assert report.causes[0].code in codes


SEEN = Y[:4]


def flow(p):
    x, total = p["x"], 0.0
    for y in SEEN:
        x = x + 0.1 * (p["a"] * x - p["b"] * x**2)
        total = total + (x - y) ** 2
    return total


@pytest.mark.parametrize(
    ("read", "code"), [(lambda xs, n: xs[n + 1], "stale"), (lambda *_: 1.0, None)]
)
def test_what_equals_a_value_here_only_is_not_told_for_it(read, code):
    """``2 * b * x`` is x where b is one half."""

    def grads(p):
        xs = [p["x"]]
        for _ in SEEN:
            xs.append(xs[-1] + 0.1 * (p["a"] * xs[-1] - p["b"] * xs[-1] ** 2))
        lam, da, db = 0.0, 0.0, 0.0
        for n in reversed(range(len(SEEN))):
            lam = lam + 2 * (xs[n + 1] - SEEN[n])
            da += lam * 0.1 * read(xs, n)
            db -= lam * 0.1 * xs[n] ** 2
            lam = lam * (1 + 0.1 * (p["a"] - 2 * p["b"] * xs[n]))
        return {"x": lam, "a": da, "b": db}

    p = {"x": np.array(1.0), "a": np.array(1.0), "b": np.array(0.5)}
    cause = fg.check_gradient(flow, p, grads).causes[0]
    assert cause.blocks == ("a",)
    assert code is None or cause.code == code
    assert "(2 * b)" not in cause.message


LABELS = np.array([0.0, 1.0] * 6)


@pytest.mark.parametrize("at", [np.zeros(12), RNG.normal(size=12)])
def test_a_slope_too_many_is_no_exchange(at):
    """The derivative of the sigmoid is in that of the cross entropy already."""

    def loss(z):
        return np.mean(np.logaddexp(0, z) - LABELS * z)

    def grads(z):
        s = sigmoid(z)
        return (s - LABELS) * s * (1 - s) / len(z)

    cause = fg.check_gradient(loss, at, grads).causes[0]
    assert cause.code == "local_derivative"
    assert "exchanged" not in cause.message


def standardised(p, root=lambda v: np.sqrt(v + 1e-3)):
    z = X @ p["W"]
    return (z - z.mean(axis=0)) / root(z.var(axis=0))


def test_an_epsilon_outside_of_the_root():
    T = RNG.normal(size=(6, 4))

    def loss(p):
        return np.sum((standardised(p) - T) ** 2)

    def grads(p):
        z = X @ p["W"]
        s = np.sqrt(z.var(axis=0)) + 1e-3
        n = (z - z.mean(axis=0)) / s
        d = 2 * (n - T)
        dz = (d - d.mean(axis=0) - n * np.mean(d * n, axis=0)) / s
        return {"W": X.T @ dz}

    cause = fg.check_gradient(loss, {"W": RNG.normal(size=(3, 4))}, grads).causes[0]
    assert cause.code in ("local_derivative", "stale")
    assert "`s` is used where" in cause.message


def test_square_matrices_of_a_batch_are_told_apart():
    """Queries where keys are due: a transposition of the last two axes away."""
    p = {k: RNG.normal(size=(4, 4)) for k in ("Q", "K")}
    x, t = RNG.normal(size=(2, 4, 4)), RNG.normal(size=(2, 4, 4))

    def loss(p):
        return np.sum((np.tanh(x @ p["Q"] @ (x @ p["K"]).swapaxes(1, 2)) - t) ** 2)

    q, k = x @ p["Q"], x @ p["K"]
    h = np.tanh(q @ k.swapaxes(1, 2))
    d = 2 * (h - t) * (1 - h**2)
    wrong = np.einsum("bti,btj->ij", x, d @ q)
    right = np.einsum("bti,btj->ij", x, d.swapaxes(1, 2) @ q)
    cause = fg.check_gradient(loss, p, {"Q": wrong, "K": right}).causes[0]
    assert (cause.code, cause.blocks) == ("local_derivative", ("Q",))
    assert "np.matmul" in cause.message


def test_a_forward_pass_without_its_mask():
    mask = RNG.choice([0.0, 2.0], size=(6, 4))

    def loss(p):
        return np.mean((np.maximum(X @ p["W"], 0) * mask @ p["v"] - Y) ** 2)

    p = {"W": RNG.normal(size=(3, 4)), "v": RNG.normal(size=4)}
    z = X @ p["W"]
    h = np.maximum(z, 0)  # times the mask that is due
    d = 2 * (h @ p["v"] - Y) / len(Y)
    dz = np.outer(d, p["v"]) * mask * (z > 0)
    cause = fg.check_gradient(loss, p, {"W": X.T @ dz, "v": h.T @ d}).causes[0]
    assert (cause.code, cause.blocks) == ("mask", ("W", "v"))
