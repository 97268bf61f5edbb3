"""The batch-norm kernels against plain NumPy twins."""

import numpy as np
import pytest

from fastgrad._kernels import _batchnorm

SHAPES = [(1, 2, 1), (1, 7, 3), (1, 513, 8), (3, 200, 9), (40, 13, 4), (1, 1100, 300)]


def sums_of(x, dy, mean, threads=2, wave=3):
    channels = x.shape[2]
    sums = np.zeros((2, 2, channels))
    _batchnorm.backward_sums(
        x,
        dy,
        mean,
        np.empty((threads, _batchnorm.WORKSPACE_SIZE)),
        np.empty((wave, 2, channels)),
        sums,
        num_threads=threads,
    )
    return sums


def channels_first(x):
    """Give the same rows with channels first in memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_those_of_numpy(shape, dtype, rng):
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    mean = rng.standard_normal(shape[2])
    wide_x, wide_dy = x.astype(np.longdouble), dy.astype(np.longdouble)
    sums = sums_of(x, dy, mean)
    expected = [wide_dy.sum(axis=(0, 1)), (wide_dy * (wide_x - mean)).sum(axis=(0, 1))]
    np.testing.assert_allclose(
        sums.sum(axis=1), np.array(expected, float), rtol=1e-14, atol=1e-12
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_do_not_depend_on_layout_threads_or_waves(shape, rng):
    x, dy = (rng.standard_normal(shape) for _ in range(2))
    mean = rng.standard_normal(shape[2])
    expected = sums_of(x, dy, mean, threads=1, wave=50)
    for threads, wave in ((1, 1), (2, 2), (4, 50)):
        np.testing.assert_array_equal(sums_of(x, dy, mean, threads, wave), expected)
        found = sums_of(channels_first(x), channels_first(dy), mean, threads, wave)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_backward_is_the_formula(shape, dtype, rng):
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    mean, a, b, c = (rng.standard_normal(shape[2]) for _ in range(4))
    wide_x, wide_dy = x.astype(np.float64), dy.astype(np.float64)
    expected = (((wide_dy - a) - (wide_x - mean) * b) * c).astype(dtype)
    for layout in (np.array, channels_first):
        dx = layout(np.zeros(shape, dtype))
        _batchnorm.backward(layout(x), layout(dy), mean, a, b, c, dx, num_threads=2)
        np.testing.assert_array_equal(dx, expected)
