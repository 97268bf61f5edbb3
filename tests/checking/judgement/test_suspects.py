"""Kinds of losses at which one choice of steps after another fails."""

import math
from fractions import Fraction

import numpy as np
import pytest
from families import every_second

import fastgrad as fg


class Strange(Exception):
    """One that is not made of a message."""

    def __init__(self, one, other):
        super().__init__(one, other)


ENGINES = pytest.mark.parametrize("engine", ["auto", "python"])


def verdicts(loss, params, right, wrong, engine="auto", **options):
    """The verdicts on a right and a wrong gradient."""
    return tuple(
        fg.check_gradient(loss, params, grads, engine=engine, **options).verdict
        for grads in (right, wrong)
    )


@every_second
@ENGINES
@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize(
    "loss", [np.max, lambda s: float(max(s)), lambda s: np.maximum(s[0], s[1])]
)
def test_near_ties(loss, gap, engine):
    """Steps get between the point and the kink, whichever side is claimed."""
    winner, loser = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    point = np.array([1 + gap, 1.0])
    assert verdicts(loss, point, winner, loser, engine) == ("correct", "wrong")


@every_second
@ENGINES
@pytest.mark.parametrize("gap", [1e-6, 1e-9, 1e-11])
@pytest.mark.parametrize(
    "loss",
    [
        lambda s: np.abs(s[0] - s[1]),
        lambda s: np.sqrt((s[0] - s[1]) ** 2),
        lambda s: 3 * np.max(s[:2]) - 3 * np.min(s[:2]),
    ],
)
def test_near_ties_beside_what_is_not_read(loss, gap, engine):
    """The kink is no noise, also where all entries are moved together to find that."""
    point = np.array([1 + gap, 1.0, 0.3])
    right = round(loss(point) / (point[0] - point[1])) * np.array([1.0, -1.0, 0.0])
    assert verdicts(loss, point, right, -right, engine) == ("correct", "wrong")


@every_second
@ENGINES
@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_beside_a_kink(side, distance, engine):
    """The slope of the other side, and the mean of both, are wrong."""
    x = np.array([1 + side * distance, 3.0])

    def loss(x):
        return np.sum(np.abs(x - 1) + 0.1 * x**2)

    right = np.array([side, 1.0]) + 0.2 * x
    for wrong in ([-side, 1.0], [0.0, 1.0]):
        seen = verdicts(loss, x, right, np.array(wrong) + 0.2 * x, engine)
        assert seen == ("correct", "wrong")


@every_second
@ENGINES
@pytest.mark.parametrize("distance", [1e-3, 2.2e-7, 1e-7, 4.6e-8, 2.2e-8])
@pytest.mark.parametrize(
    ("loss", "slope"),
    [
        (lambda x: 1 / (x[0] - x[1]), lambda d: -1 / d**2),
        (lambda x: np.log(np.abs(x[0] - x[1])), lambda d: 1 / d),
        (lambda x: np.sqrt(np.abs(x[0] - x[1])), lambda d: 0.5 / np.sqrt(d)),
        (lambda x: np.tan(x[0] - x[1] - np.pi / 2), lambda d: 1 / np.sin(d) ** 2),
        (
            lambda x: np.linalg.inv(np.array([[x[0], 1.0], [x[1], 1.0]]))[0, 0],
            lambda d: -1 / d**2,
        ),
    ],
)
def test_beside_a_pole(loss, slope, distance, engine):
    """Steps that bend by a little are not small enough: smaller ones see 1 %."""
    x = np.array([1.3 + distance, 1.3])
    right = slope(x[0] - x[1]) * np.array([1.0, -1.0])
    wrong = right * np.array([1.0, 1.01])
    assert verdicts(loss, x, right, wrong, engine) == ("correct", "wrong")


@every_second
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@ENGINES
@pytest.mark.parametrize("exponent", [15, 18])
@pytest.mark.parametrize("row", [(1, 2), (3, 5), (2, 7)])
@pytest.mark.parametrize(
    ("loss", "root"),
    [
        (lambda p: np.log(np.abs(np.linalg.det(p))), 1),
        (lambda p: np.linalg.slogdet(p)[1], 1),
        (lambda p: 2 * np.sum(np.log(np.diag(np.linalg.cholesky(p @ p.T)))), 2),
    ],
)
def test_log_of_what_is_nearly_singular(loss, root, row, exponent, engine, monkeypatch):
    """A matrix closer to one without an inverse than steps are: dips look like kinks."""
    # Nor can the search for a cause move such a matrix; it says so, and goes on.
    monkeypatch.setattr("fastgrad.causes.budget.STRICT", False)
    p = np.array([row, [2 * row[0], 2 * row[1] + 2.0 ** -(2 * exponent / root)]])
    (a, b), (c, d) = ([Fraction(float(x)) for x in line] for line in p)
    slopes = np.array([[d, -c], [-b, a]]) / (a * d - b * c)
    right = root * slopes.astype(float)
    report = fg.check_gradient(loss, p.copy(), right, engine=engine)
    assert report.verdict != "wrong", str(report)
    report = fg.check_gradient(loss, p.copy(), 1.5 * right, engine=engine)
    assert report.verdict != "correct", str(report)


@every_second
@ENGINES
@pytest.mark.parametrize("radius", [0.5, 1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize(
    "error", [ValueError, np.linalg.LinAlgError, OverflowError, KeyError, Strange]
)
def test_a_loss_that_raises_away_from_the_point(error, radius, engine):
    """It is measured where it does not."""
    x = np.array([1.0, 2.0, 0.5])

    def loss(p):
        if np.abs(p - x).max() > radius:
            raise error("too", "far") if error is Strange else error("too far away")
        return float(np.sum(p**3))

    grads = 3 * x**2
    seen = verdicts(loss, x.copy(), grads, 1.05 * grads, engine)
    assert seen == ("correct", "wrong")


def test_a_loss_that_raises_everywhere_else():
    """There is nothing to be said: its own exception comes through, with the point."""

    def loss(p):
        if p[0] != 1:
            raise ValueError("only here")
        return 1.0 + p[0]

    with pytest.raises(ValueError, match="only here") as caught:
        fg.check_gradient(loss, np.ones(1), np.ones(1))
    assert caught.value.__notes__[0].startswith("fastgrad: while evaluating `loss`")


@every_second
@ENGINES
@pytest.mark.parametrize("error", [RuntimeError, KeyError, ArithmeticError, TypeError])
def test_an_entry_along_which_the_loss_raises(error, engine):
    """It is named, with what the loss raises; the others are judged."""
    x = np.array([1.0, 2.0])

    def loss(p):
        if p[1] != 2:
            raise error("on a line only")
        return float(np.sum(p**3))

    report = fg.check_gradient(loss, x.copy(), np.array([3.3, 12.0]), engine=engine)
    assert [entry.index for entry in report.wrong] == [(0,)]
    [text] = [note for note in report.notes if note.startswith("undecided")]
    assert "params[1]" in text
    assert f"raises {error.__name__}" in text


@ENGINES
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
def test_what_is_no_matter_of_the_domain_comes_through(error, engine):
    x = np.array([1.0, 2.0])

    def loss(p):
        if p[0] > 1:
            raise error
        return float(np.sum(p**3))

    with pytest.raises(error):
        fg.check_gradient(loss, x, 3 * x**2, engine=engine)
    assert x.tolist() == [1.0, 2.0]


def test_functions_that_raise_to_one_side():
    """Of many outputs, or of points at once: measured to the other."""
    x = np.array([1.0, 2.0])

    def outputs(p):
        if np.any(p > x):
            raise Strange("to the", "right")
        return np.stack([p[..., 0] * p[..., 1], p[..., 0] ** 2], axis=-1)

    right = np.array([[2.0, 1.0], [2.0, 0.0]])
    assert fg.check_jacobian(outputs, x.copy(), right).ok
    assert not fg.check_jacobian(outputs, x.copy(), 1.01 * right).ok
    stacked = fg.check_gradient(
        lambda p: outputs(p).sum(axis=-1), x.copy(), right.sum(0), vectorized=True
    )
    assert stacked.ok


BORDERS = {
    "logarithm": (lambda x: np.log(x), lambda x: 1 / x),
    "x log x": (lambda x: x * np.log(x), lambda x: np.log(x) + 1),
    "logarithm of 1 - x": (lambda x: -np.log(1 - x), lambda x: 1 / (1 - x)),
    "both": (lambda x: np.log(x) + np.log(1 - x), lambda x: 1 / x - 1 / (1 - x)),
    "root": (lambda x: x * np.sqrt(x), lambda x: 1.5 * np.sqrt(x)),
}


@every_second
@ENGINES
@pytest.mark.parametrize(
    ("name", "distance"),
    [
        (name, distance)
        for name in BORDERS
        for distance in (1e-3, 1e-6, 1e-9, 1e-11)
        if name != "root" or distance > 1e-8  # its slope drowns in the noise there
    ],
)
def test_beside_the_border_of_the_domain(name, distance, engine):
    """Steps that stay inside are found, on either side (warnings are errors here)."""
    f, slope = BORDERS[name]
    for x in (distance, 1 - distance):
        params = np.array([x, 0.4])
        right, wrong = slope(params), slope(params) * [1.05, 1]
        seen = verdicts(lambda p: np.sum(f(p)), params, right, wrong, engine)
        assert seen == ("correct", "wrong")


@every_second
@ENGINES
@pytest.mark.parametrize("beyond", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("side", [-1, 1])
def test_on_the_border_of_the_domain(side, beyond, engine):
    """There is only one side to measure on."""

    def loss(p):
        return float(np.exp(p[0]) + p[1] ** 2) if side * (p[0] - 1) >= 0 else beyond

    right = np.array([math.e, 4.0])
    seen = verdicts(loss, np.array([1.0, 2.0]), right, right * [1.1, 1], engine)
    assert seen == ("correct", "wrong")


def float32_losses(seed):
    """Yield losses in float32: name, function, point, gradient exact to float32."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 12)).astype(np.float32)
    y = rng.normal(size=(40, 6)).astype(np.float32)
    W = (rng.normal(size=(12, 6)) / 3).astype(np.float32)

    def squares(W):
        return np.mean((X @ W - y) ** 2)

    def tanh(W):
        return np.mean((np.tanh(X @ W) - y) ** 2)

    def relu(W):
        return np.mean((np.maximum(X @ W, 0) - y) ** 2)

    z = X.astype(float) @ W
    t = np.tanh(z)
    yield "squares", squares, W, X.T @ (2 * (z - y) / z.size)
    yield "tanh", tanh, W, X.T @ (2 * (t - y) * (1 - t * t) / z.size)
    yield "relu", relu, W, X.T @ (2 * (np.maximum(z, 0) - y) * (z > 0) / z.size)


@every_second
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("double", [False, True])
def test_float32_losses_are_decided(seed, double):
    """Right is correct, 1.05 times that is wrong; float64 parameters or not."""
    for name, loss, W, right in float32_losses(seed):

        def low(p, loss=loss):
            return loss(p.astype(np.float32))

        params = W.astype(float) if double else W
        grads = right if double else right.astype(np.float32)
        right, wrong = verdicts(low, params, grads, 1.05 * grads, "python")
        kinks = name == "relu"  # next to some of the points
        assert right in (("correct", "undecided") if kinks else ("correct",))
        assert wrong == "wrong"


FLAT = {
    "quartic": (lambda p: float(np.sum((p - 1.0) ** 4)), np.ones(3)),
    "sixth power at 0": (lambda p: float(np.sum(p**6)), np.zeros(3)),
    "with an offset": (lambda p: float(7 + np.sum((p - 1.0) ** 4)), np.ones(3)),
    "powell": (
        lambda p: float(
            (p[0] + 10 * p[1]) ** 2
            + 5 * (p[2] - p[3]) ** 2
            + (p[1] - 2 * p[2]) ** 4
            + 10 * (p[0] - p[3]) ** 4
        ),
        np.zeros(4),
    ),
    "residuals": (
        lambda p: float(np.sum((np.arange(12.0).reshape(4, 3) @ p - ANSWER) ** 4)),
        np.array([0.1, 0.7, -0.3]),
    ),
}
ANSWER = np.arange(12.0).reshape(4, 3) @ np.array([0.1, 0.7, -0.3])


@every_second
@ENGINES
@pytest.mark.parametrize("name", FLAT)
def test_minima_flatter_than_a_square(name, engine):
    """An analytic zero is not wrong for the noise of the differences."""
    loss, x = FLAT[name]
    right, wrong = verdicts(loss, x, np.zeros(x.size), np.full(x.size, 0.1), engine)
    assert right != "wrong"
    assert wrong == "wrong"


def steep_places(share):
    """A block of which a share lies so close to square roots that steps are too wide.

    The gradient of the others is 1 % off.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1.5, 1500)
    near, root = rng.random(1500) < share, x - 10.0 ** rng.uniform(-6, -4.5, 1500)

    def loss(x):
        return np.sum(np.where(near, np.sqrt(np.abs(x - root)), x**2))

    right = np.where(near, 0.5 / np.sqrt(x - root), 2 * x)
    return loss, x, right, near


def test_where_others_clear_up_all_suspects_are_tried_again():
    """One in five does: every wrong entry is accused, and no right one."""
    loss, x, right, near = steep_places(0.2)
    grads = np.where(near, right, 1.01 * right)
    report = fg.check_gradient(loss, x, grads, engine="python")
    assert {entry.index[0] for entry in report.wrong} == set(np.flatnonzero(~near))
    assert fg.check_gradient(loss, x, right, engine="python").verdict == "correct"


def test_a_block_that_is_wrong_throughout_is_not_tried_entry_by_entry():
    """One in twenty clears up: that would take twenty evaluations of each."""
    loss, x, right, near = steep_places(0.05)
    grads = np.where(near, right, 1.01 * right)
    report = fg.check_gradient(loss, x, grads, engine="python")
    assert report.verdict == "wrong"
    assert report.evaluations < 5 * x.size


@ENGINES
@pytest.mark.parametrize("rough", [1, 3])
def test_few_rough_entries_hide_no_others_of_a_block_that_is_wrong(rough, engine, rng):
    """Bars that they are off by are theirs; a right gradient of all is none the worse."""
    x, c = rng.uniform(0.5, 2.0, 200), rng.uniform(1.0, 2.0, 200)

    def loss(p):
        y = np.sin(p) * c
        for k in range(0, 7 * rough, 7):
            y[k] = c[k] * np.round(np.sin(p[k]) * 1e5) / 1e5
        return np.sum(y)

    right = c * np.cos(x)
    report = fg.check_gradient(loss, x, 1.3 * right, engine=engine)
    assert report.blocks[0].wrong == 200
    assert fg.check_gradient(loss, x, right, engine=engine).blocks[0].wrong == 0


def test_few_suspects_are_all_tried_again():
    """Nine in a hundred: those beside a root do not hide which of the others are wrong."""
    loss, x, right, near = steep_places(0.004)
    wrong = np.flatnonzero(~near)[::11]
    grads = right.copy()
    grads[wrong] *= 1.01
    report = fg.check_gradient(loss, x, grads, engine="python")
    assert 3 < np.count_nonzero(near) < 10
    assert {entry.index[0] for entry in report.wrong} == set(wrong)


def test_of_many_suspects_a_few_are_tried_again():
    """Where these do not clear up: a gradient that is wrong throughout costs as much."""
    x = np.linspace(0.5, 1.5, 200)
    grads = 1.01 * np.cos(x)
    report = fg.check_gradient(lambda x: np.sum(np.sin(x)), x, grads, engine="python")
    assert len(report.wrong) == x.size
    assert report.evaluations < 15 * x.size  # a ladder takes twenty


def test_a_bar_of_more_than_a_fifth_of_a_per_cent_is_sharpened():
    """In single precision one per cent is seen; what is known better costs no more."""
    x = np.linspace(0.5, 1.5, 40)

    def single(x):
        return float(np.float32(np.sum(np.sin(x)) + 10))

    def rounded(x):
        return round(np.sum(np.sin(x)), 7)

    wrong = 1.01 * np.cos(x)
    assert len(fg.check_gradient(single, x, wrong, engine="python").wrong) == x.size
    for offset in (20, 40, 80):  # of which noise makes other bars

        def louder(x, offset=offset):
            return float(np.float32(np.sum(np.sin(x)) + offset))

        few = fg.check_gradient(louder, x, wrong, engine="python")
        assert len(few.wrong) == x.size
    report = fg.check_gradient(rounded, x, np.cos(x), engine="python")
    assert report.verdict == "correct"
    assert report.evaluations < 6 * x.size


@pytest.mark.parametrize("bend", [0.1, 0.3])
def test_a_kink_between_the_points_is_seen_by_its_slopes(bend):
    """The mean of two slopes that differ by a fifth is none of a point beside a kink."""
    x = np.array([1 + 1e-8, 3.0])

    def loss(x):
        return float(np.sum(x + bend * np.abs(x - 1)))

    right = np.array([1 + bend, 1 + bend])
    seen = verdicts(loss, x, right, np.array([1.0, 1 + bend]), "python")
    assert seen == ("correct", "wrong")


def test_curvature_alone_is_no_kink():
    """Slopes to both sides that differ by rounding or by bending cost no more steps."""
    x = np.linspace(0.5, 1.5, 40)
    report = fg.check_gradient(
        lambda x: round(np.sum(np.sin(x)), 9), x, np.cos(x), engine="python"
    )
    assert report.verdict == "correct"
    assert report.evaluations < 6 * x.size


@pytest.mark.parametrize("small", [1e-6, 0.01, 0.2])
def test_entries_that_are_small_by_chance_are_moved_as_the_others_are(small):
    """In single precision; steps of a part of themselves would show nothing."""
    x = np.linspace(0.5, 1.5, 20)
    x[3] = small

    def loss(x):
        return float(np.float32(np.sum(np.sin(x) + x**2 / 2) + 3e4))

    right = np.cos(x) + x
    wrong = right.copy()
    wrong[3] *= 1.5
    assert verdicts(loss, x, right, wrong, "python") == ("correct", "wrong")
