"""The moments and affine kernels against plain NumPy twins, at every SIMD level."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from fastgrad._kernels import _affine, _moments
from fastgrad._kernels._openmp import simd_level

COUNT, WEIGHT, MEAN, MEAN_LO, SQUARES = 0, 1, 3, 4, 5
SHAPES = [(1, 1, 1), (1, 7, 3), (1, 513, 8), (3, 200, 9), (40, 13, 4), (1, 1100, 300)]


def accumulate(x, weights=None, threads=2, wave=4):
    """Run the kernel over x into an empty state."""
    lanes = _moments.LANE_COLUMNS
    columns = x.shape[2]
    width = -(-columns // lanes) * lanes
    state = np.zeros((_moments.STATE_SIZE, width))
    infinite = np.zeros(columns, np.uint8)
    _moments.accumulate(
        x,
        np.empty(0) if weights is None else weights,
        np.empty((threads, _moments.WORKSPACE_SIZE)),
        np.zeros((wave, *state.shape)),
        state,
        infinite,
        num_threads=threads,
    )
    return state[:, :columns], infinite


def tree(lanes):
    """Add eight accumulators as the kernels do."""
    a = lanes
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]))


def lane_sums(values):
    """Add rows i mod 8 one after the other, then the eight sums as a tree."""
    lanes = np.zeros((8, *values.shape[1:]))
    for i, row in enumerate(values):
        lanes[i % 8] += row
    return tree(lanes)


def sampled(rows):
    """Rows whose mean is the first pivot."""
    return np.arange(8) * (rows - 1) // 7


def twin_chunk(x, w):
    """Moments of one chunk of rows, in the kernel's order."""
    n = lane_sums(w)
    pivot = tree(x[sampled(len(x))]) / 8
    for again in (False, True):
        t = x - pivot
        first, second = lane_sums(t * w), lane_sums(t * w * t)
        if not again:
            far = first * first > second * n * 0.75
            pivot = np.where(far, pivot + first / n, pivot)
    shift = first / n
    return n, pivot + shift, second - first * shift


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_those_of_numpy(shape, dtype, weighted, rng):
    x = (rng.standard_normal(shape) + 5).astype(dtype)
    rows = x.reshape(-1, shape[2]).astype(np.longdouble)
    w = rng.random(len(rows)) + 0.1 if weighted else np.ones(len(rows))
    state, infinite = accumulate(x, w if weighted else None)
    mean = np.average(rows, axis=0, weights=w)
    squares = ((rows - mean) ** 2 * w[:, None]).sum(axis=0)
    np.testing.assert_array_equal(state[COUNT], len(rows))
    np.testing.assert_allclose(state[WEIGHT], w.sum(), rtol=1e-15)
    np.testing.assert_allclose(state[MEAN], mean.astype(float), rtol=1e-15)
    np.testing.assert_allclose(
        state[SQUARES], squares.astype(float), rtol=3e-15, atol=1e-28
    )
    assert not infinite.any()


@pytest.mark.parametrize("rows", [1, 5, 8, 100, 512])
@pytest.mark.parametrize("columns", [1, 3, 8, 13])
def test_one_chunk_is_the_twin_to_the_bit(rows, columns, rng):
    x = rng.standard_normal((rows, columns)) + 3
    w = rng.random(rows) + 0.5
    for weights, factor in ((None, np.ones(rows)), (w, w)):
        state, _ = accumulate(x[None], weights)
        _, mean, squares = twin_chunk(x, np.broadcast_to(factor[:, None], x.shape))
        np.testing.assert_array_equal(state[MEAN], mean)
        if rows > 1:
            np.testing.assert_array_equal(state[SQUARES], squares)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_first_pivot_far_from_the_mean_costs_no_digits(order, rng):
    x = rng.standard_normal((512, 12))
    x[sampled(512), 3] += 1e9
    x[:, 5] = 1e-3 * x[:, 5] + 1e9
    state, _ = accumulate(np.asarray(x, order=order)[None])
    wide = x.astype(np.longdouble)
    squares = ((wide - wide.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(state[SQUARES], squares.astype(float), rtol=1e-15)
    _, mean, twin_squares = twin_chunk(x, np.ones_like(x))
    np.testing.assert_array_equal(state[MEAN], mean)
    np.testing.assert_array_equal(state[SQUARES], twin_squares)


@pytest.mark.parametrize("shape", SHAPES)
def test_layouts_threads_and_waves_do_not_change_a_bit(shape, rng):
    x = rng.standard_normal(shape)
    expected, _ = accumulate(x, threads=1, wave=100)
    others = [
        np.asfortranarray(x),
        np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
        np.repeat(x, 2, axis=1)[:, ::2],
        np.repeat(x, 2, axis=2)[:, :, ::2],
        x[::-1][::-1],
    ]
    for other in others:
        for threads, wave in ((1, 1), (2, 3), (4, 100)):
            state, _ = accumulate(other, threads=threads, wave=wave)
            np.testing.assert_array_equal(state, expected)


def test_missing_values_and_infinities_are_told_apart(rng):
    x = rng.standard_normal((1, 1500, 12))
    x[0, 7::10, 2] = np.nan
    x[0, 1000:, 3] = np.nan
    x[0, 700, 5] = np.inf
    x[0, :, 6] = np.nan
    for order in ("C", "F"):
        state, infinite = accumulate(np.asarray(x, order=order))
        assert np.flatnonzero(infinite).tolist() == [5]
        assert state[COUNT, [2, 3, 6]].tolist() == [1350, 1000, 0]
        np.testing.assert_allclose(state[MEAN, 2], np.nanmean(x[0, :, 2]), rtol=1e-13)


def test_merging_halves_is_the_whole(rng):
    x = rng.standard_normal((1, 3000, 10)) + 1e6
    lanes = _moments.LANE_COLUMNS
    padded = [np.zeros((_moments.STATE_SIZE, 2 * lanes)) for _ in range(2)]
    for state, part in zip(padded, (x[:, :1024], x[:, 1024:]), strict=True):
        state[:, :10] = accumulate(part)[0]
    _moments.merge(padded[0], padded[1])
    whole, _ = accumulate(x)
    np.testing.assert_allclose(padded[0][SQUARES, :10], whole[SQUARES], rtol=3e-16)
    exact = (x[0] - 1e6).mean(axis=0)
    low = (padded[0][MEAN, :10] - 1e6) + padded[0][MEAN_LO, :10]
    np.testing.assert_allclose(low, exact, rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_affine_is_the_formula(shape, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype)
    a, b, c = (rng.standard_normal(shape[2]) for _ in range(3))
    wide = x.astype(np.float64)
    for terms, expected in (
        ((a, b, c), (wide - a) * b + c),
        ((a, b, np.empty(0)), (wide - a) / b),
    ):
        for out in (np.empty_like(x), np.empty(shape[::-1], dtype).T):
            for source in (x, np.asfortranarray(x)):
                _affine.affine(source, *terms, out, num_threads=2)
                np.testing.assert_array_equal(out, expected.astype(dtype))


FINGERPRINT = """
import hashlib, numpy as np, fastgrad as fg
rng = np.random.default_rng(5)
x = rng.standard_normal((3001, 21)) * 10 + 1e3
x[::50, 3] = np.nan
w = rng.random(3001) + 0.1
h = hashlib.sha256()
for dtype in ("f4", "f8"):
    for order in "CF":
        y = np.asarray(x, dtype, order=order)
        for m in (fg.moments(y), fg.moments(y, weights=w)):
            h.update(m.mean.tobytes() + m.std.tobytes())
        h.update(np.ascontiguousarray(fg.StandardScaler().fit_transform(y)).tobytes())
    b = np.ones(21)
    out, cache = fg.batch_norm(y[:3000].reshape(30, 100, 21), b, b, axis=-1)
    h.update(out.tobytes() + fg.batch_norm_backward(out, cache)[0].tobytes())
print(h.hexdigest())
"""


def fingerprint(level):
    out = subprocess.run(
        [sys.executable, "-c", FINGERPRINT],
        env={**os.environ, "FASTGRAD_SIMD": level},
        capture_output=True,
        text=True,
        check=True,
    )
    return out.stdout.strip()


def test_the_bits_do_not_depend_on_the_simd_level():
    if simd_level() == "baseline":
        pytest.skip("this machine has one level only")
    prints = {level: fingerprint(level) for level in ("base", "v3", "v4")}
    assert len(set(prints.values())) == 1
    assert len(prints["base"]) == len(hashlib.sha256().hexdigest())
