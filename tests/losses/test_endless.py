"""Losses that do not end away from theta: a verdict, and never a hang."""

import _thread
import ctypes
import gc
import os
import sys
import threading

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.losses import Endless, Progress, Watch, endless, make_losses


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A few milliseconds are long."""
    monkeypatch.setattr(endless, "_PATIENCE", 0.02)
    monkeypatch.setattr(endless, "_AGAIN", 0.004)
    monkeypatch.setattr(endless, "_LONGER", 100.0)
    monkeypatch.setattr("fastgrad.losses.worth._UNKNOWN", 0.1)  # traces do not end


NEAR = 2.50001


def logistic(p):
    """The fixed point of r z (1 - z), which repels from r = 3 on."""
    z, r = 0.5, p[0]
    while abs(r * z * (1 - z) - z) > 1e-10:
        z = r * z * (1 - z)
    return z


def tidy(p):
    """Cleans up behind itself, which takes its time."""
    p = p.copy()
    try:
        while p[0] > NEAR:
            p[1] += 1
    finally:
        p[1] = 0
    return 1 - 1 / p[0]


def callback(p):
    def slope(z):
        while p[0] > NEAR:
            pass
        return z

    return (1 - 1 / p[0]) * float(np.apply_along_axis(slope, 0, np.ones(1))[0])


@pytest.mark.parametrize(
    ("iterated", "start", "end"),
    [(logistic, 2.9, 3.0), (tidy, 2.5, NEAR), (callback, 2.5, NEAR)],
)
def test_a_verdict_where_larger_steps_do_not_end(iterated, start, end):
    """A wrong gradient is tried with large steps; the parameters are as they were."""
    x = np.array([start, 1.0, 2.0])
    kept = x.copy()

    def loss(p):
        return iterated(p) ** 2 + np.sum(p[1:] ** 2)

    right = np.array([2 * (1 - 1 / start) / start**2, 2.0, 4.0])
    report = fg.check_gradient(loss, x, right * [1.3, 1, 1], engine="python")
    assert [entry.index for entry in report.wrong] == [(0,)]
    assert np.array_equal(x, kept)
    [told] = [note for note in report.notes if "does not end" in note]
    assert "params" in told
    with make_losses(loss, x, engine="python") as losses:
        moves = np.array([3.7, 2.0, 3.8, 3.5, 2.4, 3.6])
        with pytest.raises(Endless, match="does not end") as caught:
            losses.at_entries(np.zeros(6, int), moves)
        assert "with params[0] = 3.7" in caught.value.__notes__[0]
        losses.forgive((ArithmeticError,))
        found = losses.at_entries(np.zeros(6, int), moves)[0]
        assert np.isnan(losses.along([1.0, 0, 0], 3.7 - start))
    expected = np.where(moves < end, (1 - 1 / moves) ** 2, np.nan)
    np.testing.assert_allclose(found + (1 - 1 / start) ** 2, expected, atol=1e-8)
    assert np.array_equal(x, kept)


@pytest.mark.parametrize("iterated", [tidy, callback])
def test_traces_end(iterated):
    """Where the function is traced, too, as a whole or called as it is."""
    x = np.array([2.5, 1.0, 2.0])

    def loss(p):
        return iterated(p) ** 2 + np.sum(p[1:] ** 2)

    with pytest.raises(fg.TraceError, match=r"does not end|next to the parameters"):
        fg.trace(loss, x)
    with pytest.raises(ValueError, match=r"a number of steps|around the parameters"):
        fg.check_gradient(loss, x, x, engine="compiled")
    assert np.array_equal(x, [2.5, 1.0, 2.0])


def test_columns_of_a_jacobian():
    """The outputs have no value there; and differences are those next to x."""
    x = np.array([2.5, 1.0])

    def fun(p):
        return np.array([tidy(p), p[1] ** 2])

    jacobian = np.array([[1 / x[0] ** 2, 0], [0, 2.0]])
    report = fg.check_jacobian(fun, x, jacobian * [[1.3], [1]])
    assert [entry.index for entry in report.wrong] == [(0, 0)]


def test_slow_calls_that_end_are_left_alone(monkeypatch):
    """Of any length, where they take a hundred times what one takes at theta."""
    monkeypatch.setattr(endless, "_PATIENCE", 1e-3)
    monkeypatch.setattr(endless, "_LONGER", 1000.0)

    def loss(p):
        total = p[0]
        for _ in range(200 if p[0] == 1.0 else 20_000):
            total = total * 1.0
        return total

    with make_losses(loss, np.ones(1), engine="python") as losses:
        assert losses.at_entries(np.zeros(30, int), np.full(30, 3.0))[0].tolist() == (
            [2.0] * 30
        )


def test_what_is_raised_when_the_call_has_just_ended():
    """Is raised within the watch, and nothing is left of it for anybody else."""
    watch = Watch(Progress(show=False), 1.0)
    watch._looking = True  # this test does
    seen = []

    def ends(after):
        watch._ended = 0
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(threading.get_ident()), ctypes.py_object(endless._End)
        )
        return after

    def ended_calls():
        for _ in range(100):
            with pytest.raises(Endless):
                watch.call(ends, 1)
            seen.append((watch.call(abs, -1), sum(range(1000))))

    # Until it runs, a new thread has the identity of the one that began it (Python
    # 3.11): a thread that has begun none is the only one that is meant.
    thread = threading.Thread(target=ended_calls)
    thread.start()
    thread.join()
    assert seen == [(1, 499500)] * 100


def busy():
    for _ in range(2000):
        pass


class Freed:
    def __del__(self):
        busy()


def frees():
    while True:
        Freed()
        busy()


def collects():
    while True:
        gc.collect(0)
        busy()


def called_by_the_collector(phase, info):
    busy()


@pytest.mark.parametrize("loss", [frees, collects])
def test_no_exception_is_lost_where_objects_are_freed(loss, monkeypatch):
    """It would be printed as ignored there, and the call would go on."""
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    gc.callbacks.append(called_by_the_collector)
    try:
        for _ in range(20):
            with pytest.raises(Endless):
                Watch(Progress(show=False), 1e-6).call(loss)
    finally:
        gc.callbacks.remove(called_by_the_collector)
    assert not lost


def test_threads_that_a_loss_has_just_begun_are_left_alone():
    """Their identity is still that of the thread that is to be ended."""

    def begins_threads():
        while True:
            thread = threading.Thread(target=abs, args=(1,))
            thread.start()
            thread.join()

    watch = Watch(Progress(show=False), 1e-6)
    for _ in range(50):
        with pytest.raises(Endless):
            watch.call(begins_threads)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, endless._End])
def test_other_exceptions_come_through(error):
    """What the watch has not raised is not its own: a check may be in a loss."""

    def raises():
        raise error

    with pytest.raises(error):
        Watch(Progress(show=False), 1.0).call(raises)


def test_many_short_checks_leave_few_threads(monkeypatch):
    """What looks after a call ends soon after it."""
    monkeypatch.setattr(endless, "_PATIENCE", 60.0)
    before, x = _thread._count(), np.ones(1)
    for _ in range(300):
        with make_losses(lambda p: p[0], x, engine="python") as losses:
            losses.at_entries(np.zeros(1, int), np.full(1, 2.0))
    assert _thread._count() - before < 100
    while _thread._count() > before:  # they end by themselves
        os.sched_yield()
