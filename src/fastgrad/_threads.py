"""How many threads to use, an argument everywhere; and work that Ctrl-C can end."""

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from fastgrad._arguments import integer
from fastgrad._kernels import _openmp

_Result = TypeVar("_Result")

if hasattr(os, "register_at_fork"):
    # libgomp's thread pool does not survive fork(): a child that enters a parallel
    # region would wait for threads it does not have.
    os.register_at_fork(before=_openmp.pause)

#: The most threads ever started: more than there are CPUs only take turns and memory.
MOST_THREADS = max(16, os.cpu_count() or 1)


def resolve_num_threads(num_threads: int | None) -> int:
    """Return the number of threads to use, at least 1.

    Parameters
    ----------
    num_threads : int or None
        At most so many; more than `MOST_THREADS` are never started. None means what
        the machine allows: the smallest of OpenMP's own limit (``OMP_NUM_THREADS``),
        the CPU affinity of the process and the CPU quota of its container.

    Raises
    ------
    TypeError
        If `num_threads` is neither an integer nor None.
    ValueError
        If `num_threads` is not positive.
    """
    if num_threads is None:
        return max(1, min(_openmp.max_threads(), _available_cpus()))
    found = integer("num_threads", num_threads, least=1, most=None)
    return min(found, MOST_THREADS)


# Array elements that keep a thread busy for longer than it takes to start it.
_ELEMENTS_PER_THREAD = 1 << 16


def useful_threads(num_threads: int, elements: int) -> int:
    """Return how many of the threads are worth starting for a pass over an array."""
    return min(num_threads, 1 + elements // _ELEMENTS_PER_THREAD)


# Ctrl-C may have to wait so long; what a kernel takes for an element it passes over.
_PATIENCE, _SECONDS_PER_ELEMENT = 0.02, 2e-9


def interruptibly(work: Callable[[], _Result], seconds: float) -> _Result:
    """Return ``work()``, which gives up the interpreter; let Ctrl-C through meanwhile.

    Ctrl-C is seen between two instructions of Python in the main thread. Where the work
    is expected to take long it is left to a thread of its own, which this one waits
    for: whoever interrupts the wait leaves the thread to finish by itself what nobody
    will look at.

    Parameters
    ----------
    work : callable
        Without arguments. It must keep what it writes to and not need this thread.
    seconds : float
        That it is expected to take.
    """
    if seconds < _PATIENCE or threading.current_thread() is not threading.main_thread():
        return work()
    results: list[_Result] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    while not done.wait(0.1):  # a wait without end is deaf to Ctrl-C on Windows
        pass
    if errors:
        raise errors[0]
    return results[0]


def pass_over(elements: int, work: Callable[[], _Result]) -> _Result:
    """Return ``work()``, a pass of kernels over arrays; let Ctrl-C through meanwhile.

    It must write to arrays of its own only: it may be left behind, see `interruptibly`.
    """
    return interruptibly(work, elements * _SECONDS_PER_ELEMENT)


def _available_cpus() -> int:
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quota = _cgroup_quota()
    if quota is not None:
        count = min(count, quota)
    # Workers of pytest-xdist share the machine: each takes its part of it.
    return max(1, count // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def _cgroup_quota() -> int | None:
    """CPUs the container's quota allows, rounded up; None where there is none."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            limit, period = file.read().split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(1, -(-int(limit) // int(period)))
