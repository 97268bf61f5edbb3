"""The network of the benchmarks: 784-256-128-10, softmax cross-entropy, batch 32."""

from itertools import pairwise

import numpy as np

SIZES = (784, 256, 128, 10)
ACTIVATIONS = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0.0)}


def network(activation="tanh", layout="W @ x", batch=32, seed=0, sizes=SIZES):
    """A loss and its parameters; `layout` is "W @ x" or "x @ W"."""
    rng = np.random.default_rng(seed)
    act = ACTIVATIONS[activation]
    features_first = layout == "W @ x"
    X = rng.standard_normal((batch, sizes[0]))
    labels = rng.integers(sizes[-1], size=batch)
    params = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes), 1):
        W = rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
        b = rng.standard_normal((n_out, 1)) * 0.1
        params[f"W{layer}"] = W if features_first else W.T.copy()
        params[f"b{layer}"] = b if features_first else b.ravel()
    x = X.T.copy() if features_first else X
    axis = 0 if features_first else 1
    samples = np.arange(batch)
    picked = (labels, samples) if features_first else (samples, labels)

    def loss(p):
        a = x
        for layer in range(1, len(sizes)):
            W, b = p[f"W{layer}"], p[f"b{layer}"]
            z = (W @ a if features_first else a @ W) + b
            a = act(z) if layer < len(sizes) - 1 else z
        z = a - a.max(axis=axis, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
        return -log_p[picked].mean()

    return loss, params
