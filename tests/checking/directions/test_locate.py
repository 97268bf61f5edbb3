"""Wrong entries of large gradients, found in few evaluations."""

import re

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

P = 10**6
THETA = np.random.default_rng(0).normal(size=P)
C = np.random.default_rng(1).normal(size=P)
RIGHT = C * (1 - np.tanh(THETA) ** 2)


def loss(theta):
    return C @ np.tanh(theta)


def check(grads, **options):
    return fg.check_gradient(
        loss, THETA, grads, coverage="locate", engine="python", **options
    )


def test_a_correct_gradient_of_a_million_entries():
    """A few dozen evaluations."""
    report = check(RIGHT)
    assert report.verdict == "correct"
    assert report.evaluations <= 50
    assert report.blocks[0].detection_limit < 1e-3


@pytest.mark.parametrize("seed", [0])
def test_one_wrong_entry_of_a_million(seed):
    """Found within 200 evaluations."""
    i = int(np.random.default_rng(seed).integers(P))
    grads = RIGHT.copy()
    grads[i] += 0.1
    report = check(grads, seed=seed)
    assert [entry.index for entry in report.wrong] == [(i,)]
    assert report.evaluations <= 200


def test_several_wrong_entries():
    """All of them, and the cost grows as k log(P / k)."""
    n = 10**5
    places = np.random.default_rng(5).choice(n, 6, replace=False)
    grads = RIGHT[:n].copy()
    grads[places] += 1.0
    report = fg.check_gradient(
        lambda x: C[:n] @ np.tanh(x), THETA[:n], grads, coverage="locate"
    )
    assert sorted(e.index[0] for e in report.wrong) == sorted(places.tolist())
    assert report.evaluations < 600


def test_equal_and_opposite_errors_do_not_cancel():
    """As they do along half of all directions of signs."""
    grads = RIGHT[:1000].copy()
    grads[[10, 20]] += [1.0, -1.0]
    for seed in range(10):
        report = fg.check_gradient(
            lambda x: C[:1000] @ np.tanh(x),
            THETA[:1000],
            grads,
            coverage="locate",
            seed=seed,
        )
        assert [e.index[0] for e in sorted(report.wrong, key=lambda e: e.index)] == [
            10,
            20,
        ]


def test_a_small_block_is_not_drowned_by_a_large_one():
    """Directions are confined to one block at a time."""
    params = {"big": THETA[:5000], "small": np.ones(3)}

    def both(p):
        return np.sum(np.sin(p["big"])) * 1e6 + 1e-3 * np.sum(p["small"] ** 2)

    grads = {"big": 1e6 * np.cos(params["big"]), "small": 2e-3 * np.ones(3)}
    assert fg.check_gradient(both, params, grads, coverage="locate").verdict != "wrong"
    grads["small"][1] *= 3
    report = fg.check_gradient(both, params, grads, coverage="locate")
    assert [(e.block, e.index) for e in report.wrong] == [("small", (1,))]


def test_a_block_that_is_wrong_throughout():
    """Named so after a bounded search."""
    report = fg.check_gradient(
        lambda x: C[:4000] @ np.tanh(x), THETA[:4000], -RIGHT[:4000], coverage="locate"
    )
    assert report.verdict == "wrong"
    assert report.evaluations < 2000
    [note] = [n for n in report.notes if "more entries than were searched" in n]
    assert note.endswith("of 32 taken at random 32 are")


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_which_share_of_a_block_is_wrong(share, rng):
    """As a few entries taken at random say."""
    wrong = rng.random(4000) < share
    grads = RIGHT[:4000] * np.where(wrong, 1.1, 1.0)
    report = fg.check_gradient(
        lambda x: C[:4000] @ np.tanh(x), THETA[:4000], grads, coverage="locate"
    )
    [note] = [n for n in report.notes if "more entries than were searched" in n]
    taken, found = map(
        int, re.search(r"of (\d+) taken at random (\d+) are", note).groups()
    )
    assert abs(found / taken - share) < 0.25


def test_what_is_above_the_limit_is_seen_99_times_of_100():
    """Of Gaussian numbers of that size; a fifth of it shows four times of five."""
    x, seen = np.linspace(0.5, 1.5, 50), np.zeros((60, 2))

    def loss(x):
        return np.sum(np.sin(x))

    for seed in range(60):
        options = {"coverage": "locate", "seed": seed}
        [block] = fg.check_gradient(loss, x, np.cos(x), **options).blocks
        for k, share in enumerate((1.0, 0.2)):
            wrong = np.cos(x)
            wrong[17] += share * block.detection_limit
            seen[seed, k] = not fg.check_gradient(loss, x, wrong, **options).ok
    above, below = seen.mean(axis=0)
    assert above >= 0.95
    assert 0.5 < below < 0.9


def test_noise_that_hides_everything_is_said():
    """Neither correct nor wrong."""

    def coarse(x):
        return float(np.float16(np.sum(np.tanh(x)) + 10))

    x = THETA[:50] * 1e-2
    report = fg.check_gradient(
        coarse, x, 1 - np.tanh(x) ** 2, coverage="locate", engine="python"
    )
    assert report.verdict == "undecided"


def test_kinks_are_no_false_alarm():
    """A relu network, every parameter of a block moved at once."""
    rng = np.random.default_rng(3)
    X, W, V = rng.normal(size=(60, 40)), rng.normal(size=(40, 80)), rng.normal(size=80)

    def relu(p):
        return np.mean(np.maximum(X @ p["W"], 0) @ p["V"])

    z = X @ W
    grads = {
        "W": X.T @ ((z > 0) * V) / 60,
        "V": np.mean(np.maximum(z, 0), axis=0),
    }
    for seed in range(5):
        report = fg.check_gradient(
            relu, {"W": W, "V": V}, grads, coverage="locate", seed=seed
        )
        assert report.verdict == "correct"


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_gradients_whose_squares_are_out_of_range(size):
    """The search has its power there too (warnings are errors here)."""
    x = np.linspace(0.5, 1.5, 64)
    exact = size * np.cos(x)

    def loss(w):
        return size * np.sum(np.sin(w))

    assert fg.check_gradient(loss, x, exact, coverage="locate").ok
    exact[17] *= 1.5
    report = fg.check_gradient(loss, x, exact, coverage="locate")
    assert [e.index for e in report.wrong] == [(17,)]


@pytest.mark.parametrize("factor", [1.5, -1.0, 0.5])
def test_the_relative_error_of_a_factor(factor):
    """Is the textbook's, as if every entry had been measured."""
    right = RIGHT[:500]
    report = fg.check_gradient(
        lambda x: C[:500] @ np.tanh(x), THETA[:500], factor * right, coverage="locate"
    )
    expected = abs(factor - 1) / (abs(factor) + 1)
    assert report.relative_error == pytest.approx(expected, rel=1e-4)
    assert report.blocks[0].relative_error == pytest.approx(expected, rel=1e-4)


PARTS = {
    "an entry": np.s_[5, 6],
    "some entries": ([3, 9, 20, 31], [1, 4, 0, 9]),
    "a row": np.s_[17],
    "two rows": np.s_[[3, 30]],
    "a column": np.s_[:, 4],
    "a corner": np.s_[20:30, 2:8],
    "half": np.s_[:20],
}
MISTAKES = {
    "factor": lambda g: 2 * g,
    "sign": lambda g: -g,
    "offset": lambda g: g + 1,
    "zero": lambda g: 0 * g,
    "square": lambda g: g**2,
}


@every_second
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.usefixtures("time_for_causes")
def test_what_is_wrong_with_a_part_is_not_said_of_the_block(part, mistake):
    """Nothing is known of such a loss but what is measured, and of a few entries."""
    rng = np.random.default_rng(11)
    W, X = rng.normal(size=(40, 10)), rng.normal(size=(10, 3))

    def untraced(w):
        return float(np.sum(np.tanh(np.frombuffer(w.tobytes()).reshape(w.shape) @ X)))

    def check(grads):
        return fg.check_gradient(untraced, W, grads, coverage="locate")

    right = (1 - np.tanh(W @ X) ** 2) @ X.T
    wrong = right.copy()
    wrong[PARTS[part]] = MISTAKES[mistake](right[PARTS[part]])
    report = check(wrong)
    assert report.engine == "python"
    assert {cause.code for cause in report.causes} <= {"partial", "unknown"}
    throughout = check(MISTAKES[mistake](right)).causes[0]
    assert throughout.code not in ("partial", "unknown") or mistake == "square"
