"""A mixture of Gaussians with diagonal covariances, responsibilities by hand."""

import numpy as np
from scipy.special import logsumexp


def case(rng):
    n, d, K = 11, 2, 3
    data = rng.normal(size=(n, d)) * 1.5
    params = {
        "logits": rng.normal(size=K),
        "means": rng.normal(size=(K, d)),
        "log_std": rng.normal(size=(K, d)) * 0.2,
    }

    def components(p):
        z = (data[:, None, :] - p["means"]) * np.exp(-p["log_std"])
        logn = -0.5 * np.sum(z**2, axis=2) - np.sum(p["log_std"], axis=1)
        logw = p["logits"] - logsumexp(p["logits"])
        return z, logw, logw + logn

    def loss(p):
        _, _, joint = components(p)
        return -np.mean(logsumexp(joint, axis=1))

    def grads(p):
        z, logw, joint = components(p)
        r = np.exp(joint - logsumexp(joint, axis=1)[:, None])
        weights = np.exp(logw)
        dlogits = -(r.mean(axis=0) - weights)
        inv = np.exp(-p["log_std"])
        dmeans = -np.einsum("nk,nkd->kd", r, z * inv) / n
        dstd = -np.einsum("nk,nkd->kd", r, z**2 - 1) / n
        return {"logits": dlogits, "means": dmeans, "log_std": dstd}

    return loss, params, grads


MUTANTS = r"""
accumulation local_derivative ## np.sum(p["log_std"], axis=1) ## z**2 - 1) / n ## z**2) / n
cross_term accumulation ## logsumexp(p["logits"]) ## -(r.mean(axis=0) - weights) ## -r.mean(axis=0)
local_derivative ## np.exp(-p["log_std"]) ## r, z * inv) / n ## r, z) / n
cross_term reduction geometry ## logsumexp(joint, axis=1) ## logsumexp(joint, axis=1)[:, None] ## logsumexp(joint, axis=0)[None, :]
scale reduction ## np.mean(logsumexp ## r, z * inv) / n ## r, z * inv)
stale cross_term local_derivative upstream ## logsumexp(joint|logw + logn ## "nk,nkd->kd", r, z**2 - 1) ## "nk,nkd->kd", np.broadcast_to(weights, r.shape), z**2 - 1)
sign ## np.exp(-p["log_std"])|data[:, None, :] - p["means"] ## dmeans = -np.einsum ## dmeans = np.einsum
"""
