"""A network for handwritten digits in plain NumPy, and a check of its gradient.

The network reads 64 pixels and has layers of 128 relu, 64 tanh and 10 softmax units.
Features come first, as in most courses: a batch is an array of shape (64, samples).

Run it with ``python examples/digits.py``, or with ``--bug`` to see a derivative that
was forgotten found.
"""

import sys

import numpy as np

import fastgrad as fg
from fastgrad.demo import load_digits


def initialize(seed=0):
    """Use He for the relu layer, Xavier for the others; biases are zero."""
    return {
        "W1": fg.initializers.he_normal((128, 64), seed=seed, name="W1"),
        "b1": np.zeros((128, 1)),
        "W2": fg.initializers.xavier_normal((64, 128), seed=seed, name="W2"),
        "b2": np.zeros((64, 1)),
        "W3": fg.initializers.xavier_normal((10, 64), seed=seed, name="W3"),
        "b3": np.zeros((10, 1)),
    }


def forward(params, X):
    a1 = np.maximum(params["W1"] @ X + params["b1"], 0)
    a2 = np.tanh(params["W2"] @ a1 + params["b2"])
    z3 = params["W3"] @ a2 + params["b3"]
    return a1, a2, z3


def cross_entropy(params, X, Y):
    """Return the mean over the samples of -log softmax(z3) at the right digit."""
    *_, z3 = forward(params, X)
    z3 = z3 - np.max(z3, axis=0)
    return np.mean(np.log(np.sum(np.exp(z3), axis=0)) - np.sum(z3 * Y, axis=0))


def backward(params, X, Y, bug=False):
    """Return the gradient of cross_entropy; `bug` forgets the derivative of tanh."""
    a1, a2, z3 = forward(params, X)
    p = np.exp(z3 - np.max(z3, axis=0))
    p /= np.sum(p, axis=0)
    dz3 = (p - Y) / X.shape[1]
    dz2 = params["W3"].T @ dz3
    if not bug:
        dz2 *= 1 - a2**2
    dz1 = (params["W2"].T @ dz2) * (a1 > 0)
    return {
        "W1": dz1 @ X.T,
        "b1": np.sum(dz1, axis=1, keepdims=True),
        "W2": dz2 @ a1.T,
        "b2": np.sum(dz2, axis=1, keepdims=True),
        "W3": dz3 @ a2.T,
        "b3": np.sum(dz3, axis=1, keepdims=True),
    }


def train(params, X, Y, rng, epochs=20, batch=32, rate=0.1):
    """Train by plain stochastic gradient descent, in place."""
    for _ in range(epochs):
        order = rng.permutation(X.shape[1])
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            grads = backward(params, X[:, chosen], Y[:, chosen])
            for name in params:
                params[name] -= rate * grads[name]


def accuracy(params, X, labels):
    *_, z3 = forward(params, X)
    return np.mean(np.argmax(z3, axis=0) == labels)


def normalize(X, train):
    """Centre and scale all images with the statistics of the training images."""
    return fg.StandardScaler().fit(X[:, :train].T).transform(X.T).T


def main(bug=False):
    """Check the gradient, train, and check again; return whether it was correct."""
    rng = np.random.default_rng(0)
    pixels, labels = load_digits()
    train_size = 480
    X = normalize(pixels, train_size)
    Y = np.eye(10)[:, labels]
    params = initialize()
    X_batch, Y_batch = X[:, :32], Y[:, :32]

    def check():
        report = fg.check_gradient(
            lambda p: cross_entropy(p, X_batch, Y_batch),
            params,
            lambda p: backward(p, X_batch, Y_batch, bug),
        )
        print(report, end="\n\n")
        return report.ok

    print("UCI handwritten digits, network 64-128-64-10, batch of 32")
    print("\n== At random initialisation ==\n")
    initially = check()
    train(params, X[:, :train_size], Y[:, :train_size], rng)
    right = accuracy(params, X[:, train_size:], labels[train_size:])
    print(f"== After training: {right:.1%} of the test images are read right ==\n")
    return check() and initially


if __name__ == "__main__":
    sys.exit(0 if main("--bug" in sys.argv[1:]) else 1)
