"""A dilated convolution in time with residuals, tap by tap."""

import numpy as np


def dilated(x, w, rate):
    y = np.zeros((x.shape[0], w.shape[2]))
    for k in range(w.shape[0]):
        lag = k * rate
        y = y + np.concatenate(
            [np.zeros((lag, w.shape[2])), x[: x.shape[0] - lag] @ w[k]]
        )
    return y


def dilated_grad(x, w, rate, dy):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    n = x.shape[0]
    for k in range(w.shape[0]):
        lag = k * rate
        dw[k] = x[: n - lag].T @ dy[lag:]
        dx[: n - lag] += dy[lag:] @ w[k].T
    return dx, dw


def case(rng):
    n, c = 9, 2
    series, truth = rng.normal(size=(n, c)), rng.normal(size=(n, c))
    params = {f"w{k}": rng.normal(size=(3, c, c)) * 0.5 for k in (1, 2)}
    params["b"] = rng.normal(size=c)

    def loss(p):
        h = np.maximum(dilated(series, p["w1"], 1) + p["b"], 0.0)
        out = dilated(h, p["w2"], 2) + h
        return np.sum((out - truth) ** 2) / n

    def grads(p):
        a = dilated(series, p["w1"], 1) + p["b"]
        h = np.maximum(a, 0.0)
        out = dilated(h, p["w2"], 2) + h
        dout = 2.0 * (out - truth) / n
        dh, dw2 = dilated_grad(h, p["w2"], 2, dout)
        dh = dh + dout
        da = dh * (a > 0)
        _, dw1 = dilated_grad(series, p["w1"], 1, da)
        return {"w1": dw1, "w2": dw2, "b": da.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
accumulation ## + h ## dh = dh + dout ## pass
geometry stale local_derivative layout ## x[: x.shape[0] - lag] @ w[k] ## dilated_grad(h, p["w2"], 2, dout) ## dilated_grad(h, p["w2"], 1, dout)
geometry layout partial ## x[: x.shape[0] - lag] @ w[k] ## dx[: n - lag] += dy[lag:] @ w[k].T ## dx[lag:] += dy[: n - lag] @ w[k].T
accumulation partial geometry ## x[: x.shape[0] - lag] @ w[k] ## dx[: n - lag] += dy[lag:] @ w[k].T ## dx[: n - lag] = dy[lag:] @ w[k].T
layout ## x[: x.shape[0] - lag] @ w[k] ## dx[: n - lag] += dy[lag:] @ w[k].T ## dx[: n - lag] += dy[lag:] @ w[k]
mask ## np.maximum( ## da = dh * (a > 0) ## da = dh * (a < 0)
layout geometry ## x[: x.shape[0] - lag] @ w[k] ## dw[k] = x[: n - lag].T @ dy[lag:] ## dw[-1 - k] = x[: n - lag].T @ dy[lag:]
"""
