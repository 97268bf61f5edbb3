"""Memory of a check as docs/running.md has it, at 10^3 to 10^7 parameters.

The numbers of 8 bytes for each parameter that the page promises, and beyond them what
does not grow with the parameters: code that is imported when used, workspaces, pieces
of arrays. Losses, and how they are measured, are those of benchmarks/memory.py.
"""

from memory import measured

CLAIM = "memory of checks at 10^3 to 10^7 parameters: as documented, and the verdict"
#: Numbers for each parameter, of right gradients and of wrong ones; bytes of the rest.
NUMBERS, FIXED = {"correct": 7, "wrong": 8}, 100e6
CHECKS = [
    ("given", "full", "correct"),
    ("given", "100", "correct"),
    ("given", "locate", "correct"),
    ("both", "full", "correct"),
    ("function", "full", "correct"),
    ("doubled", "100", "wrong"),
    ("doubled", "locate", "wrong"),
    ("scattered", "full", "wrong"),
]
RUNS = [(size, *check) for size in (10**3, 10**4, 10**5, 10**6) for check in CHECKS]
RUNS += [(10**7, *check) for check in CHECKS if check[0] in ("given", "doubled")]
CASES, SHORT = len(RUNS), 4


def case(seed):
    size, name, coverage, right = RUNS[seed]
    used, verdict, _ = measured(name, size, coverage)
    failures = [] if verdict == right else [f"{name}, {coverage}: {verdict}"]
    if used * 8 * size > NUMBERS[right] * 8 * size + FIXED:
        failures.append(f"{name}, {coverage}, {size:,}: {used:.1f} numbers a parameter")
    return 1, failures
