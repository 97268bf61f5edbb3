"""Which entries a program reads: those whose NaN the function itself comes upon."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import fastgrad as fg

RNG = np.random.default_rng(3)
PARAMS = {"E": RNG.normal(size=(7, 4)), "v": RNG.normal(size=9)}
TOKENS = np.array([[0, 2, 2], [5, 0, 3]])


def padded(p):
    return np.sum(np.pad(p["E"][2:, 1:3], 1) ** 2) + p["v"][0]


def assigned(p):
    out = np.zeros((7, 4))
    out[1:4] = p["E"][3:6]
    out[2] = p["E"][0]
    return np.sum(out * p["v"][2])


def guarded(p):
    return np.sum(p["v"][:3]) if p["E"][1, 1] < 10 else np.sum(p["v"])


LOSSES = {
    "rows": lambda p: np.sum(p["E"][TOKENS].mean(axis=1) ** 2),
    "take": lambda p: np.sum(np.tanh(np.take(p["E"], [1, 1, 4], axis=1 - 1))),
    "columns": lambda p: np.sum(p["E"][:, ::2]) * p["v"][3],
    "views of views": lambda p: np.sum(p["E"].T[1:, ::-2][:, 1:] ** 2),
    "reshaped": lambda p: np.sum(p["E"].reshape(-1)[5:9]) + np.sum(p["v"]),
    "two readings": lambda p: np.sum(p["E"][1] * p["E"][:3, 2:].sum()),
    "diagonal": lambda p: np.trace(p["E"][:4]) + p["v"][[2, 8]].sum(),
    "windows": lambda p: np.sum(sliding_window_view(p["v"], 2)[::3] ** 2),
    "mask": lambda p: np.sum(p["v"][np.arange(9) % 2 == 1]),
    "broadcast": lambda p: np.sum(np.broadcast_to(p["v"][4], (3, 2)) * 2.0),
    "joined": lambda p: np.sum(np.concatenate([p["v"], p["E"][0]])[6:11]),
    "the entry itself": lambda p: p["v"][4],
    "padded": padded,
    "assigned": assigned,
    "guarded": guarded,
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_what_is_not_read_changes_nothing(loss):
    """Exactly the entries whose NaN the function comes upon are read."""
    program = fg.trace(loss, PARAMS)
    found, changes = [], []
    for name, block in PARAMS.items():
        for k in range(block.size):
            moved = {key: value.copy() for key, value in PARAMS.items()}
            moved[name].flat[k] += 0.1
            changes.append(loss(moved) - loss(PARAMS))
            moved[name].flat[k] = np.nan
            found.append(bool(np.isnan(loss(moved))))
    if loss is guarded:  # which compares with it, and goes on without
        found[5] = True
    assert program.read.tolist() == found
    index = np.arange(program.nest.size)
    difference, crossed = program.at_entries(index, np.full(index.size, 0.1))
    np.testing.assert_allclose(difference, changes, rtol=1e-9, atol=1e-12)
    assert not difference[~program.read].any()
    assert not crossed.any()


def test_rows_that_are_not_read_cost_nothing_and_are_checked():
    """A gradient that is not zero there is wrong."""
    params = {"E": RNG.normal(size=(500, 8))}

    def loss(p):
        return np.mean(np.tanh(p["E"][TOKENS]) ** 2)

    truth = fg.trace(loss, params).gradient()
    report = fg.check_gradient(loss, params, truth)
    assert report.ok
    assert report.evaluations < params["E"].size / 2
    truth["E"][400, 3] = 1e-3
    report = fg.check_gradient(loss, params, truth)
    assert report.verdict == "wrong"
    assert "[400, 3]" in str(report)


@pytest.mark.parametrize("row", range(7))
def test_bundles_cost_what_they_do_where_an_entry_is_read(row):
    """Not what they cost at an entry that has no effect: threads would have nothing."""

    def loss(p):
        return np.sum(np.exp(np.outer(np.tanh(p["E"][row]), np.ones(50))))

    [of_rows, of_others] = fg.trace(loss, PARAMS).orders
    assert of_rows.cost > 50 > of_others.cost
