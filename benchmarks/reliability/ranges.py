"""Differences by the kernels, at every SIMD level, against mpmath.

f(x + d) - f(x) at points all over where f is defined, for d from 1e-300 to 1e3. The
functions and the unit of errors are those of the tests; the points are others.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import isolation
import numpy as np

CLAIM = "differences f(x + d) - f(x) within 8 ulp of themselves, at every SIMD level"
CASES, SHORT = 8, 1
LEVELS = ("base", "v3", "v4")


def drawn(seed):
    """The tests' module, with points and changes of another draw."""
    sys.path.append(str(isolation.TESTS / "kernels"))
    import test_differences

    tests = importlib.reload(test_differences)
    tests.RNG = np.random.default_rng(seed)
    for name, (function, x) in list(tests.FUNCTIONS.items()):
        shrunk = [a * tests.RNG.uniform(0.7, 1.0, len(a)) for a in x]
        if name == "arccosh":
            shrunk = [1 + (x[0] - 1) * tests.RNG.uniform(0.7, 1.0, len(x[0]))]
        some = tests.RNG.choice(len(x[0]), 25, replace=False)
        x = tuple(a[some] for a in shrunk)
        tests.FUNCTIONS[name] = tests.EVERYWHERE[name] = function, x
        tests.CHANGES[name] = tests.changes(x)
    return tests


def at_level(level, seed, folder):
    """What the kernels of a level make of all functions."""
    file = Path(folder) / f"{level}.npz"
    environment = {**os.environ, "FASTGRAD_SIMD": level}
    command = [sys.executable, __file__, str(seed), str(file)]
    subprocess.run(command, env=environment, check=True)
    return np.load(file)


def case(seed):
    tests, tried, failures = drawn(seed), 0, []
    with tempfile.TemporaryDirectory() as folder:
        found = [at_level(level, seed, folder) for level in LEVELS]
        for name, (function, x) in tests.FUNCTIONS.items():
            results = [level[name] for level in found]
            (ulp, *where), compared = tests.worst(
                function, x, tests.CHANGES[name], results
            )
            tried += compared * len(LEVELS)
            if not ulp <= tests.ULP:
                failures.append(f"{name}: {ulp:.1f} ulp at {where}")
    return tried, failures


if __name__ == "__main__":
    tests = drawn(int(sys.argv[1]))
    np.savez(sys.argv[2], **{name: tests.computed(name) for name in tests.FUNCTIONS})
