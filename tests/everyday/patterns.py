"""Losses in the ways Python offers: (loss, params) each."""

import contextlib
import dataclasses
import enum
import functools
import heapq
import itertools
import math
import operator
import random
from abc import ABC, abstractmethod
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque, namedtuple
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

# ---- small frameworks ----------------------------------------------------------------


class Tensor:
    """A tensor with a tape, as in many a tutorial."""

    __array_priority__ = 1000

    def __init__(self, data, parents=(), op=""):
        self.data = np.asarray(data)
        self.grad = np.zeros(self.data.shape)
        self._parents = parents
        self._backward = lambda: None
        self.op = op

    def __add__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        out = Tensor(self.data + other.data, (self, other), "+")

        def _backward():
            self.grad = self.grad + _unbroadcast(out.grad, self.data.shape)
            other.grad = other.grad + _unbroadcast(out.grad, other.data.shape)

        out._backward = _backward
        return out

    __radd__ = __add__

    def __mul__(self, other):
        other = other if isinstance(other, Tensor) else Tensor(other)
        out = Tensor(self.data * other.data, (self, other), "*")

        def _backward():
            self.grad = self.grad + _unbroadcast(other.data * out.grad, self.data.shape)
            other.grad = other.grad + _unbroadcast(
                self.data * out.grad, other.data.shape
            )

        out._backward = _backward
        return out

    __rmul__ = __mul__

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (
            -other if isinstance(other, Tensor) else -1.0 * np.asarray(other)
        )

    def __pow__(self, n):
        out = Tensor(self.data**n, (self,), f"**{n}")

        def _backward():
            self.grad = self.grad + n * self.data ** (n - 1) * out.grad

        out._backward = _backward
        return out

    def __matmul__(self, other):
        out = Tensor(self.data @ other.data, (self, other), "@")

        def _backward():
            self.grad = self.grad + out.grad @ other.data.T
            other.grad = other.grad + self.data.T @ out.grad

        out._backward = _backward
        return out

    def tanh(self):
        t = np.tanh(self.data)
        out = Tensor(t, (self,), "tanh")

        def _backward():
            self.grad = self.grad + (1 - t**2) * out.grad

        out._backward = _backward
        return out

    def mean(self):
        out = Tensor(self.data.mean(), (self,), "mean")

        def _backward():
            self.grad = self.grad + out.grad * np.ones(self.data.shape) / self.data.size

        out._backward = _backward
        return out

    def backward(self):
        topo, seen = [], set()

        def build(v):
            if v not in seen:
                seen.add(v)
                for parent in v._parents:
                    build(parent)
                topo.append(v)

        build(self)
        self.grad = np.ones_like(self.data)
        for v in reversed(topo):
            v._backward()


def _unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    for axis, n in enumerate(shape):
        if n == 1 and grad.shape[axis] != 1:
            grad = grad.sum(axis=axis, keepdims=True)
    return grad


def tape_tensor_with_backward():
    R = np.random.default_rng(0)
    X, Y = R.normal(size=(12, 3)), R.normal(size=(12, 2))

    def loss(p):
        t = {k: Tensor(v) for k, v in p.items()}
        hidden = (Tensor(X) @ t["W1"] + t["b1"]).tanh()
        error = hidden @ t["W2"] - Y
        out = (error**2).mean() + 0.1 * (t["W1"] ** 2).mean()
        out.backward()
        return float(out.data), {k: v.grad for k, v in t.items()}

    loss.loss_only = lambda p: loss(p)[0]
    return loss, {
        "W1": R.normal(size=(3, 4)),
        "b1": np.zeros(4),
        "W2": R.normal(size=(4, 2)),
    }


class Module(ABC):
    """Registers parameters and children as they are set."""

    def __init__(self):
        object.__setattr__(self, "_parameters", OrderedDict())
        object.__setattr__(self, "_modules", OrderedDict())

    def __setattr__(self, name, value):
        if isinstance(value, np.ndarray):
            self._parameters[name] = value
        elif isinstance(value, Module):
            self._modules[name] = value
        object.__setattr__(self, name, value)

    def __call__(self, *inputs):
        return self.forward(*inputs)

    @abstractmethod
    def forward(self, *inputs): ...

    def named_parameters(self, prefix=""):
        yield from ((prefix + name, p) for name, p in self._parameters.items())
        for name, module in self._modules.items():
            yield from module.named_parameters(f"{prefix}{name}.")


class Linear(Module):
    def __init__(self, n_in, n_out, rng):
        super().__init__()
        self.weight = rng.normal(size=(n_out, n_in)) / math.sqrt(n_in)
        self.bias = np.zeros(n_out)

    def forward(self, x):
        return x @ self.weight.T + self.bias


class LayerNorm(Module):
    def __init__(self, n, eps=1e-5):
        super().__init__()
        self.gamma = np.ones(n)
        self.beta = np.zeros(n)
        self.eps = eps

    def forward(self, x):
        mean = x.mean(-1, keepdims=True)
        return (
            self.gamma * (x - mean) / np.sqrt(x.var(-1, keepdims=True) + self.eps)
            + self.beta
        )


class Sequential(Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = layers
        for i, layer in enumerate(layers):
            if isinstance(layer, Module):
                setattr(self, f"layer{i}", layer)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def module_framework_named_parameters():
    R = np.random.default_rng(1)
    X, y = R.normal(size=(10, 5)), R.integers(0, 3, 10)
    net = Sequential(Linear(5, 6, R), LayerNorm(6), np.tanh, Linear(6, 3, R))

    def loss(_):
        logits = net(X)
        z = logits - logits.max(1, keepdims=True)
        logp = z - np.log(np.exp(z).sum(1, keepdims=True))
        decay = sum(
            (p**2).sum()
            for name, p in net.named_parameters()
            if name.endswith("weight")
        )
        return -logp[np.arange(len(y)), y].mean() + 1e-2 * decay

    return loss, dict(net.named_parameters())


class Dual:
    """Forward derivatives of one variable."""

    __slots__ = ("du", "re")

    def __init__(self, re, du=0.0):
        self.re, self.du = re, du

    def __add__(self, o):
        o = o if isinstance(o, Dual) else Dual(o)
        return Dual(self.re + o.re, self.du + o.du)

    __radd__ = __add__

    def __mul__(self, o):
        o = o if isinstance(o, Dual) else Dual(o)
        return Dual(self.re * o.re, self.re * o.du + self.du * o.re)

    __rmul__ = __mul__

    def __truediv__(self, o):
        o = o if isinstance(o, Dual) else Dual(o)
        return Dual(self.re / o.re, (self.du * o.re - self.re * o.du) / o.re**2)

    def sin(self):
        return Dual(np.sin(self.re), np.cos(self.re) * self.du)


def dual_numbers_inside():
    x = np.linspace(0, 2, 9)

    def model(t, p):
        return p[0] * Dual.sin(p[1] * t) / (1.0 + p[2] * t * t)

    def loss(p):
        t = Dual(x, np.ones_like(x))
        out = model(t, [*map(Dual, p)])
        return np.sum((out.re - np.cos(x)) ** 2) + 0.1 * np.sum(
            (out.du + np.sin(x)) ** 2
        )

    return loss, np.array([0.8, 1.2, 0.5])


class Parameter:
    """A descriptor that reads a slice of one flat vector."""

    def __init__(self, *shape):
        self.shape = shape

    def __set_name__(self, owner, name):
        self.start = getattr(owner, "size", 0)
        self.stop = self.start + math.prod(self.shape)
        owner.size = self.stop

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return instance.flat[self.start : self.stop].reshape(self.shape)

    def __set__(self, instance, value):
        instance.flat[self.start : self.stop] = np.ravel(value)


class FlatModel:
    W = Parameter(4, 3)
    b = Parameter(3)
    scale = Parameter()

    def __init__(self, flat):
        self.flat = flat

    def predict(self, X):
        return np.exp(self.scale) * np.tanh(X @ self.W + self.b)


def descriptor_parameters():
    R = np.random.default_rng(2)
    X, Y = R.normal(size=(9, 4)), R.normal(size=(9, 3))
    return lambda v: np.mean((FlatModel(v).predict(X) - Y) ** 2), R.normal(
        size=FlatModel.size
    )


def descriptor_writes():
    R = np.random.default_rng(3)
    X, Y = R.normal(size=(9, 4)), R.normal(size=(9, 3))

    def loss(p):
        model = FlatModel(np.zeros(FlatModel.size))
        model.W, model.b, model.scale = p["W"], p["b"], p["s"]
        return np.mean((model.predict(X) - Y) ** 2)

    return loss, {"W": R.normal(size=(4, 3)), "b": R.normal(size=3), "s": np.array(0.2)}


class Activation(enum.Enum):
    RELU = "relu"
    TANH = "tanh"
    SWISH = "swish"

    def __call__(self, x):
        match self:
            case Activation.RELU:
                return np.maximum(x, 0)
            case Activation.TANH:
                return np.tanh(x)
            case Activation.SWISH:
                return x / (1 + np.exp(-x))


def enum_activations():
    R = np.random.default_rng(4)
    X = R.normal(size=(7, 3))
    plan = [(Activation.SWISH, 4), (Activation("tanh"), 3), (Activation["RELU"], 2)]
    shapes = list(itertools.pairwise([3, *(n for _, n in plan)]))

    def loss(p):
        h = X
        for (act, _), W in zip(plan, p, strict=True):
            h = act(h @ W)
        return np.square(h).sum()

    return loss, [R.normal(size=s) for s in shapes]


REGISTRY = {}


def register(name):
    def wrap(f):
        REGISTRY[name] = f
        return f

    return wrap


@register("dense")
def _dense(x, p, **_):
    return x @ p["W"] + p.get("b", 0.0)


@register("gate")
def _gate(x, p, *, sharp=1.0, **_):
    return x * (1 / (1 + np.exp(-sharp * (x @ p["G"]))))


@register("residual")
def _residual(x, p, *, inner):
    return x + REGISTRY[inner["kind"]](
        x, p, **{k: v for k, v in inner.items() if k != "kind"}
    )


def string_keyed_registry():
    R = np.random.default_rng(5)
    X = R.normal(size=(6, 4))
    config = [
        {"kind": "dense"},
        {"kind": "gate", "sharp": 2.0},
        {"kind": "residual", "inner": {"kind": "dense"}},
    ]

    def loss(params):
        x = X
        for layer, p in zip(config, params, strict=True):
            options = dict(layer)
            x = REGISTRY[options.pop("kind")](x, p, **options)
        return float((x**2).mean())

    return loss, [
        {"W": R.normal(size=(4, 4)), "b": R.normal(size=4)},
        {"G": R.normal(size=(4, 4))},
        {"W": R.normal(size=(4, 4))},
    ]


# ---- containers ----------------------------------------------------------------------

LSTMState = namedtuple("LSTMState", "h c")


def namedtuple_state_reduce():
    R = np.random.default_rng(6)
    X, target = R.normal(size=(5, 3)), R.normal(size=2)

    def loss(p):
        def step(state, x):
            z = np.concatenate([x, state.h]) @ p["W"] + p["b"]
            i, f, o, g = np.split(z, 4)
            s = lambda v: 1 / (1 + np.exp(-v))
            c = s(f) * state.c + s(i) * np.tanh(g)
            return state._replace(h=s(o) * np.tanh(c), c=c)

        final = functools.reduce(step, X, LSTMState(np.zeros(2), np.zeros(2)))
        return np.sum((final.h - target) ** 2)

    return loss, {"W": R.normal(size=(5, 8)), "b": np.zeros(8)}


@dataclasses.dataclass(frozen=True)
class Gaussian:
    mean: np.ndarray
    log_std: np.ndarray

    @property
    def std(self):
        return np.exp(self.log_std)

    def __matmul__(self, other):
        precision = self.std**-2 + other.std**-2
        mean = (self.mean * self.std**-2 + other.mean * other.std**-2) / precision
        return dataclasses.replace(self, mean=mean, log_std=-0.5 * np.log(precision))

    def kl(self, other):
        ratio = (self.std / other.std) ** 2
        return 0.5 * np.sum(
            ratio + ((self.mean - other.mean) / other.std) ** 2 - 1 - np.log(ratio)
        )


def frozen_dataclass_algebra():
    R = np.random.default_rng(7)
    prior = Gaussian(np.zeros(4), np.zeros(4))

    def loss(p):
        parts = [Gaussian(m, s) for m, s in zip(p["mean"], p["log_std"], strict=True)]
        posterior = functools.reduce(operator.matmul, parts)
        return posterior.kl(prior)

    return loss, {"mean": R.normal(size=(3, 4)), "log_std": R.normal(size=(3, 4)) * 0.3}


@dataclasses.dataclass
class Adam:
    lr: float = 0.1
    beta: float = 0.9
    m: dict = dataclasses.field(default_factory=dict)
    v: dict = dataclasses.field(default_factory=lambda: defaultdict(float))
    t: int = 0

    def update(self, params, grads):
        self.t += 1
        new = {}
        for key in params:
            g = grads[key]
            self.m[key] = self.beta * self.m.get(key, 0.0) + (1 - self.beta) * g
            self.v[key] = 0.99 * self.v[key] + 0.01 * g**2
            step = self.m[key] / (1 - self.beta**self.t)
            new[key] = params[key] - self.lr * step / (
                np.sqrt(self.v[key] / (1 - 0.99**self.t)) + 1e-3
            )
        return new


def adam_unrolled_dataclass():
    R = np.random.default_rng(8)
    A, b = R.normal(size=(6, 3)), R.normal(size=6)

    def loss(start):
        params, adam = dict(start), Adam()
        for _ in range(4):
            r = A @ params["w"] + params["c"] - b
            params = adam.update(params, {"w": 2 * A.T @ r / 6, "c": 2 * r.mean()})
        return np.mean((A @ params["w"] + params["c"] - b) ** 2)

    return loss, {"w": R.normal(size=3), "c": np.array(0.5)}


class Edge(NamedTuple):
    source: int
    target: int
    weight: float


def graph_message_passing_defaultdict():
    R = np.random.default_rng(9)
    edges = [
        Edge(int(a), int(b), float(w))
        for a, b, w in zip(
            R.integers(0, 5, 9), R.integers(0, 5, 9), R.random(9), strict=True
        )
    ]

    def loss(p):
        h = {node: p["emb"][node] for node in range(5)}
        for _ in range(2):
            inbox = defaultdict(list)
            for e in edges:
                inbox[e.target].append(e.weight * (h[e.source] @ p["W"]))
            h = {n: np.tanh(h[n] + sum(inbox[n])) if inbox[n] else h[n] for n in h}
        return sum(np.sum(v**2) * k for k, v in h.items())

    return loss, {"emb": R.normal(size=(5, 3)), "W": R.normal(size=(3, 3))}


def chainmap_defaults():
    base = {"lr": 0.1, "decay": 0.01, "act": "tanh"}

    def loss(p):
        settings = ChainMap({"w": p["w"], "b": p["b"]}, {"act": "softplus"}, base)
        act = {"tanh": np.tanh, "softplus": lambda x: np.log1p(np.exp(x))}[
            settings["act"]
        ]
        out = act(settings["w"] * 1.5 + settings["b"])
        return out.sum() + settings["decay"] * (settings["w"] ** 2).sum()

    return loss, {"w": np.array([0.3, -0.2, 1.0]), "b": np.array(0.1)}


def simple_namespace_model():
    R = np.random.default_rng(10)
    x = R.normal(size=8)

    def loss(p):
        m = SimpleNamespace(**p)
        m.phase = m.omega * x + m.phi
        m.out = m.amp * np.cos(m.phase)
        return np.sum((m.out - np.sin(x)) ** 2) + vars(m)["amp"] ** 2

    return loss, {"amp": np.array(0.7), "omega": np.array(1.3), "phi": np.array(0.2)}


def deque_delay_line():
    R = np.random.default_rng(11)
    u = R.normal(size=12)

    def loss(p):
        line = deque([0.0] * len(p["taps"]), maxlen=len(p["taps"]))
        total = 0.0
        for value in u:
            line.appendleft(p["gain"] * value + 0.3 * line[-1])
            total += sum(a * b for a, b in zip(p["taps"], line, strict=True)) ** 2
        return total / len(u)

    return loss, {"taps": R.normal(size=4), "gain": np.array(0.8)}


def counter_ngram_log_likelihood():
    text = "abracadabra"
    pairs = Counter(itertools.pairwise(text))
    letters = sorted(set(text))
    index = {c: i for i, c in enumerate(letters)}

    def loss(logits):
        total = 0.0
        for (a, b), n in pairs.items():
            row = logits[index[a]]
            total -= n * (row[index[b]] - np.log(np.exp(row).sum()))
        return total / pairs.total()

    return loss, np.random.default_rng(12).normal(size=(len(letters),) * 2)


def tuple_keyed_potentials():
    R = np.random.default_rng(13)
    keys = list(itertools.combinations(range(4), 2))
    p = {"unary": R.normal(size=4), "pair": R.normal(size=len(keys))}

    def loss(p):
        pair = dict(zip(keys, p["pair"], strict=True))
        log_weights = []
        for spins in itertools.product((-1, 1), repeat=4):
            energy = sum(s * u for s, u in zip(spins, p["unary"], strict=True))
            energy += sum(pair[i, j] * spins[i] * spins[j] for i, j in keys)
            log_weights.append(energy)
        top = max(log_weights)
        return (
            top + math.log(sum(math.exp(w - top) for w in log_weights)) - log_weights[5]
        )

    return loss, p


# ---- generators and iteration --------------------------------------------------------


def generator_integrator():
    def trajectory(f, state, dt, n):
        for _ in range(n):
            k1 = f(state)
            k2 = f([s + dt * k for s, k in zip(state, k1, strict=True)])
            state = [
                s + dt * (a + b) / 2 for s, a, b in zip(state, k1, k2, strict=True)
            ]
            yield state

    def loss(p):
        a, b, c, d = p
        f = lambda s: (a * s[0] - b * s[0] * s[1], c * s[0] * s[1] - d * s[1])
        return sum(
            (x - 1) ** 2 + (y - 0.5) ** 2 for x, y in trajectory(f, [1.2, 0.7], 0.1, 10)
        )

    return loss, np.array([1.1, 0.4, 0.3, 0.9])


def generator_send_accumulator():
    def averager():
        total, count = 0.0, 0
        average = None
        while True:
            value = yield average
            total, count = total + value, count + 1
            average = total / count

    def loss(p):
        running = averager()
        next(running)
        out = [running.send(np.sin(v)) for v in p]
        running.close()
        return sum(o * o for o in out)

    return loss, np.linspace(-1, 1, 6)


def yield_from_tree():
    def leaves(tree):
        if isinstance(tree, (list, tuple)):
            for child in tree:
                yield from leaves(child)
        else:
            yield tree

    def loss(p):
        tree = [p["a"], (p["b"] * 2, [np.exp(p["c"]), p["a"] * p["b"]])]
        return sum(np.sum(leaf**2) for leaf in leaves(tree))

    return loss, {
        "a": np.array([0.4, 1.0]),
        "b": np.array([0.3, -0.7]),
        "c": np.array(0.2),
    }


class Batches:
    def __init__(self, X, y, size):
        self.X, self.y, self.size = X, y, size

    def __len__(self):
        return -(-len(self.X) // self.size)

    def __iter__(self):
        for i in range(0, len(self.X), self.size):
            yield self.X[i : i + self.size], self.y[i : i + self.size]


def iterable_of_batches():
    R = np.random.default_rng(14)
    data = Batches(R.normal(size=(11, 3)), R.normal(size=11), 4)

    def loss(w):
        return sum(np.mean((X @ w[:3] + w[3] - y) ** 2) for X, y in data) / len(data)

    return loss, R.normal(size=4)


class Fibonacci:
    """An iterator of its own."""

    def __init__(self, a, b, n):
        self.a, self.b, self.n = a, b, n

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        self.a, self.b = self.b, 0.5 * (self.a + self.b)
        return self.a


def iterator_protocol():
    return lambda p: sum(v**2 for v in Fibonacci(p[0], p[1], 7)), np.array([0.3, 1.4])


def fromiter_of_generator():
    x = np.linspace(0, 1, 8)

    def loss(p):
        fitted = np.fromiter((p[0] * math.exp(-p[1] * t) for t in x), dtype=float)
        again = np.fromiter((v + p[2] for v in fitted), float, count=len(x))
        return np.sum((again - np.cos(x)) ** 2)

    return loss, np.array([1.1, 0.6, 0.05])


def zip_of_buffers_with_writes():
    R = np.random.default_rng(15)
    u = R.normal(size=7)

    def loss(p):
        y = np.zeros(8)
        for k, (now, drive) in enumerate(zip(y, u, strict=False)):
            y[k + 1] = p[0] * now + p[1] * math.tanh(drive)
        return np.sum(y**2)

    return loss, np.array([0.8, 1.3])


def accumulate_and_starmap():
    R = np.random.default_rng(16)
    x = R.normal(size=6)

    def loss(p):
        smooth = list(
            itertools.accumulate(
                x, lambda s, v: p[0] * s + (1 - p[0]) * v, initial=p[1]
            )
        )
        pairs = itertools.starmap(
            lambda a, b: (a - b) ** 2, zip(smooth, x, strict=False)
        )
        return sum(pairs) + sum(
            itertools.chain.from_iterable([[p[0] ** 2], [p[1] ** 2]])
        )

    return loss, np.array([0.3, 0.5])


def comprehension_einsum_tensor_train():
    R = np.random.default_rng(17)
    entries = R.integers(0, 3, size=(10, 4))
    target = R.normal(size=10)
    ranks = [1, 2, 3, 2, 1]

    def loss(cores):
        out = [
            functools.reduce(
                np.matmul, [core[:, i] for core, i in zip(cores, row, strict=True)]
            ).item()
            for row in entries
        ]
        return np.mean((np.array(out) - target) ** 2)

    return loss, [R.normal(size=(a, 3, b)) for a, b in itertools.pairwise(ranks)]


def nested_comprehensions_kernel():
    R = np.random.default_rng(18)
    X = R.normal(size=(6, 2))

    def loss(p):
        scale = {f"l{i}": math.exp(v) for i, v in enumerate(p["log_l"])}
        K = np.array(
            [
                [
                    math.exp(
                        -sum(
                            ((a - b) / scale[f"l{d}"]) ** 2
                            for d, (a, b) in enumerate(zip(u, v, strict=True))
                        )
                    )
                    for v in X
                ]
                for u in X
            ]
        )
        K[np.diag_indices(6)] += 0.1
        alpha = np.linalg.solve(K, p["y"])
        return 0.5 * p["y"] @ alpha + 0.5 * np.linalg.slogdet(K)[1]

    return loss, {"log_l": np.array([0.2, -0.1]), "y": R.normal(size=6)}


# ---- functions -----------------------------------------------------------------------


def lru_cached_recursion():
    R = np.random.default_rng(19)
    scores = R.normal(size=(5, 5))

    def loss(p):
        @functools.lru_cache(maxsize=None)
        def inside(i, j):
            if i == j:
                return p["leaf"][i]
            return np.logaddexp.reduce(
                [
                    inside(i, k) + inside(k + 1, j) + p["rule"] * scores[i, j]
                    for k in range(i, j)
                ]
            )

        return -inside(0, 4)

    return loss, {"leaf": R.normal(size=5), "rule": np.array(0.7)}


def compose_with_partials():
    def compose(*functions):
        return functools.reduce(lambda f, g: lambda x: g(f(x)), functions)

    def affine(x, *, a, b):
        return a * x + b

    def loss(p):
        f = compose(
            functools.partial(affine, a=p[0], b=p[1]),
            np.tanh,
            functools.partial(np.power, 2.0),
            operator.methodcaller("sum"),
        )
        return f(np.linspace(-1, 1, 5))

    return loss, np.array([0.7, 0.2])


def closures_made_in_a_loop():
    def loss(p):
        layers = [lambda x, k=k, w=w: np.sin(k * x + w) for k, w in enumerate(p, 1)]
        x = np.array([0.2, 0.5])
        for layer in layers:
            x = layer(x)
        return np.prod(x + 2)

    return loss, np.array([0.3, -0.5, 0.8])


def nonlocal_counter_and_default_arguments():
    def loss(p, history=()):
        calls, total = 0, 0.0

        def add(term, weight=p[1], /, *more, power=2, **extra):
            nonlocal calls, total
            calls += 1
            total += weight * term**power + sum(more) + extra.get("bias", 0.0)

        add(p[0])
        add(p[2], p[0], p[1], power=3)
        add(*p[:2], **{"bias": p[2] ** 2})
        return total / calls

    return loss, np.array([0.4, 1.2, -0.6])


def recursion_on_a_tree_of_dicts():
    tree = {
        "op": "add",
        "args": [
            {"op": "mul", "args": [{"var": 0}, {"var": 1}]},
            {
                "op": "sin",
                "args": [{"op": "add", "args": [{"var": 2}, {"const": 0.5}]}],
            },
        ],
    }
    ops = {"add": operator.add, "mul": operator.mul, "sin": np.sin}

    def evaluate(node, x):
        match node:
            case {"var": i}:
                return x[i]
            case {"const": c}:
                return c
            case {"op": op, "args": args}:
                return ops[op](*(evaluate(a, x) for a in args))

    return lambda x: evaluate(tree, x) ** 2, np.array([0.5, 1.5, 0.7])


def match_on_dataclass_layers():
    @dataclasses.dataclass
    class Dense:
        W: np.ndarray
        act: str = "id"

    @dataclasses.dataclass
    class Scale:
        s: float

    R = np.random.default_rng(20)
    x0 = R.normal(size=(5, 3))

    def run(layer, x):
        match layer:
            case Dense(W, "relu"):
                return np.maximum(x @ W, 0)
            case Dense(W=W):
                return x @ W
            case Scale(s) if np.ndim(s) == 0:
                return s * x
            case _:
                raise TypeError(layer)

    def loss(p):
        net = [Dense(p["A"], "relu"), Scale(p["s"]), Dense(p["B"])]
        x = x0
        for layer in net:
            x = run(layer, x)
        return np.mean(x**2)

    return loss, {
        "A": R.normal(size=(3, 4)),
        "s": np.array(0.7),
        "B": R.normal(size=(4, 2)),
    }


def walrus_newton():
    def loss(p):
        total, x = 0.0, 1.0
        while abs(step := (x**3 - p[0] * x - p[1]) / (3 * x**2 - p[0])) > 1e-12:
            x = x - step
        total += x**2
        if (y := x * p[2]) > 0:
            total += math.log(y)
        return total

    return loss, np.array([0.5, 0.8, 1.3])


def try_except_fallback_cholesky():
    R = np.random.default_rng(21)
    y = R.normal(size=4)

    def logdet(S):
        try:
            L = np.linalg.cholesky(S)
        except np.linalg.LinAlgError:
            return np.linalg.slogdet(S + 10 * np.eye(len(S)))[1]
        else:
            return 2 * np.sum(np.log(np.diag(L)))
        finally:
            assert S.shape == (4, 4)

    def loss(p):
        S = p["A"] @ p["A"].T + np.eye(4)
        bad = -S
        return logdet(S) + 0.1 * logdet(bad) + y @ np.linalg.solve(S, y)

    return loss, {"A": R.normal(size=(4, 4)) * 0.5}


def exceptions_as_control_flow():
    class Converged(Exception):
        def __init__(self, value):
            self.value = value

    def iterate(f, x):
        for _ in range(100):
            new = f(x)
            if abs(new - x) < 1e-13:
                raise Converged(new)
            x = new

    def loss(p):
        try:
            iterate(lambda x: math.cos(p[0] * x) + p[1], 0.5)
        except Converged as done:
            return done.value**2
        return 0.0

    return loss, np.array([0.6, 0.1])


@contextlib.contextmanager
def _scaled(model, factor):
    before = model["scale"]
    model["scale"] = before * factor
    try:
        yield model
    finally:
        model["scale"] = before


def context_managers_of_many_kinds():
    lock = contextlib.nullcontext(2.0)

    def loss(p):
        model = {"scale": p["s"], "w": p["w"]}
        with np.errstate(divide="ignore"), lock as two:
            base = np.sum(model["scale"] * model["w"] ** 2) * two
        with _scaled(model, 3.0) as m, contextlib.suppress(KeyError):
            base = base + np.sum(np.sin(m["scale"] * m["w"]))
            base = base + m["missing"]
        with contextlib.ExitStack() as stack:
            m = stack.enter_context(_scaled(model, 0.5))
            base = base + m["scale"] ** 2
        with np.printoptions(precision=3):
            text = f"{float(base):.3f}"
        return base + 0.0 * len(text)

    return loss, {"s": np.array(0.8), "w": np.array([0.3, -1.0, 0.5])}


def heap_of_scored_candidates():
    def loss(p):
        heap = [(float(k), k) for k in (3, 1, 2)]
        heapq.heapify(heap)
        total = 0.0
        while heap:
            rank, k = heapq.heappop(heap)
            total += p[k] ** 2 / rank
        best = heapq.nlargest(2, list(p))
        return total + best[0] * best[1]

    return loss, np.array([0.3, 1.1, -0.4, 0.9])


def sorted_with_a_key():
    def loss(p):
        order = sorted(range(len(p)), key=lambda i: abs(p[i]), reverse=True)
        largest = max(p, key=lambda v: v * v)
        lowest, *_, highest = sorted(p)
        return (
            sum(p[i] / (rank + 1) for rank, i in enumerate(order))
            + largest**2
            + lowest * highest
        )

    return loss, np.array([0.5, -1.2, 0.8, 2.0])


def properties_slots_and_setters():
    class Spring:
        __slots__ = ("_k", "log_k", "rest")

        def __init__(self, log_k, rest):
            self.log_k, self.rest = log_k, rest
            self._k = None

        @property
        def k(self):
            if self._k is None:
                self._k = np.exp(self.log_k)
            return self._k

        @k.setter
        def k(self, value):
            self._k, self.log_k = value, np.log(value)

        @staticmethod
        def stretch(x, rest):
            return x - rest

        @classmethod
        def unit(cls):
            return cls(0.0, 1.0)

        def energy(self, x):
            return 0.5 * self.k * self.stretch(x, self.rest) ** 2

    def loss(p):
        a, b = Spring(p[0], p[1]), Spring.unit()
        b.k = a.k * 2.0
        a.k += 0.5
        return a.energy(p[2]) + b.energy(p[2] ** 2) + b.log_k

    return loss, np.array([0.2, 0.9, 1.4])


def mixins_and_super():
    class Base:
        def __init__(self, w, **kw):
            super().__init__(**kw)
            self.w = w

        def score(self, x):
            return x @ self.w

    class Ridge:
        def __init__(self, lam=0.1, **kw):
            super().__init__(**kw)
            self.lam = lam

        def penalty(self):
            return self.lam * self.w @ self.w

    class Model(Base, Ridge):
        def score(self, x):
            return np.tanh(super().score(x))

        def __getattr__(self, name):
            if name.startswith("double_"):
                return 2 * getattr(self, name.removeprefix("double_"))
            raise AttributeError(name)

    R = np.random.default_rng(23)
    X, y = R.normal(size=(8, 3)), R.normal(size=8)

    def loss(w):
        m = Model(w, lam=0.3)
        return np.mean((m.score(X) - y) ** 2) + m.penalty() + np.sum(m.double_w)

    return loss, R.normal(size=3)


def fixed_seed_draws_inside():
    def loss(p):
        rng = np.random.default_rng(0)
        eps = rng.standard_normal((50, 2))
        state = np.random.RandomState(1)
        noise = state.randn(50)
        random.seed(3)
        jitter = random.gauss(0, 1)
        np.random.seed(4)
        legacy = np.random.rand(2)
        z = p["mu"] + np.exp(p["log_sigma"]) * eps
        perm = rng.permutation(50)[:20]
        return np.mean((z[perm, 0] * z[perm, 1] - noise[perm]) ** 2) + jitter * np.sum(
            p["mu"] * legacy
        )

    return loss, {"mu": np.array([0.2, -0.4]), "log_sigma": np.array([-0.3, 0.1])}


def sample_by_inverse_and_reparametrise():
    def loss(p):
        rng = np.random.default_rng(5)
        u = rng.random(30)
        x = p["scale"] * (-np.log1p(-u)) ** (1 / p["shape"])
        k = rng.choice(len(p["w"]), size=30, p=np.full(3, 1 / 3))
        return np.mean(np.log(x) * p["w"][k])

    return loss, {
        "scale": np.array(1.2),
        "shape": np.array(1.7),
        "w": np.array([0.3, 0.5, 0.9]),
    }


def string_formatting_and_logging():
    import logging

    log = logging.getLogger("fit")

    def loss(p):
        r = p - np.array([1.0, 2.0])
        value = float(r @ r)
        log.debug("loss %.4f at %s", value, p)
        history = f"{value:.2e}|{p[0]:>8.3f}|{r!r}"
        return value if "nan" not in history else math.inf

    return loss, np.array([0.3, 0.6])


def assertions_and_shapes():
    R = np.random.default_rng(24)
    X = R.normal(size=(5, 4))

    def loss(p):
        W, b = p
        assert W.shape == (4, 2), f"bad shape {W.shape}"
        assert isinstance(W, np.ndarray)
        assert np.all(np.isfinite(W))
        out = X.dot(W) + b
        assert out.flags.c_contiguous
        return np.add.reduce(np.square(out), axis=None)

    return loss, (R.normal(size=(4, 2)), R.normal(size=2))


def bit_of_everything_unpacking():
    def loss(p):
        first, *middle, last = p
        (a, b), c = (first, last), middle[0]
        a, b = b, a
        parts = {**{"a": a}, "b": b} | {"c": c}
        row = [*parts.values(), *(m for m in middle if m is not None)]
        matrix = np.array([row[:2], row[2:4]])
        del parts["a"]
        return matrix[0] @ matrix[1] + sum(parts.values()) ** 2

    return loss, np.array([0.2, 1.1, -0.6, 0.4])
