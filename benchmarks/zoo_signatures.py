"""What the numbers alone say of each bug: ``python benchmarks/zoo_signatures.py``.

Only the wrong gradient a, the right one n and the parameters are looked at, no program
and no data. A signature is listed where it fits for each of several seeds. Held-out
bugs are left out: rules are written from what this prints. With
``--held-out`` only the shares of the held-out ones are printed.
"""

import collections
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "zoo"))
import fastgrad_zoo as zoo

SEEDS = (0, 1, 2, 3)
TIGHT = 1e-9


def close(x, y):
    return np.allclose(x, y, rtol=TIGHT, atol=TIGHT * max(np.max(np.abs(y)), 1e-300))


def fit(target, *columns):
    """Return the coefficients of a least-squares fit that leaves nothing, or None."""
    matrix = np.stack([c.ravel() for c in columns], axis=1)
    if target.size <= len(columns) or np.linalg.matrix_rank(matrix) < len(columns):
        return None
    coefficients, *_ = np.linalg.lstsq(matrix, target.ravel(), rcond=None)
    return coefficients if close(matrix @ coefficients, target.ravel()) else None


def elementwise(a, n, theta):
    """Yield what the ratio of each entry is a function of."""
    if a.size < 2 or np.any(n == 0) or np.any(a == 0):
        return
    ratio = a / n
    if close(np.abs(ratio), np.ones_like(ratio)):
        yield "|a| = |n|, signs differ"
        return
    candidates = {
        "theta": theta,
        "1/theta": 1 / theta,
        "exp(theta)": np.exp(theta),
        "exp(-theta)": np.exp(-theta),
        "1/cos(theta)": 1 / np.cos(theta),
        "1/cosh(theta)": 1 / np.cosh(theta),
    }
    for name, value in candidates.items():
        if fit(ratio, value) is not None:
            yield f"a/n ∝ {name}"
    rounded = np.round(ratio)
    if close(ratio, rounded) or close(1 / ratio, np.round(1 / ratio)):
        yield "a/n a whole number, or one over one, entry by entry"
    for axis in range(a.ndim):
        if a.shape[axis] < a.size:
            others = tuple(i for i in range(a.ndim) if i != axis)
            if close(
                ratio, np.broadcast_to(ratio.mean(others, keepdims=True), a.shape)
            ):
                yield f"a/n constant for each index of axis {axis}"


def moved(a, n, blocks, name):
    """Yield ways in which the right numbers are in the wrong places."""
    if a.size < 2:
        return
    if a.ndim == 2 and a.shape[0] == a.shape[1] and close(a, n.T):
        yield "a = n^T"
    if a.ndim > 1 and close(a, n.ravel(order="F").reshape(n.shape)):
        yield "a is n read in Fortran order"
    for axis in range(a.ndim):
        if close(a, np.flip(n, axis)):
            yield f"a is n reversed along axis {axis}"
        for shift in {1, -1}:
            if close(a, np.roll(n, shift, axis)):
                yield f"a is n rolled along axis {axis}"
    for other, value in blocks.items():
        if other != name and value.shape == a.shape and close(a, value):
            yield "a is another block's n"
    if close(np.sort(a, axis=None), np.sort(n, axis=None)):
        yield "a is a permutation of n"


def support(a, n):
    """Yield where the wrong entries are."""
    wrong = ~np.isclose(a, n, rtol=TIGHT, atol=TIGHT * np.max(np.abs(n)))
    if np.any((a != 0) & (n == 0)):
        yield "a is not 0 where n is"
    if not np.any(a):
        yield "a = 0"
    elif np.any((a == 0) & (n != 0)):
        yield "a = 0 on some entries"
    if wrong.sum() == 1 < wrong.size:
        yield "one entry wrong"
    elif not wrong.all():
        for axis in range(a.ndim):
            others = tuple(i for i in range(a.ndim) if i != axis)
            if not wrong.any(others).all():
                yield f"wrong at some indices of axis {axis} only"


def of_block(a, n, theta, blocks, name):
    """Yield each signature of one wrong block."""
    if not np.all(np.isfinite(a)):
        yield "a is not finite"
        return
    yield from support(a, n)
    if not np.any(a) or not np.any(n):
        return
    scale = fit(a, n)
    if a.size == 1:
        yield "one number: any factor fits"
        return
    if scale is not None:
        yield "a = -n" if np.isclose(scale[0], -1) else "a = c n"
        return
    if fit(a, theta) is not None:
        yield "a ∝ theta"
        return
    delta = a - n
    if fit(delta, theta) is not None:
        yield "a - n ∝ theta"
    elif fit(delta, theta, np.sign(theta)) is not None:
        yield "a - n from theta and sign(theta)"
    elif fit(a, n, theta) is not None:
        yield "a = c n + d theta"
    if np.ptp(a) <= TIGHT * np.abs(a).max():
        yield "all entries of a equal"
        if np.isclose(a.ravel()[0], n.sum()):
            yield "each entry of a is the sum of n"
    yield from elementwise(a, n, theta)
    yield from moved(a, n, blocks, name)
    rank = np.linalg.matrix_rank(delta, tol=1e-9 * np.linalg.norm(delta))
    if a.ndim == 2 and min(a.shape) > 2 and rank == 1:
        yield "a - n of rank 1"
    top = np.abs(a).max()
    if np.sum(np.abs(a) == top) > 1 and close(a, np.clip(n, -top, top)):
        yield "a = clip(n)"
    if np.array_equal(a, a.astype(np.float16)):
        yield "a has 11 significant bits"
    elif np.array_equal(
        a.astype(np.float32).view(np.uint32) & 0xFFFF, np.zeros(a.shape)
    ):
        yield "a has 8 significant bits"
    if np.array_equal(a, np.round(a)):
        yield "a is whole numbers"
    if close(np.array(n.sum()), np.zeros(())) and abs(a.sum()) > 1e-9 * abs(a).max():
        yield "n sums to 0, a does not"


def signatures(bug, seed):
    """Return the signatures of a bug, by block."""
    case = bug.case(seed=seed)
    right = bug.make(seed=seed).grads(case.params)
    theta = {k: v.copy() for k, v in case.params.items()}
    for _ in range(bug.wrong_from_call):
        wrong = case.grads(case.params)
    found = {}
    for name in bug.blocks:
        a, n = wrong[name], right[name]
        found[name] = list(of_block(a, n, theta[name], right, name))
    changed = any(not np.array_equal(theta[k], case.params[k]) for k in theta)
    found["calls"] = ["the parameters change"] if changed else []
    if bug.wrong_from_call > 1:
        found["calls"].append("the second call differs from the first")
    return found


def lasting(bug):
    """Return the signatures that fit for each seed, by block."""
    every = [signatures(bug, seed) for seed in SEEDS]
    return {
        name: [s for s in every[0][name] if all(s in other[name] for other in every)]
        for name in every[0]
    }


def main():
    """Print the signatures of the bugs that are not held out, and the shares."""
    wanted = "--held-out" in sys.argv
    named, total = collections.Counter(), collections.Counter()
    for bug in zoo.bugs(held_out=wanted):
        found = lasting(bug)
        some = {s for block in found.values() for s in block}
        total[bug.cause] += 1
        named[bug.cause] += bool(some)
        if not wanted:
            merged = collections.defaultdict(list)
            for name, block in found.items():
                if block:
                    merged["; ".join(block)].append(name)
            text = " | ".join(f"{' '.join(v)}: {k}" for k, v in merged.items())
            print(f"{bug.cause:17s} {bug.name:42s} {text or '-'}")
    print()
    for cause in total:
        print(f"{cause:17s} {named[cause]:3d} of {total[cause]:3d} have a signature")
    print(f"{'all':17s} {sum(named.values()):3d} of {sum(total.values()):3d}")


if __name__ == "__main__":
    main()
