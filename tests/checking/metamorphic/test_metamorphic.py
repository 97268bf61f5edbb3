"""Identities without differences: broken ones are seen, invariances are real."""

import numpy as np
import pytest

import fastgrad as fg
import fastgrad_zoo as zoo
from fastgrad.checking.metamorphic.identities import Function, find_identities
from fastgrad.checking.metamorphic.samples import Samples
from fastgrad.params.nest import Nest
from fastgrad_zoo._opened import opened


def identities(loss, params, grads, data=(), *, axis=0, per_sample=None, seed=0):
    """Return the identities, and leave the parameters as they were."""
    nest = Nest(params)
    before = nest.snapshot()
    samples = Samples(nest, data, axis, per_sample)
    with Function(loss, grads, samples) as function:
        found = find_identities(function, np.random.default_rng(seed))
    assert nest.change_since(before) is None
    return found


def names(found, *, holds):
    return {i.name for i in found if i.holds == holds}


def softmax(p, x, y):
    """Return probabilities and the loss, in the dtype of the arguments."""
    z = x @ p["W"] + p["b"]
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    return e / total, np.mean(np.log(total[:, 0]) - z[np.arange(len(y)), y])


def softmax_loss(p, x, y):
    return softmax(p, x, y)[1]


def softmax_grads(p, x, y):
    probabilities = softmax(p, x, y)[0].copy()
    probabilities[np.arange(len(y)), y] -= 1
    dz = probabilities / np.float32(len(y))
    return {"W": x.T @ dz, "b": dz.sum(axis=0)}


def classifier(rng, dtype):
    params = {"W": rng.standard_normal((5, 4)), "b": rng.standard_normal(4)}
    data = rng.standard_normal((9, 5)).astype(dtype), rng.integers(0, 4, 9)
    return {name: block.astype(dtype) for name, block in params.items()}, data


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_right_gradient_obeys_what_softmax_and_averages_do(rng, dtype):
    params, data = classifier(rng, dtype)
    found = identities(softmax_loss, params, softmax_grads, data)
    assert all(identity.holds for identity in found)
    assert names(found, holds=True) == {
        "the same for samples in another order",
        "the same with every sample twice, a mean",
        "the average over parts of the batch",
        "the same when a constant is added to W along axis 1",
        "the same when a constant is added to b",
    }


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_softmax_without_its_cross_terms_breaks_the_shift(rng, dtype):
    params, data = classifier(rng, dtype)

    def grads(p, x, y):
        s = softmax(p, x, y)[0]
        upstream = np.zeros_like(s)
        rows = np.arange(len(y))
        upstream[rows, y] = -1 / (s[rows, y] * len(y))
        dz = upstream * s * (1 - s)  # the diagonal of the Jacobian only
        return {"W": x.T @ dz, "b": dz.sum(axis=0)}

    found = identities(softmax_loss, params, grads, data)
    assert names(found, holds=False) == {
        "the same when a constant is added to W along axis 1",
        "the same when a constant is added to b",
    }


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_wrong_entry_of_many_is_seen_by_one_line(rng, dtype):
    """Each line goes through a whole block; random entries would miss it."""
    params = {"W": rng.standard_normal((200, 150)) / 15, "b": np.zeros(150)}
    data = rng.standard_normal((4, 200)).astype(dtype), rng.integers(0, 150, 4)
    params = {name: block.astype(dtype) for name, block in params.items()}

    def grads(p, x, y):
        g = softmax_grads(p, x, y)
        g["W"][17, 3] += 10 * np.abs(g["W"]).max()
        return g

    report = fg.check_variations(
        softmax_loss, params, grads, data, coverage=1, variations=[]
    )
    assert report["as given"].ok
    broken = [identity for identity in report.identities if not identity.holds]
    assert {identity.block for identity in broken} == {"W"}
    assert report.verdict == "wrong"


def test_a_constant_for_the_batch_size_breaks_duplication_and_parts(rng):
    params, data = classifier(rng, np.float32)

    def grads(p, x, y):
        g = softmax_grads(p, x, y)
        return {name: block * np.float32(len(y) / 9) for name, block in g.items()}

    found = identities(softmax_loss, params, grads, data)
    assert names(found, holds=False) == {
        "the same with every sample twice, a mean",
        "the average over parts of the batch",
    }


def test_sums_and_averages_are_told_apart_by_the_losses(rng):
    x = rng.standard_normal((7, 3))

    def mean(w, x):
        return np.mean(np.cos(x @ w + 1)) + 0.01 * w @ w

    def total(w, x):
        return np.sum(np.cos(x @ w + 1))

    def neither(w, x):
        return total(w, x) + 0.01 * w @ w

    def grads(w, x):
        return -np.sin(x @ w + 1) @ x

    w = rng.standard_normal(3)
    found = identities(mean, w, lambda w, x: grads(w, x) / len(x) + 0.02 * w, (x,))
    assert len(found) == 3
    assert any("average" in name for name in names(found, holds=True))
    found = identities(total, w, grads, (x,))
    assert any("a sum" in name for name in names(found, holds=True))
    assert any("the sum over" in name for name in names(found, holds=True))
    found = identities(neither, w, lambda w, x: grads(w, x) + 0.02 * w, (x,))
    assert names(found, holds=True) == {"the same for samples in another order"}


def test_a_gradient_that_depends_on_the_order_of_the_samples(rng):
    x = rng.standard_normal((6, 3))
    found = identities(
        lambda w, x: np.mean((x @ w) ** 2),
        rng.standard_normal(3),
        lambda w, x: 2 * (x @ w) @ x / len(x) + 0.1 * x[0],
        (x,),
    )
    assert "the same for samples in another order" in names(found, holds=False)


def test_samples_among_the_parameters_are_followed(rng):
    """The input of a layer is permuted with the data, its gradient put back."""
    y = rng.standard_normal(5)
    params = {"x": rng.standard_normal((5, 3)), "w": rng.standard_normal(3)}

    def loss(p, y):
        return np.mean((np.tanh(p["x"] @ p["w"]) - y) ** 2)

    def grads(p, y, shift=0):
        a = np.tanh(p["x"] @ p["w"])
        dz = 2 * (a - y) * (1 - a**2) / len(y)
        return {"x": np.outer(np.roll(dz, shift), p["w"]), "w": dz @ p["x"]}

    found = identities(loss, params, grads, (y,), per_sample={"x": 0})
    assert len(found) == 6
    assert all(identity.holds for identity in found)

    def first_only(p, y):
        g = grads(p, y)
        return g | {"x": g["x"] * (np.arange(len(y)) == 0)[:, None]}

    found = identities(loss, params, first_only, (y,), per_sample={"x": 0})
    broken = [identity for identity in found if not identity.holds]
    assert {identity.block for identity in broken} == {"x"}


def layer_norm(W, x):
    z = x @ W
    z = z - z.mean(axis=1, keepdims=True)
    return z / np.sqrt((z**2).mean(axis=1, keepdims=True))


def test_a_weight_before_a_normalisation_is_perpendicular_to_its_gradient(rng):
    x, t, W = rng.standard_normal((6, 3)), rng.standard_normal((6, 4)), np.eye(3, 4)
    W += rng.standard_normal((3, 4))

    def loss(W, x, t):
        return np.mean(t * np.tanh(layer_norm(W, x)))

    def grads(W, x, t, complete=True):
        z = x @ W
        z = z - z.mean(axis=1, keepdims=True)
        n = layer_norm(W, x)
        dn = t * (1 - np.tanh(n) ** 2) / t.size
        if complete:
            dn = dn - n * (dn * n).mean(axis=1, keepdims=True)
        dz = dn / np.sqrt((z**2).mean(axis=1, keepdims=True))
        return x.T @ (dz - dz.mean(axis=1, keepdims=True))

    multiplied = "the same when params is multiplied by a constant"
    found = identities(loss, W, grads, (x, t))
    assert multiplied in names(found, holds=True)
    assert not names(found, holds=False)
    found = identities(loss, W, lambda *a: grads(*a, complete=False), (x, t))
    assert names(found, holds=False) == {multiplied}


@pytest.mark.parametrize("away", [0.0, 1e3])
def test_invariances_are_seen_through_what_the_losses_round(away):
    """However the roundings fall; of a normalisation of large numbers, too."""
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, t = rng.standard_normal((5, 2)), rng.standard_normal((5, 8))
        W = away + rng.standard_normal((2, 8))
        found = identities(
            *(lambda W, x, t: np.mean(t * np.tanh(layer_norm(W, x))), W),
            *(lambda W, x, t: 0 * W, (x, t)),
            seed=seed,
        )
        seen += "the same when a constant is added to params along axis 1" in names(
            found, holds=True
        )
    assert seen >= 39


def test_an_error_of_a_hundred_roundings_breaks_an_identity():
    """Along most lines, where no relative difference is allowed for; right ones do not."""
    broken = np.zeros(2)
    for seed in range(30):
        params, data = classifier(np.random.default_rng(seed), np.float64)
        for k, error in enumerate([0.0, 1e-14]):

            def grads(p, x, y, error=error):
                g = softmax_grads(p, x, y)
                return g | {"W": g["W"] + error}

            nest = Nest(params)
            samples = Samples(nest, data, 0)
            with Function(softmax_loss, grads, samples, rtol=0.0) as function:
                found = find_identities(function, np.random.default_rng(seed))
            broken[k] += bool(names(found, holds=False))
    assert broken[0] == 0
    assert broken[1] > 18


def test_a_loss_of_few_digits_obeys_nothing():
    """It is as noisy wherever it is asked, which is no reason to call it the same."""
    w = np.array([0.3, -0.7, 1.9])

    def loss(w):
        return float(3 + 1e-5 * np.sin(1e17 * np.sum(w)))

    assert identities(loss, w, np.zeros_like) == ()


def test_each_output_row_before_a_batch_normalisation(rng):
    x, t = rng.standard_normal((8, 3)), rng.standard_normal((8, 4))
    params = {"W": rng.standard_normal((3, 4)), "b": rng.standard_normal(4)}

    def norm(p, x):
        z = x @ p["W"] + p["b"]
        return (z - z.mean(axis=0)) / z.std(axis=0)

    def loss(p, x, t):
        return np.mean(t * np.tanh(norm(p, x)))

    def grads(p, x, t, complete=True):
        n = norm(p, x)
        dn = t * (1 - np.tanh(n) ** 2) / t.size
        if complete:
            dn = dn - dn.mean(axis=0) - n * (dn * n).mean(axis=0)
        dz = dn / (x @ p["W"] + p["b"]).std(axis=0)
        return {"W": x.T @ dz, "b": dz.sum(axis=0)}

    rows = "the same when W is multiplied by a constant along axis 0"
    found = identities(loss, params, grads, (x, t))
    assert {rows, "the same whatever b is"} <= names(found, holds=True)
    assert not names(found, holds=False)
    found = identities(loss, params, lambda *a: grads(*a, complete=False), (x, t))
    assert {rows, "the same whatever b is"} <= names(found, holds=False)


def test_an_even_loss_has_an_odd_gradient(rng):
    params = {"u": rng.standard_normal(4), "v": rng.standard_normal(4)}

    def loss(p):
        return np.sum(p["u"] ** 2 * p["v"]) ** 2

    def grads(p, power=1):
        inner = 2 * np.sum(p["u"] ** 2 * p["v"])
        return {"u": inner * 2 * p["u"] ** power * p["v"], "v": inner * p["u"] ** 2}

    found = identities(loss, params, grads)
    assert names(found, holds=True) == {"the same when u is negated",
                                        "the same when v is negated"}  # fmt: skip
    found = identities(loss, params, lambda p: grads(p, power=2))
    assert "the same when u is negated" in names(found, holds=False)


def test_what_the_gradient_raises_where_the_loss_does_not_is_kept(rng):
    x = rng.standard_normal((7, 3))

    def grads(w, x):
        return 2 * (x @ w) @ x / len(x) if len(x) != 14 else x[99]

    found = identities(lambda w, x: np.mean((x @ w) ** 2), np.ones(3), grads, (x,))
    [broken] = [identity for identity in found if not identity.holds]
    assert isinstance(broken.error, IndexError)
    assert "twice" in broken.name


def test_gradients_that_read_what_the_loss_cached(rng):
    x = rng.standard_normal((6, 3))
    cache = {}

    def loss(w, x):
        cache["a"] = np.tanh(x @ w)
        return np.mean(cache["a"] ** 2)

    def grads(w, x):
        return 2 * cache["a"] * (1 - cache["a"] ** 2) @ x / len(x)

    found = identities(loss, rng.standard_normal(3), grads, (x,))
    assert len(found) >= 3
    assert all(identity.holds for identity in found)


# Right gradients of losses that look invariant where they are not, or are rough.
X = np.random.default_rng(3).standard_normal((6, 4))


def _relu(w):
    return np.mean(np.maximum(X @ w - 50, 0))


def _relu_gradient(w):
    return (X @ w > 50) @ X / 6


def _saturated(w):
    return np.mean(np.tanh(X @ w * 1e3))


def _saturated_gradient(w):
    return 1e3 * (1 - np.tanh(X @ w * 1e3) ** 2) @ X / 6


def _offset(w):
    return 1e9 + np.sum(np.sin(w))


def _overflowing(w):
    return np.log(np.sum(np.exp(w * 100)))


def _overflowing_gradient(w):
    with np.errstate(all="ignore"):
        e = np.exp(w * 100)
        return 100 * e / e.sum()


def _logits(first):
    return np.array([first, 0.3, 0.7, -0.9])


def _confident(w):
    """Return a cross entropy that is exact however small; shifts leave it as it is."""
    return np.log1p(np.sum(np.exp(w[1:] - w[0])))


def _confident_gradient(w):
    e = np.exp(w - w.max())
    return e / e.sum() - np.eye(4)[0]


RIGHT = {
    "a dead unit": (_relu, _relu_gradient, np.full(4, 0.5)),
    "a saturated unit": (_saturated, _saturated_gradient, np.full(4, 0.5)),
    "periodic": (
        lambda w: np.sum(np.sin(2 * np.pi * w)),
        lambda w: 2 * np.pi * np.cos(2 * np.pi * w),
        np.array([1.0, 2.0, -1.0]),
    ),
    "a narrow bump": (
        lambda w: w[0] * np.exp(-1e4 * (w @ w)) + 1,
        lambda w: (
            np.exp(-1e4 * (w @ w)) * (np.array([1.0, 0]) - 2e4 * w[0] * w)
        ),
        np.array([1e-8, 1e-8]),
    ),
    "a large offset": (_offset, np.cos, np.array([0.1, 1.0])),
    "rounded to float32": (
        lambda w: float(np.float32(np.sum(np.cos(w)))),
        lambda w: -np.sin(w),
        np.array([0.01, 1.0]),
    ),
    "in steps": (
        lambda w: np.floor(w[0]) + w[1],
        lambda w: np.array([0.0, 1.0]),
        np.array([0.5, 2.0]),
    ),
    "an absolute value at zero": (
        lambda w: np.sum(np.abs(w)),
        lambda w: np.where(w >= 0, 1.0, -1.0),
        np.array([0.0, 0.0, 1.0]),
    ),
    "a maximum with ties": (
        lambda w: np.max(w),
        lambda w: np.eye(3)[np.argmax(w)],
        np.ones(3),
    ),
    "a norm": (np.linalg.norm, lambda w: w / np.linalg.norm(w), np.ones(3)),
    "a ratio": (
        lambda w: w[0] / w[1],
        lambda w: np.array([1 / w[1], -w[0] / w[1] ** 2]),
        np.array([1e-3, 1e3]),
    ),
    "an overflow": (_overflowing, _overflowing_gradient, np.array([0.1, 0.2])),
    "a logarithm": (
        lambda w: np.sum(np.log(w)), lambda w: 1 / w, np.array([0.1, 2.0]),
    ),
    "nothing left to learn": (
        lambda w: np.log1p(np.exp(-(w[0] - w[1]))),
        lambda w: (
            (1 / (1 + np.exp(-(w[0] - w[1]))) - 1) * np.array([1.0, -1.0])
        ),
        np.array([40.0, 4.0]),
    ),
    "a gradient of few digits": (_confident, _confident_gradient, _logits(20)),
    "a noisy gradient": (
        _confident,
        lambda w: (_confident_gradient(w) + 1e10 * w) - 1e10 * w,
        _logits(1),
    ),
    "a very noisy gradient": (
        _confident,
        lambda w: _confident_gradient(w) + 0.01 * np.sin(1e18 * w.astype(np.float64)),
        _logits(1),
    ),
    "a gradient rounded to float32": (
        _confident,
        lambda w: _confident_gradient(w).astype(np.float32).astype(np.float64),
        _logits(1),
    ),
    "a minimum": (
        lambda w: np.sum((X @ (w - 1)) ** 2),
        lambda w: 2 * X.T @ (X @ (w - 1)),
        np.ones(4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_break_no_identity(name, dtype):
    loss, grads, w = RIGHT[name]
    for seed in range(5):
        found = identities(
            loss, w.astype(dtype), lambda w: grads(w).astype(w.dtype), seed=seed
        )
        assert not names(found, holds=False)


@pytest.mark.parametrize("problem", [p for p in zoo.problems() if p.batched])
def test_right_float32_gradients_of_the_zoo_break_no_identity(problem):
    case = opened(problem, seed=0, batch=4, dtype=np.float32)
    found = identities(*case[:4], **case.options)
    assert not names(found, holds=False)
