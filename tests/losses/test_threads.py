"""Several threads at once: who waits, and what nobody else sees."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad.losses import make_losses
from fastgrad.params.claims import claimed

PLACES = {
    "the same array": lambda w: (w, w),
    "parts of one array": lambda w: (w[:3], w[2:]),
    "in other nests": lambda w: ({"a": w}, [np.ones(2), w]),
    "a read-only view": lambda w: (w, np.broadcast_to(w, (2, 5))),
}


def together(*functions):
    """Run functions in threads of their own, from one moment on; their results."""
    start = threading.Barrier(len(functions))

    def run(function):
        start.wait(30)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def squares(p):
    leaves = p.values() if isinstance(p, dict) else p if isinstance(p, list) else [p]
    return float(sum(np.sum(leaf**2) for leaf in leaves))


@pytest.mark.parametrize("place", PLACES)
def test_arrays_are_one_threads_at_a_time(place):
    """While losses of an array are open, others of the same memory wait."""
    one, other = PLACES[place](np.linspace(1.0, 2.0, 5))
    opened, order = threading.Event(), []

    def second():
        opened.wait(30)
        with make_losses(squares, other, engine="python"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with make_losses(squares, one, engine="python") as losses:
        opened.set()
        for _ in range(200):
            losses.at_entries([0], [9.0])
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def test_other_arrays_are_free():
    """Nobody waits for arrays that nobody else has."""
    with claimed([np.ones(3)]):
        [base] = together(
            lambda: fg.check_gradient(squares, np.ones(3), 2 * np.ones(3))
        )
    assert base.ok


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_checks_of_the_same_parameters(engine):
    """Right is correct and wrong is wrong, and the array is what it was."""
    w = np.linspace(0.5, 1.5, 40)
    before = w.copy()  # what is read while another thread's check moves `w`

    def check(factor):
        return lambda: [
            fg.check_gradient(squares, w, factor * before, engine=engine).verdict
            for _ in range(4)
        ]

    right, wrong, again = together(check(2), check(2.1), check(2))
    assert right == again == ["correct"] * 4
    assert wrong == ["wrong"] * 4
    assert w.tobytes() == before.tobytes()


def test_a_check_within_a_loss():
    """A thread does not wait for itself."""
    w = np.ones(2)

    def loss(p):
        assert fg.check_gradient(squares, p, 2 * p, engine="python").ok
        return squares(p)

    with make_losses(loss, w, engine="python") as losses:
        assert losses.at_entries([0], [2.0])[0].tolist() == [3.0]


def test_arrays_are_free_after_an_exception():
    """Nobody waits for a check that failed."""
    w = np.ones(2)
    with pytest.raises(ZeroDivisionError):
        fg.check_gradient(lambda p: 1 // 0, w, w)
    assert together(lambda: fg.check_gradient(squares, w, 2 * w).ok) == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_does_not_wait():
    """For threads that it does not have."""
    w = np.ones(2)
    claim = claimed(w)
    other = threading.Thread(target=claim.__enter__)
    other.start()
    other.join(30)
    child = os.fork()
    if child == 0:
        with claimed(w):
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@every_second
@pytest.mark.parametrize("pause", [0.0, 2e-4])
@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize("raises", [False, True])
def test_other_threads_keep_their_random_numbers(pause, draws, raises):
    """What is drawn from NumPy's global generator is never drawn twice."""
    done, more, drawn, theta = threading.Event(), threading.Event(), [], np.ones(3)

    def other():
        while not done.wait(pause):
            drawn.append(np.random.random())  # noqa: NPY002
            more.set()

    def loss(w):
        if draws:
            drawn.append(np.random.random())  # noqa: NPY002
        more.clear()
        if pause:  # until the other has drawn
            more.wait(30)
        if raises and not np.array_equal(w, theta):
            raise KeyError("away")
        return squares(w)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        for _ in range(1 if pause else 3):
            with pytest.raises(KeyError) if raises else nullcontext():
                fg.check_gradient(loss, theta.copy(), 2 * theta, engine="python")
    finally:
        done.set()
        thread.join(30)
    assert len(set(drawn)) == len(drawn) > 1


def test_threads_that_wait_for_each_other():
    """One of them is told, instead of both waiting for ever."""
    one, other = np.ones(2), np.ones(2)
    both = threading.Barrier(2)

    def hold(mine, theirs):
        def run():
            with claimed(mine):
                both.wait(30)
                try:
                    with claimed(theirs):
                        return "held"
                except RuntimeError as error:
                    return str(error)

        return run

    found = together(hold(one, other), hold(other, one))
    assert sorted(found)[0] == "held"
    assert "wait for each other" in sorted(found)[1]
