"""Groups of columns against the plain rule: the first group that has room."""

import numpy as np
import pytest

from fastgrad.checking.jacobians.sparsity import groups, pattern


def first_that_has_room(matrix):
    """Columns with many entries first; -1 for those without any."""
    used, group = [], np.full(matrix.shape[1], -1)
    for j in np.argsort(-matrix.sum(axis=0), kind="stable"):
        rows = set(np.flatnonzero(matrix[:, j]))
        if not rows:
            continue
        fitting = [g for g, taken in enumerate(used) if not rows & taken]
        if not fitting:
            used.append(set())
        group[j] = fitting[0] if fitting else len(used) - 1
        used[group[j]] |= rows
    return group


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (7, 1), (1, 9), (30, 40)])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("shuffled", [False, True])
def test_groups_are_those_of_the_plain_rule(shape, density, shuffled, rng):
    matrix = rng.random(shape) < density
    row, column = pattern(matrix, *shape)
    if shuffled:
        order = rng.permutation(len(row))
        row, column = row[order], column[order]
    found = groups(row, column, shape[1])
    np.testing.assert_array_equal(found, first_that_has_room(matrix))


def test_a_full_row_takes_a_group_for_each_column():
    """In time that the evaluations of the groups take anyway."""
    n = 3000
    arrow = np.eye(n, dtype=bool)
    arrow[0] = True
    assert sorted(groups(*pattern(arrow, n, n), n)) == list(range(n))
