"""Other samples and other layouts of the same arguments."""

import contextlib

import numpy as np
import pytest

from fastgrad.checking.metamorphic.samples import (
    Samples,
    has_orders,
    other_order,
    spread_out,
    unchanged,
)
from fastgrad.params.nest import Nest


def test_samples_are_taken_along_their_own_axes():
    X, y = np.arange(12.0).reshape(3, 4), np.arange(4)
    data = (X, {"y": y, "name": "digits"}, None)
    samples = Samples(Nest(np.ones(2)), data, -1)
    taken = samples.take(np.array([3, 0])).data
    assert samples.count == 4
    np.testing.assert_array_equal(taken[0], X[:, [3, 0]])
    np.testing.assert_array_equal(taken[1]["y"], [3, 0])
    assert taken[1]["name"] == "digits"
    assert taken[2] is None
    assert samples.take(None).data == data


def test_gradients_of_samples_taken_twice_add_up():
    params = {"x": np.arange(6.0).reshape(2, 3), "w": np.ones(3)}
    samples = Samples(Nest(params), (), 0, {"x": 1})
    index = np.array([2, 2, 0])
    taken = samples.take(index).params
    np.testing.assert_array_equal(taken["x"], params["x"][:, index])
    assert taken["w"] is params["w"]
    gradient = {"x": np.array([[1.0, 10, 100], [2, 20, 200]]), "w": np.zeros(3)}
    x, w = samples.gather(gradient, index)
    np.testing.assert_array_equal(x, [[100, 0, 11], [200, 0, 22]])
    np.testing.assert_array_equal(w, 0)


def test_gradients_of_another_batch_must_have_its_shape():
    samples = Samples(Nest({"x": np.ones((2, 3))}), (), 0, {"x": 1})
    with pytest.raises(ValueError, match=r"`grads\[\"x\"\]` must have shape \(2, 1\)"):
        samples.gather({"x": np.ones((2, 3))}, np.array([0]))


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "i8", "?", "U3"])
@pytest.mark.parametrize("shape", [(), (3,), (3, 1), (2, 3), (2, 3, 4)])
def test_layouts_keep_the_values(shape, dtype):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    spread, other = spread_out(array), other_order(array)
    for copy in (spread, other):
        np.testing.assert_array_equal(copy, array)
        assert copy.dtype == array.dtype
        assert not np.shares_memory(copy, array)
    if array.ndim:
        assert not spread.flags.c_contiguous
    if has_orders(array):
        assert other.flags.f_contiguous
        assert other_order(other).flags.c_contiguous


def test_between_the_elements_there_is_nan():
    spread = spread_out(np.ones((2, 3)))
    assert np.isnan(spread.base).sum() == 6


def test_changed_arrays_are_put_back_bit_for_bit():
    x, fixed = np.array([0.0, np.nan]), np.ones(2)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=r"they changed `data\[\"x\"\]`"):  # noqa: SIM117
        with unchanged({"x": x, "fixed": fixed, "n": 3}):
            x[0] = 2
    assert x.tobytes() == np.array([0.0, np.nan]).tobytes()
    with contextlib.suppress(KeyError), unchanged([x]):  # what is raised comes first
        x[0] = 2
        raise KeyError
    assert x[0] == 0
    with unchanged([x]):
        pass
