"""RMS normalisation, then cosine similarities with prototypes."""

import numpy as np


def case(rng):
    n, d, k = 5, 4, 3
    x, t = rng.normal(size=(n, d)), rng.integers(k, size=n)
    params = {
        "W": rng.normal(size=(d, d)),
        "gain": 1 + 0.3 * rng.normal(size=d),
        "protos": rng.normal(size=(k, d)),
        "logscale": np.array(1.2),
    }

    def forward(p):
        z = x @ p["W"]
        rms = np.sqrt((z**2).mean(axis=1, keepdims=True) + 1e-3)
        u = z / rms * p["gain"] + 0.5 * x
        un = np.linalg.norm(u, axis=1, keepdims=True)
        pn = np.linalg.norm(p["protos"], axis=1, keepdims=True)
        cos = (u / un) @ (p["protos"] / pn).T
        logits = np.exp(p["logscale"]) * cos
        return z, rms, u, un, pn, cos, logits

    def loss(p):
        logits = forward(p)[-1]
        lse = np.log(np.exp(logits).sum(axis=1))
        return np.mean(lse - logits[np.arange(n), t])

    def grads(p):
        z, rms, u, un, pn, cos, logits = forward(p)
        soft = np.exp(logits)
        soft /= soft.sum(axis=1, keepdims=True)
        dl = (soft - np.eye(k)[t]) / n
        scale = np.exp(p["logscale"])
        dcos = dl * scale
        a, b = u / un, p["protos"] / pn
        da, db = dcos @ b, dcos.T @ a
        du = (da - a * (a * da).sum(1, keepdims=True)) / un
        dp = (db - b * (b * db).sum(1, keepdims=True)) / pn
        q = du * p["gain"]
        dz = q / rms - z * (q * z).mean(1, keepdims=True) / rms**3
        return {
            "W": x.T @ dz,
            "gain": (du * z / rms).sum(0),
            "protos": dp,
            "logscale": (dl * cos).sum() * scale,
        }

    return loss, params, grads


MUTANTS = r"""
cross_term ## rms = |u = z ## dz = q / rms - z * (q * z).mean(1, keepdims=True) / rms**3 ## dz = q / rms
cross_term ## un = |cos = ## du = (da - a * (a * da).sum(1, keepdims=True)) / un ## du = da / un
cross_term ## pn = |cos = ## dp = (db - b * (b * db).sum(1, keepdims=True)) / pn ## dp = db / pn
cross_term reduction ## rms = |u = z ## (q * z).mean(1, ## (q * z).sum(1,
local_derivative ## pn = |cos = ## (b * db).sum(1, keepdims=True)) / pn ## (b * db).sum(1, keepdims=True))
reparametrized local_derivative scale ## np.exp(p["logscale"]) ## (dl * cos).sum() * scale ## (dl * cos).sum()
local_derivative ## * p["gain"] ## "gain": (du * z / rms).sum(0) ## "gain": (du * z).sum(0)
local_derivative cross_term scale ## rms = |u = z ## / rms**3 ## / rms
"""
