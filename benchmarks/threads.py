"""How a full check grows with threads: measured on one and two, and the model of more.

What is serial is what Amdahl's law makes of the two times: T1 = s + p, T2 = s + p / 2.
It is the calls of the user's function, tracing and comparing, and the judgement of
every entry; the kernels share nothing that they write. Times are the best of several,
one and two threads taking turns.

`machine` is what two processes replay together over what one does alone, one thread
each and nothing shared between them: 2 of two whole cores, less where two share the
units of one, its clock or its memory. No threads can do better than that.

    python benchmarks/threads.py [NAME ...] [--repeat 5]
"""

import argparse
import multiprocessing
import time

import numpy as np
from workloads import WORKLOADS

import fastgrad as fg

THREADS = (4, 8, 16, 32, 64)


def seconds_of(check, repeat):
    """Of one and of two threads."""
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(repeat):
        for threads in best:
            began = time.perf_counter()
            check(threads)
            best[threads] = min(best[threads], time.perf_counter() - began)
    return best[1], best[2]


def replayed(workload, started, seconds):
    """Put the seconds of three replays of every entry, all processes at once."""
    program = fg.trace(*workload())
    every = np.arange(program.nest.size)
    step = np.full(every.size, 1e-9)
    program.at_entries(every, step, num_threads=1)
    started.wait()
    began = time.perf_counter()
    for _ in range(3):
        program.at_entries(every, step, num_threads=1)
    seconds.put(time.perf_counter() - began)


def seconds_of_processes(workload, n):
    """Of the slowest of n processes that replay at the same time."""
    started, seconds = multiprocessing.Barrier(n), multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=replayed, args=(workload, started, seconds))
        for _ in range(n)
    ]
    for process in processes:
        process.start()
    slowest = max(seconds.get() for _ in processes)
    for process in processes:
        process.join()
    return slowest


def ratio_of_processes(workload, repeat):
    """What two processes replay in the time in which one replays 1."""
    one, two = (
        min(seconds_of_processes(workload, n) for _ in range(repeat)) for n in (1, 2)
    )
    return 2 * one / two


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of the workloads, all by default")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    header = ["workload", "1 thread", "2 threads", "ratio", "machine", "serial"]
    header += [f"{n} (model)" for n in THREADS]
    print("  ".join(f"{name:>16}" for name in header))
    for workload in WORKLOADS:
        if options.names and workload.__name__ not in options.names:
            continue
        loss, params = workload()
        grads = fg.trace(loss, params).gradient()

        def check(threads, loss=loss, params=params, grads=grads):
            fg.check_gradient(loss, params, grads, num_threads=threads)

        one, two = seconds_of(check, options.repeat)
        parallel = min(max(2 * (one - two), 0.0), one)
        cells = [workload.__name__, f"{one:.4f} s", f"{two:.4f} s", f"{one / two:.2f}x"]
        cells.append(f"{ratio_of_processes(workload, options.repeat):.2f}x")
        cells.append(f"{one - parallel:.4f} s")
        cells += [f"{one / (one - parallel + parallel / n):.1f}x" for n in THREADS]
        print("  ".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
