"""What it costs to have losses computed by other processes.

For several numbers of parameters: bytes sent to a worker once, the memory it takes
there, the seconds until it answers first, and then those of a task that does nothing.

    python benchmarks/clusters.py            # processes of this machine
    python benchmarks/clusters.py --dask     # a Dask cluster of two of them
"""

import argparse
import contextlib
import multiprocessing
import pickle
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from fastgrad.losses import make_losses

SIZES = (10_000, 1_000_000, 10_000_000)
TASKS = 200


def first_entry(w):
    return float(w[0] ** 2)


def memory(losses):
    """Bytes that the process has (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@contextlib.contextmanager
def executor(dask):
    if not dask:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as workers:
            yield workers
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as own,
        Client(own) as client,
        client.get_executor() as workers,
    ):
        yield workers


def measured(size, dask):
    """Bytes of the parcel, memory per parameter there, first answer, each task."""
    with (
        executor(dask) as workers,
        make_losses(first_entry, np.ones(size), workers=workers) as losses,
    ):
        before = workers.submit(memory, None).result()
        parcel = len(pickle.dumps(losses._crew._parcel))
        began = time.perf_counter()
        [after] = losses._crew.run(memory, [(1, ())])
        first = time.perf_counter() - began
        began = time.perf_counter()
        for _ in losses._crew.run(memory, [(1, ())] * TASKS):
            pass
        each = (time.perf_counter() - began) / TASKS
    return parcel, (after - before) / (8 * size), first, each


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dask", action="store_true")
    options = parser.parse_args()
    print("parameters  sent once, MB  memory there / 8 P  first answer, s  a task, ms")
    for size in SIZES:
        parcel, kept, first, each = measured(size, options.dask)
        shown = f"{kept:.1f}" if size > SIZES[0] else "-"
        print(
            f"{size:>10,}  {parcel / 1e6:>13.2f}  {shown:>19}  {first:>15.2f}"
            f"  {1e3 * each:>10.2f}"
        )


if __name__ == "__main__":
    main()
