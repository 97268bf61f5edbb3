"""The same bytes for every number of threads, again and again, under contention."""

import threading

import numpy as np
from test_random import build

import fastgrad as fg

CLAIM = "the same bytes with 1 to 16 threads, 100 times each, while other threads work"
CASES, SHORT = 10, 1
COUNTS = (1, 2, 3, 4, 7, 8, 16)
REPEATS = 100


def results(rng):
    """Functions of the number of threads, whose results are to be the same."""
    shape = tuple(rng.integers(1, 40, 2))
    x = rng.standard_normal((*shape, int(rng.integers(1, 60))))
    dtype = [np.float32, np.float64][rng.integers(2)]
    x = x.astype(dtype)
    gamma, beta = np.ones(x.shape[1]), np.zeros(x.shape[1])
    w = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    steps = [tuple(map(int, rng.integers(0, [26, 51, 51, 6]))) for _ in range(8)]
    loss = build(steps)

    def gradient(n):
        found = fg.numerical_gradient(loss, w, return_error=True, num_threads=n)
        return b"".join(a.tobytes() for part in found for a in part.values())

    def moments(n):
        found = fg.moments(x, axis=(0, 2), num_threads=n)
        return found.mean.tobytes() + found.var.tobytes()

    def batch_norm(n):
        y, cache = fg.batch_norm(x, gamma, beta, num_threads=n)
        back = fg.batch_norm_backward(y, cache, num_threads=n)
        return b"".join(a.tobytes() for a in (y, *back))

    def weights(n):
        shape = (200 + x.shape[0], 31)
        normal = fg.initializers.he_normal(shape, seed=7, num_threads=n)
        basis = fg.initializers.orthogonal(shape, seed=7, num_threads=n)
        return normal.tobytes() + basis.tobytes()

    return gradient, moments, batch_norm, weights


def case(seed):
    rng = np.random.default_rng(seed)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            np.sort(np.arange(20_000)[::-1])

    others = [threading.Thread(target=busy) for _ in range(2)]
    for other in others:
        other.start()
    try:
        tried, failures = 0, []
        for function in results(rng):
            wanted = function(1)
            for n in COUNTS * REPEATS:
                tried += 1
                if function(n) != wanted:
                    failures.append(f"{function.__name__} with {n} threads")
        return tried, failures
    finally:
        stop.set()
        for other in others:
            other.join()
