"""What calling a Python loss costs beyond the loss itself, per evaluation.

The loss does next to nothing, so that what is measured is the caller. All ways are
timed in turn, several rounds, best of each; the bare calls are subtracted.

    python benchmarks/python_engine.py
"""

import time

import numpy as np
from scipy.optimize import approx_fprime

import fastgrad as fg
from fastgrad.losses import make_losses

SIZES = (1_000, 20_000)
ROUNDS = 7
STEP = 1e-5


def loss(p):
    return p[0] * 0.5


def bare(theta, evaluations):
    """Call the loss, and nothing else."""
    for _ in range(evaluations):
        loss(theta)


def in_place(theta):
    """Move each entry in place: the careful student's loop."""
    gradient = np.empty(theta.size)
    for i in range(theta.size):
        before = theta[i]
        theta[i] = before + STEP
        above = loss(theta)
        theta[i] = before - STEP
        below = loss(theta)
        theta[i] = before
        gradient[i] = (above - below) / (2 * STEP)
    return gradient


def with_copies(theta):
    """Copy all parameters for each evaluation: the textbook's loop."""
    gradient = np.empty(theta.size)
    for i in range(theta.size):
        above, below = theta.copy(), theta.copy()
        above[i] += STEP
        below[i] -= STEP
        gradient[i] = (loss(above) - loss(below)) / (2 * STEP)
    return gradient


def measured(theta):
    """Measure the gradient by the public function, noise and steps included."""
    return fg.numerical_gradient(loss, theta, engine="python", progress=False)


def checked(theta):
    """Check every entry."""
    right = np.zeros(theta.size)
    right[0] = 0.5
    assert fg.check_gradient(loss, theta, right, engine="python", progress=False).ok


def fastgrad(theta):
    """Compute the same differences with the engine "python"."""
    index = np.arange(theta.size)
    with make_losses(loss, theta, engine="python", progress=False) as losses:
        above, _ = losses.at_entries(index, theta + STEP)
        below, _ = losses.at_entries(index, theta - STEP)
    return (above - below) / (2 * STEP)


def scipy(theta):
    """Compute forward differences: one evaluation per entry."""
    return approx_fprime(theta, loss, STEP)


WAYS = {
    "fastgrad, differences": (fastgrad, 2),
    "numerical_gradient": (measured, 2),
    "check_gradient": (checked, 2),
    "loop, in place": (in_place, 2),
    "loop, copies": (with_copies, 2),
    "scipy approx_fprime": (scipy, 1),
}


def seconds(function, *arguments):
    """Return the wall-clock time of one call."""
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def overheads(size):
    """Return microseconds per evaluation beyond the loss, for each way."""
    theta = np.ones(size)
    best = dict.fromkeys(WAYS, np.inf)
    best_bare = np.inf
    for _ in range(ROUNDS):
        best_bare = min(best_bare, seconds(bare, theta, 2 * size) / (2 * size))
        for name, (way, per_entry) in WAYS.items():
            cost = seconds(way, theta) / (per_entry * size)
            best[name] = min(best[name], cost)
    return {name: 1e6 * (cost - best_bare) for name, cost in best.items()}


def main():
    """Print the table."""
    print("microseconds per evaluation beyond the loss")
    print(f"{'parameters':27}" + "".join(f"{size:>10,}" for size in SIZES))
    columns = [overheads(size) for size in SIZES]
    for name in WAYS:
        print(f"{name:27}" + "".join(f"{column[name]:10.2f}" for column in columns))


if __name__ == "__main__":
    main()
