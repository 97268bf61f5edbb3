"""A mixture of experts with a gate, all products as einsum, and a balance term."""

import numpy as np


def init(rng, inputs=4, experts=3, hidden=5, outputs=2):
    return {
        "gate": rng.normal(size=(inputs, experts)),
        "U": rng.normal(size=(experts, inputs, hidden)) / 2,
        "c": rng.normal(size=(experts, hidden)) / 4,
        "V": rng.normal(size=(experts, hidden, outputs)) / 2,
    }


def forward(p, x):
    logits = np.einsum("ni,ie->ne", x, p["gate"])
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    gate = e / e.sum(axis=1, keepdims=True)
    pre = np.einsum("ni,eih->neh", x, p["U"]) + p["c"]
    act = np.where(pre > 0, pre, 0.1 * pre)
    out = np.einsum("neh,eho->neo", act, p["V"])
    mixed = np.einsum("ne,neo->no", gate, out)
    return gate, pre, act, out, mixed


def objective(p, x, y):
    gate, _, _, _, mixed = forward(p, x)
    load = np.mean(gate, axis=0)
    return np.mean((mixed - y) ** 2) + 0.3 * np.sum(load**2)


def backward(p, x, y):
    gate, pre, act, out, mixed = forward(p, x)
    dmixed = 2 * (mixed - y) / y.size
    dgate = np.einsum("no,neo->ne", dmixed, out)
    dgate += 0.6 * gate.mean(axis=0) / len(x)
    dout = np.einsum("no,ne->neo", dmixed, gate)
    dact = np.einsum("neo,eho->neh", dout, p["V"])
    dpre = dact * np.where(pre > 0, 1.0, 0.1)
    dlogits = gate * (dgate - np.einsum("ne,ne->n", gate, dgate)[:, None])
    return {
        "gate": np.einsum("ni,ne->ie", x, dlogits),
        "U": np.einsum("ni,neh->eih", x, dpre),
        "c": np.einsum("neh->eh", dpre),
        "V": np.einsum("neh,neo->eho", act, dout),
    }


def case(rng):
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    return lambda p: objective(p, x, y), init(rng), lambda p: backward(p, x, y)


MUTANTS = r"""
scale ## np.mean((mixed ## 2 * (mixed - y) / y.size ## 2 * (mixed - y) / len(y)
upstream local_derivative ## np.einsum("ne,neo->no" ## dout = np.einsum("no,ne->neo", dmixed, gate) ## dout = np.einsum("no,ne->neo", dmixed, np.ones_like(gate))
mask local_derivative ## np.where(pre ## np.where(pre > 0, 1.0, 0.1) ## np.where(pre > 0, 1.0, 0.0)
cross_term ## gate = e ## (dgate - np.einsum("ne,ne->n", gate, dgate)[:, None]) ## (dgate * (1 - gate))
scale ## np.mean(gate ## gate.mean(axis=0) / len(x) ## gate.mean(axis=0)
accumulation cross_term ## np.mean(gate ## dgate += 0.6 ## dgate = np.zeros_like(dgate) + 0.6
stale local_derivative ## act, p["V"] ## np.einsum("neh,neo->eho", act, dout) ## np.einsum("neh,neo->eho", pre, dout)
reduction local_derivative ## np.mean(gate ## dgate += 0.6 * gate.mean(axis=0) / len(x) ## dgate += 0.6 * gate / len(x)
"""
