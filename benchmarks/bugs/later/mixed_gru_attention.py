"""A minimal gated unit that attends to its earlier states."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def case(rng):
    T, d, h = 4, 3, 3
    x, y = rng.normal(size=(T, d)), rng.normal(size=(T, h))
    params = {
        "Wf": rng.normal(size=(d, h)),
        "Uf": 0.5 * rng.normal(size=(h, h)),
        "Wc": rng.normal(size=(d, h)),
        "Uc": 0.5 * rng.normal(size=(h, h)),
        "A": 0.5 * rng.normal(size=(h, h)),
        "bf": rng.normal(size=h),
    }

    def forward(p):
        s, states, tape = np.zeros(h), [], []
        for t in range(T):
            f = sigmoid(x[t] @ p["Wf"] + s @ p["Uf"] + p["bf"])
            c = np.tanh(x[t] @ p["Wc"] + (f * s) @ p["Uc"])
            tape.append((s, f, c))
            s = (1 - f) * s + f * c
            states.append(s)
        S = np.stack(states)
        heads = []
        for t in range(T):
            w = softmax(S[: t + 1] @ (p["A"] @ S[t]) / np.sqrt(h))
            heads.append((w, w @ S[: t + 1]))
        return tape, S, heads

    def loss(p):
        _, _, heads = forward(p)
        return 0.5 * sum(np.sum((o - y[t]) ** 2) for t, (_, o) in enumerate(heads))

    def grads(p):
        tape, S, heads = forward(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        dS = np.zeros_like(S)
        for t in range(T):
            w, o = heads[t]
            do = o - y[t]
            past = S[: t + 1]
            dS[: t + 1] += np.outer(w, do)
            dw = past @ do
            dz = w * (dw - w @ dw) / np.sqrt(h)
            q = p["A"] @ S[t]
            dS[: t + 1] += np.outer(dz, q)
            dq = dz @ past
            g["A"] += np.outer(dq, S[t])
            dS[t] += p["A"].T @ dq
        ds = np.zeros(h)
        for t in reversed(range(T)):
            s, f, c = tape[t]
            ds = ds + dS[t]
            df, dc = ds * (c - s), ds * f
            dac = dc * (1 - c**2)
            g["Wc"] += np.outer(x[t], dac)
            g["Uc"] += np.outer(f * s, dac)
            dfs = p["Uc"] @ dac
            df = df + dfs * s
            daf = df * f * (1 - f)
            g["Wf"] += np.outer(x[t], daf)
            g["Uf"] += np.outer(s, daf)
            g["bf"] += daf
            ds = ds * (1 - f) + dfs * f + p["Uf"] @ daf
        return g

    return loss, params, grads


MUTANTS = r"""
local_derivative scale ## np.sqrt(h) ## dz = w * (dw - w @ dw) / np.sqrt(h) ## dz = w * (dw - w @ dw)
cross_term ## e / e.sum()|softmax( ## dz = w * (dw - w @ dw) ## dz = w * dw
accumulation ## p["A"] @ S[t] ## dS[t] += p["A"].T @ dq ## pass
layout ## p["A"] @ S[t] ## dS[t] += p["A"].T @ dq ## dS[t] += p["A"] @ dq
layout ## p["A"] @ S[t] ## g["A"] += np.outer(dq, S[t]) ## g["A"] += np.outer(S[t], dq)
accumulation partial geometry duplicate_index ## S[: t + 1] ## dS[: t + 1] += np.outer(w, do) ## dS[: t + 1] = np.outer(w, do)
accumulation local_derivative ## (f * s) @ p["Uc"] ## df = df + dfs * s ## df = df
accumulation local_derivative ## (f * s) @ p["Uc"] ## ds * (1 - f) + dfs * f + p["Uf"] @ daf ## ds * (1 - f) + p["Uf"] @ daf
local_derivative ## (1 - f) * s ## ds * (1 - f) + dfs * f ## ds * f + dfs * f
local_derivative ## (1 - f) * s ## ds * (c - s), ds * f ## ds * c, ds * f
local_derivative ## np.tanh(x[t] ## dac = dc * (1 - c**2) ## dac = dc * (1 - c)
local_derivative stale ## (f * s) @ p["Uc"] ## g["Uc"] += np.outer(f * s, dac) ## g["Uc"] += np.outer(s, dac)
accumulation geometry partial ## S[: t + 1] ## dS[: t + 1] += np.outer(dz, q) ## dS[:t] += np.outer(dz, q)[:t]
accumulation ## heads|S = ## ds = ds + dS[t] ## ds = dS[t]
"""
