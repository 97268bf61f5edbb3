"""Random programs: what is replayed is what NumPy computes.

A program of up to a dozen operations on two parameters, of any layout. Its value, its
differences at single entries and along a direction are compared with the function,
evaluated by NumPy at the same points; its gradient, along that direction, with NumPy's
central differences where those of three sizes agree.
"""

import numpy as np
from program_functions import trace
from test_random import OPERATIONS, build

CLAIM = "random programs replay what NumPy computes, values, differences, gradients"
CASES, SHORT = 100_000, 500

MORE = [
    lambda x, y, k: np.sin(x) * np.arctan(y.sum()),
    lambda x, y, k: np.log1p(x * x) + np.expm1(-np.abs(x)),
    lambda x, y, k: np.sort(x, axis=-1) if x.ndim else x,
    lambda x, y, k: np.cumprod(np.tanh(x), axis=0) if x.ndim else x,
    lambda x, y, k: np.abs(np.fft.rfft(x, axis=-1)) if x.ndim and x.shape[-1] else x,
    lambda x, y, k: np.linalg.norm(x + 3.0, axis=0) if x.ndim else np.sqrt(x * x + 1),
    lambda x, y, k: np.clip(x, -0.3 * k, 0.4),
    lambda x, y, k: np.hypot(x, 0.5 + k),
    lambda x, y, k: np.logaddexp(x, 0.1 * k),
    lambda x, y, k: np.diff(x, axis=-1) if x.ndim and x.shape[-1] > 1 else x,
    lambda x, y, k: np.roll(x, k, axis=0) if x.ndim else x,
    lambda x, y, k: np.flip(x),
    lambda x, y, k: np.repeat(x, 2, axis=-1) if x.ndim else x,
    lambda x, y, k: np.tile(x, (2, 1)),
    lambda x, y, k: (
        np.convolve(x.ravel()[:9], y.ravel()[:3] if y.size else [1.0]) if x.size else x
    ),
    lambda x, y, k: np.median(x, axis=-1) if x.ndim and x.shape[-1] else x,
    lambda x, y, k: np.percentile(x, 10 + 15 * k, axis=0) if x.ndim and len(x) else x,
    lambda x, y, k: (
        np.var(x, axis=0) + np.std(np.append(x.ravel(), 5.0)) if x.ndim else x
    ),
    lambda x, y, k: np.triu(x, k - 2) if x.ndim > 1 else x,
    lambda x, y, k: np.diagonal(x, axis1=-1, axis2=0) if x.ndim > 1 else x,
    lambda x, y, k: np.stack([x, np.cos(x)], axis=k % (x.ndim + 1)),
    lambda x, y, k: np.tensordot(x, x, axes=(0, 0)) if x.ndim and x.ndim < 3 else x,
    lambda x, y, k: np.outer(x, y)[:5, :5] if y.size else x,
    lambda x, y, k: np.kron(x, np.array([1.0, -2.0])),
    lambda x, y, k: np.prod(np.tanh(x) + 1.5, axis=-1) if x.ndim else x,
    # A guard, away from what is zero but for rounding.
    lambda x, y, k: x * 2.0 if x.sum() > 0.2 * k + 0.0137 else x - 1.0,
    lambda x, y, k: np.power(np.abs(x) + 0.5, 1.5 - 0.5 * k),
    lambda x, y, k: (
        np.linalg.inv(x + 9 * np.eye(len(x)))
        if x.ndim == 2 and x.shape[0] == x.shape[1] and np.abs(x).max() < 1
        else x
    ),
]
EVERY = [*OPERATIONS, *MORE]
LAYOUTS = [
    lambda a: a,
    np.asfortranarray,
    lambda a: np.repeat(a, 2, axis=0)[::2],
    lambda a: a[..., ::-1].copy()[..., ::-1],
]


def case(seed):
    rng = np.random.default_rng(seed)
    steps = [
        (int(rng.integers(len(EVERY))), *map(int, rng.integers(0, [51, 51, 6])))
        for _ in range(rng.integers(1, 13))
    ]
    loss = build(steps, EVERY)
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    params = {"a": layout(rng.normal(size=(3, 4))), "b": layout(rng.normal(size=4))}
    return 1, differences(loss, params, rng, steps)


def differences(loss, params, rng, steps):
    """Where the program and the function part."""
    base, failures, program = loss(params), [], trace(loss, params)

    def compare(what, got, wanted, scale):
        given_up = program.guards and not np.isfinite(got)
        close = abs(got - wanted) <= 1e-8 * scale + 1e-9
        if not (given_up or close or not np.isfinite(wanted)):
            failures.append(f"{what}: {got}, NumPy {wanted} ({steps})")

    def moved(delta):
        part = {"a": delta[:12].reshape(3, 4), "b": delta[12:]}
        return loss({name: params[name] + part[name] for name in params})

    compare("value", program.value, base, abs(base))
    index = rng.choice(16, 4, replace=False)
    delta = rng.normal(size=4) * 10.0 ** rng.uniform(-6, 0.5, 4)
    got, _ = program.at_entries(index, delta, num_threads=2)
    for k in range(4):
        step = np.zeros(16)
        step[index[k]] = delta[k]
        compare(f"entry {index[k]}", got[k], moved(step) - base, abs(base))
    direction = rng.normal(size=16)
    (along,) = program.along(direction, [1.0])
    compare("direction", along, moved(direction) - base, abs(base))
    slope, known = central(lambda t: moved(t * direction))
    got = np.concatenate([g.ravel() for g in program.gradient().values()]) @ direction
    if abs(got - slope) > 1e-5 * abs(slope) + known:
        failures.append(f"gradient: {got}, NumPy {slope} +- {known} ({steps})")
    return failures


def central(f):
    """The slope of f at 0 by extrapolated central differences, and its uncertainty.

    Of three sizes, so that a kink or noise within reach shows: they part.
    """
    h = 1e-3 * np.array([1.0, 0.5, 0.25])
    d = [(f(t) - f(-t)) / (2 * t) for t in h]
    slopes = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    one_sided = (f(h[2]) - f(0.0)) / h[2] - d[2]
    curved = (f(h[1]) - f(0.0)) / h[1] - d[1]
    # Where f is smooth, one side is off by h f''/2: twice as much at twice the step.
    known = 20 * abs(slopes[1] - slopes[0]) + 4 * abs(curved - 2 * one_sided)
    return slopes[1], known + 1e-9 * abs(f(0.0)) / h[2]
