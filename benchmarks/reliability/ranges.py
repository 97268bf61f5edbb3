"""Values and differences by the kernels, at every SIMD level, against mpmath.

    python benchmarks/reliability/ranges.py  # the largest errors of each function

f(x + d) - f(x) at points all over float64 where f is defined, for changes all over
float64, among them those from where f is known without rounding, which give its values.
The functions, the unit of errors and how points are drawn are those of the tests; the
points are others.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import isolation
import numpy as np

CLAIM = "values, and differences f(x + d) - f(x), within 8 ulp, at every SIMD level"
CASES, SHORT = 8, 1
LEVELS = ("base", "v3", "v4")
MOST = 8  # ulp


def drawn(seed):
    """The tests' module, with points and changes of another draw."""
    sys.path.append(str(isolation.TESTS / "kernels"))
    import test_differences

    tests = importlib.reload(test_differences)
    tests.RNG = np.random.default_rng(seed)
    for name, (function, x) in tests.FUNCTIONS.items():
        shrunk = [a * tests.RNG.uniform(0.7, 1.0, len(a)) for a in x]
        if name == "arccosh":
            shrunk = [1 + (x[0] - 1) * tests.RNG.uniform(0.7, 1.0, len(x[0]))]
        some = tests.RNG.choice(len(x[0]), 15, replace=False)
        x = tuple(a[some] for a in shrunk)
        tests.CASES[name] = function, x, tests.changes(x)
        tests.CASES[f"{name}, anywhere"] = tests.anywhere(name)
    return tests


def at_level(level, seed, folder):
    """What the kernels of a level make of all functions."""
    file = Path(folder) / f"{level}.npz"
    environment = {**os.environ, "FASTGRAD_SIMD": level}
    command = [sys.executable, __file__, str(seed), str(file)]
    subprocess.run(command, env=environment, check=True)
    return np.load(file)


def scanned(seed):
    """Yield each function, what of it, and the worst found by each level.

    That is its error in ulp, where, and how many there were.
    """
    tests = drawn(seed)
    with tempfile.TemporaryDirectory() as folder:
        found = [at_level(level, seed, folder) for level in LEVELS]
    values, others = slice(0, tests.ANCHORED), slice(tests.ANCHORED, None)
    for name in tests.FUNCTIONS:
        cases = (
            ("values", f"{name}, anywhere", values),
            ("differences", f"{name}, anywhere", others),
            ("differences", name, slice(None)),
        )
        for what, case, rows in cases:
            function, x, d = tests.CASES[case]
            some = [a[rows] for a in x], [a[rows] for a in d]
            yield (
                name,
                what,
                [tests.worst(function, *some, [level[case][rows]]) for level in found],
            )


def case(seed):
    tried, failures = 0, []
    for name, what, worst in scanned(seed):
        for level, ((ulp, *where), compared) in zip(LEVELS, worst, strict=True):
            tried += compared
            if not ulp <= MOST:
                failures.append(f"{name}, {what}, {level}: {ulp:.1f} ulp at {where}")
    return tried, failures


def table(cases):
    """Print the largest errors of all cases and levels, in ulp."""
    largest = {}
    for seed in range(cases):
        for name, what, worst in scanned(seed):
            row = largest.setdefault(name, {"values": 0.0, "differences": 0.0})
            row[what] = max([row[what], *(ulp for (ulp, *_), _ in worst)])
    print("| function | values | differences |\n|---|--:|--:|")
    for name, row in largest.items():
        print(f"| `{name}` | {row['values']:.1f} | {row['differences']:.1f} |")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        tests = drawn(int(sys.argv[1]))
        np.savez(sys.argv[2], **{name: tests.computed(name) for name in tests.CASES})
    else:
        table(CASES)
