"""Networks with known signals, and twenty ways to spoil them."""

from itertools import pairwise

import numpy as np


def relu(z):
    return np.maximum(z, 0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def linear(z):
    return z


def mlp(
    activation,
    depth,
    width,
    gain,
    seed,
    *,
    samples=64,
    outputs=10,
    X=None,
    orthogonal=False,
    layout="W @ x",
    dtype=np.float64,
):
    """Return (loss, params): weights of deviation gain / sqrt(fan_in), a squared loss."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((width, samples)) if X is None else X
    sizes = [len(X), *[width] * (depth - 1), outputs or width]
    params = {}
    for layer, (n, m) in enumerate(pairwise(sizes), 1):
        W = rng.standard_normal((m, n))
        if orthogonal and m == n:
            W = gain * np.linalg.qr(W)[0]
        else:
            W *= gain / np.sqrt(n)
        params[f"W{layer}"] = W.astype(dtype) if layout == "W @ x" else W.T.copy()
        params[f"b{layer}"] = np.zeros((m, 1) if layout == "W @ x" else m, dtype=dtype)
    target = rng.standard_normal((sizes[-1], X.shape[1]))

    def loss(p, activation=activation):
        a = X if layout == "W @ x" else X.T
        for layer in range(1, depth + 1):
            W, b = p[f"W{layer}"], p[f"b{layer}"]
            z = W @ a + b if layout == "W @ x" else a @ W + b
            act = activation[layer - 1] if isinstance(activation, list) else activation
            a = act(z) if layer < depth else z
        return np.mean((a - (target if layout == "W @ x" else target.T)) ** 2)

    return loss, params


def residual(blocks, width, scale, seed, samples=32):
    """Return x + scale * W relu(x), so many times, with He weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((width, samples))
    params = [
        rng.standard_normal((width, width)) * np.sqrt(2 / width) for _ in range(blocks)
    ]

    def loss(weights):
        a = X
        for W in weights:
            a = a + scale * (W @ relu(a))
        return np.mean(a**2)

    return loss, params


def batch_norm(depth, width, seed, samples=256):
    """Return layers of W @ a, batch normalisation, relu."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((width, samples))
    params = {
        f"W{k}": rng.standard_normal((width, width)) / np.sqrt(width)
        for k in range(1, depth + 1)
    }
    T = rng.standard_normal((width, samples))

    def loss(p):
        a = X
        for k in range(1, depth + 1):
            z = p[f"W{k}"] @ a
            mean = np.mean(z, axis=1, keepdims=True)
            z = (z - mean) / np.sqrt(np.var(z, axis=1, keepdims=True) + 1e-12)
            a = relu(z)
        return np.mean(a * T)

    return loss, params


HEALTHY = {
    "he-relu 50x512": lambda seed: mlp(relu, 50, 512, 2**0.5, seed),
    "xavier-tanh 20": lambda seed: mlp(np.tanh, 20, 256, 1.0, seed),
    "orthogonal linear 1000": lambda seed: mlp(
        linear, 1000, 32, 1.0, seed, orthogonal=True, outputs=None
    ),
    "residual 200": lambda seed: residual(200, 64, 200**-0.5, seed),
}


def _times(factor, layer):
    def plant(loss, params):
        params[f"W{layer}"] *= factor
        return loss, params

    return plant


def _dead_bias(loss, params):
    params["b5"] -= 10
    return loss, params


def _nan_weight(loss, params):
    params["W6"][3, 4] = np.nan
    return loss, params


def _he(seed, **kwargs):
    return mlp(relu, 12, 128, 2**0.5, seed, **kwargs)


def _scaled(factor, layer, **kwargs):
    def make(seed):
        return _times(factor, layer)(*_he(seed, **kwargs))

    return make


def _without_activation(seed):
    acts = [relu] * 12
    acts[5] = linear
    return mlp(acts, 12, 128, 2**0.5, seed)


def _with_sqrt(seed):
    acts = [relu] * 12
    acts[3] = lambda z: np.sqrt(z)
    return mlp(acts, 12, 128, 2**0.5, seed)


def _with_step(seed):
    acts = [np.tanh] * 8
    acts[4] = lambda z: np.sign(z)
    return mlp(acts, 8, 128, 1.0, seed)


def _transposed_fan(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((64, 64))
    sizes = [64, 64, 64, 512, 64, 64, 64, 10]
    params = {
        f"W{k}": rng.standard_normal((m, n)) * np.sqrt(2 / n)
        for k, (n, m) in enumerate(pairwise(sizes), 1)
    }
    params["W4"] *= np.sqrt(512 / 64)  # 2 / fan_out where 2 / fan_in is meant

    def loss(p):
        a = X
        for k in range(1, 8):
            z = p[f"W{k}"] @ a
            a = relu(z) if k < 7 else z
        return np.mean(a**2)

    return loss, params


def _unused(seed):
    loss, params = _he(seed)
    params["W13"] = np.ones((5, 5))
    return loss, params


def _skipped(seed):
    """Return a network whose layer 4 is computed and then forgotten."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((64, 32))
    params = {
        f"W{k}": rng.standard_normal((64, 64)) * np.sqrt(2 / 64) for k in range(1, 7)
    }

    def loss(p):
        a = X
        for k in range(1, 7):
            new = relu(p[f"W{k}"] @ a)
            a = a if k == 4 else new
        return np.mean(a**2)

    return loss, params


def _input_255(activation, gain):
    def make(seed):
        rng = np.random.default_rng(seed)
        X = rng.uniform(0, 255, (64, 64))
        return mlp(activation, 6, 64, gain, seed, X=X)

    return make


def _float16(seed):
    # 8 ** 5 > 65504 / 4: the fifth layer or so is the first beyond
    return mlp(relu, 8, 64, 12.0, seed, dtype=np.float16)


def _collapsed(seed):
    loss, params = mlp(np.tanh, 40, 128, 0.9, seed)
    rng = np.random.default_rng(seed)
    for name in params:
        if name.startswith("b"):
            params[name] += 0.5 * rng.standard_normal(params[name].shape)
    return loss, params


def _rand_for_randn(seed):
    loss, params = _he(seed)
    rng = np.random.default_rng(seed)
    for name in params:
        if name.startswith("W"):
            m, n = params[name].shape
            params[name] = rng.random((m, n)) * np.sqrt(2 / n)
    return loss, params


def _uneven_residual(seed):
    return residual(60, 64, 1.0, seed)


# name: (network, word of the verdict, first layer, cause)
FAULTS = {
    "one layer x 0.01": (_scaled(0.01, 4), "vanishing", "W4", "weight scale"),
    "one layer x 100": (_scaled(100, 7), "exploding", "W7", "weight scale"),
    "one layer x 0.1": (_scaled(0.1, 9), "vanishing", "W9", "weight scale"),
    "one layer x 5, x @ W": (
        _scaled(5, 6, layout="x @ W"), "exploding", "W6", "weight scale",
    ),
    "first layer x 50": (_scaled(50, 1), "exploding", "W1", "weight scale"),
    "all weights of a layer 0": (_scaled(0, 3), "vanishing", "W3", "weight scale"),
    "dead bias": (
        lambda seed: _dead_bias(*_he(seed)), "dead", "W5", "dead bias",
    ),
    "missing activation": (_without_activation, "exploding", "W6", "activation"),
    "transposed fan": (_transposed_fan, "exploding", "W4", "weight scale"),
    "nan in a weight": (
        lambda seed: _nan_weight(*_he(seed)), "non-finite", "W6", "invalid operation",
    ),
    "root of negative numbers": (_with_sqrt, "non-finite", "W4", "invalid operation"),
    "input 0 to 255, relu": (
        _input_255(relu, 2**0.5), "exploding", "W1", "input not normalised",
    ),
    "input 0 to 255, tanh": (
        _input_255(np.tanh, 1.0), "saturated", "W1", "input not normalised",
    ),
    "saturated sigmoid": (
        lambda seed: _times(40, 3)(*mlp(sigmoid, 4, 128, 1.0, seed)),
        "saturated", "W3", "weight scale",
    ),
    "sigmoid, depth 12": (
        lambda seed: mlp(sigmoid, 12, 128, 1.0, seed), "vanishing", "W1", "activation",
    ),
    "xavier with relu, depth 30": (
        lambda seed: mlp(relu, 30, 128, 1.0, seed), "vanishing", "W1", "weight scale",
    ),
    "default linear layers with relu, depth 50": (
        lambda seed: mlp(relu, 50, 128, 3**-0.5, seed),
        "vanishing", "W1", "weight scale",
    ),
    "rand instead of randn": (_rand_for_randn, "exploding", "W1", "weight scale"),
    "collapsed by biases": (_collapsed, "collapsed", None, None),
    "unused block": (_unused, "vanishing", "W13", "disconnected"),
    "forgotten layer": (_skipped, "vanishing", "W4", "disconnected"),
    "step function": (_with_step, "vanishing", "W5", "disconnected"),
    "float16": (_float16, "exploding", None, "dtype range"),
    "residual branches not scaled": (
        _uneven_residual, "exploding", "0", "residual growth",
    ),
    "batch norm without shortcuts": (
        lambda seed: batch_norm(30, 256, seed),
        "exploding", None, "batch-norm gradient growth",
    ),
    "narrow and deep": (
        lambda seed: mlp(relu, 600, 10, 2**0.5, seed, outputs=None),
        "vanishing", None, "depth x width",
    ),
}  # fmt: skip
