"""Exceptions at random evaluations: the user's own comes out, and nothing else changed.

A loss or its gradient raises at one of its calls; every way to evaluate a loss is
tried. The exception comes out, or, where another point does as well, the loss has no
value at this one: the verdict is not wrong. Parameters and the random state are as they
were, bit by bit, and the next check is right.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastgrad as fg

CLAIM = "exceptions at random calls: not called wrong, parameters restored, next right"
CASES, SHORT = 2000, 60


class Planted(Exception):
    """What is raised, once."""


class Failing:
    """A function that raises at one call, and the calls it has had."""

    def __init__(self, function, call):
        self.function, self.left, self.raised = function, call, False

    def __call__(self, *arguments):
        self.left -= 1
        if self.left == 0:
            self.raised = True
            raise Planted
        return self.function(*arguments)


def loss(p):
    return np.sum(np.tanh(p["W"]) @ p["x"] ** 2)


def grads(p):
    t = np.tanh(p["W"])
    by_w = (1 - t * t) * p["x"] ** 2
    return {"W": by_w, "x": 2 * t.sum(axis=0) * p["x"]}


def losses(p):
    """Of many points at once."""
    return np.sum(np.tanh(p["W"]) @ (p["x"] ** 2)[..., None], axis=(-2, -1))


def drawing(p):
    """One that draws from NumPy's generator, to no effect."""
    return loss(p) + 0.0 * np.random.random()  # noqa: NPY002


def check(rng, way, call):
    """Check by one way; return the function that fails, and the report."""
    p = {"W": rng.normal(size=(4, 5)), "x": rng.normal(size=5)}
    kept = {name: a.tobytes() for name, a in p.items()}
    failing, options, given = Failing(loss, call), {"progress": False}, grads
    if way == "grads":
        failing = given = Failing(grads, call)
    elif way == "both":
        failing = Failing(lambda p: (loss(p), grads(p)), call)
        given = None
    elif way == "vectorized":
        failing = Failing(losses, call)
        options["vectorized"] = True
    elif way == "drawing":
        failing = Failing(drawing, call)
    elif way in ("python", "locate"):
        options["engine"] = "python"
        options["coverage"] = "locate" if way == "locate" else "full"
    function = loss if way == "grads" else failing
    report, error = None, None
    try:
        if way == "workers":
            with ThreadPoolExecutor(2) as pool:
                report = fg.check_gradient(function, p, given, workers=pool, **options)
        else:
            report = fg.check_gradient(function, p, given, **options)
    except Planted as raised:
        error = raised
    same = kept == {name: a.tobytes() for name, a in p.items()}
    return failing, report, error, same


WAYS = ("auto", "python", "locate", "grads", "both", "vectorized", "drawing", "workers")


def case(seed):
    rng = np.random.default_rng(seed)
    way = WAYS[seed % len(WAYS)]
    call = int(2 ** rng.uniform(0, 7))
    state = np.random.get_state()[1].tobytes()  # noqa: NPY002
    failing, report, error, same = check(rng, way, call)
    failures = []
    if error is not None and not failing.raised:
        failures.append(f"{way}, call {call}: an exception of nobody")
    expected = ("correct", "undecided") if failing.raised else ("correct",)
    if report is not None and report.verdict not in expected:
        failures.append(f"{way}, call {call}: {report.verdict}")
    if not same:
        failures.append(f"{way}, call {call}: parameters changed")
    if np.random.get_state()[1].tobytes() != state:  # noqa: NPY002
        failures.append(f"{way}, call {call}: the random state changed")
    x = np.array([0.3, -0.7])
    if not fg.check_gradient(lambda x: np.sum(x**3), x, 3 * x**2).ok:
        failures.append(f"{way}, call {call}: another verdict afterwards")
    return 1, failures
