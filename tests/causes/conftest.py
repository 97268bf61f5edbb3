"""What is named does not depend on how busy a machine is; programs of the zoo."""

import pytest

import fastgrad as fg
from fastgrad.causes.budget import Budget
from fastgrad.causes.reverse import Reverse


@pytest.fixture(autouse=True)
def _time_to_search(monkeypatch):
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", 60.0)


@pytest.fixture
def reverse(problem):
    """The reverse pass of a problem of the zoo."""
    instance = problem(seed=3)
    return Reverse(fg.trace(instance.loss, instance.params), Budget(60.0))
