"""Threads of NumPy's matrix products during a check, as threadpoolctl sees them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import fastgrad as fg
from fastgrad.losses.blas import one_blas_thread

POOLS = ThreadpoolController().select(internal_api="openblas")
X = np.random.default_rng(0).normal(size=(8, 5))


def threads():
    """Of NumPy's own library, which is loaded first."""
    return POOLS.lib_controllers[0].get_num_threads()


@pytest.fixture(autouse=True)
def three():
    with threadpool_limits(3, "blas"):
        yield


class Fails(Exception):
    pass


def check(engine, fails_at=0):
    """Check a loss; return the threads of each of its calls."""
    seen = []

    def loss(w):
        seen.append(threads())
        if len(seen) == fails_at:
            raise Fails
        return np.sum(np.tanh(X @ w) ** 2)

    w = np.linspace(-1.0, 1.0, 5)
    a = np.tanh(X @ w)
    fg.check_gradient(loss, w, X.T @ (2 * a * (1 - a**2)), engine=engine)
    return seen


def test_one_while_kernels_replay_a_short_loss():
    assert set(check("compiled")) == {1}
    assert threads() == 3


def test_all_while_the_loss_is_called():
    assert check("python")[1:] == [3] * (len(check("python")) - 1)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_all_are_back_after_an_exception(fails_at):
    with suppress(Fails):  # which ends its domain where it is only next to theta
        check("auto", fails_at)
    assert threads() == 3


def test_all_are_back_when_the_last_of_several_ends():
    both = Barrier(2)

    def hold(_):
        with one_blas_thread():
            both.wait()
            assert threads() == 1
            both.wait()

    with one_blas_thread() as with_all, ThreadPoolExecutor(2) as pool:
        found = pool.map(hold, range(2))
        with_all()
        with_all()
        list(found)
        assert threads() == 3
    assert threads() == 3
