"""Where the time of a full check goes, and what it cannot go below; on one thread.

Milliseconds of the processor, which other processes do not lengthen, of the fastest of
several checks. For each workload: the calls of the loss itself (how many, times one),
the traces, the replay in the kernels, and the rest: comparing, judging, reporting.
Beside it

- `of calls alone` is the ratio to the NumPy loop if all but those calls took no time,
- `arithmetic` is how many times longer the replay of every entry takes than the
  multiply-adds that the boxes need, at NumPy's rate of small matrix products,
- `now` is the ratio to the loop, two calls of the loss for each entry,
- `two threads` is how much faster two can be, which share the replay alone.

    python benchmarks/phases.py [NAME ...] [--repeat 9]
"""

import argparse
import time
from collections import defaultdict
from contextlib import contextmanager

import numpy as np
from workloads import WORKLOADS

import fastgrad as fg
from fastgrad.losses import proof
from fastgrad.program import Program

clock = time.process_time


@contextmanager
def timed(owner, name, spent):
    """Add the time of a function to `spent`, under its name."""
    original = getattr(owner, name)

    def wrapper(*args, **kwargs):
        began = clock()
        try:
            return original(*args, **kwargs)
        finally:
            spent[name] += clock() - began
            spent[f"{name} calls"] += 1

    setattr(owner, name, wrapper)
    try:
        yield
    finally:
        setattr(owner, name, original)


def phases(check, repeat):
    """Seconds of the fastest check, and of its parts by name."""
    best = {"all": float("inf")}
    for _ in range(repeat):
        spent = defaultdict(float)
        with timed(proof, "trace_graph", spent), timed(Program, "_run", spent):
            began = clock()
            check()
            spent["all"] = clock() - began
        best = min(best, spent, key=lambda one: one["all"])
    return best


def fastest(run, repeat):
    """Seconds of the processor, of the fastest of several runs."""
    found = float("inf")
    for _ in range(repeat):
        began = clock()
        run()
        found = min(found, clock() - began)
    return found


def gemm_rate(repeat):
    """Multiply-adds per second of NumPy's matrix product, small matrices."""
    a, b = np.ones((64, 64)), np.ones((64, 64))
    n = 500
    return n * 64**3 / fastest(lambda: [a @ b for _ in range(n)], repeat)


def counted(loss):
    """The loss, and how often it was called."""
    calls = [0]

    def counting(p):
        calls[0] += 1
        return loss(p)

    return counting, calls


def measure(workload, repeat):
    """One row of the table."""
    loss, params = workload()
    program = fg.trace(loss, params)
    grads = program.gradient()
    spent = phases(
        lambda: fg.check_gradient(loss, params, grads, num_threads=1), repeat
    )
    counting, calls = counted(loss)
    fg.check_gradient(counting, params, grads, num_threads=1)
    n_calls = calls[0] - int(spent["trace_graph calls"])
    call = fastest(lambda: loss(params), 10 * repeat)
    every = np.arange(program.nest.size)
    delta = np.full(every.size, 1e-9)
    once = fastest(lambda: program.at_entries(every, delta, num_threads=1), repeat)
    loop = 2 * every.size * call
    kernels, traces = spent["_run"], spent["trace_graph"]
    rest = spent["all"] - kernels - traces - n_calls * call
    return [
        workload.__name__, f"{1e3 * spent['all']:.1f}",
        f"{n_calls} x {1e3 * call:.3f}", f"{1e3 * traces:.1f}", f"{1e3 * kernels:.1f}",
        f"{1e3 * rest:.1f}", f"{once / (program.work / gemm_rate(repeat)):.1f}x",
        f"{loop / (n_calls * call):.0f}x", f"{loop / spent['all']:.1f}x",
        f"{spent['all'] / (spent['all'] - kernels / 2):.2f}x",
    ]  # fmt: skip


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of the workloads, all by default")
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    header = [
        "workload", "all, ms", "calls", "traces", "replay", "rest", "arithmetic",
        "of calls alone", "now", "two threads",
    ]  # fmt: skip
    print("  ".join(f"{name:>16}" for name in header))
    for workload in WORKLOADS:
        if not options.names or workload.__name__ in options.names:
            row = measure(workload, options.repeat)
            print("  ".join(f"{cell:>16}" for cell in row), flush=True)


if __name__ == "__main__":
    main()
