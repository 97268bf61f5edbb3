"""One evaluation an entry, where a program's differences do not cancel."""

import mpmath
import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad.program.program import Program

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 30)), RNG.normal(size=(16, 5))
PARAMS = {
    "W": RNG.normal(size=(30, 20)) / 5,
    "b": RNG.normal(size=20),
    "V": RNG.normal(size=(20, 5)) / 4,
}


def loss(p, f=np.tanh):
    return np.mean((f(X @ p["W"] + p["b"]) @ p["V"] - Y) ** 2)


def relu(z):
    return np.maximum(z, 0)


def complex_step(f):
    """The exact gradient, to rounding."""
    moved = {k: v.astype(complex) for k, v in PARAMS.items()}
    grads = {k: np.empty(v.shape) for k, v in PARAMS.items()}
    for k, v in PARAMS.items():
        for i in np.ndindex(v.shape):
            moved[k][i] += 1e-30j
            grads[k][i] = np.imag(loss(moved, f)) / 1e-30
            moved[k][i] = v[i]
    return grads


def flat(nest):
    return np.concatenate([np.ravel(nest[k]) for k in PARAMS])


SMOOTH = {
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "sine": lambda z: np.sin(3 * z),
    "softplus": lambda z: np.log(1 + np.exp(z)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_to_the_last_digits(name):
    """1e-12 of the norm, 1e-9 of each entry, for little more than one evaluation."""
    f = SMOOTH[name]
    truth = complex_step(f)
    report = fg.check_gradient(lambda p: loss(p, f), PARAMS, truth)
    assert report.ok
    assert report.engine == "compiled"
    assert report.method == "exact"
    assert report.evaluations <= report.checked + 400  # little, in large problems
    for numerical in (
        report.numerical,
        fg.numerical_gradient(lambda p: loss(p, f), PARAMS),
    ):
        off = np.abs(flat(numerical) - flat(truth))
        assert np.linalg.norm(off) <= 1e-12 * np.linalg.norm(flat(truth))
        assert (off <= 1e-9 * np.abs(flat(truth))).all()


def test_errors_of_one_in_a_thousand_million_are_wrong():
    """In any block; the limit that is stated for it is below that."""
    truth = complex_step(np.tanh)
    report = fg.check_gradient(loss, PARAMS, truth)
    for k in PARAMS:
        wrong = {name: g.copy() for name, g in truth.items()}
        i = np.unravel_index(np.argmax(np.abs(truth[k])), truth[k].shape)
        wrong[k][i] *= 1 + 1e-9
        found = fg.check_gradient(loss, PARAMS, wrong).wrong
        assert [(entry.block, entry.index) for entry in found] == [(k, i)]
        assert report.blocks[k].detection_limit <= 1e-9 * np.abs(truth[k]).max()


def test_large_problems_cost_one_evaluation_an_entry():
    """And a few more, for a sample of each block."""
    x = np.random.default_rng(1).normal(size=20_000)
    report = fg.check_gradient(lambda x: np.sum(np.sin(x)), x, np.cos(x))
    assert report.ok
    assert report.evaluations <= 1.05 * x.size


@pytest.mark.parametrize("seed", [0, 1, 3, 4])  # at which none is in the sample
def test_bars_of_what_is_hardly_a_number(seed):
    """Differences of the smallest numbers are rounded to whole ones of these."""
    rng = np.random.default_rng(seed)
    x, slope = rng.uniform(0.5, 1.5, 300), 2.0 ** rng.integers(0, 5, 300)
    tiny = rng.permutation(300)[:6]
    slope[tiny] = 10.0 ** rng.uniform(-305, -295, 6)
    found, error = fg.numerical_gradient(
        lambda x: np.sum(slope * x), x, return_error=True
    )
    assert (np.abs(found - slope) <= error).all()
    assert (error[tiny] < 1e-307).all()


def test_kinks_at_the_point_are_seen():
    """A step to one side alone would take the slope of that side."""
    x = np.array([0.0, 1.0, -2.0])

    def slopes(a):
        return np.array([a, 1.0, -1.0])

    for a in (-1.0, 0.0, 0.3, 1.0):
        report = fg.check_gradient(lambda x: np.sum(np.abs(x)), x, slopes(a))
        assert report.ok
        assert report.blocks[0].at_kink == 1
    assert fg.check_gradient(lambda x: np.sum(np.abs(x)), x, slopes(1.1)).wrong
    numerical = fg.numerical_gradient(lambda x: np.sum(np.abs(x)), x)
    np.testing.assert_allclose(numerical, [0.0, 1.0, -1.0], atol=1e-12)


def test_relu_networks():
    """No kink is crossed by steps so small."""
    z = X @ PARAMS["W"] + PARAMS["b"]
    d = 2 * (relu(z) @ PARAMS["V"] - Y) / Y.size
    dz = d @ PARAMS["V"].T * (z > 0)
    truth = {"W": X.T @ dz, "b": dz.sum(axis=0), "V": relu(z).T @ d}
    report = fg.check_gradient(lambda p: loss(p, relu), PARAMS, truth)
    assert report.ok
    off = np.linalg.norm(flat(report.numerical) - flat(truth))
    assert off <= 1e-12 * np.linalg.norm(flat(truth))


def test_a_step_asked_for_is_a_central_difference():
    """With that step, whatever the engine."""
    h = 1e-3
    numerical = fg.numerical_gradient(loss, PARAMS, step=h)
    w = PARAMS["W"].copy()
    up, down = w.copy(), w.copy()
    up[3, 4] += h
    down[3, 4] -= h
    quotient = (loss(PARAMS | {"W": up}) - loss(PARAMS | {"W": down})) / (
        up[3, 4] - down[3, 4]
    )
    assert numerical["W"][3, 4] == pytest.approx(quotient, rel=1e-10)


def test_the_function_has_the_last_word(monkeypatch):
    """A program with other slopes is not used, and the report says so."""
    truth = complex_step(np.tanh)
    at_entries = Program.at_entries

    def mistaken(self, index, delta, **options):
        difference, crossed = at_entries(self, index, delta, **options)
        return difference * np.where(np.abs(delta) < 1e-5, 1.001, 1), crossed

    monkeypatch.setattr(Program, "at_entries", mistaken)
    report = fg.check_gradient(loss, PARAMS, truth)
    assert report.ok
    assert report.engine == "python"
    assert "other slopes" in report.fallback
    with pytest.raises(ValueError, match="other slopes"):
        fg.check_gradient(loss, PARAMS, truth, engine="compiled")


@every_second
@pytest.mark.parametrize(
    ("f", "error"),
    [(np.tanh, 1e-1), (relu, 1e-1), (np.tanh, 1e-4), (relu, 1e-4), (np.tanh, 1e-5)],
)
@pytest.mark.parametrize("block", PARAMS)
def test_the_last_word_is_on_every_block(monkeypatch, block, f, error):
    """A program whose slopes in one block alone are off is not used."""
    sizes = [v.size for v in PARAMS.values()]
    of_block = np.repeat(list(PARAMS), sizes) == block
    at_entries = Program.at_entries

    def mistaken(self, index, delta, **options):
        difference, crossed = at_entries(self, index, delta, **options)
        off = of_block[index] & (np.abs(delta) < 1e-5)
        return difference * np.where(off, 1 + error, 1), crossed

    monkeypatch.setattr(Program, "at_entries", mistaken)
    truth = fg.trace(lambda p: loss(p, f), PARAMS).gradient()
    report = fg.check_gradient(lambda p: loss(p, f), PARAMS, truth)
    assert report.ok
    assert report.engine == "python"
    assert "other slopes" in report.fallback


def test_the_last_word_takes_few_calls():
    """Two in all of a smooth loss, besides those before the first entry."""
    calls = []

    def counted(p):
        calls.append(None)
        return loss(p)

    report = fg.check_gradient(counted, PARAMS, complex_step(np.tanh))
    assert report.engine == "compiled"
    assert report.ok
    assert len(calls) <= 14 + len(PARAMS)


def test_the_last_word_is_on_blocks_that_hardly_matter(monkeypatch):
    """However much less the loss responds to a block than to the others."""
    theta = {"a": np.ones(3), "b": np.ones(4), "c": np.ones(2)}
    size = {"a": 1.0, "b": 2e-6, "c": 3e-3}

    def loss(p):
        return sum(size[k] * np.sum(np.exp(p[k])) for k in p)

    truth = {k: size[k] * np.exp(v) for k, v in theta.items()}
    at_entries = Program.at_entries

    def mistaken(self, index, delta, **options):
        difference, crossed = at_entries(self, index, delta, **options)
        off = (index >= 3) & (index < 7) & (np.abs(delta) < 1e-5)
        return difference * np.where(off, 1.001, 1), crossed

    assert fg.check_gradient(loss, theta, truth).engine == "compiled"
    monkeypatch.setattr(Program, "at_entries", mistaken)
    report = fg.check_gradient(loss, theta, truth)
    assert report.ok
    assert report.engine == "python"


def ridge(condition):
    """A quadratic form with an inverse, and its gradient, which has a closed form."""
    q, _ = np.linalg.qr(RNG.normal(size=(6, 6)))
    m = (q * np.logspace(0, -np.log10(condition), 6)) @ q.T
    m, b = (m + m.T) / 2, RNG.normal(size=6)
    theta = np.full(6, 0.1 / condition)
    z = np.linalg.solve(m + np.diag(theta), b)
    return lambda p: b @ np.linalg.solve(m + np.diag(p), b), theta, -(z**2)


@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5])
def test_an_inverse_costs_digits_by_its_condition(condition):
    """No more than that: an error a hundred times its rounding is found."""
    loss, theta, right = ridge(condition)
    report = fg.check_gradient(loss, theta, right, engine="compiled")
    assert report.ok
    error = 1e3 * max(1e-12, condition * np.finfo(float).eps)
    wrong = right.copy()
    wrong[np.argmax(np.abs(right))] *= 1 + error
    assert fg.check_gradient(loss, theta, wrong).verdict == "wrong"


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def log_softmax(z):
    y = z - z.max()
    return y - np.log(np.exp(y).sum())


@pytest.mark.parametrize("saturated", [5.0, 25.0, 36.0, 60.0, 200.0])
@pytest.mark.parametrize(
    "loss",
    [lambda z: -np.log(softmax(z)[3]), lambda z: -log_softmax(z)[3]],
    ids=["log of softmax", "log_softmax"],
)
def test_saturation_costs_no_digits(loss, saturated):
    """Though the loss itself is lost in the rounding of what it is computed from."""
    z = np.array([0.3, -0.2, 0.1, saturated])
    with mpmath.workdps(250):
        e = [mpmath.exp(mpmath.mpf(v)) for v in z]
        p = [v / mpmath.fsum(e) for v in e]
        truth = np.array([float(v) for v in (*p[:3], p[3] - 1)])
    numerical = fg.numerical_gradient(loss, z)
    np.testing.assert_allclose(numerical, truth, rtol=1e-12)
    report = fg.check_gradient(loss, z, truth)
    assert report.ok
    assert report.engine == "compiled"
    if saturated < 30:  # beyond, p - 1 may be off by all of itself
        wrong = truth * np.array([1.0, 1.01, 1.0, 1.0])
        assert [e.index for e in fg.check_gradient(loss, z, wrong).wrong] == [(1,)]


@pytest.mark.parametrize("seed", range(8))
def test_what_saturates_is_rounded_as_where_it_is_steep(seed):
    """1 - s of a sigmoid near 1 has the rounding of 1, times a slope seen elsewhere."""
    x = np.random.default_rng(seed).normal(size=300) / 10

    def loss(x):
        return np.sum(1 / (1 + np.exp(-2000 * x)))

    def grads(x):
        s = 1 / (1 + np.exp(-2000 * x))
        return 2000 * s * (1 - s)

    with np.errstate(over="ignore"):
        assert fg.check_gradient(loss, x, grads).verdict != "wrong"
        wrong = grads(x)
        wrong[np.argmax(wrong)] *= 1 + 1e-6
        assert fg.check_gradient(loss, x, wrong).verdict == "wrong"
