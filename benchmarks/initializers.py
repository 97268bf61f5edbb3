"""How fast weights are made: fastgrad, torch, NumPy and JAX, in one interleaved run.

    python benchmarks/initializers.py [--rounds 40]

Prints two tables in Markdown: millions of entries a second for filling 2²⁰ entries in
place, and milliseconds for an n x n orthogonal matrix. Best of all rounds.
"""

import argparse
import time

import numpy as np

from fastgrad import initializers

COUNT = 1 << 20


def fills():
    """Functions that fill 2²⁰ entries, by (law, dtype, library)."""
    table = {}
    schemes = {
        "normal": initializers.he_normal,
        "uniform": initializers.he_uniform,
        "truncated": initializers.truncated_normal,
    }
    for dtype in ("float32", "float64"):
        out = np.empty((1024, 1024), dtype)
        for law, scheme in schemes.items():
            for threads in (1, 2):
                table[law, dtype, f"fastgrad, {threads} thr."] = (
                    lambda scheme=scheme, out=out, threads=threads: scheme(
                        out.shape, out=out, num_threads=threads
                    )
                )
        rng = np.random.default_rng(0)
        table["normal", dtype, "numpy"] = lambda out=out, dtype=dtype, rng=rng: (
            rng.standard_normal(out=out, dtype=dtype)
        )
        table["uniform", dtype, "numpy"] = lambda out=out, dtype=dtype, rng=rng: (
            rng.random(out=out, dtype=dtype)
        )
    return table | torch_fills() | jax_fills()


def torch_fills():
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    table = {}
    for dtype in ("float32", "float64"):
        x = torch.empty(1024, 1024, dtype=getattr(torch, dtype))
        table["normal", dtype, "torch"] = x.normal_
        table["uniform", dtype, "torch"] = x.uniform_
        table["truncated", dtype, "torch"] = lambda x=x: torch.nn.init.trunc_normal_(x)
    return table


def jax_fills():
    try:
        import jax
    except ImportError:
        return {}
    jax.config.update("jax_enable_x64", True)
    key = jax.random.key(0)
    table = {}
    for dtype in ("float32", "float64"):
        for law, draw in [
            ("normal", jax.random.normal),
            ("uniform", jax.random.uniform),
            ("truncated", lambda k, s, d: jax.random.truncated_normal(k, -2, 2, s, d)),
        ]:
            compiled = jax.jit(lambda k, draw=draw, d=dtype: draw(k, (1024, 1024), d))
            table[law, dtype, "jax"] = lambda f=compiled: f(key).block_until_ready()
    return table


def orthogonals(threads):
    table = {}
    for n in (64, 256, 512, 1024, 2048):
        for dtype in ("float32", "float64"):
            table[n, dtype, "fastgrad"] = lambda n=n, dtype=dtype: (
                initializers.orthogonal((n, n), dtype=dtype, num_threads=threads)
            )
    try:
        import torch
    except ImportError:
        return table
    torch.set_num_threads(threads)
    for n, dtype, _ in list(table):
        x = torch.empty(n, n, dtype=getattr(torch, dtype))
        table[n, dtype, "torch"] = lambda x=x: torch.nn.init.orthogonal_(x)
    return table


def best_times(table, rounds, budget=0.5):
    """Seconds, best of rounds in which every function runs in turn."""
    best = dict.fromkeys(table, np.inf)
    spent = dict.fromkeys(table, 0.0)
    for round_ in range(rounds):
        for key, function in table.items():
            if round_ > 2 and spent[key] > budget:
                continue
            start = time.perf_counter()
            function()
            seconds = time.perf_counter() - start
            best[key] = min(best[key], seconds)
            spent[key] += seconds
    return best


def show(best, entry):
    columns = list(dict.fromkeys(key[2] for key in best))
    print("| | |", " | ".join(columns), "|")
    print("|---|---|" + "---:|" * len(columns))
    for row in dict.fromkeys(key[:2] for key in best):
        cells = [entry(best[*row, c]) if (*row, c) in best else "" for c in columns]
        print("|", " | ".join([*map(str, row), *cells]), "|")
    print()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    print("Filling 2^20 entries in place, millions a second (others on one thread)\n")
    show(best_times(fills(), rounds), lambda s: f"{COUNT / s / 1e6:.0f}")
    for threads in (1, 2):
        print(f"Orthogonal n x n, milliseconds, {threads} thread(s) each\n")
        show(best_times(orthogonals(threads), rounds), lambda s: f"{s * 1e3:.2f}")


if __name__ == "__main__":
    main()
