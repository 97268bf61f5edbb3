"""Memory of a check beyond what the caller holds, in units of 8 bytes a parameter.

The peak resident size of a process of its own, less that before the check. Where the
loss computes more numbers than there are parameters, the unit is 8 bytes for each of
those; for a Jacobian, 8 bytes for each of its entries.

    python benchmarks/memory.py           # about a minute
    python benchmarks/memory.py chain     # losses whose names begin so
"""

import resource
import subprocess
import sys

import numpy as np

import fastgrad as fg

rng = np.random.default_rng(0)


def network(size):
    """A layer with few activations."""
    n = int(size**0.5)
    w, X = rng.standard_normal((n, n)) / n**0.5, rng.standard_normal((n, 8))

    def grads(w):
        z = np.tanh(w @ X)
        return (2 * z * (1 - z * z)) @ X.T

    return lambda w: np.sum(np.tanh(w @ X) ** 2), w, grads


def given(size):
    """The same, with the gradient as an array."""
    loss, w, grads = network(size)
    return loss, w, grads(w)


def both(size):
    """The same, with the gradient beside the loss."""
    loss, w, grads = network(size)
    return lambda w: (loss(w), grads(w)), w, None


def doubled(size):
    """The same, with a gradient that is wrong throughout."""
    loss, w, grads = network(size)
    return loss, w, 2 * grads(w)


def function(size, dtype=float):
    """A function of each parameter."""
    w, c = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    return lambda w: np.sum(c * np.tanh(w)), w, c * (1 - np.tanh(w) ** 2)


def single(size):
    """The same in float32."""
    return function(size, np.float32)


def negated(size):
    """The same, with a gradient of the other sign."""
    loss, w, g = function(size)
    return loss, w, -g


def scattered(size):
    """The same, with two entries that are wrong."""
    loss, w, g = function(size)
    g[[3, size // 2]] += 1.0
    return loss, w, g


def one_block(size):
    """One of ten arrays with a gradient of the other sign."""
    loss, w, g = ten_blocks(size)
    return loss, w, {**g, "w7": -g["w7"]}


def two_blocks(size):
    """Two arrays, each with a mistake of its own."""
    loss, w, g = ten_blocks(size)
    return loss, w, {**g, "w2": 3 * g["w2"], "w7": g["w7"] + w["w7"]}


def cross(size):
    """The layer with few activations, without the derivative of the tanh."""
    n = int(size**0.5)
    w, X = rng.standard_normal((n, n)) / n**0.5, rng.standard_normal((n, 8))
    return lambda w: np.sum(np.tanh(w @ X) ** 2), w, 2 * np.tanh(w @ X) @ X.T


def rows(size):
    """Rows of a table that are read, each counted once."""
    loss, p, g = embedding(size)
    return loss, p, {**g, "E": np.sign(g["E"]) * p["w"] ** 2}


def layers(size):
    """Three layers, of which the second is transposed."""
    n = int((size / 3) ** 0.5)
    p = {f"W{k}": rng.standard_normal((n, n)) / n**0.5 for k in range(3)}
    X = rng.standard_normal((n, 8))

    def loss(p):
        return np.sum((p["W2"] @ np.tanh(p["W1"] @ np.tanh(p["W0"] @ X))) ** 2)

    a = np.tanh(p["W0"] @ X)
    b = np.tanh(p["W1"] @ a)
    d = 2 * p["W2"] @ b
    e = p["W2"].T @ d * (1 - b * b)
    f = p["W1"].T @ e * (1 - a * a)
    return loss, p, {"W0": f @ X.T, "W1": (e @ a.T).T.copy(), "W2": d @ b.T}


def products(size):
    """Products with constants and with itself."""
    w, c = rng.standard_normal(size), rng.standard_normal(size)
    return lambda w: 0.5 * np.sum(w * w) + c @ w, w, w + c


def chain(size):
    """Seven elementwise operations, one after the other."""
    w, c = rng.standard_normal(size), rng.standard_normal(size)

    def loss(w):
        return np.sum(c * np.sin(np.exp(np.tanh(np.cos(w * 0.5) + w))))

    t = np.tanh(np.cos(w / 2) + w)
    e = np.exp(t)
    return loss, w, c * np.cos(e) * e * (1 - t * t) * (1 - np.sin(w / 2) / 2)


def ten_blocks(size):
    """The function of each parameter, in ten arrays."""
    w = {f"w{k}": rng.standard_normal(size // 10) for k in range(10)}
    c = {key: rng.standard_normal(size // 10) for key in w}
    g = {key: c[key] * (1 - np.tanh(w[key]) ** 2) for key in w}
    return lambda p: sum(np.sum(c[key] * np.tanh(p[key])) for key in p), w, g


def embedding(size):
    """Rows of a table, of which 500 are read."""
    p = {"E": rng.standard_normal((size // 4, 4)), "w": rng.standard_normal(4)}
    words = rng.integers(size // 4, size=500)

    def grads(p):
        rows = p["E"][words]
        d = (1 - np.tanh(rows @ p["w"]) ** 2) / len(words)
        table = np.zeros_like(p["E"])
        np.add.at(table, words, d[:, None] * p["w"])
        return {"E": table, "w": d @ rows}

    return lambda p: np.mean(np.tanh(p["E"][words] @ p["w"])), p, grads(p)


def convolution(size):
    """Kernels of 3 x 3, on pictures of 6 x 6."""
    c = int((size / 9) ** 0.5)
    K, x = rng.standard_normal((c, c, 3, 3)) / c, rng.standard_normal((2, c, 6, 6))
    seen = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    rows = np.moveaxis(seen, 1, 3).reshape(32, -1)

    def loss(K):
        return np.sum(np.tanh(rows @ K.reshape(c, -1).T) ** 2)

    z = np.tanh(rows @ K.reshape(c, -1).T)
    return loss, K, ((2 * z * (1 - z * z)).T @ rows).reshape(K.shape)


def batch(size):
    """Few parameters and many samples: three arrays of `size` numbers are computed."""
    X, y = rng.standard_normal((size // 50, 20)), rng.standard_normal(size // 50)
    p = {"W": rng.standard_normal((20, 50)) / 4, "b": rng.standard_normal(50)}
    p["v"] = rng.standard_normal(50)

    def loss(p):
        return np.mean((np.tanh(X @ p["W"] + p["b"]) @ p["v"] - y) ** 2)

    a = np.tanh(X @ p["W"] + p["b"])
    r = 2 * (a @ p["v"] - y) / len(y)
    d = r[:, None] * p["v"] * (1 - a * a)
    return loss, p, {"W": X.T @ d, "b": d.sum(axis=0), "v": a.T @ r}


def jacobian(size):
    """Of as many outputs as inputs."""
    n = int(size**0.5)
    A, x = rng.standard_normal((n, n)) / n**0.5, rng.standard_normal(n)
    return lambda x: np.tanh(A @ x), x, (1 - np.tanh(A @ x) ** 2)[:, None] * A


LOSSES = [given, network, both, function, single, products, chain, ten_blocks]
LOSSES += [embedding, convolution, batch]
WRONG = [doubled, negated, scattered, one_block, two_blocks, cross, rows, layers]
CASES = [
    *((loss, 10**6, cover) for loss in LOSSES for cover in ("full", "100", "locate")),
    *((loss, 10**6, cover) for loss in WRONG for cover in ("full", "100", "locate")),
    (jacobian, 10**6, "full"),
    *((loss, 10**7, cover) for loss in (given, doubled) for cover in ("100", "locate")),
]
# Numbers that the loss computes, or the Jacobian has, for each that is in `size`.
UNITS = {batch: 3.0}


def measure(name, size, coverage):
    """Print the peak of one check, its verdict and its seconds."""
    make, cover = globals()[name], int(coverage) if coverage.isdigit() else coverage
    loss, params, grads = make(size)
    check = fg.check_jacobian if make is jacobian else fg.check_gradient
    for wrong in (1, 2):  # whatever is loaded when it is used
        fg.check_gradient(lambda p: np.sum(p**2), np.ones(3), 2 * wrong * np.ones(3))
    fg.check_jacobian(np.sin, np.ones(3), np.cos(1) * np.eye(3))
    loss(params)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = resident("VmRSS")
    report = check(loss, params, grads, coverage=cover)
    used = (resident("VmHWM") - before) / 8 / size / UNITS.get(make, 1.0)
    print(used, report.verdict, report.seconds)


def resident(name):
    """Return what Linux says of this process, in bytes."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return 1024 * int(line.split()[1])


def measured(name, size, coverage):
    """Return what `measure` prints, in a process of its own."""
    command = [sys.executable, __file__, "--one", name, str(size), coverage]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    used, verdict, seconds = out.stdout.split()
    return float(used), verdict, float(seconds)


def main(beginning=""):
    """Print the table, each line measured by a process of its own."""
    print(f"{'loss':14}{'size':>12}{'coverage':>10}{'x 8 bytes':>11}  verdict, seconds")
    for loss, size, coverage in CASES:
        name = loss.__name__
        if not name.startswith(beginning):
            continue
        used, verdict, seconds = measured(name, size, coverage)
        line = f"{name:14}{size:12,}{coverage:>10}{used:11.1f}"
        print(f"{line}  {verdict}, {seconds:.1f}", flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"largest process: {used / 1024:.0f} MB, interpreter and inputs included")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main(*sys.argv[1:])
