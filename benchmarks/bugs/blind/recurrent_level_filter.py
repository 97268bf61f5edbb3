"""The local level model: the innovations of its filter, the adjoint by hand."""

import numpy as np


def case(rng):
    T = 6
    y = np.cumsum(rng.normal(size=T)) * 0.5
    params = {
        "log_q": np.array(-0.7),
        "log_r": np.array(0.2),
        "m0": np.array(0.3),
    }

    def loss(p):
        q, r = np.exp(p["log_q"]), np.exp(p["log_r"])
        m, P, total = p["m0"], 1.0, 0.0
        for t in range(T):
            P = P + q
            S = P + r
            e = y[t] - m
            total = total + 0.5 * (np.log(S) + e**2 / S)
            K = P / S
            m = m + K * e
            P = (1 - K) * P
        return total

    def grads(p):
        q, r = np.exp(p["log_q"]), np.exp(p["log_r"])
        m, P, tape = p["m0"], 1.0, []
        for t in range(T):
            P = P + q
            S = P + r
            e = y[t] - m
            K = P / S
            tape.append((P, S, e, K))
            m, P = m + K * e, (1 - K) * P
        dm, dP, dq, dr = 0.0, 0.0, 0.0, 0.0
        for P, S, e, K in reversed(tape):
            dK = dm * e - dP * P
            dpred = dP * (1 - K) + dK / S
            dS = 0.5 / S - 0.5 * e**2 / S**2 - dK * P / S**2
            de = dm * K + e / S
            dm = dm - de
            dr = dr + dS
            dpred = dpred + dS
            dq = dq + dpred
            dP = dpred
        return {
            "log_q": np.array(dq * q),
            "log_r": np.array(dr * r),
            "m0": np.array(dm),
        }

    return loss, params, grads


MUTANTS = r"""
local_derivative ## r = np.exp(p["log_q"])|np.exp(p["log_r"]) ## np.array(dq * q) ## np.array(dq)
local_derivative accumulation upstream ## e**2 / S ## dS = 0.5 / S - 0.5 * e**2 / S**2 - dK ## dS = 0.5 / S - dK
sign ## (1 - K) * P ## dK = dm * e - dP * P ## dK = dm * e + dP * P
accumulation upstream ## K * e ## de = dm * K + e / S ## de = e / S
accumulation upstream ## (1 - K) * P ## dpred = dP * (1 - K) + dK / S ## dpred = dK / S
accumulation upstream ## S = P + r ## dpred = dpred + dS ## dpred = dpred
local_derivative ## K = P / S ## dK * P / S**2 ## dK * P / S
"""
