"""Sparse Jacobians: few evaluations, and patterns that leave something out."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

import fastgrad as fg
from fastgrad.checking.jacobians import Problem
from fastgrad.checking.jacobians.sparsity import groups, pattern

N = 60


def banded(n, *offsets):
    return sparse.diags_array(
        [np.ones(n - abs(k)) for k in offsets], offsets=offsets, format="csr"
    )


def fun(x):
    y = np.sin(x)
    y[1:] += x[:-1] * x[1:]
    y[:-1] += x[1:] ** 2
    return y


def jac(x):
    below = np.r_[0.0, x[:-1]]
    return np.diag(np.cos(x) + below) + np.diag(x[1:], -1) + np.diag(2 * x[1:], 1)


def strayed(i, j, size):
    """As `fun`, and output i depends on input j besides."""

    def function(x):
        y = fun(x)
        y[i] += size * x[j]
        return y

    return function


OUTSIDE = [(i, j) for i in range(N) for j in range(N) if abs(i - j) > 1]


@example((19, 49), 1e-4, 2582, "full")  # the points that noise is measured at are exact
@given(
    st.sampled_from(OUTSIDE),
    st.sampled_from([1e-4, -1e-3, 0.1, 30.0]),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["full", 5]),
)
@settings(max_examples=40)
def test_a_dependency_outside_the_pattern(place, size, seed, coverage):
    """It is named: output, input, size. A Jacobian that says zero there is wrong.

    Where only some entries are checked, that one is.
    """
    x = np.random.default_rng(seed).normal(size=N)
    inside, (i, j) = banded(N, -1, 0, 1), place
    with pytest.raises(ValueError, match=rf"`sparsity` .* \[{i}, {j}\].* {i} .* {j},"):
        fg.numerical_jacobian(strayed(i, j, size), x, sparsity=inside)
    report = fg.check_jacobian(
        strayed(i, j, size), x, jac(x), sparsity=inside, coverage=coverage
    )
    [entry] = report.wrong
    assert entry.index == (i, j)
    assert entry.numerical == pytest.approx(size, rel=1e-4)
    assert any("`sparsity` is incomplete" in note for note in report.notes)


@given(st.integers(0, 2**32 - 1), st.sampled_from([None, (-5, 5), (None, 5)]))
@settings(max_examples=20)
def test_a_complete_pattern_is_not_doubted(seed, bounds):
    """Nothing is found where there is nothing; how sure that is, is said."""
    x = np.random.default_rng(seed).uniform(-3, 3, size=N)
    inside = banded(N, -1, 0, 1)
    found = fg.numerical_jacobian(fun, x, sparsity=inside, bounds=bounds)
    np.testing.assert_allclose(found.toarray(), jac(x), atol=1e-8)
    report = fg.check_jacobian(fun, x, jac, sparsity=inside, bounds=bounds)
    assert report.ok
    assert any("a probability of 99 %" in note for note in report.notes)


def test_dependencies_above_the_limit_are_seen_99_times_of_100():
    """Of Gaussian numbers of that size; a tenth of it shows four times of five."""
    x, seen = np.linspace(0.5, 1.5, 20), np.zeros((200, 2))

    def found(size, seed):
        def fun(x):
            y = np.sin(x)
            y[3] += size * x[11]
            return y

        problem = Problem(fun, x, sparsity=np.eye(20), seed=seed)
        probe = problem._probe()
        return probe.find(problem.row, problem.column, problem.quick()), probe

    for seed in range(200):
        none, probe = found(0.0, seed)
        assert none is None
        limit = probe.limit[3] / probe.scale[11]
        for k, share in enumerate((1.0, 0.1)):
            seen[seed, k] = found(share * limit, seed)[0] is not None
    above, below = seen.mean(axis=0)
    assert above >= 0.97
    assert 0.6 < below < 0.92


def test_what_a_formula_is_off_by_is_searched_for_rarely_and_hides_little():
    """Six evaluations of what bends as most do; half a slope is nearly always seen."""
    x, seen, calls = np.linspace(0.5, 1.5, 20), [], []

    def search(size, seed, rate):
        def fun(x):
            calls.append(1)
            y = np.sin(rate * x) / rate
            y[3] += size * x[11]
            return y

        options = {"sparsity": np.eye(20), "seed": seed}
        problem = Problem(fun, x, method="forward", step=1e-3, **options)
        value = problem.quick()
        calls.clear()
        return problem._probe().find(problem.row, problem.column, value)

    for seed in range(60):
        assert search(0.0, seed, 3.0) is None
        assert len(calls) <= 6
        seen.append(search(0.5, seed, 1.0) is not None)
    assert np.mean(seen) >= 0.9


def test_a_spurious_doubt_hides_no_dependency():
    """Waves too short for the steps of one formula, in more outputs than one."""
    x, inside = np.linspace(0.5, 1.5, N), np.eye(N)
    rate = np.where(np.arange(N) < 6, 3e5, 1.0)

    def fun(x):
        y = np.sin(rate * x)
        y[40] += 1e-3 * x[50]
        return y

    with pytest.raises(ValueError, match=r"nonzero at \[40, 50\]"):
        fg.numerical_jacobian(fun, x, sparsity=inside, method="forward")


def test_several_dependencies_outside():
    """All of a few are entries of the report, and that there may be more."""
    x = np.linspace(-1, 1, N)

    def two(x):
        y = fun(x)
        y[3] += 0.1 * x[40]
        y[3] -= 0.2 * x[50] ** 2
        y[20] += x[0]
        return y

    report = fg.check_jacobian(two, x, jac(x), sparsity=banded(N, -1, 0, 1))
    assert {entry.index for entry in report.wrong} == {(3, 40), (3, 50), (20, 0)}
    diagonal = np.diag(np.diag(jac(x)))
    report = fg.check_jacobian(fun, x, diagonal, sparsity=np.eye(N))
    assert 3 < len(report.wrong) < N
    assert report.notes[-1] == "there may be more outside `sparsity`"


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_groups_share_no_row(m, n, seed):
    """Every column with entries is in a group, where it meets no other."""
    dense = np.random.default_rng(seed).random((m, n)) < 0.3
    row, column = pattern(dense, m, n)
    assert (row.tolist(), column.tolist()) == tuple(map(list, np.nonzero(dense)))
    group = groups(row, column, n)
    assert ((group >= 0) == dense.any(axis=0)).all()
    for g in range(n):
        assert (dense[:, group == g].sum(axis=1) <= 1).all()


def test_large():
    """Evaluations do not grow with the size, and nothing is as large as n²."""
    n = 20_000
    x = np.random.default_rng(0).normal(size=n)
    calls = []

    def counted(x):
        calls.append(1)
        return fun(x)

    found = fg.numerical_jacobian(counted, x, sparsity=banded(n, -1, 0, 1))
    assert sparse.issparse(found)
    assert len(calls) < 20
    right = sparse.diags_array(
        [x[1:], np.cos(x) + np.r_[0.0, x[:-1]], 2 * x[1:]], offsets=[-1, 0, 1]
    )
    assert abs(found - right).max() < 1e-8
    assert fg.check_jacobian(fun, x, right, sparsity=banded(n, -1, 0, 1)).ok
    assert not fg.check_jacobian(fun, x, 1.01 * right, sparsity=banded(n, -1, 0, 1)).ok


@pytest.mark.parametrize("step", [None, 1e-3, 1e-6])
@pytest.mark.parametrize("method", ["central", "forward"])
def test_differences_of_low_order_are_not_mistaken_for_dependencies(method, step, rng):
    """Two evaluations a group, twice where columns bend, and some ten to look around."""
    x, calls, inside = rng.normal(size=N), [], banded(N, -1, 0, 1).toarray()

    def counted(x):
        calls.append(1)
        return fun(x)

    options = {"method": method, "step": step, "sparsity": inside}
    fg.numerical_jacobian(counted, x, **options)
    assert len(calls) <= 22
    inside[17, 18] = 0  # which is of the size of the others
    with pytest.raises(ValueError, match=r"nonzero at \[17, 18\]"):
        fg.numerical_jacobian(counted, x, **options)
