"""Here causes are looked for; programs of the zoo."""

import pytest

import fastgrad as fg
from fastgrad.causes.budget import Budget
from fastgrad.causes.reverse import Reverse


@pytest.fixture(autouse=True)
def _causes_are_looked_for(time_for_causes):
    pass


@pytest.fixture
def reverse(problem):
    """The reverse pass of a problem of the zoo."""
    instance = problem(seed=3)
    return Reverse(fg.trace(instance.loss, instance.params), Budget(60.0))
