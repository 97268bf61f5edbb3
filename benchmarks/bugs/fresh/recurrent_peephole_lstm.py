"""An LSTM with peepholes, gates in one matrix, as in a paper's appendix."""

import numpy as np
from scipy.special import expit


def case(rng):
    T, D, H = 5, 2, 3
    xs, target = rng.normal(size=(T, D)), rng.normal(size=H)
    params = {
        "W": rng.normal(size=(4 * H, D + H)) * 0.5,
        "b": rng.normal(size=4 * H) * 0.2,
        "peep": rng.normal(size=(2, H)) * 0.3,
    }

    def cell(p, x, h_prev, c_prev):
        a = p["W"] @ np.concatenate([x, h_prev]) + p["b"]
        i = expit(a[:H] + p["peep"][0] * c_prev)
        f = expit(a[H : 2 * H] + p["peep"][1] * c_prev)
        g = np.tanh(a[2 * H : 3 * H])
        o = expit(a[3 * H :])
        c = f * c_prev + i * g
        return i, f, g, o, c, o * np.tanh(c)

    def run(p):
        h, c, tape = np.zeros(H), np.full(H, 0.1), []
        for x in xs:
            h_prev, c_prev = h, c
            i, f, g, o, c, h = cell(p, x, h_prev, c_prev)
            tape.append((x, h_prev, c_prev, i, f, g, o, c))
        return h, tape

    def loss(p):
        return 0.5 * np.sum((run(p)[0] - target) ** 2)

    def grads(p):
        h, tape = run(p)
        dW, db, dpeep = (np.zeros_like(p[k]) for k in ("W", "b", "peep"))
        dh, dc = h - target, np.zeros(H)
        for x, h_prev, c_prev, i, f, g, o, c in reversed(tape):
            tc = np.tanh(c)
            do = dh * tc
            dc = dc + dh * o * (1 - tc**2)
            di, df, dg = dc * g, dc * c_prev, dc * i
            dai = di * i * (1 - i)
            daf = df * f * (1 - f)
            dag = dg * (1 - g**2)
            dao = do * o * (1 - o)
            da = np.concatenate([dai, daf, dag, dao])
            dW += np.outer(da, np.concatenate([x, h_prev]))
            db += da
            dpeep += np.stack([dai * c_prev, daf * c_prev])
            dh = (p["W"].T @ da)[D:]
            dc = dc * f + dai * p["peep"][0] + daf * p["peep"][1]
        return {"W": dW, "b": db, "peep": dpeep}

    return loss, params, grads


MUTANTS = r"""
stale geometry ## f * c_prev ## dc * g, dc * c_prev, dc * i ## dc * g, dc * c, dc * i
accumulation ## p["peep"][1] * c_prev ## dc = dc * f + dai * p["peep"][0] + daf * p["peep"][1] ## dc = dc * f + dai * p["peep"][0]
accumulation upstream ## f * c_prev ## dc = dc * f + dai ## dc = dai
local_derivative ## o = expit ## dao = do * o * (1 - o) ## dao = do * (1 - o)
local_derivative layout ## c = f * c_prev + i * g ## di, df, dg = dc * g, dc * c_prev, dc * i ## di, df, dg = dc * i, dc * c_prev, dc * g
stale geometry layout ## p["peep"][0] * c_prev|p["peep"][1] * c_prev ## np.stack([dai * c_prev, daf * c_prev]) ## np.stack([dai * c, daf * c])
local_derivative ## np.tanh(c) ## dc + dh * o * (1 - tc**2) ## dc + dh * o
"""
