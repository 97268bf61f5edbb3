"""How many threads to use: an argument everywhere, resolved here."""

import os

from fastgrad._arguments import integer
from fastgrad._kernels import _openmp

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
    return min(integer("num_threads", num_threads, least=1), MOST_THREADS)


# Array elements that keep a thread busy for longer than it takes to start it.
_ELEMENTS_PER_THREAD = 1 << 16


def useful_threads(num_threads: int, elements: int) -> int:
    """Return how many of the threads are worth starting for a pass over an array."""
    return min(num_threads, 1 + elements // _ELEMENTS_PER_THREAD)


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
