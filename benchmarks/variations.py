"""Right gradients of the zoo under the variation battery, which may raise no alarm.

    python benchmarks/variations.py [--seeds 3] [--batches 1 2 5 8] [--float32]

Each problem for each seed and batch size, with all variations and identities.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np

import fastgrad as fg

sys.path.insert(0, str(Path(__file__).parents[1] / "zoo"))
import fastgrad_zoo as zoo
from fastgrad_zoo._opened import opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 5, 8])
    parser.add_argument("--coverage", type=int, default=20, help="entries of a block")
    parser.add_argument("--float32", action="store_true")
    arguments = parser.parse_args()
    dtype = np.float32 if arguments.float32 else None
    counts = dict.fromkeys(["batteries", "checks", "identities", "alarms"], 0)
    outcomes: dict[str, int] = {}
    started = time.perf_counter()
    for problem, seed, batch in itertools.product(
        zoo.problems(), range(arguments.seeds), arguments.batches
    ):
        if not problem.batched and batch != arguments.batches[0]:
            continue
        case = opened(problem, seed=seed, batch=batch, dtype=dtype)
        report = fg.check_variations(
            *case[:4], **case.options, coverage=arguments.coverage, seed=seed
        )
        counts["batteries"] += 1
        counts["checks"] += len(report)
        counts["identities"] += len(report.identities)
        counts["alarms"] += report.verdict == "wrong"
        for variation in report.variations:
            outcomes[variation.outcome] = outcomes.get(variation.outcome, 0) + 1
        if report.verdict == "wrong":
            print(f"{problem.__name__}(seed={seed}, batch={batch})\n{report}\n")
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()))
    print(outcomes, f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
