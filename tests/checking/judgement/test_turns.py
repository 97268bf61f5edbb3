"""Turns of loops, counted, whatever branches are taken in them."""

import gc
import weakref

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.checking.judgement.turns import TooManyTurnsError, count_turns
from fastgrad.program import is_internal


def while_true(n):
    k = 0
    while True:
        k += 1
        if k >= n:
            break


def while_on_one_line(n):
    # fmt: off
    while n > 1: n -= 1  # noqa: E701
    # fmt: on


def goes_on(n):
    k = 0
    while k < 7:
        k += 1
        if k < n:
            continue
        k = k + 0


def within(n):
    for _ in range(4):
        for k in range(5):
            if k >= n:
                continue


def ends_early(n):
    for k in range(100):
        if k >= n:
            return


def drawn(n):
    def halves(x):
        while True:
            yield x
            x -= 1

    for x in halves(n):
        if x <= 1:
            break


def picked(n):
    return sum(k for k in range(6) if k < n)


def by_itself(n):
    return n if n <= 1 else by_itself(n - 1)


@pytest.mark.parametrize(
    "function", [while_true, while_on_one_line, ends_early, drawn, by_itself]
)
def test_a_loop_that_takes_two_more_turns(function):
    """Whatever ends it."""
    three, five = count_turns(function, 3), count_turns(function, 5)
    if function is not by_itself:
        three = {loop: turns for loop, turns in three.items() if loop.start >= 0}
    changed = [loop for loop in three if three[loop] != five[loop]]
    assert changed
    for loop in changed:
        [(less, one), (more, same)] = [*three[loop].items(), *five[loop].items()]
        assert more == less + 2
        assert one == same == 1


@pytest.mark.parametrize("function", [goes_on, within, picked])
def test_branches_are_no_turns(function):
    """Nor is what `continue` skips."""
    three, five = count_turns(function, 3), count_turns(function, 5)
    loops = [loop for loop in three if loop.start >= 0]
    assert loops
    assert all(three[loop] == five[loop] for loop in loops)


@pytest.mark.parametrize(
    ("function", "decides"),
    [
        (while_true, [True]),
        (goes_on, [True]),
        (ends_early, [True]),
        (within, [False, False]),
        (picked, [False]),
    ],
)
def test_a_loop_decides_when_to_end_or_runs_through_something(function, decides):
    """`continue` and branches do not end it, `break` and `return` do."""
    loops = [loop for loop in count_turns(function, 3) if loop.start >= 0]
    assert [loop.decides for loop in loops] == decides


def by_compiled_code(n):
    return sorted(range(n), key=lambda k: -k)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_calls_back_are_turns(n):
    """As often as what is not Python calls a function, at one place."""
    [turns] = [
        turns
        for loop, turns in count_turns(by_compiled_code, n).items()
        if loop.start < -1
    ]
    assert turns == {n: 1}


def test_a_function_that_takes_too_long_is_ended():
    """However often it would go on."""
    with pytest.raises(TooManyTurnsError):
        count_turns(while_true, 10**9, most=1000)


def test_arrays_of_what_was_counted_are_let_go():
    """Though the functions that held them called others, and one has not ended."""
    made = []

    def rows(n):
        array = np.arange(3.0)
        made.append(weakref.ref(array))
        yield from array[:n]

    def calls(n):
        array = np.ones(n)
        made.append(weakref.ref(array))
        return next(rows(n)) + sum(map(abs, array))

    gc.disable()
    try:
        count_turns(calls, 3)
        assert [one() for one in made] == [None, None]
    finally:
        gc.enable()


def test_a_check_within_a_loss_is_no_solver():
    """Its own loops are not counted; those of the loss are."""

    def loss(n):
        fg.check_gradient(lambda v: np.sum(v**2), np.ones(2), 2 * np.ones(2))
        while_true(n)

    files = {loop.file for loop in count_turns(loss, 5)}
    assert __file__ in files
    assert not any(map(is_internal, files))
