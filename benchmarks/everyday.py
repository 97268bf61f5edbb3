"""Losses as people write them: how many compile, what tracing and checking cost.

    python benchmarks/everyday.py [--entries N]

Prints for each loss of ``tests/everyday`` the operations and guards of its program, the
seconds of the processor for one trace, and for a whole check as it chooses and in
Python; then the shares, and of how many checks the function is called throughout.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import fastgrad as fg
from fastgrad.params.nest import Nest
from fastgrad.program.trace.tracing import trace_graph

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from everyday.test_everyday import LOSSES


def best(function, times=3):
    seconds = []
    for _ in range(times):
        began = time.process_time()
        function()
        seconds.append(time.process_time() - began)
    return min(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=50, help="checked of each block")
    entries = parser.parse_args().entries
    print(
        f"{'loss':32}{'operations':>11}{'guards':>8}{'trace':>10}{'check':>10}{'python':>10}"
    )
    compiled = total = in_python = left = 0
    slower = []
    for name, make in LOSSES.items():
        loss, params = make()
        loss = getattr(loss, "loss_only", loss)
        total += 1
        try:
            program = fg.trace(loss, params)
        except fg.TraceError as error:
            print(f"{name:32}{error}")
            continue
        compiled += 1
        in_python += bool(program.opaque)
        gradient = program.gradient()
        trace = best(lambda: trace_graph(loss, Nest(params)))

        def checked(engine):
            return fg.check_gradient(
                loss, params, gradient, coverage=entries, engine=engine, num_threads=1
            )

        check, python = (best(lambda: checked(e), 2) for e in ("auto", "python"))
        left += checked("auto").engine == "python"
        times = "".join(f"{1e3 * t:7.1f} ms" for t in (trace, check, python))
        print(f"{name:32}{len(program.operations):11}{len(program.guards):8}{times}")
        slower.append(1e3 * (check - python))
    median, most = statistics.median(slower), max(slower)
    within = 100 * sum(x <= 3 for x in slower) / len(slower)
    print(f"\nslower than in Python: median {median:.1f} ms, at most {most:.0f} ms,")
    print(f"by 3 ms or less for {within:.0f} %")
    share = 100 * compiled / total
    print(f"{compiled} of {total} compile ({share:.0f} %), {in_python} call Python;")
    print(f"for {left} the function is cheaper")


if __name__ == "__main__":
    main()
