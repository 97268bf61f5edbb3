"""Losses in the styles of many trades: filters, records, interpreters, pools."""

import cmath
import enum
import functools
import heapq
import math
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy import interpolate, signal, sparse, special

R = np.random.default_rng(42)
X = R.normal(size=(12, 4))
Y = R.normal(size=12)
SIG = R.normal(size=40)


def particle_filter():
    noise = R.normal(size=(10, 20))
    obs = R.normal(size=10)
    u0 = R.uniform(size=10)

    def loss(p):
        a, lq, lr = p
        x = np.zeros(20)
        ll = 0.0
        for t in range(10):
            x = a * x + np.exp(lq) * noise[t]
            lw = -0.5 * ((obs[t] - x) / np.exp(lr)) ** 2 - lr
            m = lw.max()
            w = np.exp(lw - m)
            ll += m + np.log(w.mean())
            cs = np.cumsum(w / w.sum())
            u = (np.arange(20) + u0[t]) / 20
            idx = np.minimum(np.searchsorted(cs, u), 19)
            x = x[idx]
        return -ll

    return loss, np.array([0.7, -0.3, 0.1])


def segment_softmax_reduceat():
    starts = np.array([0, 3, 7])
    seg = np.repeat([0, 1, 2], [3, 4, 5])

    def loss(w):
        s = X @ w
        m = np.maximum.reduceat(s, starts)
        e = np.exp(s - m[seg])
        z = np.add.reduceat(e, starts)
        return -np.sum(np.log(e[[1, 4, 9]] / z))

    return loss, R.normal(size=4)


def masked_residuals():
    bad = R.uniform(size=12) < 0.3

    def loss(w):
        r = np.ma.array(X @ w - Y, mask=bad)
        return (r**2).sum() / r.count()

    return loss, R.normal(size=4)


@dataclass
class Layer:
    W: np.ndarray
    b: np.ndarray
    act: str = "tanh"
    cache: dict = field(default_factory=dict, repr=False)

    def __call__(self, x):
        z = x @ self.W + self.b
        self.cache["x"], self.cache["z"] = x, z
        match self.act:
            case "tanh":
                return np.tanh(z)
            case "relu" | "rectifier":
                return np.maximum(0, z)
            case {"leaky": slope}:
                return np.where(z > 0, z, slope * z)
            case _:
                return z


def dataclass_layers_match():
    def loss(p):
        layers = [
            Layer(p["W1"], p["b1"]),
            Layer(p["W2"], p["b2"], {"leaky": 0.2}),
            Layer(p["W3"], p["b3"], "none"),
        ]
        out = functools.reduce(lambda h, f: f(h), layers, X)
        return np.mean((out.ravel() - Y) ** 2) + 1e-3 * sum(
            np.sum(l.W**2) for l in layers
        )

    return loss, {
        "W1": R.normal(size=(4, 5)),
        "b1": R.normal(size=5),
        "W2": R.normal(size=(5, 3)),
        "b2": R.normal(size=3),
        "W3": R.normal(size=(3, 1)),
        "b3": R.normal(size=1),
    }


def generator_send():
    def ema(decay):
        value = None
        while True:
            new = yield value
            value = new if value is None else decay * value + (1 - decay) * new

    def loss(p):
        decay = 1 / (1 + np.exp(-p[0]))
        f = ema(decay)
        next(f)
        out = 0
        for s in SIG[:10]:
            out = out + (f.send(p[1] * s) - s) ** 2
        return out

    return loss, np.array([0.4, 1.3])


class State(NamedTuple):
    h: np.ndarray
    c: np.ndarray
    t: int = 0

    def step(self, x, W):
        z = np.concatenate([x, self.h]) @ W
        i, f, o, g = np.split(z, 4)
        s = special.expit
        c = s(f) * self.c + s(i) * np.tanh(g)
        return self._replace(h=s(o) * np.tanh(c), c=c, t=self.t + 1)


def namedtuple_state():
    def loss(W):
        s = State(np.zeros(3), np.zeros(3))
        for x in X[:5]:
            s = s.step(x, W)
        return np.sum(s.h**2) / s.t

    return loss, R.normal(size=(7, 12)) * 0.4


def nditer_loop():
    def loss(w):
        total = 0.0
        z = np.tanh(X @ w)
        it = np.nditer(z, flags=["multi_index"])
        while not it.finished:
            total = total + z[it.multi_index] * (it.multi_index[0] + 1)
            it.iternext()
        return total

    return loss, R.normal(size=4)


def strided_toeplitz():
    def loss(h):
        padded = np.concatenate([np.zeros(len(h) - 1), h, np.zeros(len(h) - 1)])
        s = padded.strides[0]
        T = as_strided(padded[len(h) - 1 :], shape=(5, len(h)), strides=(s, s))
        return np.sum((T @ np.arange(1.0, len(h) + 1)) ** 2)

    return loss, R.normal(size=5)


def structured_records():
    data = np.zeros(6, dtype=[("x", float), ("y", float), ("k", int)])
    data["x"], data["y"], data["k"] = (
        R.normal(size=6),
        R.normal(size=6),
        R.integers(2, size=6),
    )

    def loss(p):
        out = np.zeros(6, dtype=[("pred", float), ("res", float)])
        for n, rec in enumerate(data):
            out[n]["pred"] = p[rec["k"]] * rec["x"] + p[2]
        out["res"] = out["pred"] - data["y"]
        return np.sum(out["res"] ** 2)

    return loss, R.normal(size=3)


def signal_lfilter():
    def loss(t):
        y = signal.lfilter(t[:3], np.concatenate([[1.0], t[3:]]), SIG)
        return np.mean((y - np.roll(SIG, 1)) ** 2)

    return loss, np.array([0.5, 0.2, 0.1, -0.3, 0.1])


def bspline_basis():
    kn = np.r_[0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 4]
    q = R.uniform(0, 4, 12)

    def loss(c):
        return np.mean((interpolate.BSpline(kn, c, 3)(q) - np.sin(q)) ** 2)

    return loss, R.normal(size=7)


def sparse_parameters_matrix():
    rows = np.array([0, 1, 2, 2, 3])
    cols = np.array([0, 2, 1, 3, 0])
    B = R.normal(size=(4, 2))

    def loss(v):
        M = sparse.csr_matrix((v, (rows, cols)), shape=(4, 4))
        return np.sum((M @ B) ** 2) + M.sum() + M.diagonal().sum()

    return loss, R.normal(size=5)


def cmath_impedance():
    def loss(t):
        r, l, c = (math.exp(v) for v in t)
        total = 0.0
        for f in (0.5, 1.0, 2.0):
            z = complex(r, 0) + 1j * f * l + 1 / (1j * f * c)
            total += (abs(z) - 1.5) ** 2 + cmath.phase(z) ** 2
        return total

    return loss, np.array([0.2, 0.1, -0.3])


def heap_tree():
    def loss(w):
        s = X @ w
        heap = [(float(v), i) for i, v in enumerate(s)]
        heapq.heapify(heap)
        total = 0.0
        while len(heap) > 1:
            (a, i), (b, _) = heapq.heappop(heap), heapq.heappop(heap)
            total += (a - b) ** 2
            heapq.heappush(heap, (a + b, i))
        return total

    return loss, R.normal(size=4)


class Op(enum.Enum):
    ADD = "add"
    MUL = "mul"
    TANH = "tanh"


def expression_interpreter():
    prog = [(Op.MUL, 0, 1), (Op.TANH, 4), (Op.ADD, 5, 2), (Op.MUL, 6, 3), (Op.TANH, 7)]

    def loss(w):
        regs = list(w)
        for op, *args in prog:
            vals = [regs[a] for a in args]
            match op, vals:
                case Op.ADD, [a, b]:
                    regs.append(a + b)
                case Op.MUL, [a, b]:
                    regs.append(a * b)
                case Op.TANH, [a]:
                    regs.append(math.tanh(a))
        return regs[-1] ** 2

    return loss, R.normal(size=4)


def ragged_object_array():
    rag = np.empty(3, dtype=object)
    rag[:] = [X[:2], X[2:7], X[7:]]

    def loss(w):
        means = np.array([np.tanh(part @ w).mean() for part in rag])
        out = np.empty(3, dtype=object)
        for i in range(3):
            out[i] = means[i] ** 2
        return out.sum()

    return loss, R.normal(size=4)


def partial_sums_as_they_come():
    def part(w, i):
        return np.sum(np.tanh(X[i::3] @ w)) ** 2

    def loss(w):
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(part, w, i) for i in range(3)]
            return sum(f.result() for f in as_completed(futures))

    return loss, R.normal(size=4)
