"""How a full check grows with threads: measured on one and two, and the model of more.

What is serial is what Amdahl's law makes of the two times: T1 = s + p, T2 = s + p / 2.
It is the calls of the user's function, tracing and comparing, and the judgement of
every entry; the kernels share nothing that they write. Times are the best of several,
one and two threads taking turns.

    python benchmarks/threads.py [NAME ...] [--repeat 5]
"""

import argparse
import time

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


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of the workloads, all by default")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    header = ["workload", "1 thread", "2 threads", "ratio", "serial"]
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
        cells.append(f"{one - parallel:.4f} s")
        cells += [f"{one / (one - parallel + parallel / n):.1f}x" for n in THREADS]
        print("  ".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
