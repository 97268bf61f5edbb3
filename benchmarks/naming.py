"""Grade the naming of bugs over the zoo: python benchmarks/naming.py [--seeds N] ..."""

import argparse
import collections
import sys
import time
from pathlib import Path

import numpy as np

import fastgrad as fg

sys.path.insert(0, str(Path(__file__).parents[1] / "zoo"))
import fastgrad_zoo as zoo


def without_source(loss):
    """The loss in code that cannot be read and wants a number: it is not traced."""
    scope = {"loss": loss}
    exec("def untraced(p):\n    return float(loss(p))", scope)
    return scope["untraced"]


def grade(bug, seed, untraced):
    """Return (outcome, located, report, seconds) for one bug."""
    loss, params, grads = bug.case(seed=seed)
    for _ in range(bug.wrong_from_call - 1):
        grads(params)
    if untraced:
        loss = without_source(loss)
    started = time.perf_counter()
    try:
        report = fg.check_gradient(loss, params, grads)
    except ValueError as error:  # how a gradient that changes its parameters is told
        told = bug.cause == "mutated" and "must not change" in str(error)
        return "named" if told else "refused", told, None, 0.0
    seconds = time.perf_counter() - started
    located = {b.name for b in report.blocks if b.verdict == "wrong"} == set(bug.blocks)
    if report.verdict != "wrong":
        return "missed", located, report, seconds
    top = report.causes[0].code if report.causes else "unknown"
    if top == bug.cause:
        return "named", located, report, seconds
    if top in bug.also:
        return "named as well", located, report, seconds
    if top != "unknown" and {c.code for c in report.causes} & {bug.cause, *bug.also}:
        return "shown second", located, report, seconds
    if top == "unknown":
        return "unknown", located, report, seconds
    return "misnamed", located, report, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--untraced", action="store_true", help="numbers alone")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--correct", type=int, default=0)
    parser.add_argument("--bug")
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    bugs = [zoo.get(args.bug)] if args.bug else zoo.bugs(held_out=args.held_out)
    count = collections.Counter()
    wrong_place = 0
    for bug in bugs:
        for seed in range(1, args.seeds + 1):
            outcome, located, report, seconds = grade(bug, seed, args.untraced)
            count[outcome] += 1
            wrong_place += not located
            if args.quiet:
                continue
            flag = "" if located else "  [PLACE]"
            if outcome not in ("named", "named as well") or flag or args.bug:
                print(f"{outcome:14} {bug.name} ({bug.cause}){flag} {seconds:.2f} s")
                for cause in (
                    () if report is None else report.causes[: 9 if args.bug else 2]
                ):
                    print(f"      {cause.code}: {cause.message}")
    total = sum(count.values())
    for outcome, n in count.most_common():
        print(f"{outcome:14} {n:5}  {100 * n / total:5.1f} %")
    right_place = total - wrong_place
    print(f"{'located':14} {right_place:5}  {100 * right_place / total:5.1f} %")
    if args.correct:
        accused = [
            type(problem).__name__
            for problem in zoo.variations(args.correct)
            if fg.check_gradient(*problem.case()).verdict == "wrong"
        ]
        print(
            f"correct gradients accused: {len(accused)} of {args.correct} {accused[:5]}"
        )


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
