"""The right gradients are right, and each bug is wrong where it says and only there."""

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgrad_zoo as zoo
from fastgrad_zoo.__main__ import table

CAUSES = {
    *("sign", "scale", "regularization", "reduction", "accumulation"),
    *("duplicate_index", "local_derivative", "cross_term", "mask", "layout"),
    *("geometry", "zero", "partial", "upstream", "stale", "precision", "clipped"),
    *("conjugate", "reparametrized", "nonfinite", "nondeterministic", "mutated"),
}
OPERATIONS = {
    *(None, "getitem", "sigmoid", "softmax", "log_softmax", "sliding_window_view"),
    *dir(np),
    *dir(np.linalg),
}
SEEDS = range(6)

by_problem = pytest.mark.parametrize("problem", zoo.problems(), ids=lambda p: p.name)
by_bug = pytest.mark.parametrize("bug", zoo.bugs(), ids=lambda b: b.name)


def slope(problem, directions):
    """Return the directional derivative of the loss, to 1e-10 where it is smooth.

    By a central difference in extended precision; linear algebra exists in double
    precision only, there by two of them, extrapolated.
    """

    def difference(step):
        ahead = {k: v + step * directions[k] for k, v in params.items()}
        behind = {k: v - step * directions[k] for k, v in params.items()}
        return (problem.loss(ahead) - problem.loss(behind)) / (2 * step)

    params = {k: v.astype(np.longdouble) for k, v in problem.params.items()}
    try:
        return difference(np.longdouble(1e-6))
    except TypeError:
        params = problem.params
        return (4 * difference(5e-4) - difference(1e-3)) / 3


def assert_right_along(problem, directions):
    grads = problem.grads(problem.params)
    expected = slope(problem, directions)
    got = sum(np.sum(grads[k] * directions[k]) for k in grads)
    size = sum(np.sum(np.abs(grads[k] * directions[k])) for k in grads)
    assert abs(got - expected) <= 1e-7 * size + 1e-11


def relative_difference(wrong, right):
    if not np.all(np.isfinite(wrong)):
        return np.inf
    return np.linalg.norm(wrong - right) / max(np.linalg.norm(right), 1e-300)


@by_problem
def test_right_gradient_of_each_entry_agrees_with_differences(problem):
    problem = problem()
    zeros = {k: np.zeros_like(v) for k, v in problem.params.items()}
    grads = problem.grads(problem.params)
    rng = np.random.default_rng(0)
    for name, value in problem.params.items():
        for i in rng.permutation(value.size)[:100]:
            index = np.unravel_index(i, value.shape)
            direction = np.zeros_like(value)
            direction[index] = 1
            expected = slope(problem, {**zeros, name: direction})
            scale = np.sqrt(np.mean(grads[name] ** 2))
            assert grads[name][index] == pytest.approx(
                float(expected), rel=1e-7, abs=1e-7 * scale
            )


@pytest.mark.parametrize("start", range(0, 480, 48))
def test_right_gradient_agrees_along_random_directions_at_other_sizes(start, rng):
    for problem in itertools.islice(zoo.variations(480, seed=1), start, start + 48):
        for name in problem.params:
            directions = {k: np.zeros_like(v) for k, v in problem.params.items()}
            directions[name] = rng.normal(size=directions[name].shape)
            assert_right_along(problem, directions)


@by_bug
def test_bug_is_wrong_in_its_blocks_and_no_others(bug):
    for seed in SEEDS:
        case = bug.case(seed=seed)
        right = bug.make(seed=seed).grads(case.params)
        for _ in range(bug.wrong_from_call - 1):
            first = case.grads(case.params)
            assert all(np.array_equal(first[k], right[k]) for k in right)
        wrong = case.grads(case.params)
        assert list(wrong) == list(right)
        error = {k: relative_difference(wrong[k], right[k]) for k in right}
        assert tuple(k for k in error if error[k] > 1e-9) == bug.blocks
        assert bug.subtle or max(error.values()) > 1e-3
        assert all(wrong[k].shape == right[k].shape for k in right)
        assert all(wrong[k].dtype == float for k in right)


@by_bug
def test_bug_leaves_parameters_alone_unless_that_is_the_bug(bug):
    case = bug.case(seed=1)
    before = {k: v.copy() for k, v in case.params.items()}
    case.grads(case.params)
    changed = any(not np.array_equal(before[k], case.params[k]) for k in before)
    assert changed == (bug.cause == "mutated")


@by_bug
def test_statement_of_bug_is_complete(bug):
    assert bug.cause in CAUSES
    assert set(bug.also) <= CAUSES - {bug.cause}
    assert set(bug.blocks) <= set(bug.make().params)
    assert bug.description[0] == bug.description[0].upper()
    assert bug.description.endswith(".")
    assert len(bug.description) < 90
    assert bug.operation in OPERATIONS
    assert bug.link is None or bug.link.startswith("https://")


@by_problem
def test_no_two_bugs_of_a_problem_are_the_same(problem):
    seen = []
    for bug in zoo.bugs():
        if bug.problem is problem and bug.cause != "mutated":
            case = bug.case(seed=2)
            for _ in range(bug.wrong_from_call):
                grads = case.grads(case.params)
            vector = np.concatenate([g.ravel() for g in grads.values()])
            for settings, other in seen:
                if settings == bug.settings:
                    assert not np.allclose(vector, other, 1e-9, 0, equal_nan=True)
            seen.append((bug.settings, vector))


@by_problem
def test_problem_is_pure_and_made_by_its_seed(problem):
    one, two, other = problem(seed=3), problem(seed=3), problem(seed=4)
    before = {k: v.copy() for k, v in one.params.items()}
    assert np.ndim(one.loss(one.params)) == 0
    assert one.loss(one.params) == two.loss(two.params) != other.loss(other.params)
    first, second = one.grads(one.params), one.grads(one.params)
    for name, value in one.params.items():
        assert value.dtype == float
        assert np.array_equal(value, before[name])
        assert np.array_equal(first[name], second[name])
        assert first[name].shape == value.shape
        assert not np.shares_memory(first[name], second[name])
        assert not np.shares_memory(first[name], value)


@by_problem
def test_problem_has_between_20_and_2000_parameters_or_is_the_wide_one(problem):
    count = sum(v.size for v in problem().params.values())
    assert 20 <= count <= 2000 or problem.name == "wide_net"


class StandIn(np.lib.mixins.NDArrayOperatorsMixin):
    """What a loss may see while it is traced: NumPy's protocols and nothing else."""

    def __init__(self, value):
        self.value = value

    shape = property(lambda self: self.value.shape)
    size = property(lambda self: self.value.size)
    ndim = property(lambda self: self.value.ndim)
    dtype = property(lambda self: self.value.dtype)
    T = property(lambda self: np.transpose(self))
    sum, mean, max = np.sum, np.mean, np.max
    reshape = lambda self, *shape: np.reshape(self, shape)  # noqa: E731
    transpose = lambda self, *axes: np.transpose(self, axes)  # noqa: E731

    def __len__(self):
        return len(self.value)

    def __getitem__(self, index):
        return StandIn(self.value[index])

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return StandIn(getattr(ufunc, method)(*unwrapped(inputs), **kwargs))

    def __array_function__(self, function, types, args, kwargs):
        result = function(*unwrapped(args), **unwrapped(kwargs))
        if isinstance(result, tuple):
            return type(result)(*map(StandIn, result))
        return StandIn(result)

    def _refuse(self, *_):
        raise AssertionError("a loss must not look at values or assign to them")

    __array__ = __bool__ = __float__ = __int__ = __setitem__ = _refuse


def unwrapped(x):
    if isinstance(x, StandIn):
        return x.value
    if isinstance(x, tuple | list):
        return type(x)(map(unwrapped, x))
    return {k: unwrapped(v) for k, v in x.items()} if isinstance(x, dict) else x


@by_problem
def test_loss_uses_nothing_but_numpys_protocols(problem):
    problem = problem(seed=5)
    traced = problem.loss({k: StandIn(v) for k, v in problem.params.items()})
    assert traced.value == problem.loss(problem.params)


def test_one_bug_in_three_is_held_out_by_its_name():
    held_out, seen = zoo.bugs(held_out=True), zoo.bugs(held_out=False)
    assert {b.name for b in held_out}.isdisjoint(b.name for b in seen)
    assert len(held_out) + len(seen) == len(zoo.bugs())
    assert 0.28 < len(held_out) / len(zoo.bugs()) < 0.39
    # 16 = 15 + 1: a multiple of 3 is a number whose hexadecimal digits sum to one.
    for bug in zoo.bugs():
        digits = hashlib.sha256(bug.name.encode()).hexdigest()
        assert bug.held_out == (sum(int(digit, 16) for digit in digits) % 3 == 0)


def test_zoo_is_as_large_as_promised():
    names = [bug.name for bug in zoo.bugs()]
    assert len(names) == len(set(names)) >= 75
    assert len({bug.link for bug in zoo.bugs()} - {None}) >= 45
    assert {bug.problem for bug in zoo.bugs()} == set(zoo.problems())
    problems = [problem.name for problem in zoo.problems()]
    assert len(problems) == len(set(problems))


def test_variations_differ_and_take_all_problems_in_turn():
    made = list(zoo.variations(2 * len(zoo.problems())))
    names = [problem.name for problem in made]
    assert names == [problem.name for problem in zoo.problems()] * 2
    assert made[0].x.shape[1] == 12
    assert made[len(names) // 2].x.shape[1] == 1


def test_unknown_bug_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"`name` must be .*'tanh_derivative_missing'"):
        zoo.get("tanh_derivative_misssing")


def test_settings_of_a_bug_go_before_arguments():
    bug = zoo.get("bias_skipped_for_one_sample")
    assert bug.make(batch=7).x.shape[1] == 1


def test_documented_table_is_the_zoo():
    page = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text("utf-8")
    assert table() in page


def test_importing_fastgrad_does_not_import_the_zoo():
    code = "import sys, fastgrad; sys.exit('fastgrad_zoo' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
