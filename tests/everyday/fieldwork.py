"""Losses of laboratories, seminars and offices: (loss, params) each."""

import bisect
import collections
import contextlib
import copy
import enum
import functools
import itertools
import math
import operator
import types
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import integrate, linalg, optimize, sparse, special, stats
from scipy.sparse import linalg as sparse_linalg


def rng(n):
    return np.random.default_rng(n)


# ---- caches --------------------------------------------------------------------------


def forward_kept_under_the_bytes_of_its_parameters():
    X = rng(0).normal(size=(6, 3))

    class Layer:
        def __init__(self):
            self.kept = {}

        def forward(self, W):
            key = W.tobytes()
            if key not in self.kept:
                self.kept.clear()
                self.kept[key] = np.tanh(X @ W)
            return self.kept[key]

    layer = Layer()

    def loss(p):
        return np.mean(layer.forward(p["W"]) ** 2) + np.mean(layer.forward(p["W"]))

    return loss, {"W": rng(1).normal(size=(3, 4))}


def likelihood_kept_under_a_tuple_of_numbers():
    data = rng(2).gamma(2.0, 1.5, size=20)
    kept = {}

    def negative(theta):
        key = tuple(theta)
        if key in kept:
            return kept[key]
        a, b = theta
        kept[key] = -np.sum(a * np.log(b) - special.gammaln(a) + (a - 1) * np.log(data))
        kept[key] = kept[key] + np.sum(b * data)
        return kept[key]

    return lambda w: negative(w) + 0.1 * negative(w), np.array([1.7, 0.6])


def kernel_kept_under_rounded_numbers():
    x = np.linspace(0, 1, 7)
    kept = {}

    def gram(length, scale):
        key = (round(float(length), 12), round(float(scale), 12))
        if key not in kept:
            d = x[:, None] - x[None, :]
            kept[key] = scale**2 * np.exp(-0.5 * (d / length) ** 2)
        return kept[key]

    y = np.sin(5 * x)

    def loss(p):
        K = gram(p["length"], p["scale"]) + 0.1 * np.eye(7)
        _, logdet = np.linalg.slogdet(K)
        return 0.5 * y @ np.linalg.solve(K, y) + 0.5 * logdet

    return loss, {"length": np.array(0.3), "scale": np.array(1.2)}


def memoised_dynamic_programming():
    costs = rng(3).uniform(0.5, 2, size=(5, 5))

    def loss(w):
        memo = {}

        def best(i, j):
            if (i, j) in memo:
                return memo[i, j]
            if i == j == 0:
                r = costs[0, 0] * w[0]
            else:
                options = []
                if i:
                    options.append(best(i - 1, j))
                if j:
                    options.append(best(i, j - 1))
                m = min(options)
                r = costs[i, j] * w[(i + j) % 3] - 0.1 * np.log(
                    sum(np.exp(-(o - m) / 0.1) for o in options)
                )
                r = r + m
            memo[i, j] = r
            return r

        return best(4, 4)

    return loss, np.array([1.0, 0.7, 1.3])


# ---- kinds of arrays -----------------------------------------------------------------


class Labelled(np.ndarray):
    """An array with a unit."""

    def __new__(cls, data, unit="m"):
        self = np.asarray(data).view(cls)
        self.unit = unit
        return self

    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", None)


def subclass_of_arrays_as_data():
    X = Labelled(rng(4).normal(size=(6, 3)), "kg")
    y = Labelled(rng(5).normal(size=6))

    def loss(w):
        r = X @ w - y
        return float((r * r).mean())

    return loss, rng(6).normal(size=3)


def shape_assigned():
    X = rng(7).normal(size=(4, 6))

    def loss(p):
        z = X @ p["W"]
        z.shape = (2, -1)
        h = np.tanh(z)
        h.shape = (-1,)
        return np.sum(h * p["v"])

    return loss, {"W": rng(8).normal(size=(6, 2)), "v": rng(9).normal(size=8)}


def read_only_and_fortran_data():
    X = np.asfortranarray(rng(10).normal(size=(5, 4)))
    X.flags.writeable = False

    def loss(w):
        h = np.require(X @ w.reshape(4, 2), requirements=["C"])
        return np.einsum("ij,ij->", h, h) + np.asfortranarray(w).sum()

    return loss, rng(11).normal(size=8)


# ---- control flow --------------------------------------------------------------------


class Kind(enum.Enum):
    DENSE = "dense"
    GATE = "gate"
    SKIP = "skip"


def network_of_matched_tuples():
    layers = [(Kind.DENSE, "A"), (Kind.GATE, "B"), (Kind.SKIP, None), (Kind.DENSE, "C")]
    x0 = rng(15).normal(size=4)

    def loss(p):
        x, total = x0, 0.0
        for layer in layers:
            match layer:
                case (Kind.DENSE, name):
                    x = np.tanh(p[name] @ x)
                case (Kind.GATE, str(name)) if p[name].ndim == 2:
                    x = x * special.expit(p[name] @ x)
                case (Kind.SKIP, None):
                    x = x + x0
                case _:
                    raise ValueError(layer)
            total = total + (n := x @ x) / (1 + n)
        return total

    return loss, {k: rng(16).normal(size=(4, 4)) * 0.5 for k in "ABC"}


def mapping_patterns_of_a_config():
    config = [
        {"type": "affine", "w": "w", "scale": 0.5},
        {"type": "square"},
        {"type": "affine", "w": "v"},
    ]
    x = rng(17).normal(size=5)

    def loss(p):
        z = x
        for step in config:
            match step:
                case {"type": "affine", "w": name, "scale": scale}:
                    z = scale * p[name] * z
                case {"type": "affine", "w": name, **rest} if not rest:
                    z = p[name] + z
                case {"type": "square"}:
                    z = z**2
        return z.sum()

    return loss, {"w": rng(18).normal(size=5), "v": rng(19).normal(size=5)}


def for_else_and_early_exit():
    targets = [0.2, 0.5, 0.9]

    def loss(w):
        total = 0.0
        for t in targets:
            x = w[0]
            for _ in range(30):
                step = (x**3 + x - t - w[1]) / (3 * x**2 + 1)
                x = x - step
                if abs(step) < 1e-12:
                    break
            else:
                raise RuntimeError("no convergence")
            total += x**2
        return total

    return loss, np.array([0.4, 0.1])


def nested_try_and_finally():
    A = rng(20).normal(size=(3, 3))
    A = A @ A.T

    def loss(p):
        count = [0]
        try:
            try:
                L = np.linalg.cholesky(A - 100 * np.eye(3) + np.diag(p["d"]) * 0)
            except np.linalg.LinAlgError:
                L = np.linalg.cholesky(A + np.diag(np.exp(p["d"])))
            finally:
                count[0] += 1
            z = linalg.solve_triangular(L, p["x"], lower=True)
        except ValueError:
            return 0.0
        return count[0] * z @ z + 2 * np.sum(np.log(np.diag(L)))

    return loss, {"d": rng(21).normal(size=3), "x": rng(22).normal(size=3)}


def generators_that_are_sent_values():
    def smoother(alpha):
        state = yield
        while True:
            x = yield state
            state = alpha * x + (1 - alpha) * state

    series = rng(23).normal(size=8)

    def loss(w):
        g = smoother(special.expit(w[0]))
        next(g)
        s = g.send(w[1])
        total = 0.0
        for x in series:
            total = total + (x - s) ** 2
            s = g.send(x)
        g.close()
        return total

    return loss, np.array([0.3, -0.2])


def context_of_precision_and_stack():
    @contextlib.contextmanager
    def scaled(stack, s):
        stack.append(s)
        try:
            yield functools.reduce(operator.mul, stack, 1.0)
        finally:
            stack.pop()

    x = rng(24).normal(size=4)

    def loss(w):
        stack, total = [], 0.0
        with np.errstate(over="raise"), scaled(stack, w[0]) as a:
            total = total + a * np.sum(x * w[1:])
            with contextlib.suppress(KeyError), scaled(stack, w[1] ** 2) as b:
                total = total + np.sin(b)
                {}["missing"]
        with contextlib.nullcontext(w[2]) as c, contextlib.ExitStack() as exits:
            total = total * (1 + exits.enter_context(scaled(stack, c**2)))
        return total

    return loss, rng(25).normal(size=5)


# ---- iteration -----------------------------------------------------------------------


def itertools_of_many_kinds():
    x = rng(26).normal(size=6)

    def loss(w):
        pairs = sum((w[i] - w[j]) ** 2 for i, j in itertools.combinations(range(4), 2))
        steps = list(itertools.accumulate(w, lambda s, v: 0.5 * s + v, initial=0.1))
        runs = sum(a * b for a, b in itertools.pairwise(steps))
        cycled = sum(v * c for v, c in zip(x, itertools.cycle(w), strict=False))
        few = sum(itertools.islice((v**2 for v in w), 2))
        grid = sum(a * b * 0.1 for a, b in itertools.product(w[:2], w[2:]))
        taken = sum(itertools.takewhile(lambda v: v < 9, w))
        chained = math.fsum(itertools.chain.from_iterable([w, [1.0]]))
        return pairs + runs + cycled + few + grid + taken + chained

    return loss, rng(27).normal(size=4)


def ndenumerate_nditer_ndindex():
    M = rng(28).normal(size=(3, 4))

    def loss(W):
        total = 0.0
        for (i, j), v in np.ndenumerate(W):
            total += v * M[i, j] * (1 + i)
        for at in np.ndindex(3, 4):
            total += W[at] ** 2 if sum(at) % 2 else 0.0
        it = np.nditer(M, flags=["multi_index"])
        for m in it:
            total += math.sin(W[it.multi_index]) * float(m)
        return total

    return loss, rng(29).normal(size=(3, 4))


def grouped_by_runs_and_keys():
    rows = [("a", 1.0), ("a", 2.0), ("b", 0.5), ("b", -1.0), ("c", 3.0)]
    where = {"a": 0, "b": 1, "c": 2}

    def loss(p):
        total = 0.0
        for key, group in itertools.groupby(rows, key=operator.itemgetter(0)):
            r = [(v - p["mu"][where[key]]) for _, v in group]
            total = total + sum(x * x for x in r) / len(r)
        counts = collections.Counter(k for k, _ in rows)
        prior = sum(n * p["s"] for n in counts.values())
        buckets = collections.defaultdict(float)
        for k, v in rows:
            buckets[k] += v * p["s"] ** 2
        return total + prior + sum(buckets.values())

    return loss, {"mu": rng(30).normal(size=3), "s": np.array(0.3)}


def comprehensions_with_conditions():
    edges = [(0, 1), (1, 2), (2, 3), (0, 3), (1, 3)]

    def loss(x):
        near = {j: [i for i, k in edges if k == j] for j in range(4)}
        terms = [[x[i] * x[j] for i in near[j] if (i + j) % 2] for j in near if near[j]]
        flat = {(a, b): v**2 for a, row in enumerate(terms) for b, v in enumerate(row)}
        extremes = {k: max(row) for k, row in enumerate(terms) if row}
        return sum(flat.values()) + sum(extremes.values()) + sum({0, 1}) * x[0]

    return loss, np.array([0.4, -0.7, 1.1, 0.3])


def recursive_quadrature():
    def simpson(f, a, b):
        return (b - a) / 6 * (f(a) + 4 * f((a + b) / 2) + f(b))

    def adaptive(f, a, b, depth=0):
        m = (a + b) / 2
        whole, halves = simpson(f, a, b), simpson(f, a, m) + simpson(f, m, b)
        if depth > 2 or abs(halves - whole) < 1e-4:
            return halves
        return adaptive(f, a, m, depth + 1) + adaptive(f, m, b, depth + 1)

    def loss(w):
        return adaptive(lambda t: np.exp(-w[0] * t**2) * np.cos(w[1] * t), 0.0, 2.0)

    return loss, np.array([0.8, 2.1])


# ---- objects -------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    position: object
    velocity: object
    log: tuple = field(default=(), compare=False)

    def after(self, force, dt):
        v = self.velocity + dt * force
        return replace(
            self, position=self.position + dt * v, velocity=v, log=(*self.log, v @ v)
        )


def frozen_states_replaced():
    anchor = np.array([1.0, -0.5])

    def loss(p):
        s = State(p["x"], p["v"])
        for _ in range(6):
            s = s.after(p["k"] * (anchor - s.position), 0.1)
        return np.sum((s.position - anchor) ** 2) + 0.01 * sum(s.log)

    return loss, {
        "x": np.array([0.1, 0.2]),
        "v": np.array([0.3, 0.0]),
        "k": np.array(1.5),
    }


class Variable:
    """Reverse mode in forty lines, its forward half."""

    registry = types.MappingProxyType({"tanh": np.tanh, "exp": np.exp})

    def __init__(self, value, parents=()):
        self.value, self.parents = value, parents

    def __add__(self, other):
        other = other if isinstance(other, Variable) else Variable(other)
        return Variable(self.value + other.value, (self, other))

    def __mul__(self, other):
        other = other if isinstance(other, Variable) else Variable(other)
        return Variable(self.value * other.value, (self, other))

    __radd__, __rmul__ = __add__, __mul__

    def __matmul__(self, other):
        return Variable(self.value @ other.value, (self, other))

    def __pow__(self, n):
        return Variable(self.value**n, (self,))

    def __getattr__(self, name):
        if name in Variable.registry:
            return lambda: Variable(Variable.registry[name](self.value), (self,))
        raise AttributeError(name)

    def sum(self):
        return Variable(self.value.sum(), (self,))


def tape_of_variables():
    X = rng(31).normal(size=(5, 3))

    def loss(p):
        W, b = Variable(p["W"]), Variable(p["b"])
        h = (Variable(X) @ W + b).tanh()
        out = (h * 0.5 + 1).exp().sum() + (2 * b**2).sum()
        return out.value

    return loss, {"W": rng(32).normal(size=(3, 2)), "b": rng(33).normal(size=2)}


class Registry(dict):
    """Terms of an energy by name, made by a decorator."""

    def term(self, name, weight=1.0):
        def add(function):
            self[name] = functools.partial(self._weighted, function, weight)
            return function

        return add

    @staticmethod
    def _weighted(function, weight, *args):
        return weight * function(*args)


def registered_energy_terms():
    terms = Registry()

    @terms.term("bond", 2.0)
    def bond(r):
        d = np.linalg.norm(np.diff(r, axis=0), axis=1)
        return np.sum((d - 1) ** 2)

    @terms.term("angle")
    def angle(r):
        u, v = r[:-2] - r[1:-1], r[2:] - r[1:-1]
        c = np.sum(u * v, 1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
        return np.sum((np.arccos(np.clip(c, -1, 1)) - 1.9) ** 2)

    @terms.term("repulsion", weight=0.1)
    def repulsion(r):
        i, j = np.triu_indices(len(r), 3)
        return np.sum(1 / np.sum((r[i] - r[j]) ** 2, axis=-1))

    def loss(r):
        return sum(terms[name](r) for name in sorted(terms))

    return loss, np.cumsum(rng(34).normal(size=(6, 3)), axis=0)


class Parameters:
    """Blocks of one vector, as views made anew at each call."""

    def __init__(self, **shapes):
        self.shapes = shapes
        self.size = sum(math.prod(s) for s in shapes.values())

    def unpack(self, vector):
        out, start = types.SimpleNamespace(), 0
        for name, shape in self.shapes.items():
            n = math.prod(shape)
            setattr(out, name, vector[start : start + n].reshape(shape))
            start += n
        return out


def one_vector_unpacked_into_a_namespace():
    layout = Parameters(W1=(3, 5), b1=(5,), W2=(5, 2), b2=(2,))
    X, Y = rng(35).normal(size=(7, 3)), rng(36).integers(2, size=7)

    def loss(vector):
        p = layout.unpack(vector)
        h = np.maximum(X @ p.W1 + p.b1, 0.01 * (X @ p.W1 + p.b1))
        logits = h @ p.W2 + p.b2
        logp = logits - special.logsumexp(logits, axis=1, keepdims=True)
        return (
            -np.mean(np.take_along_axis(logp, Y[:, None], 1)) + 1e-3 * vector @ vector
        )

    return loss, rng(37).normal(size=layout.size)


class Chain:
    """Calls in a row, each of which returns the object."""

    def __init__(self, x):
        self._x = x

    def __call__(self, f, *args, **kwargs):
        self._x = f(self._x, *args, **kwargs)
        return self

    def __iter__(self):
        return iter(self._x)

    def __len__(self):
        return len(self._x)

    def __getitem__(self, at):
        return self._x[at]

    def __bool__(self):
        return bool(np.any(self._x != 0))


def fluent_chain():
    def loss(w):
        c = Chain(w)(np.sin)(np.multiply, 2.0)(np.clip, -1.5, 1.5)
        total = sum(v**2 for v in c) / len(c)
        return total + c[0] * c[-1] if c else 0.0

    return loss, rng(38).normal(size=5)


# ---- science -------------------------------------------------------------------------


def einsum_with_a_path():
    A, B = rng(39).normal(size=(3, 4)), rng(40).normal(size=(5, 4))

    def loss(p):
        path, _ = np.einsum_path("ia,jb,abc,kc->ijk", A, B, p["T"], p["C"])
        out = np.einsum("ia,jb,abc,kc->ijk", A, B, p["T"], p["C"], optimize=path)
        trace = np.einsum("aab->b", p["T"])
        return np.sum(out**2) + trace @ trace

    return loss, {"T": rng(41).normal(size=(4, 4, 2)), "C": rng(42).normal(size=(3, 2))}


def poisson_by_sparse_solve():
    n = 12
    L = sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], (n, n), format="csc")
    observed = np.sin(np.linspace(0, 3, n))

    def loss(p):
        u = sparse_linalg.spsolve(L + sparse.identity(n, format="csc") * 0.1, p["f"])
        flux = L @ u
        return np.sum((u - observed) ** 2) + 0.01 * flux @ flux

    return loss, {"f": rng(43).normal(size=n)}


def kalman_with_named_steps():
    F, H = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    zs = rng(44).normal(size=6)
    Belief = collections.namedtuple("Belief", "mean cov")

    def predict(b, q):
        return Belief(F @ b.mean, F @ b.cov @ F.T + q * np.eye(2))

    def update(b, z, r):
        S = (H @ b.cov @ H.T + r).item()
        K = (b.cov @ H.T)[:, 0] / S
        e = z - (H @ b.mean)[0]
        new = Belief(b.mean + K * e, b.cov - np.outer(K, H @ b.cov))
        return new, 0.5 * (math.log(2 * math.pi * S) + e * e / S)

    def loss(w):
        q, r = np.exp(w)
        b, total = Belief(np.zeros(2), np.eye(2)), 0.0
        for z in zs:
            b, term = update(predict(b, q), z, r)
            total += term
        return total

    return loss, np.array([-1.0, -0.5])


def michaelis_menten_by_odeint():
    t = np.linspace(0, 2, 9)
    seen = np.exp(-t)

    def loss(p):
        def rate(s, t, vmax, km):
            return -vmax * s / (km + s)

        s = integrate.odeint(
            rate, 1.0, t, args=(p["v"], p["k"]), rtol=1e-11, atol=1e-12
        )
        return np.mean((s[:, 0] - seen) ** 2)

    return loss, {"v": np.array(1.2), "k": np.array(0.7)}


def weibull_with_censoring():
    t = rng(45).weibull(1.4, size=15) * 2
    seen = rng(46).uniform(size=15) < 0.7

    def loss(w):
        k, lam = np.exp(w)
        frozen = stats.weibull_min(k, scale=lam)
        return -(frozen.logpdf(t[seen]).sum() + frozen.logsf(t[~seen]).sum())

    return loss, np.array([0.2, 0.5])


def spectral_density_of_an_ar_process():
    x = rng(47).normal(size=16)
    power = np.abs(np.fft.rfft(x)[1:]) ** 2 / 16
    omega = 2 * np.pi * np.arange(1, 9) / 16

    def loss(w):
        transfer = 1 - sum(
            a * np.exp(-1j * (k + 1) * omega) for k, a in enumerate(w[1:])
        )
        density = np.exp(w[0]) / np.abs(transfer) ** 2
        return np.sum(np.log(density) + power / density)

    return loss, np.array([0.1, 0.4, -0.2])


def phylogeny_by_pruning():
    tree = ((("A", 0.1), ("B", 0.2), 0.05), ("C", 0.3), 0.0)
    tips = {"A": 0, "B": 0, "C": 2}

    def loss(w):
        rate = math.exp(w[0])
        freqs = special.softmax(np.append(w[1:], 0.0))

        def transition(t):
            e = np.exp(-rate * t)
            return e * np.eye(4) + (1 - e) * np.tile(freqs, (4, 1))

        def partial(node):
            if isinstance(node[0], str):
                return np.eye(4)[tips[node[0]]]
            *children, _ = node
            parts = [transition(c[-1]) @ partial(c) for c in children]
            return functools.reduce(np.multiply, parts)

        return -np.log(freqs @ partial(tree))

    return loss, np.array([0.2, 0.3, -0.1, 0.4])


def reaction_network_by_stoichiometry():
    N = np.array([[-1, 0, 1], [1, -1, 0], [0, 1, -1]])
    orders = [[0], [1], [2, 2]]

    def loss(p):
        c, k = np.exp(p["c"]), np.exp(p["k"])
        for _ in range(10):
            v = np.array([k[r] * np.prod(c[o]) for r, o in enumerate(orders)])
            c = c + 0.05 * N @ v
        return np.sum(c * np.log(c))

    return loss, {"c": rng(48).normal(size=3) * 0.3, "k": rng(49).normal(size=3) * 0.3}


def lattice_with_neighbours_by_roll():
    spins = rng(50).choice([-1, 1], size=(5, 5))

    def loss(p):
        field_ = p["h"] + p["J"] * sum(
            np.roll(spins, s, axis) for axis in (0, 1) for s in (1, -1)
        )
        return np.sum(np.logaddexp(field_, -field_) - spins * field_)

    return loss, {"h": rng(51).normal(size=(5, 5)) * 0.2, "J": np.array(0.3)}


def optimal_transport_by_sinkhorn():
    x, y = np.linspace(0, 1, 5), np.linspace(0.2, 1.3, 4)
    C = (x[:, None] - y[None, :]) ** 2

    def loss(p):
        a, b = special.softmax(p["a"]), special.softmax(p["b"])
        f, g = np.zeros(5), np.zeros(4)
        eps = 0.2
        for it in range(8):
            if it % 2 == 0:
                f = eps * (np.log(a) - special.logsumexp((g - C) / eps, axis=1))
            else:
                g = eps * (
                    np.log(b) - special.logsumexp((f[:, None] - C) / eps, axis=0)
                )
        return f @ a + g @ b

    return loss, {"a": rng(52).normal(size=5), "b": rng(53).normal(size=4)}


def bracketed_root_inside():
    def loss(w):
        total = 0.0
        for c in (0.5, 1.0, 2.0):
            root = optimize.brentq(lambda x, c=c: x + np.exp(w[0] * x) - 1 - c, 0, 5)
            total += w[1] * root**2
        return total

    return loss, np.array([0.4, 1.3])


def interpolated_table_by_bisection():
    knots = [0.0, 0.5, 1.2, 2.0, 3.1]
    queries = [0.1, 0.7, 1.5, 2.9]

    def loss(values):
        total = 0.0
        for q in queries:
            i = bisect.bisect_right(knots, q) - 1
            t = (q - knots[i]) / (knots[i + 1] - knots[i])
            total += ((1 - t) * values[i] + t * values[i + 1] - math.sin(q)) ** 2
        return total

    return loss, rng(54).normal(size=5)


def gaussian_mixture_of_matrices():
    X = rng(55).normal(size=(10, 2))

    def loss(p):
        logs = []
        for k in range(2):
            L = np.tril(p["L"][k], -1) + np.diag(np.exp(np.diag(p["L"][k])))
            S = L @ L.T
            logs.append(stats.multivariate_normal.logpdf(X, p["mu"][k], S))
        logw = p["w"] - np.logaddexp.reduce(p["w"])
        return -np.mean(np.logaddexp.reduce(np.array(logs) + logw[:, None], axis=0))

    return loss, {
        "L": rng(56).normal(size=(2, 2, 2)) * 0.3,
        "mu": rng(57).normal(size=(2, 2)),
        "w": rng(58).normal(size=2),
    }


def rigid_alignment_by_svd():
    A = rng(59).normal(size=(6, 3))
    Q = linalg.expm(np.array([[0, 0.3, -0.1], [-0.3, 0, 0.2], [0.1, -0.2, 0]]))

    def loss(B):
        a, b = A - A.mean(0), B - B.mean(0)
        u, s, vt = np.linalg.svd(a.T @ b)
        return np.sum(a**2) + np.sum(b**2) - 2 * np.sum(s)

    return loss, A @ Q + 0.1 * rng(60).normal(size=(6, 3))


def deep_copied_optimizer_inside():
    X, y = rng(61).normal(size=(8, 3)), rng(62).normal(size=8)

    def loss(p):
        fast = copy.deepcopy(p)
        for _ in range(3):
            r = X @ fast["w"] + fast["b"] - y
            fast["w"] = fast["w"] - 0.1 * np.exp(p["lr"]) * (X.T @ r) / 8
            fast["b"] -= 0.1 * np.exp(p["lr"]) * r.mean()
        return np.mean((X @ fast["w"] + fast["b"] - y) ** 2)

    return loss, {
        "w": rng(63).normal(size=3),
        "b": np.array(0.1),
        "lr": np.array(-0.5),
    }


def structured_loop_over_records():
    trials = np.array(
        [(0.2, 1, 0.5), (0.8, 0, 0.1), (0.5, 1, 0.9)],
        dtype=[("stimulus", float), ("choice", int), ("time", float)],
    )

    def loss(w):
        total = 0.0
        for trial in trials:
            drift = w[0] * trial["stimulus"] + w[1]
            p = 1 / (1 + math.exp(-drift))
            total -= math.log(p if trial["choice"] == 1 else 1 - p)
            total += (trial["time"] - abs(w[2])) ** 2
        return total + np.sum(trials["time"] * w[2])

    return loss, np.array([0.7, -0.2, 0.4])
