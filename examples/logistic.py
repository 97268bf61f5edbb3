"""Logistic regression, written to be checked: ``fastgrad check examples/logistic.py``.

The command wants three names: `loss` and `grads`, functions of the parameters, and
`params`, where to check.
"""

import numpy as np

rng = np.random.default_rng(0)
X = rng.standard_normal((50, 4))
y = (X @ [1.0, -2.0, 0.5, 0.0] + 0.3 > 0).astype(float)

params = {"w": rng.standard_normal(4), "b": 0.1}


def loss(p):
    """Return the mean cross-entropy, with an L2 penalty on the weights."""
    z = X @ p["w"] + p["b"]
    return np.mean(np.logaddexp(0, z) - y * z) + 0.05 * np.sum(p["w"] ** 2)


def grads(p):
    """Return the gradient of `loss`."""
    error = 1 / (1 + np.exp(-(X @ p["w"] + p["b"]))) - y
    return {"w": X.T @ error / len(y) + 0.1 * p["w"], "b": np.mean(error)}
