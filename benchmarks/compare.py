"""How long a full check of a 235,146-parameter network takes, and with what else.

Prints the table of the README. Every row is measured in this one run, on this machine:
fastgrad checks every entry (the best of several runs); the other tools, which take
minutes to a quarter of an hour, are timed on a sample of the entries and scaled to all
of them (`--full` runs the NumPy loop over all of them as well).

    python benchmarks/compare.py [--full]
"""

import argparse
import os
import sys
import time

import numpy as np
from network import ACTIVATIONS, network

import fastgrad as fg

REPEATS = 5


def best(run, repeats=REPEATS):
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def numpy_loop(loss, params, entries):
    """Seconds of the textbook's loop, in place, over some entries, for all of them."""
    offsets = np.cumsum([0] + [a.size for a in params.values()])
    flats = [a.reshape(-1) for a in params.values()]
    block = np.searchsorted(offsets, entries, side="right") - 1
    work = [
        (flats[b], int(i - offsets[b])) for b, i in zip(block, entries, strict=True)
    ]
    began = time.perf_counter()
    for flat, i in work:
        before = flat[i]
        flat[i] = before + 1e-5
        up = loss(params)
        flat[i] = before - 1e-5
        down = loss(params)
        flat[i] = before
        (up - down) / 2e-5
    return (time.perf_counter() - began) / len(entries) * offsets[-1]


def scipy_fprime(loss, params, entries):
    """scipy.optimize.approx_fprime (forward differences: half the evaluations)."""
    from scipy.optimize import approx_fprime

    W = params["W1"].reshape(-1)
    chosen = entries[entries < W.size]
    before = W.copy()

    def of(theta):
        W[chosen] = theta
        return loss(params)

    began = time.perf_counter()
    approx_fprime(W[chosen], of)
    seconds = time.perf_counter() - began
    W[...] = before
    return seconds / len(chosen) * sum(a.size for a in params.values())


def torch_gradcheck(activation, params, layout):
    """torch.autograd.gradcheck, slow mode, on the entries of W3, for all of them."""
    import torch

    act = {"tanh": torch.tanh, "relu": torch.relu}[activation]
    # All parameters record the graph, as in a check of all of them.
    t = {k: torch.from_numpy(v.copy()).requires_grad_(True) for k, v in params.items()}
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.standard_normal((32, 784)))
    y = torch.from_numpy(rng.integers(10, size=32))
    features_first = layout == "W @ x"

    def loss(W3):
        a = X.T if features_first else X
        for i in (1, 2, 3):
            W, b = (W3 if i == 3 else t[f"W{i}"]), t[f"b{i}"]
            z = (W @ a if features_first else a @ W) + b
            a = act(z) if i < 3 else z
        logits = z.T if features_first else z
        return torch.nn.functional.cross_entropy(logits, y)

    W3 = t["W3"].detach().clone().requires_grad_(True)
    began = time.perf_counter()
    torch.autograd.gradcheck(loss, (W3,))
    seconds = time.perf_counter() - began
    return seconds / W3.numel() * sum(a.size for a in params.values())


def jax_map(activation, params):
    """JAX, compiled: lax.map over perturbed entries of W1, for all of them."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    act = {"tanh": jnp.tanh, "relu": lambda z: jnp.maximum(z, 0.0)}[activation]
    p = {k: jnp.asarray(v) for k, v in params.items()}
    x = jnp.asarray(np.random.default_rng(0).standard_normal((784, 32)))
    n = 4000

    def loss(W1):
        z = p["W2"] @ act(W1 @ x + p["b1"]) + p["b2"]
        z = p["W3"] @ act(z) + p["b3"]
        return (jax.nn.logsumexp(z, axis=0) - z[0]).mean()

    def pair(i):
        up = p["W1"].reshape(-1).at[i].add(1e-5).reshape(p["W1"].shape)
        down = p["W1"].reshape(-1).at[i].add(-1e-5).reshape(p["W1"].shape)
        return (loss(up) - loss(down)) / 2e-5

    run = jax.jit(lambda entries: jax.lax.map(pair, entries))
    entries = jnp.arange(n)
    run(entries).block_until_ready()
    seconds = best(lambda: run(entries).block_until_ready(), 2)
    return seconds / n * sum(a.size for a in params.values())


def gemm_rate():
    """Multiply-adds per second of NumPy's matrix product, small matrices."""
    a, b = np.ones((64, 64)), np.ones((64, 64))
    n = 2000
    return n * 64**3 / best(lambda: [a @ b for _ in range(n)])


def tanh_rate():
    """np.tanh, elements per second, in cache."""
    x = np.linspace(-2, 2, 4096)
    out = np.empty_like(x)
    return 500 * x.size / best(lambda: [np.tanh(x, out=out) for _ in range(500)])


def maximum_rate():
    """np.maximum with zero, elements per second, in cache."""
    x = np.linspace(-2, 2, 4096)
    out = np.empty_like(x)
    return (
        500 * x.size / best(lambda: [np.maximum(x, 0.0, out=out) for _ in range(500)])
    )


def floor_seconds(activation, threads):
    """The arithmetic that the boxes need, at the measured rates of this machine.

    One evaluation of every entry: of W1, a row of z1, its outer product into z2, all
    of z2's activations, z3; of W2, a row of z2 and its outer product into z3; softmax.
    """
    n1, n2, n3, m, batch = 784, 256, 128, 10, 32
    exps = m * batch
    gemm, act = gemm_rate(), {"tanh": tanh_rate, "relu": maximum_rate}[activation]()
    w1 = (batch + n3 * batch + m * n3 * batch) / gemm + (batch + n3 * batch) / act
    w2 = (batch + m * batch) / gemm + batch / act
    softmax = exps / tanh_rate()
    total = n1 * n2 * (w1 + softmax) + n2 * n3 * (w2 + softmax)
    return total / threads


def attempt(run, *arguments):
    """The seconds, or None where the package is not installed."""
    try:
        return run(*arguments)
    except ImportError:
        return None


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the whole NumPy loop")
    parser.add_argument("--entries", type=int, default=1500, help="in a sample")
    options = parser.parse_args()
    cpus = len(os.sched_getaffinity(0))
    print(f"784-256-128-10 softmax network, batch 32, float64, {cpus} CPUs; seconds")
    header = [
        "activation", "layout", "fastgrad", "1 thread", "speed-up", "NumPy loop",
        "ratio", "scipy", "torch", "ratio", "JAX", "arithmetic",
    ]  # fmt: skip
    print("  ".join(f"{name:>10}" for name in header))
    for activation in ACTIVATIONS:
        for layout in ("W @ x", "x @ W"):
            loss, params = network(activation, layout)
            grads = fg.trace(loss, params).gradient()
            size = sum(a.size for a in params.values())
            rng = np.random.default_rng(1)
            sample = np.sort(rng.choice(size, options.entries, replace=False))
            everything = np.arange(size)

            def check(threads, loss=loss, params=params, grads=grads):
                report = fg.check_gradient(loss, params, grads, num_threads=threads)
                assert report.ok, report

            two = best(lambda: check(None))
            one = best(lambda: check(1), 3)
            loop = numpy_loop(loss, params, everything if options.full else sample)
            two = min(two, best(lambda: check(None), 3))
            torch = attempt(torch_gradcheck, activation, params, layout)
            jax = None
            if layout == "W @ x":
                jax = attempt(jax_map, activation, params)
            scipy = attempt(scipy_fprime, loss, params, sample)
            floor = floor_seconds(activation, min(cpus, 2))
            cells = [
                activation, layout, f"{two:.2f}", f"{one:.2f}", f"{one / two:.2f}x",
                f"{loop:.0f}", f"{loop / two:.0f}x",
                f"{scipy:.0f}" if scipy else "-",
                f"{torch:.0f}" if torch else "-",
                f"{torch / two:.0f}x" if torch else "-",
                f"{jax:.0f}" if jax else "-", f"{two / floor:.2f}x",
            ]  # fmt: skip
            print("  ".join(f"{cell:>10}" for cell in cells))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
