"""The examples in docstrings."""

import doctest
import importlib

import pytest

MODULES = [
    "fastgrad.initializers.isometries",
    "fastgrad.statistics.moments",
    "fastgrad.initializers.schemes",
    "fastgrad.initializers.activations",
    "fastgrad.checking.audit",
    "fastgrad.statistics.batchnorm",
    "fastgrad.checking.check",
    "fastgrad.demo",
    "fastgrad.initializers.fans",
    "fastgrad.signal.finite_width",
    "fastgrad.initializers.gains",
    "fastgrad.initializers.gaussian",
    "fastgrad.initializers.initialize",
    "fastgrad.interop.dask",
    "fastgrad.checking.hessian",
    "fastgrad.checking.jacobian",
    "fastgrad.checking.layers",
    "fastgrad.losses",
    "fastgrad.signal.meanfield",
    "fastgrad.checking.metamorphic",
    "fastgrad.checking.monitor",
    "fastgrad.checking.noise",
    "fastgrad.checking.numerical",
    "fastgrad.params.bounds",
    "fastgrad.params.claims",
    "fastgrad.params.nest",
    "fastgrad.losses.progress",
    "fastgrad.losses.bound",
    "fastgrad.losses.randomness",
    "fastgrad.losses.returned",
    "fastgrad.checking.samples",
    "fastgrad.statistics.scaling",
    "fastgrad.signal.diagnose",
    "fastgrad.signal.theory",
    "fastgrad.checking.variations",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    """Every module listed has examples, and they run as printed."""
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
