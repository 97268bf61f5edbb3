"""The likelihood of a local trend by a Kalman filter, matrices written out."""

import numpy as np


def case(rng):
    T = 5
    seen = np.cumsum(rng.normal(size=T))
    params = {
        "F": np.array([[0.9, 0.4], [-0.1, 0.8]]),
        "logq": np.array([-0.5, -1.0]),
        "logr": np.array(-0.3),
        "m0": rng.normal(size=2),
    }

    def filtered(p):
        m, P = p["m0"], np.eye(2)
        Q, R = np.diag(np.exp(p["logq"])), np.exp(p["logr"])
        tape, total = [], 0.0
        for t in range(T):
            mp = p["F"] @ m
            Pp = p["F"] @ P @ p["F"].T + Q
            e = seen[t] - mp[0]
            S = Pp[0, 0] + R
            K = Pp[:, 0] / S
            total = total + 0.5 * (np.log(S) + e**2 / S)
            tape.append((m, P, Pp, e, S, K))
            m = mp + K * e
            P = Pp - np.outer(K, Pp[0])
        return total, tape

    def loss(p):
        return filtered(p)[0]

    def grads(p):
        tape = filtered(p)[1]
        dF, dm, dP = np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2))
        dq, dr = np.zeros(2), 0.0
        for m, P, Pp, e, S, K in reversed(tape):
            dmp = dm.copy()
            dK = dm * e - dP @ Pp[0]
            de = dm @ K + e / S
            dPp = dP.copy()
            dPp[0] -= K @ dP
            dS = 0.5 * (1 / S - e**2 / S**2) - dK @ Pp[:, 0] / S**2
            dPp[:, 0] += dK / S
            dPp[0, 0] += dS
            dr += dS
            dmp[0] -= de
            dq += np.diag(dPp)
            dF += dPp @ p["F"] @ P.T + dPp.T @ p["F"] @ P
            dF += np.outer(dmp, m)
            dP = p["F"].T @ dPp @ p["F"]
            dm = p["F"].T @ dmp
        q, r = np.exp(p["logq"]), np.exp(p["logr"])
        return {"F": dF, "logq": dq * q, "logr": dr * r, "m0": dm}

    return loss, params, grads


MUTANTS = r"""
accumulation ## Pp = p["F"] @ P ## dF += dPp @ p["F"] @ P.T + dPp.T @ p["F"] @ P ## dF += dPp @ p["F"] @ P.T
layout ## mp = p["F"] @ m ## dm = p["F"].T @ dmp ## dm = p["F"] @ dmp
accumulation local_derivative ## K = Pp[:, 0] / S|S = ## 0.5 * (1 / S - e**2 / S**2) - dK @ Pp[:, 0] / S**2 ## 0.5 * (1 / S - e**2 / S**2)
reparametrized local_derivative ## np.exp(p["logr"]) ## "logr": dr * r ## "logr": dr
sign local_derivative accumulation ## e = seen ## dmp[0] -= de ## dmp[0] += de
accumulation local_derivative ## m = mp + K * e ## dK = dm * e - dP @ Pp[0] ## dK = dm * e
accumulation ## dm @ K|m = mp + K * e ## de = dm @ K + e / S ## de = e / S
local_derivative ## e**2 / S|total ## 0.5 * (1 / S - e**2 / S**2) ## 0.5 * (1 / S - e**2 / S)
accumulation partial ## R = |S = ## dr += dS ## dr = dS
"""
