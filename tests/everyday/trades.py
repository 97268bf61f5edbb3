"""Losses of many trades: (loss, params) each."""

import array
import copy
import functools
import itertools
import math
import operator
import weakref
from dataclasses import asdict, astuple, dataclass, field

import numpy as np
from scipy import fft as sfft
from scipy import special, stats


def rng(n):
    return np.random.default_rng(n)


def rotary_transformer_block():
    R = rng(0)
    T, D, H = 5, 8, 2
    x0 = R.normal(size=(T, D))
    freqs = 1.0 / (100 ** (np.arange(0, D // H, 2) / (D // H)))
    angles = np.outer(np.arange(T), freqs)
    rot = np.exp(1j * angles)

    def rope(q):
        c = q[..., ::2] + 1j * q[..., 1::2]
        c = c * rot[None]
        return np.stack([c.real, c.imag], -1).reshape(q.shape)

    def rms(x, g):
        return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1e-6) * g

    def loss(p):
        x = rms(x0, p["g"])
        q, k, v = (
            (x @ p[n]).reshape(T, H, -1).transpose(1, 0, 2) for n in ("wq", "wk", "wv")
        )
        s = rope(q) @ rope(k).swapaxes(-1, -2) / np.sqrt(D // H)
        s = s + np.triu(np.full((T, T), -np.inf), 1)
        a = np.exp(s - s.max(-1, keepdims=True))
        a /= a.sum(-1, keepdims=True)
        o = (a @ v).transpose(1, 0, 2).reshape(T, D)
        gate = o @ p["w1"]
        h = o + (gate * special.expit(gate)) @ p["w2"]
        return float(np.mean(h**2))

    return loss, {
        "g": np.ones(D),
        **{n: R.normal(size=(D, D)) * 0.4 for n in ("wq", "wk", "wv")},
        "w1": R.normal(size=(D, 6)),
        "w2": R.normal(size=(6, D)),
    }


def mixture_of_experts_top_k():
    R = rng(1)
    X = R.normal(size=(7, 4))

    def loss(p):
        logits = X @ p["gate"]
        total = 0.0
        for x, row in zip(X, logits):
            top = np.argsort(row)[::-1][:2]
            w = special.softmax(row[top])
            total += sum(
                wi * np.tanh(x @ p["experts"][e]).sum() for wi, e in zip(w, top)
            )
        load = special.softmax(logits, axis=1).mean(0)
        return total / len(X) + 0.1 * len(load) * np.sum(load**2)

    return loss, {"gate": R.normal(size=(4, 3)), "experts": R.normal(size=(3, 4, 2))}


def kmeans_assignments():
    R = rng(2)
    X = R.normal(size=(12, 2))

    def loss(C):
        d = ((X[:, None] - C[None]) ** 2).sum(-1)
        z = d.argmin(1)
        within = d[np.arange(len(X)), z].sum()
        counts = np.bincount(z, minlength=len(C))
        return within + 0.01 * np.sum(counts[:, None] * C**2)

    return loss, R.normal(size=(3, 2))


def viterbi_max_margin():
    R = rng(4)
    E, gold = R.normal(size=(6, 3)), [0, 1, 1, 2, 0, 2]

    def loss(p):
        best = [p["start"][s] + p["w"] * E[0, s] for s in range(3)]
        back = []
        for t in range(1, 6):
            new, ptr = [], []
            for s in range(3):
                scores = [best[r] + p["T"][r, s] for r in range(3)]
                k = max(range(3), key=scores.__getitem__)
                ptr.append(k)
                new.append(
                    scores[k] + p["w"] * E[t, s] + (1.0 if s != gold[t] else 0.0)
                )
            best, back = new, [*back, ptr]
        score = p["start"][gold[0]] + sum(
            p["T"][a, b] for a, b in itertools.pairwise(gold)
        )
        score += p["w"] * sum(E[t, g] for t, g in enumerate(gold))
        return max(0.0, max(best) - score)

    return loss, {
        "start": R.normal(size=3),
        "T": R.normal(size=(3, 3)),
        "w": np.array(0.7),
    }


def soft_edit_distance():
    a, b = "sent", "bets"

    def loss(p):
        ins, dele, sub = np.exp(p)
        D = np.full((len(a) + 1, len(b) + 1), np.inf)
        D[0] = np.arange(len(b) + 1) * ins
        D[:, 0] = np.arange(len(a) + 1) * dele
        for i, j in np.ndindex(len(a), len(b)):
            options = np.array(
                [
                    D[i, j + 1] + dele,
                    D[i + 1, j] + ins,
                    D[i, j] + (0.0 if a[i] == b[j] else sub),
                ]
            )
            D[i + 1, j + 1] = -0.1 * special.logsumexp(-options / 0.1)
        return D[-1, -1]

    return loss, np.array([0.0, 0.1, 0.3])


def particle_filter_fixed_seed():
    ys = rng(5).normal(size=4)

    def loss(p):
        g = np.random.default_rng(11)
        a, logq, logr = p
        x = g.normal(size=20)
        total = 0.0
        for y in ys:
            x = a * x + np.exp(logq) * g.normal(size=20)
            logw = stats.norm.logpdf(y, x, np.exp(logr))
            total += special.logsumexp(logw) - np.log(20)
            w = np.exp(logw - special.logsumexp(logw))
            idx = np.searchsorted(np.cumsum(w), (np.arange(20) + 0.5) / 20)
            x = x[np.minimum(idx, 19)]
        return -total

    return loss, np.array([0.8, -0.3, 0.1])


def black_scholes_portfolio():
    @dataclass(frozen=True)
    class Option:
        strike: float
        maturity: float
        kind: str = "call"

        def price(self, S, sigma, r):
            srt = sigma * math.sqrt(self.maturity)
            d1 = (np.log(S / self.strike) + (r + sigma**2 / 2) * self.maturity) / srt
            call = S * stats.norm.cdf(d1) - self.strike * np.exp(
                -r * self.maturity
            ) * stats.norm.cdf(d1 - srt)
            return (
                call
                if self.kind == "call"
                else call - S + self.strike * np.exp(-r * self.maturity)
            )

    book = [Option(90, 0.5), Option(100, 1.0, "put"), Option(110, 2.0)]
    market = [14.0, 7.0, 12.0]

    def loss(p):
        S, sigma, r = 100 * np.exp(p["x"]), np.exp(p["ls"]), p["r"]
        return sum((o.price(S, sigma, r) - m) ** 2 for o, m in zip(book, market))

    return loss, {"x": np.array(0.02), "ls": np.array(-1.6), "r": np.array(0.03)}


def quaternion_camera():
    R = rng(9)
    points, seen = R.normal(size=(6, 3)) + [0, 0, 6], R.normal(size=(6, 2))

    def rotate(q, v):
        q = q / np.linalg.norm(q)
        w, u = q[0], q[1:]
        return v + 2 * np.cross(u, np.cross(u, v) + w * v)

    def loss(p):
        cam = rotate(p["q"], points) + p["t"]
        proj = p["f"] * cam[:, :2] / cam[:, 2:]
        r2 = np.sum(proj**2, axis=1, keepdims=True)
        proj = proj * (1 + p["k"] * r2)
        e = np.linalg.norm(proj - seen, axis=1)
        return np.where(e < 1, 0.5 * e**2, e - 0.5).sum()

    return loss, {
        "q": np.array([1.0, 0.1, -0.2, 0.3]),
        "t": np.array([0.1, 0, 0.2]),
        "f": np.array(1.2),
        "k": np.array(0.05),
    }


def deepcopied_and_pickled_model():
    class Model:
        def __init__(self, w):
            self.w, self.log = w, []

        def step(self, lr):
            self.w = self.w - lr * 2 * (self.w - 1)
            self.log.append(float(np.sum(self.w)))
            return self

    def loss(w):
        m = Model(w)
        best = copy.copy(m)
        other = copy.deepcopy(m).step(0.1)
        m.step(0.2).step(0.2)
        other.w[0] = 0.5 * other.w[0]
        return np.sum(m.w**2) + np.sum(other.w) * best.w[1] + m.log[-1]

    return loss, np.array([0.4, -0.7, 1.5])


def asdict_and_astuple():
    @dataclass
    class Config:
        a: np.ndarray
        b: float
        tags: list = field(default_factory=list)

        def __post_init__(self):
            self.c = self.a * self.b

    def loss(p):
        cfg = Config(p["a"], p["b"])
        d = asdict(cfg)
        a, b, _ = astuple(cfg)
        return np.sum(d["a"] * cfg.c) + b**2 * a[0] + d["b"]

    return loss, {"a": np.array([0.3, 0.9]), "b": np.array(0.7)}


def weak_cache_and_globals():
    cache = weakref.WeakValueDictionary()

    class Kernel:
        def __init__(self, l):
            self.l = l

        def __call__(self, r):
            return np.exp(-0.5 * (r / self.l) ** 2)

    def kernel(key, l):
        if key not in cache:
            cache[key] = k = Kernel(l)
            return k
        return cache[key]

    def loss(l):
        cache.clear()
        k = kernel("rbf", l[0])
        K = kernel("rbf", l[0])(np.subtract.outer(np.arange(4.0), np.arange(4.0))) + l[
            1
        ] ** 2 * np.eye(4)
        return np.linalg.slogdet(K)[1] + k(1.0)

    return loss, np.array([1.3, 0.5])


def operator_and_iterator_tools():
    def loss(p):
        get = operator.itemgetter(0, 2)
        a, c = get(p)
        pairs = sorted(zip([3, 1, 2], p), key=operator.itemgetter(0))
        cyc = list(itertools.islice(itertools.cycle(p), 5))
        groups = {
            k: list(g) for k, g in itertools.groupby(range(5), key=lambda i: i % 2 == 0)
        }
        total = functools.reduce(operator.mul, [v for _, v in pairs], 1.0)
        mean = math.fsum(cyc) / len(cyc)
        return (
            total
            + operator.add(a, c) ** 2
            + mean * len(groups)
            + math.prod(p[:2])
            + math.hypot(*p[1:])
            + math.dist(p[:2], p[1:])
        )

    return loss, np.array([0.4, 1.2, -0.8])


def apply_along_axis_and_vectorize():
    R = rng(12)
    X = R.normal(size=(5, 4))

    class Link:
        def __init__(self, k):
            self.k = k
            self.f = np.vectorize(self._one)

        def _one(self, v):
            return v if v > 0 else self.k * math.expm1(v)

    def loss(p):
        z = X * p["w"]
        act = Link(p["k"]).f(z)
        r = np.apply_along_axis(lambda row: row @ row, 1, act)
        return np.mean(r) + np.apply_over_axes(np.sum, act, [0, 1]).item()

    return loss, {"w": R.normal(size=4), "k": np.array(0.6)}


def gradient_and_cumulative_maxima():
    def loss(p):
        x = np.cumsum(p)
        drawdown = np.max(np.maximum.accumulate(x) - x)
        g = np.gradient(x, 0.5)
        second = np.diff(x, n=2, prepend=0.0)
        cov = np.cov(x[:-1], x[1:])
        return (
            drawdown
            + np.sum(g**2)
            + np.abs(second).max()
            + cov[0, 1]
            + np.corrcoef(x, p)[0, 1]
        )

    return loss, np.array([0.3, -0.5, 0.9, -1.1, 0.2, 0.6])


def spectrogram_loss():
    n = np.arange(64)

    def loss(p):
        x = p[0] * np.sin(p[1] * n) + 0.1 * p[2] * np.cos(0.3 * n)
        frames = np.lib.stride_tricks.sliding_window_view(x, 16)[::8]
        S = np.abs(np.fft.rfft(frames * np.hanning(16), axis=1)) ** 2
        power = np.log(S + 1e-3)
        dct = sfft.dct(power, axis=1, norm="ortho")[:, :4]
        return np.mean(dct**2) + np.abs(np.fft.fft2(frames)).mean()

    return loss, np.array([0.8, 0.5, 0.3])


def n_body_with_classes():
    @dataclass
    class Body:
        x: np.ndarray
        v: np.ndarray
        m: float

        def kick(self, others, dt):
            for o in others:
                if o is self:
                    continue
                d = o.x - self.x
                self.v = self.v + dt * o.m * d / (d @ d + 0.01) ** 1.5

        def drift(self, dt):
            self.x = self.x + dt * self.v

    def loss(p):
        bodies = [Body(x, v, m) for x, v, m in zip(p["x"], p["v"], [1.0, 0.5, 0.2])]
        for _ in range(3):
            for b in bodies:
                b.kick(bodies, 0.1)
            for b in bodies:
                b.drift(0.1)
        return sum(b.m * (b.v @ b.v) / 2 for b in bodies) + bodies[0].x @ bodies[1].x

    R = rng(15)
    return loss, {"x": R.normal(size=(3, 2)), "v": R.normal(size=(3, 2)) * 0.3}


def metaclass_registry_of_terms():
    class Registry(type):
        terms = {}

        def __new__(mcs, name, bases, ns):
            cls = super().__new__(mcs, name, bases, ns)
            if "weight" in ns:
                mcs.terms[name] = cls
            return cls

    class Term(metaclass=Registry):
        def __call__(self, w):
            return self.weight * self.value(w)

    class Smooth(Term):
        weight = 0.5

        def value(self, w):
            return np.sum(np.diff(w) ** 2)

    class Sparse(Term):
        weight = 0.1

        def value(self, w):
            return np.sum(np.sqrt(w**2 + 1e-4))

    return lambda w: sum(cls()(w) for cls in Registry.terms.values()), rng(16).normal(
        size=6
    )


def lazy_expression_graph():
    class Expr:
        def __init__(self, f):
            self.f = f

        def __add__(self, o):
            return Expr(lambda env: self.f(env) + o.f(env))

        def __mul__(self, o):
            return Expr(lambda env: self.f(env) * o.f(env))

        def __pow__(self, n):
            return Expr(lambda env: self.f(env) ** n)

        def __call__(self, **env):
            return self.f(env)

        def __getitem__(self, i):
            return Expr(lambda env: self.f(env)[i])

    x = Expr(lambda env: env["x"])
    c = lambda v: Expr(lambda env: v)
    energy = (x[0] ** 2 + c(3.0) * x[1]) ** 2 + x[0] * x[1]
    return lambda p: energy(x=p), np.array([0.7, -0.4])


def pipeline_with_pipes():
    class Pipe:
        __array_ufunc__ = None

        def __init__(self, f):
            self.f = f

        def __ror__(self, x):
            return self.f(x)

        def __rshift__(self, o):
            return Pipe(lambda x: o.f(self.f(x)))

    R = rng(17)
    X = R.normal(size=(6, 3))

    def loss(p):
        lin = lambda W: Pipe(lambda x: x @ W)
        relu = Pipe(lambda x: x * (x > 0))
        net = lin(p["A"]) >> relu >> lin(p["B"])
        return (X | net | Pipe(np.square) | Pipe(np.mean)) + (
            [1.0, 2.0] | Pipe(np.sum)
        ) * p["A"][0, 0]

    return loss, {"A": R.normal(size=(3, 4)), "B": R.normal(size=(4, 2))}


def stdlib_arrays_and_memory():
    knots = array.array("d", [0.0, 0.5, 1.0, 1.5])
    view = memoryview(knots)

    def loss(p):
        total = 0.0
        for k in range(len(knots)):
            total += (p[0] * knots[k] + p[1] - view[k] ** 2) ** 2
        x = np.frombuffer(knots)
        return total + np.dot(np.asarray(knots), x) * p[0]

    return loss, np.array([0.9, 0.2])


def ctc_forward_extended_labels():
    R = rng(19)
    label = [1, 2, 2]
    ext = [0] + [v for l in label for v in (l, 0)]

    def loss(logits):
        lp = logits - special.logsumexp(logits, axis=1, keepdims=True)
        S = len(ext)
        alpha = np.full(S, -np.inf)
        alpha[0], alpha[1] = lp[0, ext[0]], lp[0, ext[1]]
        for t in range(1, len(lp)):
            new = np.full(S, -np.inf)
            for s in range(S):
                terms = [alpha[s]]
                if s > 0:
                    terms.append(alpha[s - 1])
                if s > 1 and ext[s] != 0 and ext[s] != ext[s - 2]:
                    terms.append(alpha[s - 2])
                new[s] = np.logaddexp.reduce(terms) + lp[t, ext[s]]
            alpha = new
        return -np.logaddexp(alpha[-1], alpha[-2])

    return loss, R.normal(size=(7, 3))


def lookup_tables_and_bilinear():
    table = rng(24).normal(size=(6, 6))

    def loss(p):
        xy = np.clip(p, 0, 4.999)
        i = np.floor(xy).astype(int)
        f = xy - i
        total = 0.0
        for (a, b), (u, v) in zip(i, f):
            total += (
                table[a, b] * (1 - u) * (1 - v)
                + table[a + 1, b] * u * (1 - v)
                + table[a, b + 1] * (1 - u) * v
                + table[a + 1, b + 1] * u * v
            )
        return total**2

    return loss, np.array([[1.3, 2.7], [0.4, 3.2], [4.1, 0.6]])


def minibatch_sgd_history_dict():
    R = rng(26)
    X, y = R.normal(size=(12, 3)), R.normal(size=12)

    def loss(w0):
        g = np.random.RandomState(0)
        w, vel = w0.copy(), np.zeros_like(w0)
        history = {"loss": [], "norm": []}
        for epoch in range(2):
            perm = g.permutation(12)
            for batch in np.split(perm, 3):
                r = X[batch] @ w - y[batch]
                grad = X[batch].T @ r / len(batch)
                norm = np.linalg.norm(grad)
                if norm > 1.0:
                    grad *= 1.0 / norm
                vel *= 0.9
                vel -= 0.1 * grad
                w += vel
                history["loss"].append((r**2).mean())
                history["norm"].append(norm)
        return history["loss"][-1] + np.mean(history["norm"])

    return loss, R.normal(size=3)


def hypernetwork_slices():
    R = rng(30)
    shapes = [(3, 4), (4,), (4, 2), (2,)]
    sizes = [math.prod(s) for s in shapes]
    X, z = R.normal(size=(5, 3)), R.normal(size=3)

    def loss(p):
        flat = np.tanh(z @ p["H"]) @ p["G"]
        W1, b1, W2, b2 = (
            part.reshape(s)
            for part, s in zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes)
        )
        return np.mean((np.maximum(X @ W1 + b1, 0.01 * (X @ W1 + b1)) @ W2 + b2) ** 2)

    return loss, {"H": R.normal(size=(3, 4)), "G": R.normal(size=(4, sum(sizes))) * 0.5}
