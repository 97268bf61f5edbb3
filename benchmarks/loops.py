"""Losses in Python loops: against the same in arrays, and against the Python engine.

    python benchmarks/loops.py

Prints how long moving every entry once, and a whole check, takes for loops over single
numbers and for their array forms; what tracing 100,000 operations, and rewriting and
tracing a model of 100 lines for the first time, takes; and how much faster than calling
Python the program is where there are 1,000 parameters or more. Seconds of one core,
interleaved, the least of several.
"""

import importlib.util
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fastgrad as fg
from fastgrad.params import Nest
from fastgrad.program import trace_graph

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

RNG = np.random.default_rng(0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# ---- four nested loops: a convolution ------------------------------------------------

IMAGES = RNG.normal(size=(2, 3, 8, 8))


def convolution_in_loops(p):
    W, b = p["W"], p["b"]
    n, _, height, width = IMAGES.shape
    size = W.shape[2]
    out = np.zeros((n, len(W), height - size + 1, width - size + 1))
    for i in range(n):
        for f in range(len(W)):
            for y in range(out.shape[2]):
                for x in range(out.shape[3]):
                    seen = IMAGES[i, :, y : y + size, x : x + size]
                    out[i, f, y, x] = np.sum(seen * W[f]) + b[f]
    return np.sum(np.tanh(out) ** 2)


def convolution_in_arrays(p):
    size = p["W"].shape[2:]
    seen = np.lib.stride_tricks.sliding_window_view(IMAGES, size, axis=(2, 3))
    out = np.einsum("ncyxij,fcij->nfyx", seen, p["W"]) + p["b"][:, None, None]
    return np.sum(np.tanh(out) ** 2)


# ---- an LSTM unrolled: gate by gate, and all gates of all samples at once ------------

STEPS, HIDDEN, INPUTS, BATCH = 8, 6, 5, 4
SEQUENCE = RNG.normal(size=(STEPS, BATCH, INPUTS))


def lstm_in_loops(p):
    total = 0.0
    for n in range(BATCH):
        h, c = np.zeros(HIDDEN), np.zeros(HIDDEN)
        for t in range(STEPS):
            x = np.concatenate([SEQUENCE[t, n], h])
            gates = [np.dot(x, p["W"][k]) + p["b"][k] for k in range(4)]
            i, f, o = (sigmoid(g) for g in gates[:3])
            c = f * c + i * np.tanh(gates[3])
            h = o * np.tanh(c)
            total = total + np.sum(h**2)
    return total


def lstm_in_arrays(p):
    h = c = np.zeros((BATCH, HIDDEN))
    total = 0.0
    for t in range(STEPS):
        x = np.concatenate([SEQUENCE[t], h], axis=1)
        gates = np.einsum("nd,kdh->knh", x, p["W"]) + p["b"][:, None]
        s = sigmoid(gates[:3])
        c = s[1] * c + s[0] * np.tanh(gates[3])
        h = s[2] * np.tanh(c)
        total = total + np.sum(h**2)
    return total


# ---- a hidden Markov model, number by number -----------------------------------------

STATES, SYMBOLS = 6, 5
OBSERVED = RNG.integers(SYMBOLS, size=20)


def normalised(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1, keepdims=True)


def hmm_in_loops(p):
    A, B = normalised(p["A"]), normalised(p["B"])
    alpha = [B[s, OBSERVED[0]] / STATES for s in range(STATES)]
    total = 0.0
    for symbol in OBSERVED[1:]:
        new = []
        for s in range(STATES):
            reached = 0.0
            for r in range(STATES):
                reached += alpha[r] * A[r, s]
            new.append(reached * B[s, symbol])
        scale = sum(new)
        alpha = [a / scale for a in new]
        total -= np.log(scale)
    return total


def hmm_in_arrays(p):
    A, B = normalised(p["A"]), normalised(p["B"])
    alpha = B[:, OBSERVED[0]] / STATES
    total = 0.0
    for symbol in OBSERVED[1:]:
        new = (alpha @ A) * B[:, symbol]
        scale = new.sum()
        alpha = new / scale
        total = total - np.log(scale)
    return total


PAIRS = {
    "convolution, four loops": (
        convolution_in_loops,
        convolution_in_arrays,
        {"W": RNG.normal(size=(4, 3, 3, 3)), "b": RNG.normal(size=4)},
    ),
    "LSTM, sample by sample": (
        lstm_in_loops,
        lstm_in_arrays,
        {
            "W": RNG.normal(size=(4, INPUTS + HIDDEN, HIDDEN)) * 0.5,
            "b": RNG.normal(size=(4, HIDDEN)),
        },
    ),
    "HMM, number by number": (
        hmm_in_loops,
        hmm_in_arrays,
        {
            "A": RNG.normal(size=(STATES, STATES)),
            "B": RNG.normal(size=(STATES, SYMBOLS)),
        },
    ),
}


# ---- large enough for the program to matter ------------------------------------------

FEATURES = RNG.normal(size=(32, 40))
LABELS = RNG.integers(10, size=32)


class Network:
    def __init__(self):
        self.params = {
            "W1": RNG.normal(size=(40, 60)) * 0.2,
            "b1": np.zeros(60),
            "W2": RNG.normal(size=(60, 10)) * 0.2,
            "b2": np.zeros(10),
        }

    def loss(self, p):
        hidden = np.tanh(FEATURES @ p["W1"] + p["b1"])
        scores = hidden @ p["W2"] + p["b2"]
        scores = scores - scores.max(axis=1, keepdims=True)
        picked = scores[np.arange(len(LABELS)), LABELS]
        return np.mean(np.log(np.exp(scores).sum(axis=1)) - picked)


def large():
    network = Network()
    yield "network, 3,070 parameters", network.loss, network.params
    weights = {
        "W": RNG.normal(size=(16, 3, 5, 5)) * 0.1,
        "b": RNG.normal(size=16) * 0.1,
    }
    yield "convolution, 1,216 parameters", convolution_in_loops, weights
    weights = {
        "W": RNG.normal(size=(4, INPUTS + HIDDEN, HIDDEN)) * 0.1,
        "b": RNG.normal(size=(4, HIDDEN)),
        "E": RNG.normal(size=(200, INPUTS)),
    }
    words = RNG.integers(200, size=12)

    def embedded(p):
        h, c, total = np.zeros(HIDDEN), np.zeros(HIDDEN), 0.0
        for word in words:
            x = np.concatenate([p["E"][word], h])
            gates = [x @ p["W"][k] + p["b"][k] for k in range(4)]
            i, f, o = (sigmoid(g) for g in gates[:3])
            c = f * c + i * np.tanh(gates[3])
            h = o * np.tanh(c)
            total = total + np.sum(h**2)
        return total

    yield "LSTM with words, 1,288 parameters", embedded, weights


# ---- clocks --------------------------------------------------------------------------


def seconds_of(function):
    began = time.process_time()
    function()
    return time.process_time() - began


def least(*functions, times=5):
    """The least time of each, interleaved."""
    rounds = [[seconds_of(f) for f in functions] for _ in range(times)]
    return [min(column) for column in zip(*rounds, strict=True)]


def checked(loss, params, engine="auto"):
    gradient = fg.trace(loss, params).gradient()
    options = {"engine": engine, "num_threads": 1, "progress": False}
    return lambda: fg.check_gradient(loss, params, gradient, **options)


def replayed(loss, params):
    program = fg.trace(loss, params)
    entries, moves = np.arange(program.nest.size), np.full(program.nest.size, 1e-3)
    return lambda: program.at_entries(entries, moves, num_threads=1)


def tracing():
    """100,000 operations one by one; a model of 100 lines that was never seen."""
    x = RNG.normal(size=1000)

    def summed(x):
        total = 0.0
        for _ in range(20):
            for i in range(1000):
                total = total + x[i] * 0.5 * x[999 - i]
        return total

    nest = Nest(x)
    count = len(trace_graph(summed, nest).nodes)
    (seconds,) = least(lambda: trace_graph(summed, nest))
    print(f"{count:,} operations traced in {seconds:.2f} s")
    body = "\n".join(
        f"    z{k} = np.tanh(z{k - 1} @ p['W'] + p['b'] * {k})" for k in range(1, 96)
    )
    source = "import numpy as np\n\ndef loss(p):\n    z0 = p['x']\n"
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(5):
            path = Path(folder) / f"model{turn}.py"
            path.write_text(f"{source}{body}\n    return np.sum(z95**2)\n")
            spec = importlib.util.spec_from_file_location(path.stem, path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            p = {"x": np.ones(4), "W": np.eye(4) * 0.9, "b": np.full(4, 0.1)}
            times.append(seconds_of(lambda m=module, p=p: trace_graph(m.loss, Nest(p))))
    print(f"100 lines rewritten and traced in {1e3 * min(times):.1f} ms")


def main():
    tracing()
    for what, way in (("every entry moved once", replayed), ("whole check", checked)):
        print(f"\n{what:34}{'loops':>10}{'arrays':>10}{'ratio':>8}")
        for name, (loops, arrays, params) in PAIRS.items():
            a, b = least(way(loops, params), way(arrays, params))
            print(f"{name:34}{1e3 * a:7.2f} ms{1e3 * b:7.2f} ms{a / b:8.2f}")
    print(f"\n{'whole check':34}{'auto':>10}{'python':>10}{'ratio':>8}")
    for name, loss, params in large():
        auto, python = least(
            checked(loss, params), checked(loss, params, "python"), times=3
        )
        print(
            f"{name:34}{1e3 * auto:7.1f} ms{1e3 * python:7.0f} ms{python / auto:8.0f}"
        )


if __name__ == "__main__":
    main()
