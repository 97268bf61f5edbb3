"""Bundles of requests against a plain NumPy twin."""

import itertools

import numpy as np
import pytest

from fastgrad._kernels._replay import BUNDLE
from fastgrad.program.plan import BundleOrder, Bundles

SHAPES = [(6, 40), (3,), (), (0, 4), (2, 3, 5, 4)]
AXES = [(1, 0), (0,), (), (0, 1), (2, 0, 1, 3)]
LINES = [6, 3, 1, 0, 24]
OFFSETS = np.cumsum([0, *(int(np.prod(shape)) for shape in SHAPES)])
APART = 64


def places():
    """Of every entry: its position in the bundling order, its parameter, its line."""
    rows = []
    for b, (shape, axes, line) in enumerate(zip(SHAPES, AXES, LINES, strict=True)):
        size = int(np.prod(shape))
        order = np.arange(size).reshape(shape).transpose(axes).ravel()
        position = np.empty(size, dtype=int)
        position[order] = np.arange(size)
        rows += [(OFFSETS[b] + p, b, p // max(line, 1)) for p in position.tolist()]
    return np.array(rows)


@pytest.mark.parametrize("kind", ["all", "some", "twice", "shuffled", "one", "none"])
def test_bundles_are_those_of_a_plain_twin(kind):
    rng = np.random.default_rng(3)
    everything = np.arange(OFFSETS[-1])
    index = {
        "all": everything,
        "some": np.sort(rng.choice(everything, 100, replace=False)),
        "twice": np.repeat(everything, 2),
        "shuffled": rng.permutation(everything),
        "one": everything[241:242],
        "none": everything[:0],
    }[kind]
    orders = [
        BundleOrder(shape, axes, line, 1.0)
        for shape, axes, line in zip(SHAPES, AXES, LINES, strict=True)
    ]
    by_order, start, block = Bundles(OFFSETS, orders).make(index)
    position, owner, line = places()[index].T
    expected = np.argsort(position, kind="stable")
    if by_order is None:
        by_order = np.arange(len(index))
    assert by_order.tolist() == expected.tolist()
    assert start[0] == 0
    assert start[-1] == len(index)
    assert len(block) == len(start) - 1
    for b, (one, other) in enumerate(itertools.pairwise(start.tolist())):
        mine = by_order[one:other]
        assert 0 < len(mine) <= BUNDLE
        assert set(owner[mine]) == {block[b]}
        assert len(set(line[mine])) == 1
        assert np.diff(position[mine]).max(initial=0) <= APART
        if other < len(index):  # as long as may be
            after = by_order[other]
            assert (
                len(mine) == BUNDLE
                or (owner[after], line[after]) != (owner[mine[-1]], line[mine[-1]])
                or position[after] - position[mine[-1]] > APART
            )
