"""When arrays are the same, and when a program agrees with differences."""

import numpy as np
import pytest

from fastgrad.causes.evidence import _agrees
from fastgrad.causes.known import same

INF = np.inf


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-13], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        ([INF, 1.0], [INF, 1.0], True),
        ([-INF, 1.0, 3.0], [-INF, 1.0 + 1e-13, 3.0], True),
        ([INF, 1.0], [INF, 1.1], False),
        ([INF, 1.0], [-INF, 1.0], False),
        ([INF, INF], [INF, 1.0], False),
        ([1.0, 1.0], [INF, 1.0], False),
    ],
)
def test_arrays_are_the_same_but_for_rounding_where_they_are_finite(a, b, alike):
    with np.errstate(invalid="ignore"):
        assert same(np.array(a), np.array(b)) == alike


@pytest.mark.parametrize(("off", "agrees"), [(0, True), (1, True), (2, False)])
def test_one_entry_of_a_hundred_may_be_at_a_kink(off, agrees):
    own, bar = np.ones(100), np.full(100, 1e-9)
    measured = np.where(np.arange(100) < off, 0.5, 1.0)
    assert _agrees(own, measured, bar) == agrees


def test_of_nothing_measured_a_program_is_believed_if_it_is_finite():
    nothing = np.empty(0)
    assert _agrees(nothing, nothing, nothing)
    assert not _agrees(np.array([np.nan]), np.ones(1), np.ones(1))
