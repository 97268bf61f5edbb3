"""What is left open is named, with the reason and a remedy that works."""

import math

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

X = np.random.default_rng(0).normal(size=(50, 6))


def note(report, start):
    [found] = [text for text in report.notes if text.startswith(start)]
    return found


def test_noise_of_low_precision():
    """The remedy named, float64, decides it."""
    x = np.linspace(0.1, 0.6, 6)

    def loss(p, dtype=np.float16):
        return dtype(np.mean(np.sin(X @ p)) + 4)

    grads = X.T @ np.cos(X @ x) / 50
    report = fg.check_gradient(loss, x, grads, engine="python")
    assert report.verdict == "undecided"
    assert "params[0]" in note(report, "undecided")
    assert "float64" in note(report, "undecided")
    assert fg.check_gradient(lambda p: loss(p, np.float64), x, grads).ok


def test_an_offset_that_swamps_the_loss():
    """The remedy named, losses per sample, decides it."""
    x = np.linspace(0.1, 0.6, 6)
    offset = 1e13 * np.ones(50)
    offset[::2] *= -1
    offset[0] += 50e11

    def losses(p):
        return np.sin(X @ p) + offset

    grads = X.T @ np.cos(X @ x) / 50
    report = fg.check_gradient(
        lambda p: float(np.mean(losses(p))), x, grads, engine="python"
    )
    assert report.verdict == "undecided"
    assert "`reduction`" in note(report, "undecided")


def test_the_border_of_the_domain():
    """The entry, what the loss raises, and what to do."""

    def loss(p):
        if p[1] != 2:
            raise ValueError("p[1] must be 2")
        return math.exp(p[0]) + p[1]

    report = fg.check_gradient(loss, np.array([1.0, 2.0]), np.array([math.e, 1.0]))
    assert report.verdict == "undecided"
    text = note(report, "undecided")
    assert "params[1]" in text
    assert "params[0]" not in text
    assert "ValueError (p[1] must be 2)" in text


def test_float16_parameters_are_not_called_zero():
    """Their gradient is below their rounding, not zero."""
    params = {"a": np.ones(2, np.float16), "b": np.ones(2)}
    params["a"][1] = 1e-4

    def loss(p):
        return np.sum(p["a"].astype(float) ** 2) + np.sum(p["b"] ** 2)

    grads = {"a": 2 * params["a"], "b": 2 * params["b"]}
    for text in fg.check_gradient(loss, params, grads).notes:
        assert "both gradients are zero" not in text


def test_the_control_agrees_with_the_limit():
    """Where the limit of a block is above 1 % of it, the check claims no such power."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=8).astype(np.float32)

    def loss(p):
        return np.float32(np.sum(np.sin(p)) + 300)

    report = fg.check_gradient(loss, x, np.cos(x), engine="python", rtol=0.05)
    block, power = report.blocks[0], any("no power" in n for n in report.notes)
    typical = float(np.sqrt(np.mean(np.cos(x) ** 2)))
    assert block.detection_limit > 0.01 * typical
    assert power


def test_the_power_that_is_stated_is_there():
    """What would be caught is, in every entry; and it is said from which size on."""
    x = np.linspace(0.1, 0.5, 5)

    def loss(p):
        return np.float32(np.sum(np.sin(p)) + 300)

    report = fg.check_gradient(loss, x, np.cos(x), engine="python", rtol=0.05)
    assert report.ok
    assert "from 10 % of the gradient on" in note(report, "no power")
    for k in range(5):
        wrong = np.cos(x)
        wrong[k] *= 1.2
        report = fg.check_gradient(loss, x, wrong, engine="python", rtol=0.05)
        assert not report.ok


def test_no_power_is_no_verdict():
    """A tolerance that lets a doubled gradient pass leaves nothing verified."""
    x = np.linspace(0.1, 0.5, 5)

    def loss(p):
        return np.float32(np.sum(np.sin(p)) + 300)

    report = fg.check_gradient(loss, x, np.cos(x), engine="python", rtol=0.99)
    assert report.verdict == "undecided"
    assert "would pass" in note(report, "not verified: params. ")


def embedding(zeros):
    """30 of 20,000 rows are used, and their gradient is doubled or forgotten."""
    table = np.ones((20_000, 2))
    used = np.arange(0, 20_000, 700)
    grads = np.zeros_like(table)
    grads[used] = 0 if zeros else 4
    return lambda p: np.sum(p[used] ** 2), table, grads


def test_samples_are_taken_where_the_gradient_is():
    """A doubled gradient of few rows is found among few samples."""
    loss, table, grads = embedding(zeros=False)
    report = fg.check_gradient(loss, table, grads, coverage=20)
    assert report.verdict == "wrong"
    assert report.checked == 20


def test_a_block_of_which_nothing_was_seen_is_not_verified():
    """A forgotten gradient of few rows: all that was sampled is zero."""
    loss, table, grads = embedding(zeros=True)
    params = {"table": table, "b": np.ones(3)}

    def both(p):
        return loss(p["table"]) + np.sum(p["b"] ** 2)

    report = fg.check_gradient(both, params, {"table": grads, "b": 2 * np.ones(3)})
    assert report.verdict == "wrong"
    report = fg.check_gradient(
        both, params, {"table": grads, "b": 2 * np.ones(3)}, coverage=5
    )
    assert not report.ok
    assert report.blocks["b"].verdict == "correct"


def test_rounding_of_terms_that_cancel():
    """Of a saturated softmax p - 1, and of a zero that is computed as 1e-17."""
    z = np.array([60.0, 0.0, -60.0, 20.0])

    def loss(z):
        e = np.exp(z - z.max())
        return -np.log(e[0] / e.sum())

    p = np.exp(z - z.max())
    grads = p / p.sum() - [1, 0, 0, 0]
    for engine in ("auto", "python"):
        assert not fg.check_gradient(loss, z, grads, engine=engine).wrong
    params = {"a": np.array(1.0), "b": np.array(1.0)}
    report = fg.check_gradient(
        lambda p: p["a"] ** 2 + 0 * p["b"], params, {"a": 2.0, "b": 1.4e-17}
    )
    assert not report.wrong
    grads = {"a": np.array(2.0), "b": np.array(1e-9)}
    report = fg.check_gradient(lambda p: p["a"] ** 2 + 0 * p["b"], params, grads)
    assert [entry.block for entry in report.wrong] == ["b"]


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("n", [4, 9, 11, 13])
def test_ill_conditioned_matrices(n, engine):
    """A right gradient by another way to invert is not wrong; doubling it is."""
    H = 1 / (1 + np.arange(n)[:, None] + np.arange(n))
    x = np.linspace(1, 2, n)
    right = np.linalg.inv(H).T @ np.ones(n)

    def loss(x):
        return np.sum(np.linalg.solve(H, x))

    report = fg.check_gradient(loss, x, right, engine=engine)
    assert report.verdict != "wrong"
    if report.verdict == "undecided":
        assert "condition" in note(report, "undecided")
    assert fg.check_gradient(loss, x, 2 * right, engine=engine).verdict != "correct"
    if n < 11:
        assert fg.check_gradient(loss, x, 2 * right, engine=engine).wrong


@every_second
@pytest.mark.parametrize("step", [1e-4, 6e-6, 1e-6])
@pytest.mark.parametrize("seed", range(4))
def test_a_gradient_by_differences_is_told_to_be_one(step, seed):
    """It is off in its last digits; what is advised accepts it, and nothing worse."""
    rng = np.random.default_rng(seed)
    w, y = rng.normal(size=(6, 4)), rng.normal(size=(50, 4))

    def loss(w):
        return np.mean((np.tanh(X @ w) - y) ** 2)

    grads = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        high, low = w.copy(), w.copy()
        high[i] += step
        low[i] -= step
        grads[i] = (loss(high) - loss(low)) / (high[i] - low[i])
    report = fg.check_gradient(loss, w, grads)
    if report.verdict == "wrong":
        rtol = float(note(report, "every entry is right").split("`rtol=")[1][:5])
        assert fg.check_gradient(loss, w, grads, rtol=rtol).ok
    grads[2, 1] *= 1.01
    report = fg.check_gradient(loss, w, grads)
    assert not any(text.startswith("every entry is right") for text in report.notes)


@pytest.mark.parametrize(("off", "told"), [(5e-6, True), (3e-5, False)])
def test_no_difference_is_off_by_more_than_five_digits(off, told):
    """A gradient that is may have another mistake: there `rtol` is no advice."""
    x = np.linspace(0.1, 0.6, 6)
    report = fg.check_gradient(lambda p: np.sum(np.sin(p)), x, (1 + off) * np.cos(x))
    assert report.verdict == "wrong"
    assert told == any(n.startswith("every entry is right") for n in report.notes)


def test_three_entries_are_named_and_others_counted():
    """However many are left open."""
    x = np.linspace(0.1, 0.6, 6)

    def loss(p):
        return np.float16(np.mean(np.sin(X @ p)) + 4)

    report = fg.check_gradient(loss, x, X.T @ np.cos(X @ x) / 50, engine="python")
    text = note(report, "undecided")
    assert "params[0], params[1], params[2] and 3 more" in text


@pytest.mark.parametrize(
    ("rounded", "remedy"),
    [
        (lambda y: np.float32(y).astype(float), "float64 throughout"),
        (lambda y: y + 1e13, "what does not depend on the inputs"),
    ],
)
def test_noisy_outputs_have_remedies_of_outputs(rounded, remedy):
    """Each has its own noise, and `check_jacobian` has no `reduction`."""
    x = np.array([0.7, -0.5, 0.9])
    report = fg.check_jacobian(lambda x: rounded(x**2 + 1e5), x, np.diag(2 * x))
    assert report.verdict == "undecided"
    text = note(report, "undecided")
    assert "jacobian[" in text
    assert remedy in text
    assert "reduction" not in text
    assert "inf " not in text
    assert fg.check_jacobian(lambda x: x**2, x, np.diag(2 * x)).ok
