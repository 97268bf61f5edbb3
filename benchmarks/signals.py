"""Diagnosis of signals: false alarms, planted faults found, what it costs.

``python benchmarks/signals.py [seeds]`` prints three tables; 100 seeds take minutes.
"""

import sys
import time
from pathlib import Path

import numpy as np

import fastgrad as fg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from signal_networks import FAULTS, HEALTHY, mlp, relu


def alarms(seeds):
    print(f"healthy references, {seeds} seeds: alarms, and largest |z|")
    for name, make in HEALTHY.items():
        reports = [fg.diagnose_signal(*make(seed)) for seed in range(seeds)]
        z = [abs(x.forward_z) for r in reports for x in r.layers if x.forward_z]
        wrong = [r for r in reports if not r.ok]
        print(f"  {name:24} {len(wrong):3}   {max(z):.1f}")
        for report in wrong[:3]:
            print("     ", report.verdict, report.first_layer, report.cause)


def found(seeds):
    print(f"planted faults, {seeds} seeds: how often verdict, layer, cause are right")
    for name, (make, word, layer, cause) in FAULTS.items():
        reports = [fg.diagnose_signal(*make(seed)) for seed in range(seeds)]
        right = [
            sum(word in r.verdict for r in reports),
            sum(layer in (None, r.first_layer) for r in reports),
            sum(cause in (None, r.cause) for r in reports),
        ]
        print(f"  {name:44} {right[0]:3} {right[1]:3} {right[2]:3}")


def costs(repeats=5):
    print("cost of a diagnosis / (trace + gradient), and / (loss + gradient)")
    for name, depth, width, activation, gain in (
        ("relu 50x512", 50, 512, relu, 2**0.5),
        ("tanh 20x512", 20, 512, np.tanh, 1.0),
        ("relu 5x256", 5, 256, relu, 2**0.5),
    ):
        loss, params = mlp(activation, depth, width, gain, 0, samples=256)
        best = dict.fromkeys(("loss", "trace", "gradient", "diagnosis"), np.inf)
        for _ in range(repeats):
            program = fg.trace(loss, params)
            for what, run in (
                ("loss", lambda: loss(params)),
                ("trace", lambda: fg.trace(loss, params)),
                ("gradient", program.gradient),
                ("diagnosis", lambda: fg.diagnose_signal(loss, params)),
            ):
                began = time.perf_counter()
                run()
                best[what] = min(best[what], time.perf_counter() - began)
        traced = best["diagnosis"] / (best["trace"] + best["gradient"])
        plain = best["diagnosis"] / (best["loss"] + best["gradient"])
        print(f"  {name:12} {best['diagnosis']:7.3f} s   {traced:.2f}   {plain:.2f}")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    costs()
    alarms(count)
    found(max(count // 5, 1))
