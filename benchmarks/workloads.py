"""Full checks of seven everyday losses against the in-place NumPy loop.

For each: seconds of a check of every entry (the best of several), of the textbook's
loop (timed on a sample of entries, scaled to all), evaluations per parameter, the
relative error of the numerical gradient against the complex step (of the norm and of
the worst entry above 1e-6 of the largest, on a sample), the size of an error from which
the worst block would have shown it, and how many times longer than the arithmetic that
the boxes need, at NumPy's rate of small matrix products on all CPUs, the check takes.

    python benchmarks/workloads.py [NAME ...] [--entries 400]
"""

import argparse
import os
import sys

import numpy as np
from compare import best, gemm_rate, numpy_loop
from network import network

import fastgrad as fg


def _parameters(rng, **shapes):
    return {
        name: rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]) or 1)
        for name, shape in shapes.items()
    }


def _cross_entropy(z, labels):
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(z)), labels].mean()


def tanh_network():
    """784-256-128-10, tanh, batch 32."""
    return network("tanh", "x @ W")


def relu_network():
    """784-256-128-10, ReLU, batch 32."""
    return network("relu", "x @ W")


def convolution():
    """Batch 16 of 3×16×16, two 3×3 convolutions with pooling, a dense layer."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((16, 3, 16, 16)), rng.integers(10, size=16)
    params = _parameters(rng, K1=(3, 3, 3, 16), K2=(3, 3, 16, 32), W=(4 * 4 * 32, 18))
    params |= {"b1": np.zeros(16), "b2": np.zeros(32), "b": np.zeros(18)}

    def layer(x, kernel, bias):
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
        z = np.einsum("nchwij,ijco->nohw", patches, kernel, optimize=True)
        z = np.maximum(z + bias[:, None, None], 0.0)
        n, c, h, w = z.shape
        return z.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))

    def loss(p):
        a = layer(layer(X, p["K1"], p["b1"]), p["K2"], p["b2"])
        return _cross_entropy(a.reshape(16, -1) @ p["W"] + p["b"], labels)

    return loss, params


def lstm():
    """20 steps, batch 16, 16 -> 32 units."""
    rng = np.random.default_rng(0)
    X, target = rng.standard_normal((20, 16, 16)), rng.standard_normal((16, 32))
    params = _parameters(rng, Wx=(16, 128), Wh=(32, 128)) | {"b": np.zeros(128)}

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def loss(p):
        h, c = np.zeros((16, 32)), np.zeros((16, 32))
        for x in X:
            z = x @ p["Wx"] + h @ p["Wh"] + p["b"]
            i, f, o = (sigmoid(z[:, k * 32 : (k + 1) * 32]) for k in range(3))
            c = f * c + i * np.tanh(z[:, 96:])
            h = o * np.tanh(c)
        return np.mean((h - target) ** 2)

    return loss, params


def attention():
    """A block of attention, layer norm and GELU on 4×16×32, 4 heads."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 16, 32))
    projections = dict.fromkeys(("Wq", "Wk", "Wv", "Wo"), (32, 32))
    params = _parameters(rng, **projections, W1=(32, 128), W2=(128, 32))
    params |= {"g1": np.ones(32), "s1": np.zeros(32)}
    params |= {"g2": np.ones(32), "s2": np.zeros(32)}

    def norm(x, gain, shift):
        x = x - x.mean(axis=-1, keepdims=True)
        return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5) * gain + shift

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def heads(x):
        return x.reshape(4, 16, 4, 8).transpose(0, 2, 1, 3)

    def loss(p):
        a = norm(X, p["g1"], p["s1"])
        q, k, v = (heads(a @ p[name]) for name in ("Wq", "Wk", "Wv"))
        s = q @ k.transpose(0, 1, 3, 2) / np.sqrt(8)
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        mixed = (e / e.sum(axis=-1, keepdims=True)) @ v
        x = X + mixed.transpose(0, 2, 1, 3).reshape(4, 16, 32) @ p["Wo"]
        x = x + gelu(norm(x, p["g2"], p["s2"]) @ p["W1"]) @ p["W2"]
        return np.mean(x**2)

    return loss, params


def batch_norm():
    """Batch 64, 100 -> 128 -> 10, batch normalisation before ReLU."""
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((64, 100)), rng.integers(10, size=64)
    params = _parameters(rng, W1=(100, 128), W2=(128, 10))
    params |= {"gamma": np.ones(128), "beta": np.zeros(128), "b2": np.zeros(10)}

    def loss(p):
        z = X @ p["W1"]
        z = z - z.mean(axis=0)
        z = z / np.sqrt((z**2).mean(axis=0) + 1e-5)
        a = np.maximum(p["gamma"] * z + p["beta"], 0.0)
        return _cross_entropy(a @ p["W2"] + p["b2"], labels)

    return loss, params


def embedding():
    """5000×32, the mean of 20 rows a sample, batch 32, a dense layer."""
    rng = np.random.default_rng(0)
    tokens, labels = rng.integers(5000, size=(32, 20)), rng.integers(10, size=32)
    params = _parameters(rng, E=(5000, 32), W=(32, 10)) | {"b": np.zeros(10)}
    params["E"] *= 50

    def loss(p):
        mean = p["E"][tokens].mean(axis=1)
        return _cross_entropy(np.tanh(mean) @ p["W"] + p["b"], labels)

    return loss, params


def gaussian_process():
    """Marginal likelihood of 60 points, 6 hyperparameters."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 4)), rng.standard_normal(60)
    params = {
        "log_scale": rng.standard_normal(4) * 0.1,
        "log_sd": np.array([0.2, -1.0]),
    }

    def loss(p):
        Z = X / np.exp(p["log_scale"])
        squares = (Z**2).sum(axis=1)
        distance = squares[:, None] + squares[None, :] - 2 * Z @ Z.T
        K = np.exp(2 * p["log_sd"][0]) * np.exp(-0.5 * distance)
        K = K + np.exp(2 * p["log_sd"][1]) * np.eye(60)
        return 0.5 * y @ np.linalg.solve(K, y) + 0.5 * np.linalg.slogdet(K)[1]

    return loss, params


WORKLOADS = (
    tanh_network,
    relu_network,
    convolution,
    lstm,
    attention,
    batch_norm,
    embedding,
    gaussian_process,
)


def complex_step(loss, params, entries):
    """The derivative in some entries, to rounding; None where NumPy cannot."""
    offsets = np.cumsum([0] + [a.size for a in params.values()])
    moved = {name: a.astype(complex) for name, a in params.items()}
    flats = [a.reshape(-1) for a in moved.values()]
    slopes = np.empty(len(entries))
    for k, entry in enumerate(entries):
        block = int(np.searchsorted(offsets, entry, side="right")) - 1
        i = int(entry - offsets[block])
        flats[block][i] += 1e-30j
        slopes[k] = np.imag(loss(moved)) / 1e-30
        flats[block][i] = flats[block][i].real
    return slopes


def errors(numerical, truth):
    """Of the norm, and of the worst entry that is not negligible."""
    difference = np.abs(numerical - truth)
    matters = np.abs(truth) > 1e-6 * np.abs(truth).max()
    return (
        np.linalg.norm(difference) / np.linalg.norm(truth),
        np.max(difference[matters] / np.abs(truth[matters])),
    )


def measure(workload, sample_size):
    """One row of the table."""
    loss, params = workload()
    program = fg.trace(loss, params)
    grads = program.gradient()
    limit = program.work / gemm_rate() / len(os.sched_getaffinity(0))
    size = sum(a.size for a in params.values())
    rng = np.random.default_rng(1)
    sample = np.sort(rng.choice(size, min(size, sample_size), replace=False))
    reports = []
    seconds = best(lambda: reports.append(fg.check_gradient(loss, params, grads)), 5)
    report = reports[0]
    loop = numpy_loop(loss, params, sample)
    numerical = np.concatenate([a.reshape(-1) for a in report.numerical.values()])
    if workload is gaussian_process:  # slogdet of a complex matrix has another meaning
        truth = np.concatenate([a.reshape(-1) for a in grads.values()])[sample]
    else:
        truth = complex_step(loss, params, sample)
    norm, worst = errors(numerical[sample], truth)
    detects = max(block.detection_limit for block in report.blocks)
    return [
        workload.__name__, str(size), report.engine, report.verdict, f"{seconds:.4f}",
        f"{loop:.2f}", f"{loop / seconds:.1f}x", f"{report.evaluations / size:.2f}",
        f"{norm:.1e}", f"{worst:.1e}", f"{detects:.0e}", f"{seconds / limit:.2f}x",
    ]  # fmt: skip


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of the workloads, all by default")
    parser.add_argument("--entries", type=int, default=400, help="in a sample")
    options = parser.parse_args()
    header = [
        "workload", "P", "engine", "verdict", "check s", "loop s", "ratio", "evals/P",
        "error", "worst entry", "detects", "arithmetic",
    ]  # fmt: skip
    print("  ".join(f"{name:>16}" for name in header))
    for workload in WORKLOADS:
        if not options.names or workload.__name__ in options.names:
            row = measure(workload, options.entries)
            print("  ".join(f"{cell:>16}" for cell in row))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
