"""Ctrl-C at random moments: control within 250 ms, parameters restored, health after.

A process checks gradients, of programs and of Python functions of several sizes, one
after the other; SIGINT comes at random, and it tells when it was told.
"""

import os
import random
import signal
import subprocess
import sys
import time

CLAIM = "Ctrl-C at random: heard within 250 ms, parameters restored, next check right"
CASES, SHORT = 20, 2
SIGNALS, LATEST = 10, 0.25

CHECK = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs may ignore it
import numpy as np
import fastgrad as fg
kind, seed = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(seed)
n = int(rng.integers(20, 400))
W, A = (rng.standard_normal((n, n)) / n**0.5 for _ in range(2))
params = {"W": W}
before = W.tobytes()
def slow(p):
    time.sleep(1e-4)
    return np.sum(p["W"][0]**2)
losses = {
    "compiled": lambda p: np.sum(np.tanh(A @ np.tanh(p["W"])) ** 2),
    "python": slow,
    "both": lambda p: (np.sum(np.sin(p["W"])), {"W": np.cos(p["W"])}),
    "moments": lambda p: fg.moments(p["W"]).mean.sum(),
}
grads = {"W": W}
small = np.array([0.3, -0.7])
engine = "auto" if kind in ("compiled", "both") else "python"
options = {"engine": engine, "progress": False}
while True:
    print("go", flush=True)
    try:
        while True:
            fg.check_gradient(losses[kind], params, grads, **options)
    except KeyboardInterrupt:
        told = time.time()
        same = W.tobytes() == before
        right = fg.check_gradient(lambda w: np.sum(w**3), small, 3 * small**2).ok
        print(told, int(same), int(right), flush=True)
"""


def case(seed):
    kind = ("compiled", "python", "both", "moments")[seed % 4]
    command = [sys.executable, "-c", CHECK, kind, str(seed)]
    moments = random.Random(seed)
    failures = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            for _ in range(SIGNALS):
                process.stdout.readline()
                time.sleep(moments.uniform(0, 0.7))
                sent = time.time()
                os.kill(process.pid, signal.SIGINT)
                told = process.stdout.readline().split()
                if len(told) != 3:
                    process.kill()
                    last = process.stderr.read().splitlines()[-3:]
                    return SIGNALS, [f"{kind}: ended: {last}"]
                late = float(told[0]) - sent
                if late > LATEST:
                    failures.append(f"{kind}: after {1000 * late:.0f} ms")
                if told[1:] != ["1", "1"]:
                    failures.append(f"{kind}: restored, right afterwards: {told[1:]}")
        finally:
            process.kill()
    return SIGNALS, failures
