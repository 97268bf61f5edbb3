"""Planted errors from 1e-6 to 1 relative, one entry to whole blocks: none is missed.

Of a right gradient some entries are changed. None of them is called correct where it is
off by more than the detection limit that the report states for its block.
"""

import numpy as np
from right import check, chosen

CLAIM = "planted errors, 1e-6 to 1 relative: none above the stated limit is passed"
CASES, SHORT = 600, 20
PLANTED = 120


def places(shape, rng):
    """One entry, a row, some entries or a whole block."""
    some = np.zeros(shape, dtype=bool)
    flat = some.reshape(-1)
    kind = rng.integers(4)
    if kind == 0 or some.ndim == 0:
        flat[rng.integers(flat.size)] = True
    elif kind == 1:
        some[rng.integers(len(some))] = True
    elif kind == 2:
        flat[rng.choice(flat.size, min(PLANTED, flat.size), replace=False)] = True
    else:
        some[...] = True
    return some


def case(seed):
    condition, engine = chosen(seed)
    rng = np.random.default_rng(seed)
    right = condition.grads(condition.params)
    name = sorted(right)[rng.integers(len(right))]
    wrong = {key: np.array(value) for key, value in right.items()}
    some = places(wrong[name].shape, rng)
    change = 10.0 ** rng.uniform(-6, 0) * rng.choice([-1, 1])
    wrong[name][some] *= wrong[name].dtype.type(1 + change)
    report = check(condition, engine, wrong)
    block = report.blocks[name]
    found = {entry.index for entry in report.wrong if entry.block == name}
    numerical = np.asarray(report.numerical[name], dtype=np.float64)
    off = np.abs(np.asarray(wrong[name], dtype=np.float64) - numerical)
    seen = some & (off > block.detection_limit)
    tried = [tuple(map(int, index)) for index in np.argwhere(seen)]
    missed = [index for index in tried if index not in found]
    if len(missed) <= block.undecided + block.at_kink:
        return len(tried), []
    what = f"{condition.name} ({engine}): {name} {missed[:3]} x {1 + change:.9g}"
    return len(tried), [f"{what}, limit {block.detection_limit:.1e}"]
