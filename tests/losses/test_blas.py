"""Threads of NumPy's matrix products during a check, as threadpoolctl sees them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import fastgrad as fg
from fastgrad.losses import engines
from fastgrad.losses.blas import blas_threads

X = np.random.default_rng(0).normal(size=(8, 5))
W = np.linspace(-1.0, 1.0, 5)


def of_numpy(library):
    """Whether it is the OpenBLAS that comes with NumPy; others may be loaded."""
    bundled = {"numpy.libs", ".dylibs"} & set(Path(library.filepath).parts)
    return library.internal_api == "openblas" and bundled


LIBRARIES = list(filter(of_numpy, ThreadpoolController().lib_controllers))
if not LIBRARIES:
    pytest.skip("NumPy has another BLAS", allow_module_level=True)
threads = LIBRARIES[0].get_num_threads


@pytest.fixture(autouse=True)
def three():
    with threadpool_limits(3, "blas"):
        yield
        assert threads() == 3


class Fails(Exception):
    pass


def loss(w):
    return np.sum(np.tanh(X @ w) ** 2)


def gradient(w):
    a = np.tanh(X @ w)
    return X.T @ (2 * a * (1 - a**2))


def check(engine, fails_at=0, loss=loss):
    """Check a loss; return the threads of each of its calls."""
    seen = []

    def counted(w):
        seen.append(threads())
        if len(seen) == fails_at:
            raise Fails
        return loss(w)

    fg.check_gradient(counted, W.copy(), gradient(W), engine=engine)
    return seen


def untraceable(w):
    return float(str(loss(w)))


def test_one_while_kernels_replay_a_short_loss():
    assert set(check("compiled")) == {1}


def test_all_where_the_loss_is_called():
    assert set(check("python")) == {3}


def test_all_from_theta_on_where_the_loss_cannot_be_traced():
    seen = check("auto", loss=untraceable)
    all_from = seen.index(3)
    assert set(seen[:all_from]) == {1}
    assert set(seen[all_from:]) == {3}
    assert len(seen) - all_from > 2 * len(W)


def test_all_where_calls_take_long(monkeypatch):
    monkeypatch.setattr(engines, "_SHORT", 0.0)
    assert check("compiled") == [1, *[3] * (len(check("compiled")) - 1)]


@pytest.mark.parametrize("seconds", [0.0, 1.0])
@pytest.mark.parametrize("of", [loss, untraceable])
def test_what_sums_in_another_order_is_no_noise(of, seconds, monkeypatch):
    monkeypatch.setattr(engines, "_SHORT", seconds)

    def in_order(w):
        return of(w) + threads() * 1e-9

    report = fg.check_gradient(in_order, W.copy(), gradient(W))
    assert report.ok, report
    assert "deterministic" not in str(report)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_all_are_back_after_an_exception(engine, fails_at):
    with suppress(Fails):  # which ends its domain where it is only next to theta
        check(engine, fails_at)


def test_the_first_of_several_says_how_many_until_the_last_ends():
    opened, ended = Barrier(2), Event()

    def beside():
        with blas_threads():
            opened.wait()
            ended.wait()
            assert threads() == 1

    with ThreadPoolExecutor(1) as pool:
        with blas_threads(one=True) as give_back:
            found = pool.submit(beside)
            opened.wait()
            assert not give_back()
        ended.set()
        found.result()
        assert threads() == 3


def test_none_are_taken_from_a_check_that_is_open():
    with blas_threads() as give_back:
        assert set(check("compiled")) == {3}
        assert not give_back()


def test_given_back_once():
    with blas_threads(one=True) as give_back:
        assert threads() == 1
        assert give_back()
        assert threads() == 3
        assert not give_back()


def test_a_jacobian_keeps_them_from_changing():
    seen = []

    def fun(w):
        with blas_threads(one=True):
            seen.append(threads())
        return w**2

    assert fg.check_jacobian(fun, W.copy(), np.diag(2 * W)).ok
    assert set(seen) == {3}
