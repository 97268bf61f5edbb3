"""A temporal difference loss with a target network and a replayed batch."""

import numpy as np


class Agent:
    def __init__(self, rng):
        self.batch = {k: rng.normal(size=(7, 3)) for k in ("state", "next")}
        self.previous = {k: rng.normal(size=(7, 3)) for k in ("state", "next")}
        self.reward = rng.normal(size=7)
        self.action = rng.integers(0, 2, size=7)
        self.params = {
            "W": rng.normal(size=(3, 4)),
            "b": rng.normal(size=4) * 0.1,
            "Q": rng.normal(size=(4, 2)),
        }
        self.target = {
            k: v + 0.1 * rng.normal(size=v.shape) for k, v in self.params.items()
        }
        self.cache = self.hidden(self.target, self.previous["state"])

    def hidden(self, p, s):
        return np.tanh(s @ p["W"] + p["b"])

    def bootstrap(self):
        best = np.max(
            self.hidden(self.target, self.batch["next"]) @ self.target["Q"], axis=1
        )
        return self.reward + 0.9 * best

    def loss(self, p):
        q = self.hidden(p, self.batch["state"]) @ p["Q"]
        chosen = q[np.arange(7), self.action]
        return 0.5 * np.mean((chosen - self.bootstrap()) ** 2)

    def grads(self, p):
        s = self.batch["state"]
        h = self.hidden(p, s)
        q = h @ p["Q"]
        td = q[np.arange(7), self.action] - self.bootstrap()
        dq = np.zeros((7, 2))
        dq[np.arange(7), self.action] = td / 7
        dh = dq @ p["Q"].T
        dz = dh * (1 - h**2)
        return {"W": s.T @ dz, "b": dz.sum(axis=0), "Q": h.T @ dq}


def case(rng):
    agent = Agent(rng)
    return agent.loss, agent.params, agent.grads


MUTANTS = r"""
stale ## p["Q"] ## dh = dq @ p["Q"].T ## dh = dq @ self.target["Q"].T
stale ## ## s = self.batch["state"] ## s = self.previous["state"]
stale ## np.tanh|self.hidden(p ## h = self.hidden(p, s) ## h = self.cache
stale ## np.tanh|self.hidden(p ## h = self.hidden(p, s) ## h = self.hidden(self.target, s)
stale local_derivative ## np.tanh ## dz = dh * (1 - h**2) ## dz = dh * (1 - self.cache**2)
stale local_derivative ## s @ p["W"] ## "W": s.T @ dz ## "W": self.batch["next"].T @ dz
stale local_derivative ## p["Q"] ## "Q": h.T @ dq ## "Q": self.cache.T @ dq
scale ## np.mean ## = td / 7 ## = td
partial mask layout stale ## q[np.arange(7), self.action] ## dq[np.arange(7), self.action] = td / 7 ## dq[:, 0] = td / 7
"""
