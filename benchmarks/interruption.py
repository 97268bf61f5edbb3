"""How long Ctrl-C takes to reach the caller, whatever the size of a forward pass.

SIGINT is sent at random moments of a check in a process of its own, once its entries
are measured; what is counted is the time from there to the ``except KeyboardInterrupt``
around `check_gradient`. With ``engine="python"`` that includes what is left of a call
of NumPy, which nothing can interrupt.

    python benchmarks/interruption.py
"""

import os
import random
import signal
import subprocess
import sys
import time

CHECK = """
import sys, time
import numpy as np
import fastgrad as fg
from fastgrad.checking.judgement import verdict
def judged(*arguments, first_pass=verdict._first_pass):
    print("go", flush=True)
    return first_pass(*arguments)
verdict._first_pass = judged
n = {n}
rng = np.random.default_rng(0)
W, A, X = (rng.standard_normal((n, n)) / n**0.5 for _ in range(3))
params = {{"W": W}}
before = W.tobytes()
try:
    fg.check_gradient(lambda p: np.sum(np.tanh(A @ np.tanh(X @ p["W"]))**2), params, params, engine={engine!r}, progress=False)
except KeyboardInterrupt:
    print(time.time(), W.tobytes() == before, flush=True)
"""  # noqa: E501
SIZES = (300, 1000, 2000)
ROUNDS = 5


def latency(n, engine):
    """Return the seconds from the signal to the handler; whether W came back."""
    code = CHECK.format(n=n, engine=engine)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    process.stdout.readline()
    time.sleep(random.uniform(0.1, 2))
    sent = time.time()
    os.kill(process.pid, signal.SIGINT)
    answer = ["go"]
    while answer == ["go"]:
        answer = process.stdout.readline().split()
    process.kill()
    process.wait()
    return float(answer[0]) - sent, answer[1] == "True"


def main():
    """Print the longest of some rounds for each size."""
    print(f"{'n x n':>8}{'engine':>10}{'longest, ms':>14}  restored")
    for n in SIZES:
        for engine in ("compiled", "python"):
            found = [latency(n, engine) for _ in range(ROUNDS)]
            longest = 1000 * max(seconds for seconds, _ in found)
            print(f"{n:8}{engine:>10}{longest:14.0f}  {all(ok for _, ok in found)}")


if __name__ == "__main__":
    main()
