"""A mixture with diagonal precisions; gradients by responsibilities, as in EM."""

import numpy as np


def case(rng):
    N, D, K = 12, 2, 3
    X = rng.normal(size=(N, D)) * 1.5
    params = {
        "logits": rng.normal(size=K) * 0.5,
        "means": rng.normal(size=(K, D)),
        "log_sd": rng.normal(size=(K, D)) * 0.3,
    }

    def e_step(p):
        log_pi = p["logits"] - np.log(np.sum(np.exp(p["logits"])))
        diff = X[:, None, :] - p["means"][None, :, :]
        inv = np.exp(-2 * p["log_sd"])
        ll = -0.5 * np.sum(diff**2 * inv, axis=2) - np.sum(p["log_sd"], axis=1)
        joint = ll + log_pi
        top = joint.max(axis=1, keepdims=True)
        evidence = top[:, 0] + np.log(np.sum(np.exp(joint - top), axis=1))
        return evidence, joint, diff, inv, log_pi

    def loss(p):
        return -np.mean(e_step(p)[0])

    def grads(p):
        evidence, joint, diff, inv, log_pi = e_step(p)
        resp = np.exp(joint - evidence[:, None])
        nk = resp.sum(axis=0)
        dlogits = np.exp(log_pi) - nk / N
        dmeans = -np.einsum("nk,nkd->kd", resp, diff) * inv / N
        second = np.einsum("nk,nkd->kd", resp, diff**2)
        dlog_sd = (nk[:, None] - second * inv) / N
        return {"logits": dlogits, "means": dmeans, "log_sd": dlog_sd}

    return loss, params, grads


MUTANTS = r"""
cross_term accumulation upstream local_derivative ## np.log(np.sum(np.exp(p["logits"]))) ## dlogits = np.exp(log_pi) - nk / N ## dlogits = -nk / N
scale reduction ## np.mean|diff**2 ## * inv / N\n        second ## * inv\n        second
sign ## diff ## dmeans = -np.einsum ## dmeans = np.einsum
local_derivative ## diff**2 * inv|np.exp(-2 ## resp, diff) * inv / N ## resp, diff) / N
accumulation upstream ## np.sum(p["log_sd"], axis=1) ## (nk[:, None] - second * inv) ## (-second * inv)
local_derivative upstream scale cross_term ## evidence|np.log(np.sum(np.exp(joint ## resp = np.exp(joint - evidence[:, None]) ## resp = np.exp(joint - joint.max(axis=1, keepdims=True))
"""
