"""The examples in docstrings."""

import doctest
import importlib

import pytest

MODULES = [
    "fastgrad._isometries",
    "fastgrad._moments",
    "fastgrad._schemes",
    "fastgrad.activations",
    "fastgrad.audit",
    "fastgrad.batchnorm",
    "fastgrad.check",
    "fastgrad.demo",
    "fastgrad.fans",
    "fastgrad.finite_width",
    "fastgrad.gains",
    "fastgrad.gaussian",
    "fastgrad.initializers",
    "fastgrad.interop.dask",
    "fastgrad.jacobian",
    "fastgrad.layers",
    "fastgrad.losses",
    "fastgrad.meanfield",
    "fastgrad.metamorphic",
    "fastgrad.monitor",
    "fastgrad.noise",
    "fastgrad.numerical",
    "fastgrad.params",
    "fastgrad.progress",
    "fastgrad.returned",
    "fastgrad.samples",
    "fastgrad.scaling",
    "fastgrad.signal",
    "fastgrad.signal_theory",
    "fastgrad.variations",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    """Every module listed has examples, and they run as printed."""
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
