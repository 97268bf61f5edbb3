"""At exact ties: every convex combination of the winners, and nothing else."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

TIED = np.array([3.0, 3.0, 1.0])


def verdict(loss, params, grads, engine):
    return fg.check_gradient(loss, params, grads, engine=engine).verdict


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("extreme", [np.max, np.min])
def test_a_share_for_each_winner_is_right(extreme, share, engine):
    """The subdifferential of max and min is what the winners span."""
    sign = 1 if extreme is np.max else -1
    grads = np.array([share, 1 - share, 0])
    assert verdict(extreme, sign * TIED, grads, engine) == "correct"


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("grads", [(1, 1, 0), (0, 0, 0), (1, 0.2, 0), (0.3, 0.3, 0)])
@pytest.mark.parametrize("extreme", [np.max, np.min])
def test_shares_that_do_not_add_up_are_wrong(extreme, grads, engine):
    """Each between its slopes, but not all together."""
    sign = 1 if extreme is np.max else -1
    point, grads = sign * TIED, np.array(grads, float)
    report = fg.check_gradient(extreme, point, grads, engine=engine)
    assert report.verdict == "wrong"
    assert any("wrong together: params[0], params[1]. " in n for n in report.notes)


WEIGHTS = np.array([1.0, 2.0, 4.0])
FAMILIES = {
    "largest absolute value": (
        lambda p: np.max(np.abs(p)),
        np.array([2.0, -2.0, 1.0]),
        [(1, 0, 0), (0, -1, 0), (0.5, -0.5, 0)],
        [(1, -1, 0), (0, 0, 0)],
    ),
    "sorted": (
        lambda p: np.sum(np.sort(p) * WEIGHTS),
        np.array([1.0, 1.0, 2.0]),
        [(1, 2, 4), (2, 1, 4), (1.5, 1.5, 4)],
        [(1, 1, 4), (2, 2, 4)],
    ),
    "median": (
        np.median,
        np.array([1.0, 1.0, 2.0, 0.0, 3.0]),
        [(1, 0, 0, 0, 0), (0.5, 0.5, 0, 0, 0)],
        [(1, 1, 0, 0, 0)],
    ),
    "kinks apart": (  # none excludes what the other allows
        lambda p: np.sum(np.abs(p)),
        np.array([0.0, 0.0, 1.0]),
        [(0, 0, 1), (1, -1, 1), (1, 1, 1)],
        [(1.1, 0, 1)],
    ),
    "convex and concave": (  # right by the usual conventions, though not together
        lambda p: np.maximum(p[0], 0) - np.maximum(p[1], 0),
        np.zeros(2),
        [(0, 0), (1, -1), (0.5, -0.5)],
        [(1.5, 0)],
    ),
}


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", FAMILIES)
def test_subgradients_of_other_losses(name, engine):
    """Right ones are accepted, others are not."""
    loss, point, right, wrong = FAMILIES[name]
    for grads in right:
        assert verdict(loss, point, np.array(grads, float), engine) == "correct"
    for grads in wrong:
        assert verdict(loss, point, np.array(grads, float), engine) == "wrong"


def test_ties_across_blocks():
    """Both blocks get the whole gradient of their maximum."""
    params = {"a": np.array([1.0, 2.0]), "b": np.array([1.0, 2.0])}

    def loss(p):
        return np.sum(np.maximum(p["a"], p["b"]))

    half = {"a": np.full(2, 0.5), "b": np.full(2, 0.5)}
    both = {"a": np.ones(2), "b": np.array([0.0, 1.0])}
    assert fg.check_gradient(loss, params, half).ok
    wrong = fg.check_gradient(loss, params, both).wrong
    assert {entry.name for entry in wrong} == {"a[1]", "b[1]"}


def test_only_the_wrong_ties_of_many_are_accused():
    """Units in pairs; one pair of columns counts its gradient twice."""
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(30, 6)), np.repeat(rng.normal(size=(6, 3)), 2, axis=1)

    def loss(W):
        return np.mean(np.max(X @ W, axis=1))

    z = X @ W
    winners = z == z.max(axis=1, keepdims=True)
    first = np.zeros_like(z)
    first[np.arange(30), z.argmax(axis=1)] = 1
    right, twice = X.T @ first / 30, X.T @ winners / 30
    assert fg.check_gradient(loss, W, right).ok
    wrong = right.copy()
    wrong[:, :2] = twice[:, :2]
    report = fg.check_gradient(loss, W, wrong)
    assert report.verdict == "wrong"
    accused = [entry.index[1] for entry in report.wrong]
    assert set(range(2)) <= set(accused)
    assert sum(unit > 1 for unit in accused) <= 2  # what shares a direction with one


CHOICES = {
    "maximum": lambda a, b: np.maximum(a, b),
    "where >=": lambda a, b: np.where(a >= b, a, b),
    "where >": lambda a, b: np.where(a > b, a, b),
    "where <": lambda a, b: np.where(a < b, b, a),
    "masks": lambda a, b: a * (a >= b) + b * ~(a >= b),
    "heaviside": lambda a, b: b + (a - b) * ((a - b) >= 0),
    "python": lambda a, b: np.stack(
        [x if x >= y else y for x, y in zip(a, b, strict=True)]
    ),
    "a place": lambda a, b: np.where(np.argmax([a, b], axis=0), b, a),
    "an index": lambda a, b: np.stack([a, b])[np.argmax([a, b], axis=0), range(4)],
    "an order": lambda a, b: np.stack(
        [sorted(both)[-1] for both in zip(a, b, strict=True)]
    ),
    "a lesser, negated": lambda a, b: np.stack(
        [-[-x, -y][np.argmin([-x, -y])] for x, y in zip(a, b, strict=True)]
    ),
}


@every_second
@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_a_choice_of_equal_numbers_has_kinks_in_both(choice, engine):
    """Its outcome is another one to one side only: the side that is taken or not."""
    params = {"a": np.array([1.0, 2, 3, -1]), "b": np.array([1.0, 1, 3, 2])}
    above, equal = params["a"] > params["b"], params["a"] == params["b"]

    def verdict(a, b):
        """Of gradients that are so, where both are equal."""
        slopes = {"a": above + a * equal, "b": ~above & ~equal}
        slopes["b"] = slopes["b"] + b * equal
        report = fg.check_gradient(loss, params, slopes, engine=engine)
        return report.verdict, len(report.wrong)

    def loss(p):
        return np.sum(choice(p["a"], p["b"]))

    for a, b in [(1.0, 0.0), (0.0, 1.0), (0.25, 0.75)]:
        assert verdict(a, b) == ("correct", 0)
    for a, b in [(1.0, 1.0), (0.5, 0.25)]:
        assert verdict(a, b) == ("wrong", 4)
