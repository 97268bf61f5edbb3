"""Run the cases of a part in processes of their own, as many as there are cores.

A worker prints a line for every case. One that says nothing for `PATIENCE` seconds
hangs, one that ends before has crashed: either is a failure of the case it was in, and
the next worker goes on behind it.
"""

import faulthandler
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Outcome = tuple[int, list[str]]
PATIENCE = 120.0
HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests"
# Tables of hostile conditions, of calls of everything public, of random programs.
sys.path += map(
    str, (HERE.parent, TESTS, TESTS / "program", TESTS / "program" / "trace")
)


def outcomes(part: str, cases: int) -> Iterator[tuple[int, Outcome]]:
    """Yield each case's number and outcome, as they come."""
    cores = len(os.sched_getaffinity(0))
    done: queue.Queue = queue.Queue()
    with ThreadPoolExecutor(cores) as pool:
        shares = [
            pool.submit(_share, part, range(k, cases, cores), done)
            for k in range(cores)
        ]
        for _ in range(cases):
            yield done.get()
        for share in shares:
            share.result()


def _share(part: str, seeds: range, done: queue.Queue) -> None:
    while seeds:
        seeds = _worker(part, seeds, done)


def _worker(part: str, seeds: range, done: queue.Queue) -> range:
    """Work through the cases until one is fatal; return those that are left."""
    command = [sys.executable, "-X", "faulthandler", __file__, part]
    command += map(str, (seeds.start, seeds.stop, seeds.step))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        for k, seed in enumerate(seeds):
            watch = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
            watch.start()
            line = process.stdout.readline()
            watch.cancel()
            if not line:
                status = process.wait()
                fault = "hangs" if status == -9 else f"crashes with status {status}"
                done.put((seed, (1, [fault])))
                return seeds[k + 1 :]
            done.put((seed, tuple(json.loads(line))))
    return seeds[:0]


def main() -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What a case prints is not an answer.
    name, *bounds = sys.argv[1:]
    case = importlib.import_module(name).case
    for seed in range(*map(int, bounds)):
        try:
            outcome = case(seed)
        except Exception as error:
            outcome = 1, [f"{type(error).__name__}: {error}"]
        print(json.dumps(outcome), file=answers, flush=True)


if __name__ == "__main__":
    main()
