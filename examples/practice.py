"""One network for digits, with all the practices: normalise, initialise, diagnose,
check, train, check again.

Run it with ``python examples/practice.py``; it takes a few seconds.
"""  # noqa: D205

import numpy as np

import fastgrad as fg
from fastgrad import initializers
from fastgrad.demo import load_digits


def forward(p, X):
    a1 = np.maximum(X @ p["W1"] + p["b1"], 0)
    a2 = np.maximum(a1 @ p["W2"] + p["b2"], 0)
    return a1, a2, a2 @ p["W3"] + p["b3"]


def loss(p, X, Y):
    *_, z = forward(p, X)
    z = z - np.max(z, axis=1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(z), axis=1)) - np.sum(z * Y, axis=1))


def gradient(p, X, Y):
    a1, a2, z = forward(p, X)
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    d3 = (e / e.sum(axis=1, keepdims=True) - Y) / len(X)
    d2 = (d3 @ p["W3"].T) * (a2 > 0)
    d1 = (d2 @ p["W2"].T) * (a1 > 0)
    return {
        "W1": X.T @ d1, "b1": d1.sum(axis=0),
        "W2": a1.T @ d2, "b2": d2.sum(axis=0),
        "W3": a2.T @ d3, "b3": d3.sum(axis=0),
    }  # fmt: skip


def accuracy(p, X, labels):
    return np.mean(forward(p, X)[-1].argmax(axis=1) == labels)


def main():
    pixels, labels = load_digits()
    raw, Y = pixels.T, np.eye(10)[labels]
    train, dev = slice(0, 480), slice(480, None)

    # 1. Normalise: statistics of the training data, for dev data too.
    scaler = fg.StandardScaler().fit(raw[train]).freeze()
    X = scaler.transform(raw)

    # 2. Initialise: He for ReLU, from (name, seed): the same numbers everywhere.
    shapes = {"W1": (64, 64), "W2": (64, 32), "W3": (32, 10)}
    weights = initializers.initialize(shapes, "he_normal", layout="IO", seed=1)
    biases = {"b1": np.zeros(64), "b2": np.zeros(32), "b3": np.zeros(10)}
    params = {**weights, **biases}

    # 3. Diagnose, before spending time on training.
    report = fg.diagnose_signal(lambda p: loss(p, X[:128], Y[:128]), params)
    print(report, "\n")

    # 4. Check the gradient, every entry of it.
    def check():
        return fg.check_gradient(
            lambda p: loss(p, X[:32], Y[:32]),
            params,
            lambda p: gradient(p, X[:32], Y[:32]),
        )

    check().raise_if_wrong()

    # 5. Train.
    rng = np.random.default_rng(0)
    for epoch in range(20):
        for chosen in np.array_split(rng.permutation(480), 15):
            for name, g in gradient(params, X[chosen], Y[chosen]).items():
                params[name] -= 0.1 * g
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {loss(params, X[train], Y[train]):.4f}")

    # 6. Check again: some bugs only show once the network has learnt something.
    print(check())
    print(f"\naccuracy on dev data: {accuracy(params, X[dev], labels[dev]):.1%}")


if __name__ == "__main__":
    main()
