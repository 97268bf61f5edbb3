"""Checks in children, in threads, in pools, in parallel: each ends, and with the truth.

A parallel check, then a fork, then a check in the child: OpenMP's threads do not
survive a fork. The same with spawn and forkserver, in pools of processes and of
threads, in threads on parameters of their own and on the same ones, and in joblib.
A worker is killed meanwhile. Beside NumPy's BLAS no more threads run than there are
cores.
"""

import concurrent.futures
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

import fastgrad as fg

CLAIM = "checks in forks, spawned processes, threads and joblib end with the truth"
CASES, SHORT = 100, 10


def loss(p):
    return np.sum(np.tanh(p["W"] @ p["x"]) ** 2)


def grads(p):
    t = np.tanh(p["W"] @ p["x"])
    d = 2 * t * (1 - t * t)
    return {"W": np.outer(d, p["x"]), "x": p["W"].T @ d}


def check(seed, params=None):
    """Whether a right gradient is correct, and one with an error wrong."""
    rng = np.random.default_rng(seed)
    own = {"W": rng.normal(size=(20, 30)) / 5, "x": rng.normal(size=30)}
    params = own if params is None else params

    def wrong(p):  # called while no other check moves what it reads
        found = grads(p)
        found["W"][3, 4] += 0.01
        return found

    return (
        fg.check_gradient(loss, params, grads).ok
        and fg.check_gradient(loss, params, wrong).verdict == "wrong"
    )


def _child(seed, queue):
    queue.put(check(seed))


def in_process(method):
    def run(seed):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=_child, args=(seed, queue))
        process.start()
        try:
            return queue.get(timeout=60)
        finally:
            process.kill()
            process.join()

    return run


def in_pool(seed):
    context = multiprocessing.get_context("fork")
    pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=context)
    with pool:
        return all(pool.map(check, range(seed, seed + 4), timeout=60))


def in_threads(seed):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return all(pool.map(check, range(seed, seed + 8)))


def in_threads_on_the_same(seed):
    rng = np.random.default_rng(seed)
    shared = {"W": rng.normal(size=(20, 30)) / 5, "x": rng.normal(size=30)}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return all(pool.map(lambda k: check(k, shared), range(6)))


def in_joblib(seed):
    import joblib

    run = joblib.Parallel(
        n_jobs=2, prefer=["threads", "processes"][seed // len(WAYS) % 2]
    )
    return all(run(joblib.delayed(check)(seed + k) for k in range(4)))


def beside_a_worker(seed):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        rng = np.random.default_rng(seed)
        params = {"W": rng.normal(size=(4, 6)), "x": rng.normal(size=6)}
        right = grads(params)
        return fg.check_gradient(loss, params, right, workers=pool).ok


def _slow_loss(p):
    time.sleep(1e-3)
    return loss(p)


def beside_a_killed_worker(seed):
    """Others take its place, and the parameters are as they were."""
    rng = np.random.default_rng(seed)
    params = {"W": rng.normal(size=(20, 30)) / 5, "x": rng.normal(size=30)}
    before = {name: a.tobytes() for name, a in params.items()}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        victim = pool.submit(os.getpid).result()
        late = threading.Timer(random.Random(seed).random(), os.kill, (victim, 9))
        late.start()
        right = fg.check_gradient(_slow_loss, params, grads(params), workers=pool)
        late.join()
    return right.ok and before == {name: a.tobytes() for name, a in params.items()}


_LARGE = """
import numpy as np, fastgrad as fg
rng = np.random.default_rng(0)
params = {"a": rng.normal(size=(900, 300)) / 20, "b": rng.normal(size=(80, 900)) / 20}
X = rng.normal(size=(300, 64))
loss = lambda p: np.sum(np.tanh(p["b"] @ np.tanh(p["a"] @ X)) ** 2)
right = fg.trace(loss, params).gradient()
print("ready", flush=True)
print(fg.check_gradient(loss, params, right).ok)
"""


def with_blas(seed):
    """Threads of NumPy's BLAS are in the way for a moment after a call, no longer."""
    cores = len(os.sched_getaffinity(0))
    own = {"OPENBLAS_NUM_THREADS": str(cores), "OMP_NUM_THREADS": str(cores)}
    with subprocess.Popen(
        [sys.executable, "-c", _LARGE],
        stdout=subprocess.PIPE,
        env={**os.environ, **own},
        text=True,
    ) as process:
        process.stdout.readline()
        running = []
        while process.poll() is None:
            running.append(_running(process.pid))
            time.sleep(0.002)
        many = sum(count > cores for count in running)
        return process.stdout.read() == "True\n" and many < len(running) / 2


def _running(pid):
    """The number of threads of a process that run, or would."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        states = [(task / "stat").read_text().rpartition(") ")[2][0] for task in tasks]
    except OSError:  # one has ended
        return 0
    return states.count("R")


WAYS = [
    in_process("fork"),
    in_process("spawn"),
    in_process("forkserver"),
    in_pool,
    in_threads,
    in_threads_on_the_same,
    in_joblib,
    beside_a_worker,
    beside_a_killed_worker,
    with_blas,
]


def case(seed):
    before = threading.active_count()
    check(seed)  # OpenMP's threads are there
    way = WAYS[seed % len(WAYS)]
    failures = [] if way(seed) else [f"{way.__name__}: another verdict"]
    if not check(seed):
        failures.append(f"{way.__name__}: another verdict afterwards")
    if (
        way in (in_threads, in_threads_on_the_same)
        and threading.active_count() > before
    ):
        failures.append(f"{way.__name__}: a thread is left")
    return 1, failures
