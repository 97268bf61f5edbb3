"""Heat in a rod by explicit steps, the conductivity unknown.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class HeatRod:
    def __init__(self, rng, n=7, steps=5):
        self.n, self.steps, self.h = n, steps, 0.1
        self.seen = rng.normal(size=n)
        self.params = {
            "u0": rng.normal(size=n),
            "logk": rng.normal(size=n - 1) * 0.3,
            "source": rng.normal(size=n),
        }

    def simulate(self, p):
        k, u = np.exp(p["logk"]), p["u0"]
        states = [u]
        for _ in range(self.steps):
            flux = k * (u[1:] - u[:-1])
            pad = np.zeros(1)
            change = np.concatenate([flux, pad]) - np.concatenate([pad, flux])
            u = u + self.h * (change + p["source"])
            states.append(u)
        return k, states

    def loss(self, p):
        _, states = self.simulate(p)
        return np.sum((states[-1] - self.seen) ** 2) + 0.5 * np.sum(states[2] ** 2)

    def grads(self, p):
        k, states = self.simulate(p)
        du = 2 * (states[-1] - self.seen)
        dk, dsource = np.zeros_like(k), np.zeros(self.n)
        for t in range(self.steps - 1, -1, -1):
            if t + 1 == 2:
                du = du + states[2]
            u = states[t]
            dchange = self.h * du
            dsource += dchange
            dflux = dchange[:-1] - dchange[1:]
            dk += dflux * (u[1:] - u[:-1])
            du = du.copy()
            du[1:] += k * dflux
            du[:-1] -= k * dflux
        return {"u0": du, "logk": dk * k, "source": dsource}


def case(rng):
    model = HeatRod(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
sign accumulation local_derivative ## change = ## dflux = dchange[:-1] - dchange[1:] ## dflux = dchange[:-1] + dchange[1:]
accumulation ## change = ## dflux = dchange[:-1] - dchange[1:] ## dflux = dchange[:-1]
accumulation ## flux = ## du[:-1] -= k * dflux ## pass
sign accumulation local_derivative ## flux = ## du[:-1] -= k * dflux ## du[:-1] += k * dflux
accumulation partial ## states[2]|0.5 * np.sum ## if t + 1 == 2: ## if t + 1 == 99:
stale geometry accumulation partial ## states[2]|u = u ## if t + 1 == 2: ## if t == 2:
local_derivative scale upstream ## self.h ## dchange = self.h * du ## dchange = du
reparametrized local_derivative ## np.exp(p["logk"]) ## "logk": dk * k ## "logk": dk
stale local_derivative geometry ## flux = ## u = states[t] ## u = states[t + 1]
accumulation ## u = u + ## du = du.copy() ## du = np.zeros_like(du)
"""
