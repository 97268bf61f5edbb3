"""A driven pendulum by the midpoint rule, angle and speed.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def accel(a, w, p, t):
    return -p["g"] * np.sin(a) - p["damp"] * w + p["drive"][t]


def case(rng):
    T, dt = 5, 0.3
    seen = rng.normal(size=T)
    params = {
        "g": np.array(2.0),
        "damp": np.array(0.4),
        "drive": rng.normal(size=T),
        "start": np.array([0.8, -0.3]),
    }

    def run(p):
        a, w = p["start"][0], p["start"][1]
        tape, angles = [], []
        for t in range(T):
            am = a + 0.5 * dt * w
            wm = w + 0.5 * dt * accel(a, w, p, t)
            tape.append((a, w, am, wm))
            a = a + dt * wm
            w = w + dt * accel(am, wm, p, t)
            angles.append(a)
        return tape, angles

    def loss(p):
        _, angles = run(p)
        return sum((angles[t] - seen[t]) ** 2 for t in range(T))

    def accel_back(d, a, w, p, t, g):
        g["g"] -= d * np.sin(a)
        g["damp"] -= d * w
        g["drive"][t] += d
        return -d * p["g"] * np.cos(a), -d * p["damp"]

    def grads(p):
        tape, angles = run(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        da = dw = 0.0
        for t in reversed(range(T)):
            a, w, am, wm = tape[t]
            da = da + 2 * (angles[t] - seen[t])
            dam, dwm = accel_back(dt * dw, am, wm, p, t, g)
            dwm = dwm + dt * da
            ea, ew = accel_back(0.5 * dt * dwm, a, w, p, t, g)
            da = da + dam + ea
            dw = dw + dwm + ew + 0.5 * dt * dam
        g["start"] = np.array([da, dw])
        return g

    return loss, params, grads


MUTANTS = r"""
sign local_derivative ## np.sin ## return -d * p["g"] * np.cos(a) ## return d * p["g"] * np.cos(a)
scale local_derivative ## am = a ## + ew + 0.5 * dt * dam ## + ew + dt * dam
accumulation ## am = a ## + ew + 0.5 * dt * dam ## + ew
scale local_derivative ## wm = w ## accel_back(0.5 * dt * dwm, ## accel_back(dt * dwm,
accumulation ## p["damp"] ## np.cos(a), -d * p["damp"] ## np.cos(a), 0.0
accumulation duplicate_index ## p["drive"][t] ## g["drive"][t] += d ## g["drive"][t] = d
stale local_derivative ## accel(a, w|np.sin ## dwm, a, w, p, t, g) ## dwm, am, wm, p, t, g)
accumulation partial ## angles|(angles[t] ## da = da + 2 * (angles[t] - seen[t]) ## da = 2 * (angles[t] - seen[t])
local_derivative ## np.sin ## d * p["g"] * np.cos(a) ## d * p["g"] * np.sin(a)
"""
