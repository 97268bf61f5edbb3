"""A chain of springs by velocity Verlet, its end observed at some times."""

import numpy as np


def force(q, k, rest):
    gap = q[1:] - q[:-1] - rest
    pull = k * (gap + 0.3 * gap**3)
    f = np.zeros_like(q)
    f[:-1] += pull
    f[1:] -= pull
    return f


def force_back(df, q, k, rest):
    gap = q[1:] - q[:-1] - rest
    dpull = df[:-1] - df[1:]
    dgap = dpull * k * (1 + 0.9 * gap**2)
    dq = np.zeros_like(q)
    dq[1:] += dgap
    dq[:-1] -= dgap
    return dq, dpull * (gap + 0.3 * gap**3), -dgap.sum()


def case(rng):
    n, T, dt = 4, 5, 0.2
    seen = {1: rng.normal(), 3: rng.normal(), 4: rng.normal()}
    params = {
        "q0": np.arange(n) + 0.3 * rng.normal(size=n),
        "v0": rng.normal(size=n),
        "k": 1 + rng.random(n - 1),
        "rest": np.array(0.8),
    }

    def run(p):
        q, v, path = p["q0"], p["v0"], []
        f = force(q, p["k"], p["rest"])
        path.append(q)
        for t in range(T):
            half = v + 0.5 * dt * f
            q = q + dt * half
            f = force(q, p["k"], p["rest"])
            v = half + 0.5 * dt * f
            path.append(q)
        return path, v

    def loss(p):
        path, v = run(p)
        return sum((path[t + 1][-1] - s) ** 2 for t, s in seen.items()) + 0.1 * v @ v

    def grads(p):
        path, v = run(p)
        dq, dv, df = np.zeros(n), 0.2 * v, np.zeros(n)
        dk, drest, dlater = np.zeros(n - 1), 0.0, np.zeros(n)
        for t in reversed(range(T)):
            if t in seen:
                dq[-1] += 2 * (path[t + 1][-1] - seen[t])
            df = 0.5 * dt * dv
            dhalf = dv
            if t + 1 < T:
                df = df + 0.5 * dt * dlater
            aq, ak, ar = force_back(df, path[t + 1], p["k"], p["rest"])
            dq, dk, drest = dq + aq, dk + ak, drest + ar
            dhalf = dhalf + dt * dq
            dlater = dhalf
            dv = dhalf
        aq, ak, ar = force_back(0.5 * dt * dlater, path[0], p["k"], p["rest"])
        return {"q0": dq + aq, "v0": dv, "k": dk + ak, "rest": drest + ar}

    return loss, params, grads


MUTANTS = r"""
local_derivative scale ## gap**3 ## (1 + 0.9 * gap**2) ## (1 + 0.3 * gap**2)
sign local_derivative accumulation ## f[1:] ## dpull = df[:-1] - df[1:] ## dpull = df[:-1] + df[1:]
accumulation geometry ## gap = ## dq[:-1] -= dgap ## dq[:-1] -= 0 * dgap
accumulation duplicate_index geometry partial ## gap = ## dq[:-1] -= dgap ## dq[:-1] = -dgap
geometry layout ## gap = ## dq[1:] += dgap ## dq[:-1] += dgap
scale local_derivative ## v = half + 0.5 * dt * f ## df = 0.5 * dt * dv ## df = dt * dv
accumulation ## q = q + dt * half ## dhalf = dhalf + dt * dq ## dhalf = dt * dq
stale geometry local_derivative ## force( ## aq, ak, ar = force_back(df, path[t + 1] ## aq, ak, ar = force_back(df, path[t]
accumulation partial ## path[t + 1][-1] ## dq[-1] += 2 * (path ## dq[-1] = 2 * (path
sign ## rest ## -dgap.sum() ## dgap.sum()
accumulation ## force(q, p["k"], p["rest"]) ## "k": dk + ak ## "k": dk
"""
