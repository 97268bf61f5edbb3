"""Functions of the table in losses as people write them: found, compiled, checked."""

import inspect

import function_losses
import numpy as np
import pytest

import fastgrad as fg

LOSSES = dict(inspect.getmembers(function_losses, inspect.isfunction))
LOSSES = {n: f for n, f in LOSSES.items() if f.__module__ == "function_losses"}
#: Of these the decompositions are called as they are.
OPAQUE = {"lst2", "pinv", "svd", "eigh", "expm"}
W = np.random.default_rng(1).normal(size=8)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_functions_is_compiled_into_itself(name):
    loss = LOSSES[name]
    program = fg.trace(loss, W)
    assert bool(program.opaque) == (name in OPAQUE)
    base = loss(W)
    assert program.value == pytest.approx(base, rel=1e-12)
    found, _ = program.at_entries(np.arange(8), np.full(8, 1e-4))
    moved = [loss(W + 1e-4 * unit) - base for unit in np.eye(8)]
    there = np.isfinite(found)  # what the program leaves to the function is NaN
    assert name in OPAQUE or there.sum() >= 7
    np.testing.assert_allclose(
        found[there], np.array(moved)[there], rtol=1e-8, atol=1e-12 * (1 + abs(base))
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_wrong_gradient_of_such_a_loss_is_wrong(name):
    loss = LOSSES[name]
    right = fg.trace(loss, W).gradient()
    assert fg.check_gradient(loss, W, right).verdict == "correct"
    wrong = right.copy()
    wrong[np.argmax(np.abs(right))] *= 1.01
    report = fg.check_gradient(loss, W, wrong)
    assert report.engine == "compiled"
    assert report.verdict == "wrong"
    assert len(report.wrong) == 1
