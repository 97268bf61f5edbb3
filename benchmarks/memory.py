"""Memory of a check beyond what the caller holds, in units of 8 bytes a parameter.

The peak resident size of a process of its own, less that before the check. A network
keeps few values beside its parameters; of the elementwise loss every value is as large
as the parameters, and the traced program holds them too.

    python benchmarks/memory.py
"""

import resource
import subprocess
import sys

CHECK = """
import sys
import numpy as np
import fastgrad as fg
kind, size, coverage, engine = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
coverage = int(coverage) if coverage.isdigit() else coverage
rng = np.random.default_rng(0)
if kind == "network":
    n = int(size**0.5)
    w, X = rng.standard_normal((n, n)) / n**0.5, rng.standard_normal((n, 8))
    z = np.tanh(w @ X)
    g = (2 * z * (1 - z * z)) @ X.T
    loss = lambda w: np.sum(np.tanh(w @ X) ** 2)
elif kind == "few values":
    w, c = rng.standard_normal(size), rng.standard_normal(size)
    g = c * (1 - np.tanh(w) ** 2)
    loss = lambda w: np.sum(c * np.tanh(w))
else:
    w, c = rng.standard_normal(size), rng.standard_normal(size)
    g = w + c
    loss = lambda w: 0.5 * np.sum(w * w) + c @ w
fg.check_gradient(lambda p: np.sum(p**2), np.ones(3), 2 * np.ones(3))
loss(w)
def status(name):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(l for l in lines if l.startswith(name)).split()[1])
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
report = fg.check_gradient(loss, w, g, coverage=coverage, engine=engine)
print((status("VmHWM") - before) / 8 / w.size, report.verdict)
"""
CASES = [
    (kind, 10**6, coverage, "auto")
    for kind in ("network", "few values", "elementwise")
    for coverage in ("full", "100", "locate")
] + [
    ("network", 10**6, "100", "python"),
    ("network", 10**7, "100", "auto"),
    ("network", 10**7, "locate", "auto"),
]


def main():
    """Print the table."""
    print(f"{'loss':12}{'parameters':>12}{'coverage':>10}{'engine':>8}{'x 8 P':>8}")
    for case in CASES:
        command = [sys.executable, "-c", CHECK, *map(str, case)]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        factor, verdict = out.stdout.split()
        kind, size, coverage, engine = case
        line = f"{kind:12}{size:12,}{coverage:>10}{engine:>8}{float(factor):8.1f}"
        print(line, verdict)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"largest process: {used / 1024:.0f} MB, interpreter and inputs included")


if __name__ == "__main__":
    main()
