"""Losses written as people write them compile, and are what they are.

Each function of the modules beside this one gives a loss and its parameters.
"""

import copy
import inspect

import numpy as np
import pytest

import fastgrad as fg
from everyday import (
    corners,
    courses,
    crafts,
    fieldwork,
    hands,
    libraries,
    patterns,
    science,
    trades,
)
from fastgrad.params.nest import Nest

# What NumPy 2.5 deprecates is written all the same.
SHAPES = pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")

MODULES = (
    *(corners, courses, crafts, fieldwork, hands),
    *(libraries, patterns, science, trades),
)
LOSSES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": make
    for module in MODULES
    for name, make in inspect.getmembers(module, inspect.isfunction)
    if make.__module__ == module.__name__ and not inspect.signature(make).parameters
}


def value(loss, params):
    result = loss(params)
    return float(np.squeeze(result[0] if isinstance(result, tuple) else result))


def moved(loss, params, nest, index, step):
    """The loss with one entry moved, in place, as the user's objects may want it."""
    block = nest.block_of(index)
    leaf = nest.leaves[block]
    at = np.unravel_index(index - nest.offsets[block], leaf.shape)
    before = leaf[at]
    leaf[at] = before + step
    try:
        return value(loss, nest.structure)
    finally:
        leaf[at] = before


@pytest.fixture(scope="module", params=LOSSES)
def traced(request):
    """A loss, its parameters, and its program."""
    loss, params = LOSSES[request.param]()
    nest = Nest(params)
    theta = nest.snapshot()
    program = fg.trace(loss, params)
    for leaf, saved in zip(nest.leaves, theta, strict=True):
        np.testing.assert_array_equal(leaf, saved)
    return loss, params, program


@SHAPES
def test_an_everyday_loss_is_compiled_into_itself(traced):
    loss, params, program = traced
    nest = Nest(params)
    base = value(loss, nest.structure)
    assert abs(program.value - base) <= 1e-12 * (1 + abs(base))

    index = np.random.default_rng(0).integers(nest.size, size=6)
    steps = np.tile([3e-3, -2e-4], 3)
    got, _ = program.at_entries(index, steps)
    expected = [
        moved(loss, params, nest, i, h) - base
        for i, h in zip(index, steps, strict=True)
    ]
    there = np.isfinite(got)
    infinite = any(not np.isfinite(node.value).all() for node in program.nodes)
    assert there.all() or program.guards or program.opaque or infinite
    np.testing.assert_allclose(
        got[there], np.array(expected)[there], rtol=1e-7, atol=1e-11 * (1 + abs(base))
    )

    gradient = program.gradient()
    slopes = [
        (moved(loss, params, nest, i, 1e-5) - moved(loss, params, nest, i, -1e-5))
        / 2e-5
        for i in index
    ]
    scale = np.abs(nest.vector(gradient)).max() + abs(base)
    np.testing.assert_allclose(
        nest.vector(gradient)[index], slopes, rtol=2e-5, atol=1e-6 * scale
    )


@SHAPES
def test_a_right_gradient_is_correct_and_a_wrong_one_wrong(traced):
    loss, params, program = traced
    loss_only = getattr(loss, "loss_only", loss)
    right = program.gradient()
    report = fg.check_gradient(loss_only, params, right, coverage=6, engine="compiled")
    assert report.verdict == "correct", report
    nest = Nest(params)
    wrong = nest.flatten(copy.deepcopy(right))
    block = max(range(len(wrong)), key=lambda b: np.abs(wrong[b]).max(initial=0))
    wrong[block] = wrong[block] * 1.05
    report = fg.check_gradient(loss_only, params, nest.rebuild(wrong), coverage=6)
    assert report.verdict == "wrong"
    assert {e.block for e in report.wrong} == {nest.names[block]}
