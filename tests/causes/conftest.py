"""Here causes are looked for; programs of the zoo."""

import numpy as np
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
    program = fg.trace(instance.loss, instance.params)
    with np.errstate(all="ignore"):
        return Reverse(program, Budget(60.0))
