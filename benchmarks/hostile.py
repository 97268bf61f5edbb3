"""Correct gradients in conditions under which gradient checks give false alarms.

Each condition is a loss, its parameters and its exact gradient. `conditions()` lists
them all; `verdicts.py` measures checkers on them.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Params = dict[str, Any]


@dataclass
class Condition:
    name: str
    loss: Callable[[Params], Any]
    params: Params
    grads: Callable[[Params], Params]
    options: dict[str, Any] = field(default_factory=dict)
    # Noise, or cancellation: some entries may be beyond what can be measured.
    coarse: bool = False


ACTIVATIONS = {
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (z > 0) * z.dtype.type(1)),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a: a * (1 - a)),
}


def network(
    sizes: list[int],
    m: int,
    activation: str,
    seed: int = 0,
    *,
    gain: float = 1.0,
    dtype: type = np.float64,
    inputs: Callable[[np.ndarray], np.ndarray] = lambda X: X,
    bias: float = 0.1,
    unit: float = 1.0,
) -> tuple[Any, Params, Any]:
    """A softmax network, samples first; `unit` rescales all parameters."""
    rng = np.random.default_rng(seed)
    act, slope = ACTIVATIONS[activation]
    X = inputs(rng.normal(size=(m, sizes[0]))).astype(dtype)
    Y = np.eye(sizes[-1], dtype=dtype)[rng.integers(0, sizes[-1], m)]
    depth = len(sizes) - 1
    params: Params = {}
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes), 1):
        w = rng.normal(size=(n_in, n_out)) * gain / np.sqrt(n_in)
        params[f"W{layer}"] = (w * unit).astype(dtype)
        params[f"b{layer}"] = (rng.normal(size=n_out) * bias * unit).astype(dtype)
    back = dtype(1 / unit)

    def forward(p: Params) -> tuple[Any, list[Any], list[Any], Any]:
        a, cache, zs = X, [X], []
        for layer in range(1, depth + 1):
            z = a @ (p[f"W{layer}"] * back) + p[f"b{layer}"] * back
            a = act(z) if layer < depth else z
            zs.append(z)
            cache.append(a)
        shifted = z - z.max(axis=1, keepdims=True)
        lse = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return np.mean(np.sum(Y * (lse - shifted), 1)), cache, zs, np.exp(shifted - lse)

    def grads(p: Params) -> Params:
        _, cache, zs, prob = forward(p)
        delta, g = (prob - Y) / dtype(m), {}
        for layer in range(depth, 0, -1):
            g[f"W{layer}"] = cache[layer - 1].T @ delta * back
            g[f"b{layer}"] = delta.sum(axis=0) * back
            if layer > 1:
                delta = delta @ (p[f"W{layer}"] * back).T
                delta = delta * slope(zs[layer - 2], cache[layer - 1])
        return {name: g[name] for name in p}

    return lambda p: forward(p)[0], params, grads


def conditions(seed: int = 0) -> Iterator[Condition]:
    """Yield all conditions; another seed gives other numbers of the same kind."""
    yield from _networks(seed)
    yield from _units_and_noise(seed)
    yield from _precision(seed)
    yield from _kinks(seed)
    yield from _functions(seed)


def _networks(seed: int) -> Iterator[Condition]:
    yield Condition("tanh network", *network([100, 80, 60, 10], 32, "tanh", seed))
    yield Condition(
        "relu network, 512 samples", *network([40, 64, 10], 512, "relu", seed, gain=1.4)
    )
    yield Condition("relu, 1 sample", *network([64, 96, 32, 10], 1, "relu", seed))
    yield Condition(
        "10-layer sigmoid", *network([20] * 10 + [10], 16, "sigmoid", seed, gain=1.0)
    )
    yield Condition(
        "10-layer relu", *network([30] * 10 + [10], 16, "relu", seed, gain=1.4)
    )
    yield Condition(
        "saturated softmax", *network([30, 40, 10], 16, "tanh", seed, gain=12.0)
    )
    yield Condition(
        "dead pixels and units",
        *network([80, 50, 10], 16, "relu", seed, inputs=_dead_columns, bias=1.0),
    )
    yield Condition(
        "badly scaled inputs", *network([60, 40, 10], 24, "tanh", seed, inputs=_decades)
    )
    yield _recurrent(seed)
    yield _normalized(seed, batch=True)
    yield _normalized(seed, batch=False)


def _units_and_noise(seed: int) -> Iterator[Condition]:
    loss, params, grads = network([50, 40, 10], 16, "tanh", seed)
    yield Condition("loss + 1e6", lambda p: loss(p) + 1e6, params, grads)
    for factor in (1e-9, 1e9):
        yield Condition(
            f"loss x {factor:.0e}",
            lambda p, c=factor: c * loss(p),
            params,
            lambda p, c=factor: {k: c * g for k, g in grads(p).items()},
        )
    for unit in (1e-6, 1e6):
        yield Condition(
            f"parameters x {unit:.0e}",
            *network([50, 40, 10], 16, "tanh", seed, unit=unit),
        )
    yield Condition(
        "per-sample losses + 1e6",
        lambda p: loss(p) * np.arange(2.0) + 1e6,
        params,
        grads,
        {"reduction": "sum"},
    )

    def rough(p: Params) -> float:
        """An iterative solver's answer: right to 1e-9, not smooth beyond that."""
        value = loss(p)
        return float(value + 1e-9 * np.sin(1e13 * value))

    yield Condition("solver tolerance 1e-9", rough, params, grads, coarse=True)


def _precision(seed: int) -> Iterator[Condition]:
    loss, params, grads = network([50, 40, 10], 16, "tanh", seed)
    yield Condition(
        "float32 gradient",
        loss,
        params,
        lambda p: {k: g.astype(np.float32) for k, g in grads(p).items()},
    )
    low, low_params, low_grads = network(
        [50, 40, 10], 16, "tanh", seed, dtype=np.float32
    )
    yield Condition(
        "float32 backward pass",
        loss,
        {k: v.astype(np.float64) for k, v in low_params.items()},
        lambda p: low_grads({k: v.astype(np.float32) for k, v in p.items()}),
    )
    yield Condition(
        "float32 parameters, float64 loss",
        lambda p: loss({k: v.astype(np.float64) for k, v in p.items()}),
        low_params,
        lambda p: grads({k: v.astype(np.float64) for k, v in p.items()}),
    )
    yield Condition(
        "float32 relu network",
        *network([50, 40, 10], 16, "relu", seed, dtype=np.float32, gain=1.4),
        coarse=True,
    )
    yield Condition("float32 network", low, low_params, low_grads, coarse=True)
    yield Condition(
        "float32 loss value",
        lambda p: np.float32(loss(p)),
        params,
        grads,
        coarse=True,
    )


def _kinks(seed: int) -> Iterator[Condition]:
    rng = np.random.default_rng(seed + 1)
    X, y = rng.normal(size=(200, 300)), rng.choice([-1.0, 1.0], 200)
    w = rng.normal(size=300) * (rng.random(300) < 0.3)  # many exactly at the kink

    def lasso(p: Params) -> Any:
        return np.mean((X @ p["w"] - y) ** 2) + 0.1 * np.abs(p["w"]).sum()

    yield Condition(
        "L1, weights exactly zero",
        lasso,
        {"w": w},
        lambda p: {"w": 2 * X.T @ (X @ p["w"] - y) / len(y) + 0.1 * np.sign(p["w"])},
    )

    def hinge(p: Params) -> Any:
        margin = 1 - y * (X @ p["w"] + p["b"])
        return np.mean(np.maximum(margin, 0)) + 0.05 * p["w"] @ p["w"]

    def hinge_grads(p: Params) -> Params:
        inside = (1 - y * (X @ p["w"] + p["b"]) > 0) * -y / len(y)
        return {"w": inside @ X + 0.1 * p["w"], "b": inside.sum()}

    yield Condition(
        "hinge loss", hinge, {"w": w * 0.1, "b": np.array(0.0)}, hinge_grads
    )
    rows = np.arange(200)

    def maxout(p: Params) -> Any:
        return np.mean((X[:, :40] @ p["W"]).max(axis=1))

    def maxout_grads(p: Params) -> Params:
        z = X[:, :40] @ p["W"]
        chosen = np.zeros_like(z)
        chosen[rows, z.argmax(axis=1)] = 1 / len(z)
        return {"W": X[:, :40].T @ chosen}

    yield Condition(
        "max over units", maxout, {"W": rng.normal(size=(40, 30))}, maxout_grads
    )
    tied = np.repeat(rng.normal(size=(40, 15)), 2, axis=1)
    yield Condition("max over tied units", maxout, {"W": tied}, maxout_grads)

    def pinball(p: Params) -> Any:
        r = y - X[:, :50] @ p["w"]
        return np.mean(np.maximum(0.9 * r, -0.1 * r))

    def pinball_grads(p: Params) -> Params:
        r = y - X[:, :50] @ p["w"]
        return {"w": -X[:, :50].T @ np.where(r > 0, 0.9, -0.1) / len(y)}

    yield Condition("quantile loss", pinball, {"w": w[:50]}, pinball_grads)

    def huber(p: Params) -> Any:
        r = np.abs(y - X[:, :50] @ p["w"])
        return np.mean(np.where(r < 0.5, r * r / 2, 0.5 * r - 0.125))

    def huber_grads(p: Params) -> Params:
        r = y - X[:, :50] @ p["w"]
        return {"w": -X[:, :50].T @ np.clip(r, -0.5, 0.5) / len(y)}

    yield Condition("Huber loss", huber, {"w": w[:50]}, huber_grads)


def _functions(seed: int) -> Iterator[Condition]:
    rng = np.random.default_rng(seed + 2)
    size = 400

    def separable(
        name: str, x: Any, f: Any, df: Any, coarse: bool = False
    ) -> Condition:
        return Condition(
            name,
            lambda p: np.sum(f(p["x"])),
            {"x": x},
            lambda p: {"x": df(p["x"])},
            coarse=coarse,
        )

    x = rng.normal(size=size)
    decades = np.exp(rng.uniform(np.log(1e-6), np.log(1e6), size))
    # Most terms are below the rounding of the largest.
    yield separable(
        "exp(20 x)",
        x,
        lambda x: np.exp(20 * x),
        lambda x: 20 * np.exp(20 * x),
        coarse=True,
    )
    yield separable(
        "sin(1000 x)", x, lambda x: np.sin(1e3 * x), lambda x: 1e3 * np.cos(1e3 * x)
    )
    yield separable("log near 0", decades * 1e-3, np.log, lambda x: 1 / x)
    yield separable("1 / x over decades", decades, lambda x: 1 / x, lambda x: -1 / x**2)
    yield separable(
        "sharp sigmoid",
        x,
        lambda x: np.tanh(1e3 * x),
        lambda x: 1e3 * (1 - np.tanh(1e3 * x) ** 2),
    )
    yield separable(
        "parameters far from 0",
        1e7 + x,
        lambda x: np.sin(x - 1e7),
        lambda x: np.cos(x - 1e7),
    )
    yield separable(
        "quartic near its minimum", 1e-3 * x, lambda x: x**4, lambda x: 4 * x**3
    )
    weights = np.exp(rng.uniform(np.log(1e-10), 0, size))

    def decade_loss(p: Params) -> Any:
        return np.sum(weights * np.sin(p["x"]))

    yield Condition(
        "gradient over 10 decades",
        decade_loss,
        {"x": x},
        lambda p: {"x": weights * np.cos(p["x"])},
    )

    def rosenbrock(p: Params) -> Any:
        x = p["x"]
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def rosenbrock_grads(p: Params) -> Params:
        x, g = p["x"], np.zeros_like(p["x"])
        g[1:] += 200 * (x[1:] - x[:-1] ** 2)
        g[:-1] -= 400 * x[:-1] * (x[1:] - x[:-1] ** 2) + 2 * (1 - x[:-1])
        return {"x": g}

    yield Condition("Rosenbrock", rosenbrock, {"x": x}, rosenbrock_grads)
    yield Condition(
        "Rosenbrock near its minimum", rosenbrock, {"x": 1 + 1e-6 * x}, rosenbrock_grads
    )


def _recurrent(seed: int) -> Condition:
    rng = np.random.default_rng(seed + 3)
    T, n, m = 30, 16, 8
    X, target = rng.normal(size=(T, m, n)), rng.normal(size=(m, n))
    params = {
        "U": rng.normal(size=(n, n)) / np.sqrt(n),
        "W": 1.1 * rng.normal(size=(n, n)) / np.sqrt(n),
        "b": np.zeros(n),
    }

    def states(p: Params) -> list[Any]:
        h = [np.zeros((m, n))]
        for x in X:
            h.append(np.tanh(x @ p["U"] + h[-1] @ p["W"] + p["b"]))
        return h

    def loss(p: Params) -> Any:
        return np.mean((states(p)[-1] - target) ** 2)

    def grads(p: Params) -> Params:
        h = states(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        dh = 2 * (h[-1] - target) / target.size
        for t in range(T, 0, -1):
            dz = dh * (1 - h[t] ** 2)
            g["U"] += X[t - 1].T @ dz
            g["W"] += h[t - 1].T @ dz
            g["b"] += dz.sum(axis=0)
            dh = dz @ p["W"].T
        return g

    return Condition("recurrent, 30 steps", loss, params, grads)


def _normalized(seed: int, *, batch: bool) -> Condition:
    rng = np.random.default_rng(seed + 4)
    axis, m, n, k = (0 if batch else 1), 24, 30, 20
    X, Y = rng.normal(size=(m, n)), rng.normal(size=(m, 5))
    params = {
        "W": rng.normal(size=(n, k)) / np.sqrt(n),
        "b": rng.normal(size=k),  # feeds a batch normalisation: no effect at all
        "gamma": 1 + 0.3 * rng.normal(size=k),
        "beta": 0.2 * rng.normal(size=k),
        "V": rng.normal(size=(k, 5)) / np.sqrt(k),
    }

    def forward(p: Params) -> tuple[Any, ...]:
        z = X @ p["W"] + p["b"]
        sd = np.sqrt(z.var(axis=axis, keepdims=True) + 1e-5)
        hat = (z - z.mean(axis=axis, keepdims=True)) / sd
        a = np.tanh(p["gamma"] * hat + p["beta"])
        return sd, hat, a, a @ p["V"] - Y

    def loss(p: Params) -> Any:
        return 0.5 * np.mean(forward(p)[3] ** 2)

    def grads(p: Params) -> Params:
        sd, hat, a, r = forward(p)
        r = r / r.size
        dy = (r @ p["V"].T) * (1 - a * a)
        dhat = dy * p["gamma"]
        mean = dhat.mean(axis=axis, keepdims=True)
        cross = (dhat * hat).mean(axis=axis, keepdims=True)
        dz = (dhat - mean - hat * cross) / sd
        return {
            "W": X.T @ dz,
            "b": dz.sum(axis=0),
            "gamma": (dy * hat).sum(axis=0),
            "beta": dy.sum(axis=0),
            "V": a.T @ r,
        }

    return Condition(
        f"{'batch' if batch else 'layer'} normalisation", loss, params, grads
    )


def _dead_columns(X: np.ndarray) -> np.ndarray:
    X[:, ::4] = 0
    return X


def _decades(X: np.ndarray) -> np.ndarray:
    return X * 10.0 ** np.linspace(-5, 2, X.shape[1])
