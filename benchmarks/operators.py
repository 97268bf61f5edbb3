"""torch's operators on torch's samples: gradcheck's answers and times are compared.

For the first samples of each operator that has a gradient in float64: the answer of
`torch.autograd.gradcheck` and of fastgrad's, for the operator and for one with 0.01 too
much in its gradient; seconds (each interleaved, three times; the least counts), by the
number of entries; and what of it becomes a compiled program.

    python benchmarks/operators.py [SAMPLES]
"""

import collections
import sys
import time
import warnings
from pathlib import Path

import torch

import fastgrad as fg
from fastgrad.interop.torch import gradcheck
from fastgrad.interop.torch.loss import TorchLoss

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from torch_operators import OPERATORS, planted, samples, total_of

OPTIONS = {"raise_exception": False, "check_batched_grad": False}
SIZES = (8, 25, 100, 1000)


def answer(check, function, inputs):
    """True, False or how it failed; and the seconds."""
    began = time.perf_counter()
    try:
        found = check(function, inputs, **OPTIONS)
    except (RuntimeError, ValueError) as error:
        found = type(error).__name__
    return found, time.perf_counter() - began


def compare(call):
    """Answers of both for the right and the wrong gradient, and least seconds."""
    checks = (torch.autograd.gradcheck, gradcheck)
    wrong = [answer(check, planted(call), call.inputs)[0] for check in checks]
    rounds = [[answer(check, call, call.inputs) for check in checks] for _ in range(3)]
    seconds = [min(r[k][1] for r in rounds) for k in range(2)]
    return [found for found, _ in rounds[0]], wrong, seconds


def operations(call):
    """What a program of the call leaves to torch; None if there is no program."""
    params = {str(i): x.detach().clone() for i, x in enumerate(call.inputs)}
    try:
        with TorchLoss(lambda p: total_of(call(*p.values())), params) as door:
            return fg.trace(door, door.arrays).python_operations
    except Exception:  # whatever stops the trace
        return None


def main(count):
    """Print the tables."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = {size: [0, 0.0, 0.0] for size in SIZES}
    tally, called = collections.Counter(), collections.Counter()
    for name in sorted(OPERATORS):
        for call in samples(name, 1, SIZES[-1], count):
            right, wrong, seconds = compare(call)
            tally["samples"] += 1
            tally["same answer, right"] += right[0] == right[1]
            tally["same answer, wrong"] += wrong[0] == wrong[1]
            if right[0] != right[1] or wrong[0] != wrong[1]:
                print(f"{name}: {right}, {wrong}")
            entries = sum(x.numel() for x in call.inputs)
            row = rows[next(size for size in SIZES if entries <= size)]
            row[0] += 1
            row[1] += seconds[0]
            row[2] += seconds[1]
            left = operations(call)
            tally["compiled entirely"] += left == ()
            tally["compiled, torch called"] += bool(left)
            called.update({text.split()[0] for text in left or ()})
    print(f"{len(OPERATORS)} operators")
    for what, number in tally.items():
        print(f"{number:6} {what}")
    print(f"\n{'entries':>10}{'samples':>10}{'torch':>10}{'fastgrad':>10}{'ratio':>8}")
    for size, (n, theirs, ours) in rows.items():
        ratio = theirs / ours if ours else float("nan")
        print(f"{size:10}{n:10}{theirs:10.3f}{ours:10.3f}{ratio:8.2f}")
    left = ", ".join(f"{name} {n}" for name, n in called.most_common(12))
    print(f"\nleft to torch, of samples: {left}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
