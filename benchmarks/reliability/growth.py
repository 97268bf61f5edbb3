"""No memory grows over many calls: of each public function, after a warm-up."""

import gc
import os
import time

from test_arguments import CALLS

CLAIM = "calls of every public function: memory does not grow"
CASES, SHORT = len(CALLS), 3
SECONDS, ROUNDS = 2.0, 8


def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def case(seed):
    """A leak grows in every round; the allocator's own steps do not."""
    name = sorted(CALLS)[seed]
    function, arguments, _ = CALLS[name]

    def repeated(count):
        before = resident()
        for _ in range(count):
            function(**arguments)
        return (resident() - before) / count

    start = time.perf_counter()
    repeated(20)
    each = (time.perf_counter() - start) / 20
    count = max(50, min(10_000, int(SECONDS / each / ROUNDS)))
    grown = min(repeated(count) for _ in range(ROUNDS))
    return ROUNDS * count, [f"{name}: {grown:.0f} bytes a call"] if grown > 16 else []
