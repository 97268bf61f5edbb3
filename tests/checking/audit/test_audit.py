"""What is found out before any difference is taken."""

import math
import random

import numpy as np
import pytest
from tanh_layer import X, grads, loss

import fastgrad as fg
from fastgrad.checking.audit.calls import audit_gradients, audit_loss
from fastgrad.checking.check import check_gradient
from fastgrad.losses import make_losses


def params():
    return {"W": np.array([[0.5, -1.0], [2.0, 0.25]]), "b": np.array([[0.1], [-0.2]])}


def audited(function, structure=None, **options):
    structure = params() if structure is None else structure
    with make_losses(function, structure, engine="python", **options) as losses:
        return audit_loss(losses)


def audited_gradients(gradients, function=loss, structure=None):
    structure = params() if structure is None else structure
    with make_losses(function, structure, engine="python") as losses:
        return audit_gradients(gradients, losses)


def test_nothing_is_found_in_an_honest_loss():
    """A deterministic loss that depends on its parameters passes, in 5 evaluations."""
    with make_losses(loss, params(), engine="python") as losses:
        assert audit_loss(losses) == []
        assert losses.evaluations == 5


def test_dropout_is_named_with_its_generator():
    """A random mask makes the verdict undecided and names the generator."""
    rng = np.random.default_rng(0)

    def dropout(p):
        return np.mean(np.tanh(p["W"] @ X) * (rng.random((2, 3)) < 0.5))

    [finding] = audited(dropout)
    assert finding.verdict == "undecided"
    assert finding.cause.code == "nondeterministic"
    assert "random numbers from `rng`" in finding.cause.message


@pytest.mark.parametrize("seed", range(40))
def test_masks_of_few_outcomes(seed):
    """One unit that is dropped or not returns the same as often as not."""
    rng, w = np.random.default_rng(seed), np.ones(1)

    def dropout(w):
        return w * (rng.random(1) < 0.5)

    def with_gradient(w):
        return np.sum(w**2), 2 * dropout(w)

    def squares(w):
        return np.sum(dropout(w) ** 2)

    for report in (
        check_gradient(squares, w, 2 * w),
        check_gradient(with_gradient, w, engine="python"),
        check_gradient(lambda w: np.sum(w**2), w, lambda w: 2 * dropout(w)),
        fg.check_jacobian(dropout, w, np.eye(1)),
    ):
        assert not report.ok
        assert [cause.code for cause in report.causes] == ["nondeterministic"]
        assert "`rng`" in report.causes[0].message


def test_numbers_that_are_drawn_for_nothing():
    """They are no reason to doubt what is returned."""
    rng, w = np.random.default_rng(0), np.linspace(0.5, 1.0, 3)

    def loss(w):
        return np.sum(w**3 + 0.0 * rng.random(3))

    assert check_gradient(loss, w, 3 * w**2).verdict == "correct"
    assert check_gradient(loss, w, 2 * w**2).verdict == "wrong"


def test_dropout_in_a_model_object():
    """A generator kept by the object whose method is the loss is found."""

    class Model:
        def __init__(self):
            self.noise = np.random.RandomState(0)

        def loss(self, p):
            return loss(p) + self.noise.standard_normal()

    [finding] = audited(Model().loss)
    assert "random numbers from `noise`" in finding.cause.message


def test_the_global_generator_is_named():
    """np.random.rand() inside the loss is recognised."""
    [finding] = audited(lambda p: loss(p) * np.random.rand())  # noqa: NPY002
    assert "NumPy's global generator" in finding.cause.message


def test_the_generator_of_python_is_named():
    [finding] = audited(lambda p: loss(p) * random.random())
    assert "the generator of `random`" in finding.cause.message


def test_what_python_draws_rarely_matters():
    """Because it draws the loss is asked more often."""
    random.seed(2)
    [finding] = audited(lambda p: loss(p) * (1 + (random.random() < 0.2)))
    assert finding.cause.code == "nondeterministic"


def test_a_loss_that_drifts():
    """A running average that the loss keeps is a state, not a random number."""
    state = [0.0]

    def drifting(p):
        state[0] = 0.9 * state[0] + 0.1 * np.mean(p["W"])
        return loss(p) + state[0]

    [finding] = audited(drifting)
    assert finding.cause.code == "nondeterministic"
    assert "keeps a state between calls" in finding.cause.message


def test_roundings_are_not_randomness():
    """Sums in changing order differ in the last bits: left to the noise estimate."""
    order = np.random.default_rng(0)
    terms = np.random.default_rng(1).standard_normal(1000) + 1

    def shuffled(p):
        return float(sum(order.permutation(terms).tolist())) * float(p[0])

    assert audited(shuffled, np.ones(1)) == []


def test_a_fixed_seed_inside_the_loss_is_deterministic():
    """Dropout whose mask is drawn from a fresh seed each time can be checked."""

    def fixed(p):
        mask = np.random.default_rng(0).random((2, 3)) < 0.5
        return np.mean(np.tanh(p["W"] @ X) * mask)

    assert audited(fixed) == []


@pytest.mark.parametrize("base", [0.0, 0.7])
def test_a_loss_that_ignores_its_parameters(base):
    """Refused: most often it reads copies of what is in `params`."""
    with pytest.raises(ValueError, match="`loss` must depend on `params`"):
        audited(lambda p: base)


def test_a_model_whose_copies_are_given():
    """The classic: params are copies, the loss reads the model."""
    model = params()
    with pytest.raises(ValueError, match="reads arrays of its own"):
        audited(lambda _: loss(model), {k: v.copy() for k, v in model.items()})
    assert audited(lambda _: loss(model), model) == []


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: max(0.0, w - 2.0),
        lambda w: max(0.0, 0.9 - w),
        lambda w: max(0.0, w - 1.3) if w < 3 else math.inf,
    ],
)
def test_a_flat_neighbourhood_is_not_ignorance(loss):
    """A dead unit that wakes up far away depends on its parameters."""
    assert audited(lambda w: loss(float(w[0])), np.ones(1)) == []


@pytest.mark.parametrize("bounds", [None, (0.5, 2.5)])
def test_a_constant_loss_is_asked_where_it_is_defined(bounds):
    """No parameter changes its sign, or leaves its bounds."""
    seen = []

    def constant(w):
        seen.append(np.array(w))
        assert (np.asarray(w) > 0).all()
        return 1.0

    with pytest.raises(ValueError, match="`loss` must depend on `params`"):
        fg.check_gradient(
            constant, np.array([1.0, 2.0]), np.zeros(2), bounds=bounds, engine="python"
        )
    assert np.min(seen) > 0
    if bounds is not None:
        assert np.min(seen) >= 0.5
        assert np.max(seen) <= 2.5


@pytest.mark.parametrize("given", ["arrays", "callable", "returned"])
def test_gradients_are_copied(given):
    """However they are given, gradients come back as copies, block by block."""
    expected = grads(params())
    function = loss
    gradients = grads(params())
    if given == "callable":
        gradients = grads
    elif given == "returned":
        gradients, function = None, lambda p: (loss(p), grads(p))
    arrays, findings = audited_gradients(gradients, function)
    assert findings == []
    assert np.array_equal(arrays[0], expected["W"])
    assert np.array_equal(arrays[1], expected["b"])


def test_gradients_in_a_buffer_that_is_used_again():
    """A callable that returns its internal buffer each time is right, not random."""
    buffer = {"W": np.zeros((2, 2)), "b": np.zeros((2, 1))}

    def reused(p):
        for name, value in grads(p).items():
            buffer[name][...] = value
        return buffer

    arrays, findings = audited_gradients(reused)
    buffer["W"][...] = 7
    assert findings == []
    assert np.array_equal(arrays[0], grads(params())["W"])


def test_gradients_that_read_what_the_loss_left():
    """Caches of the forward pass are those of theta when the gradient is called."""
    cache = {}

    def forward(p):
        cache["a"] = np.tanh(p["W"] @ X + p["b"])
        return np.mean(cache["a"] ** 2)

    def backward(p):
        dz = 2 * cache["a"] * (1 - cache["a"] ** 2) / cache["a"].size
        return {"W": dz @ X.T, "b": dz.sum(axis=1, keepdims=True)}

    arrays, findings = audited_gradients(backward, forward)
    assert findings == []
    assert np.array_equal(arrays[0], grads(params())["W"])


def test_gradients_that_accumulate():
    """Each call adds to the last: wrong, and the block is named."""
    total = np.zeros((2, 2))

    def accumulating(p):
        total[...] += grads(p)["W"]
        return {"W": total, "b": grads(p)["b"]}

    _, [finding] = audited_gradients(accumulating)
    assert finding.verdict == "wrong"
    assert (finding.cause.code, finding.cause.blocks) == ("accumulation", ("W",))


@pytest.mark.parametrize("fading", [0.01, 0.5, 0.9, 0.99])
def test_gradients_that_forget_slowly(fading):
    """An average over calls is left from those before, however slowly that fades."""
    kept = 0.0

    def averaged(p):
        nonlocal kept
        kept = fading * kept + (1 - fading) * grads(p)["W"]
        return {"W": kept, "b": grads(p)["b"]}

    _, [finding] = audited_gradients(averaged)
    assert finding.verdict == "wrong"
    assert (finding.cause.code, finding.cause.blocks) == ("stale", ("W",))


def test_random_gradients_do_not_fade():
    """Nobody sees where their numbers come from, and it takes some calls to tell."""
    stale = 0
    for seed in range(200):
        draw = random.Random(seed).random
        _, [finding] = audited_gradients(
            lambda w, draw=draw: 2 * w + draw(), lambda w: np.sum(w**2), np.ones(1)
        )
        stale += finding.cause.code == "stale"
    assert stale == 0


@pytest.mark.parametrize(
    ("roundings", "random"), [(0, False), (24, False), (100, True)]
)
def test_what_sums_in_another_order_differ_by_is_no_other_loss(roundings, random):
    """A hundred roundings are more than these."""
    calls = 0

    def loss(p):
        nonlocal calls
        calls += 1
        return np.sum(p**2) * (1 + calls % 2 * roundings * np.finfo(float).eps)

    assert bool(audited(loss, np.ones(2))) == random


def test_random_gradients():
    """A gradient that is another one each time is undecided."""
    rng = np.random.default_rng(0)

    def noisy(p):
        return {k: g + rng.standard_normal(g.shape) for k, g in grads(p).items()}

    _, [finding] = audited_gradients(noisy)
    assert finding.verdict == "undecided"
    assert finding.cause.code == "nondeterministic"


def test_gradients_that_are_not_finite():
    """The first such entry is named with its value."""
    wrong = grads(params())
    wrong["b"][1, 0] = np.nan
    _, [finding] = audited_gradients(wrong)
    assert finding.verdict == "wrong"
    assert (finding.cause.code, finding.cause.blocks) == ("nonfinite", ("b",))
    assert "b[1, 0] = nan" in finding.cause.message


def updates(p):
    g = grads(p)
    p["W"] -= 0.1 * g["W"]
    return g


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        (updates, ValueError, "`grads` must not change the parameters, .* changed W"),
        (lambda p: None, TypeError, "`grads` returned None"),
        (None, TypeError, "`grads` must be given"),
        (lambda p: {"W": 1.0}, ValueError, "`grads` must have the keys of `params`"),
        (lambda p: {"W": 1.0, "b": 1.0}, ValueError, r'`grads\["W"\]` must have shape'),
    ],
)
def test_gradients_that_make_no_sense(gradients, error, message):
    """Each is refused, and the parameters are as they were."""
    structure = params()
    with pytest.raises(error, match=message):
        audited_gradients(gradients, structure=structure)
    assert np.array_equal(structure["W"], params()["W"])


def test_gradients_that_fail_halfway():
    """An exception comes through, and what was changed before it is put back."""
    structure = params()

    def fails(p):
        p["W"] += 1
        raise ZeroDivisionError

    with make_losses(loss, structure, engine="python") as losses:
        with pytest.raises(ZeroDivisionError):
            audit_gradients(fails, losses)
        assert np.array_equal(structure["W"], params()["W"])


def test_a_random_loss_in_a_report():
    """Nothing is compared: undecided, after a handful of evaluations."""
    rng = np.random.default_rng(0)
    report = check_gradient(lambda p: loss(p) + rng.random(), params(), grads)
    assert report.verdict == "undecided"
    assert [cause.code for cause in report.causes] == ["nondeterministic"]
    assert report.checked == 0
    assert report.evaluations < 20
    assert np.isnan(report.numerical["W"]).all()


def test_accumulation_in_a_report():
    """The first gradient is right, and yet the verdict is wrong."""
    total = np.zeros((2, 2))

    def accumulating(p):
        total[...] += grads(p)["W"]
        return {"W": total, "b": grads(p)["b"]}

    report = check_gradient(loss, params(), accumulating)
    assert report.verdict == "wrong"
    assert report.wrong == ()
    assert [cause.code for cause in report.causes] == ["accumulation"]
    assert [block.verdict for block in report.blocks] == ["wrong", "correct"]


def test_gradients_that_the_loss_overwrites():
    """Gradients are taken as they were given, whatever the loss does to them."""
    given = grads(params())

    def careless(p):
        given["W"][...] = 7
        return loss(p)

    assert check_gradient(careless, params(), given).ok


@pytest.mark.parametrize("noise", [1e-15, 1e-12, 1e-7])
@pytest.mark.parametrize("factor", [1.0, 1.01, -1.0])
def test_noise_from_call_to_call_can_be_allowed(noise, factor, rng):
    """As sums on a GPU have: right gradients are correct, wrong ones are wrong."""
    W, X = rng.standard_normal((5, 3)), rng.standard_normal((20, 5))
    draws = np.random.default_rng(1)

    def loss(W):
        value = np.sum(np.tanh(X @ W) ** 2)
        return value * (1 + noise * draws.standard_normal())

    def grads(W):
        t = np.tanh(X @ W)
        value = factor * X.T @ (2 * t * (1 - t * t))
        return value * (1 + noise * draws.standard_normal(W.shape))

    rtol = max(1e-6, 10 * noise)
    report = fg.check_gradient(loss, W, grads, rtol=rtol, nondet_rtol=20 * noise)
    assert report.verdict == ("correct" if factor == 1 else "wrong")
    if noise > 1e-14:  # less is what the order of a sum makes
        [cause] = fg.check_gradient(loss, W, grads(W)).causes
        assert cause.code == "nondeterministic"
        found, error = fg.numerical_gradient(
            loss, W, return_error=True, nondet_rtol=20 * noise
        )
        assert (np.abs(found - grads(W) / factor) <= error + 9 * noise).all()


class Previous:
    """A loss that adds how far the parameters are from those of the call before."""

    def __init__(self, share):
        self.share, self.before = share, None

    def __call__(self, p):
        before, self.before = self.before, p.copy()
        moved = 0.0 if before is None else np.sum(np.abs(p - before))
        return float(np.sum(p**2) + self.share * moved)


class Warm:
    """A solver that starts where it ended before, and stops early."""

    def __init__(self, steps):
        self.steps, self.root = steps, 1.0

    def __call__(self, p):
        for _ in range(self.steps):
            self.root = (self.root + p[0] / self.root) / 2
        return float(self.root)


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize(
    "make", [lambda: Previous(1e-3), lambda: Previous(10), lambda: Warm(1)]
)
def test_a_loss_that_remembers_where_it_was_called(make, engine):
    """At theta alone it repeats itself: only after a call elsewhere it does not."""
    loss, p = make(), np.array([0.7, -1.2])
    loss(p)
    again = loss(p)
    for _ in range(60):
        again = loss(p)
    assert loss(p) == again
    report = fg.check_gradient(loss, p, 2 * p, engine=engine)
    assert report.verdict == "undecided"
    assert [cause.code for cause in report.causes] == ["nondeterministic"]
