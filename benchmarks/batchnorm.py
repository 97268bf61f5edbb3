"""Compare batch normalisation of (32, 64, 56, 56) images with torch; prints tables.

Backward reads x and dy twice and writes dx: the traffic of that, by NumPy on as many
threads, is what it cannot go below but for what the caches keep between the passes.

    python benchmarks/batchnorm.py [--repeat N] [--threads N]

Training mode, float32, both layouts. Times are the best of N, with the contestants
taking turns; torch runs on as many threads as fastgrad.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scaling import best, show

import fastgrad as fg


def traffic(x, dy, threads):
    """A function that reads two arrays, and again while it writes a third."""
    out = np.empty_like(x)
    parts = [np.array_split(a.reshape(-1), threads) for a in (x, dy, out)]
    pool = ThreadPoolExecutor(threads)

    def run():
        list(pool.map(np.dot, *parts[:2]))
        list(pool.map(np.add, *parts))

    return run


def norm_contestants(layout, threads, shape=(32, 64, 56, 56)):
    rng = np.random.default_rng(2)
    x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    axis, channels = 1, shape[1]
    gamma, beta = np.ones(channels), np.zeros(channels)
    tx, tdy = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)
    if layout == "NHWC":
        tx = tx.detach().to(memory_format=torch.channels_last).requires_grad_()
        tdy = tdy.to(memory_format=torch.channels_last)
        x, dy = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, dy))
        axis = -1
    tg, tb = (torch.from_numpy(a).float().requires_grad_() for a in (gamma, beta))

    def forward():
        return torch.nn.functional.batch_norm(tx, None, None, tg, tb, training=True)

    _, cache = fg.batch_norm(x, gamma, beta, axis=axis)
    ty = forward()
    other = np.empty_like(x)
    ours = {
        "memcpy of x": lambda: np.copyto(other, x),
        "fastgrad": lambda: fg.batch_norm(
            x, gamma, beta, axis=axis, num_threads=threads
        ),
        "torch": forward,
    }
    back = {
        "memcpy of x": lambda: np.copyto(other, x),
        "traffic of two passes": traffic(x, dy, threads or torch.get_num_threads()),
        "fastgrad": lambda: fg.batch_norm_backward(dy, cache, num_threads=threads),
        "torch": lambda: torch.autograd.grad(ty, (tx, tg, tb), tdy, retain_graph=True),
    }
    return ours, back


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for layout in ("NCHW", "NHWC"):
        both = norm_contestants(layout, options.threads)
        for what, contestants in zip(("forward", "backward"), both, strict=True):
            times = best(contestants, options.repeat)
            show(f"batch norm {what}, {layout}", times, "fastgrad")


if __name__ == "__main__":
    main()
