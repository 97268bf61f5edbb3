"""At points that do not separate mistakes all are said, the true one among them."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

N = 5
POINTS = {
    "ones": np.ones(N),
    "next to zero": np.full(N, 1e-5),
    "equal": np.full(N, 3.0),
    "one number": np.full(1, 2.5),
    "counted": np.arange(1.0, N + 1),
    "random": np.random.default_rng(0).uniform(0.5, 2.0, size=N),
}
#: A loss, its gradient, and gradients with the derivative of a function left out.
LOSSES = {
    "squares": (lambda w: np.sum(w**2), lambda w: 2 * w, lambda w: w),
    "cubes": (lambda w: np.sum(w**3), lambda w: 3 * w**2, lambda w: w**2),
    "exponentials": (
        lambda w: np.sum(np.exp(2 * w)),
        lambda w: 2 * np.exp(2 * w),
        lambda w: np.exp(2 * w),
    ),
    "sines": (
        lambda w: np.sum(np.sin(3 * w)),
        lambda w: 3 * np.cos(3 * w),
        lambda w: np.cos(3 * w),
    ),
}
MISTAKES = {
    "negated": ("sign", lambda w, right, without: -right),
    "averaged": ("scale", lambda w, right, without: right / N),
    "factor left out": ("local_derivative", lambda w, right, without: without),
    "by log theta": ("reparametrized", lambda w, right, without: right * w),
    "by theta**2 / 2": ("reparametrized", lambda w, right, without: right / w),
    "clipped": ("clipped", lambda w, right, without: np.clip(right, -1, 1)),
    "with a penalty": ("regularization", lambda w, right, without: right + 0.3 * w),
}


def said(loss, theta, wrong):
    report = fg.check_gradient(loss, theta, wrong)
    return report, [cause.code for cause in report.causes]


@every_second
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("point", POINTS)
def test_the_true_mistake_is_among_those_said(point, name, mistake):
    theta, (loss, gradient, without) = POINTS[point], LOSSES[name]
    code, change = MISTAKES[mistake]
    if (name, mistake) == ("squares", "factor left out"):
        code = "scale"  # by the same number everywhere
    right = gradient(theta)
    wrong = change(theta, right, without(theta))
    if np.allclose(wrong, right, rtol=1e-3):
        return  # no mistake at this point
    if theta.size == 1 and code in ("scale", "regularization", "clipped"):
        return  # any number is any other one times a factor, plus a term, or clipped
    report, codes = said(loss, theta, wrong)
    assert report.verdict == "wrong"
    assert code in codes
    if np.ptp(theta) == 0 and len(codes) > 1:
        for cause in report.causes:
            others = [c for c in codes if c != cause.code]
            assert "this point does not tell it from" in cause.message
            assert all(other in cause.message for other in others)
            assert "parameters drawn at random" in cause.message


@pytest.mark.parametrize("name", LOSSES)
def test_the_point_offered_tells_mistakes_apart(name):
    """A clip and a power of theta, which equal parameters leave a factor."""
    loss, gradient, _ = LOSSES[name]
    drawn = np.random.default_rng(1).uniform(0.3, 0.5, size=6)
    _, codes = said(loss, drawn, gradient(drawn) * drawn)
    assert "clipped" not in codes
    limit = np.sort(np.abs(gradient(drawn)))[2]
    _, codes = said(loss, drawn, np.clip(gradient(drawn), -limit, limit))
    assert codes == ["clipped"]


@every_second
@pytest.mark.parametrize("value", [1.0, -1.0, 0.5, 10.0])
@pytest.mark.parametrize("at", [0, 3])
def test_one_entry_that_is_a_round_number_is_no_clip(value, at):
    theta = np.random.default_rng(2).normal(size=8)
    wrong = 3 * np.cos(3 * theta)
    wrong[at] = value
    _, codes = said(LOSSES["sines"][0], theta, wrong)
    assert "clipped" not in codes


class Stateful:
    """A model whose backward pass reads what the last forward pass has left."""

    def __init__(self, rng):
        self.X, self.Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
        self.params = {"w": rng.normal(size=(3, 3)), "b": np.zeros(3)}

    def loss(self):
        self.error = self.X @ self.params["w"] + self.params["b"] - self.Y
        return np.mean(self.error**2)

    def backward(self):
        error = 2 * self.error / self.error.size
        return {"w": self.X.T @ error, "b": error.sum(axis=0)}


@pytest.mark.parametrize(
    "mistake",
    [
        np.transpose,
        np.negative,
        lambda g: 1.001 * g,
        lambda g: g[::-1].copy(),
        lambda g: g * np.where(np.arange(9).reshape(3, 3) == 4, -1, 1),
    ],
    ids=["transposed", "negated", "x1.001", "reversed", "one sign"],
)
def test_a_model_that_keeps_its_forward_pass_has_the_same_causes(mistake, rng):
    model = Stateful(rng)

    def kept(_):
        grads = model.backward()
        return grads | {"w": mistake(grads["w"])}

    def computed_anew(params):
        model.loss()
        return kept(params)

    causes = [
        fg.check_gradient(lambda _: model.loss(), model.params, grads).causes
        for grads in (kept, computed_anew)
    ]
    assert causes[0][0].code == causes[1][0].code != "unknown"


#: Losses of a symmetric matrix and gradients that hold for such alone: as the term to
#: come in again, twice, and the rest of the gradient.
OF_SYMMETRIC = {
    "log-determinant": (
        lambda a: np.linalg.slogdet(a)[1] + np.sum(a**4) / 50,
        np.linalg.inv,
        lambda a: 2 * a**3 / 25,
    ),
    "trace of the inverse": (
        lambda a: np.sum(a**4) / 50 - np.trace(np.linalg.inv(a)),
        lambda a: np.linalg.inv(a) @ np.linalg.inv(a),
        lambda a: 2 * a**3 / 25,
    ),
    "quadratic form": (
        lambda a: np.sum((a @ a) * np.arange(1, 17).reshape(4, 4)) + np.sum(a**4) / 50,
        lambda a: (lambda g: (a @ g).T + (g @ a).T)(np.arange(1, 17.0).reshape(4, 4)),
        lambda a: 2 * a**3 / 25,
    ),
}


@pytest.mark.parametrize("name", OF_SYMMETRIC)
def test_a_gradient_for_symmetric_matrices_is_asked_at_such(name):
    loss, term, rest = OF_SYMMETRIC[name]
    b = np.random.default_rng(0).normal(size=(4, 4))
    a = b @ b.T + 4 * np.eye(4)
    a = (a + a.T) / 2
    assert fg.check_gradient(loss, a, lambda a: term(a).T + rest(a)).ok
    _, codes = said(loss, a, lambda a: 2 * term(a).T + rest(a))
    assert {"scale", "accumulation"} & set(codes)


#: Gradients c * w of a part of a loss that is no penalty, c a number of the data.
ALONG_THETA = {
    "cosine": (
        lambda w, v: w @ v / np.sqrt(w @ w),
        lambda w, v: v / np.sqrt(w @ w),
    ),
    "norm": (
        lambda w, v: np.linalg.norm(w) * (w @ v),
        lambda w, v: np.linalg.norm(w) * v,
    ),
    "Rayleigh quotient": (
        lambda w, v: np.sum(v * w**2) / np.sum(w**2),
        lambda w, v: 2 * v * w / np.sum(w**2),
    ),
}


@pytest.mark.parametrize("name", ALONG_THETA)
def test_what_is_along_theta_is_a_penalty_only_where_there_may_be_one(name):
    loss, without = ALONG_THETA[name]
    w, v = np.random.default_rng(3).normal(size=(2, 7))
    _, codes = said(lambda w: loss(w, v), w, lambda w: without(w, v))
    assert codes
    assert "regularization" not in codes
    assert "unknown" not in codes
