"""Losses that other libraries take part in: (loss, params) each."""

import itertools
import math

import numpy as np
import pytest


def pandas_groups_as_data():
    pd = pytest.importorskip("pandas")
    R = np.random.default_rng(20)
    frame = pd.DataFrame(
        {"g": list("aabbbc"), "x": R.normal(size=6), "y": R.normal(size=6)}
    )

    def loss(p):
        total = 0.0
        for key, part in frame.groupby("g"):
            w = p["w"][ord(key) - ord("a")]
            r = part["y"].to_numpy() - w * part["x"].values - p["b"]
            total += (r**2).sum()
        for row in frame.itertuples():
            total += 0.1 * p["b"] * row.x
        return total / len(frame)

    return loss, {"w": R.normal(size=3), "b": np.array(0.3)}


def pandas_series_of_parameters():
    pd = pytest.importorskip("pandas")
    R = np.random.default_rng(21)
    frame = pd.DataFrame({"g": [0, 0, 1, 1, 2], "x": R.normal(size=5)})

    def loss(p):
        s = pd.Series(p, index=list("abc"))
        fitted = frame["g"].map(dict(enumerate(s))) * frame["x"]
        out = frame.assign(f=fitted).groupby("g")["f"].sum()
        return float(
            (out**2).sum() + s["a"] * s.loc["b"] + s.rolling(2).mean().iloc[-1]
        )

    return loss, R.normal(size=3)


def polars_features():
    pl = pytest.importorskip("polars")
    R = np.random.default_rng(22)
    frame = pl.DataFrame({"x": R.normal(size=7), "k": [0, 1, 0, 1, 2, 2, 0]})

    def loss(p):
        x, k = frame["x"].to_numpy(), frame["k"].to_numpy()
        fit = p[k] * x
        table = (
            pl.DataFrame({"k": k, "f": np.asarray(fit)})
            .group_by("k", maintain_order=True)
            .agg(pl.col("f").sum())
        )
        return np.sum(table["f"].to_numpy() ** 2)

    return loss, R.normal(size=3)


def numba_jitted_helpers():
    numba = pytest.importorskip("numba")

    @numba.njit
    def step(x, a):
        out = np.empty_like(x)
        for i in range(len(x)):
            out[i] = a * x[i] * (1 - x[i])
        return out

    @numba.vectorize
    def squash(v):
        return v / (1 + abs(v))

    def loss(p):
        x = p["x"]
        for _ in range(3):
            x = step(x, p["a"])
        return np.sum(squash(x) ** 2)

    return loss, {"x": np.array([0.2, 0.6, 0.35]), "a": np.array(2.1)}


def sklearn_preprocessing_inside():
    pytest.importorskip("sklearn")
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    R = np.random.default_rng(23)
    X = StandardScaler().fit_transform(R.normal(size=(10, 2)))
    y = R.normal(size=10)

    def loss(p):
        Z = PolynomialFeatures(2).fit_transform(X * p["scale"])
        return np.mean((Z @ p["w"] - y) ** 2)

    return loss, {"scale": np.array([0.8, 1.2]), "w": R.normal(size=6)}


def sklearn_ridge_fitted_inside():
    pytest.importorskip("sklearn")
    from sklearn.linear_model import Ridge

    R = np.random.default_rng(24)
    X, y = R.normal(size=(6, 2)), R.normal(size=6)

    def loss(p):
        model = Ridge(alpha=1.0).fit(X * np.exp(p), y)
        return np.mean((model.predict(X * np.exp(p)) - y) ** 2) + np.sum(model.coef_**2)

    return loss, np.array([0.1, -0.2])


def sklearn_kernels_and_metrics():
    pytest.importorskip("sklearn")
    from sklearn.metrics import log_loss, mean_squared_error
    from sklearn.metrics.pairwise import rbf_kernel

    R = np.random.default_rng(25)
    X, y, t = R.normal(size=(4, 2)), np.array([0, 1, 1, 0]), R.normal(size=4)

    def loss(p):
        K = rbf_kernel(X * p["s"], gamma=0.5)
        f = K @ p["a"]
        return log_loss(y, 1 / (1 + np.exp(-f))) + mean_squared_error(t, f)

    return loss, {"s": np.array([0.7, 1.1]), "a": R.normal(size=4) * 0.3}


def mpmath_and_fractions_around():
    from fractions import Fraction

    weights = [Fraction(1, 3), Fraction(2, 7)]

    def loss(p):
        return sum(float(w) * v**2 for w, v in zip(weights, p, strict=True)) + p[
            0
        ] * math.comb(5, 2) / math.factorial(4)

    return loss, np.array([0.6, 1.1])


def decimal_like_itertools_grid():
    def loss(p):
        total = 0.0
        for i, j in itertools.product(range(3), repeat=2):
            if (i + j) % 2:
                continue
            total += p[i] * p[j] * math.exp(-abs(i - j))
        for a, b, c in itertools.permutations(p, 3):
            total += 0.01 * a * b**2 * c**3
        return total

    return loss, np.array([0.6, -0.4, 1.1])
