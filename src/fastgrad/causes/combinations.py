"""Several terms that are each off by a factor: the factors follow by least squares.

Terms of a sum: what each use of a value sends back to it, the terms of two statistics
of a normalisation.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.evidence import Array, Evidence, Guess, join
from fastgrad.causes.patterns import is_statistic
from fastgrad.causes.reverse import Instead, Reverse, nothing
from fastgrad.causes.watch import Change, Watch
from fastgrad.program.graph import Node

_SOME = 500  # entries of a block that are looked at before all are
_LEFT = 1e-3  # of an error by what explains it
_PAIRS = 40  # of statistics
_USES = 6  # of one value
_SIMPLE = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)  # factors of terms that people write


def several_terms(
    evidence: Evidence, reverse: Reverse, groups: Sequence[list[Node]]
) -> Iterator[Guess]:
    """Yield sums of which several terms are off by factors."""
    for kind in (_statistics, _uses):
        yield from kind(evidence, reverse, groups)


def fitted(
    evidence: Evidence, terms: Sequence[Change], base: Change | None = None
) -> tuple[Array, Watch] | None:
    """Factors by which the terms explain all that is wrong, beyond the base."""
    if _factors(*stacked(evidence, terms, base, most=_SOME + 4 * len(terms))) is None:
        return None
    factors = _factors(*stacked(evidence, terms, base))
    if factors is None:
        return None
    watch = matched(evidence, factors, terms, base)
    return None if watch is None else (factors, watch)


def _factors(matrix: Array, off: Array) -> Array | None:
    """Least-squares factors, if they leave little."""
    if off.size < len(matrix) + 2 or not np.isfinite(matrix).all():
        return None
    sizes = np.linalg.norm(matrix, axis=1)
    if not (np.isfinite(off).all() and (sizes > 0).all()):
        return None
    scaled = (matrix / sizes[:, None]).T
    factors, _, rank, values = np.linalg.lstsq(scaled, off, rcond=None)
    if rank < len(matrix) or values[-1] < 1e-7 * values[0]:
        return None
    left = np.linalg.norm(scaled @ factors - off)
    return factors / sizes if left <= _LEFT * np.linalg.norm(off) else None


def stacked(
    evidence: Evidence,
    terms: Sequence[Change],
    base: Change | None = None,
    most: int | None = None,
) -> tuple[Array, Array]:
    """The terms in all wrong blocks, a row each, and what they are to add up to.

    In some entries of each block only, if `most`.
    """
    columns, target = [], []
    for b in evidence.wrong:
        block = evidence.blocks[b]
        at = np.flatnonzero(block.known)
        if most is not None and at.size > most:
            at = at[np.random.default_rng(b).integers(at.size, size=most)]
        start = None if base is None else base[b]
        off = block.off.ravel()[at]
        target.append(off if start is None else off - start.ravel()[at])
        columns.append(
            np.stack(
                [np.zeros(at.size) if t[b] is None else _at(t[b], at) for t in terms]
            )
        )
    return np.concatenate(columns, axis=1), np.concatenate(target)


def _at(part: Array | None, index: NDArray[np.intp]) -> Array:
    assert part is not None
    return part.ravel()[index]


def matched(
    evidence: Evidence,
    factors: Array,
    terms: Sequence[Change],
    base: Change | None = None,
) -> Watch | None:
    """The terms by these factors, if that is the error in every block."""
    watch = Watch(evidence, 1.0)
    for b in range(len(evidence.blocks)):
        if not watch(b, _sum(factors, terms, base, b)):
            return None
    return watch if watch.explained else None


def _sum(
    factors: Array, terms: Sequence[Change], base: Change | None, b: int
) -> Array | None:
    total = None if base is None else base[b]
    for factor, term in zip(factors, terms, strict=True):
        part = term[b]
        if part is not None:
            total = factor * part if total is None else total + factor * part
    return total


def _without(reverse: Reverse, nodes: Sequence[Node], i: int) -> Change:
    change = reverse.change(dict.fromkeys(nodes, Instead(i, nothing)))
    assert change is not None
    return change


# ---- statistics ----------------------------------------------------------------------


def _statistics(
    evidence: Evidence, reverse: Reverse, groups: Sequence[list[Node]]
) -> Iterator[Guess]:
    """Terms of two statistics, say mean and variance, that are both wrong."""
    statistics = [
        (group[0], _without(reverse, group, i))
        for group in groups
        for i in range(len(group[0].inputs))
        if is_statistic(group[0], i)
    ]
    for (node, first), (_, second) in islice(combinations(statistics, 2), _PAIRS):
        found = fitted(evidence, (first, second))
        if found is not None and np.abs(found[0]).min() > 1e-7:
            yield found[1].guess(*_read_statistics(1 - found[0]), node)


def _read_statistics(kept: Array) -> tuple[str, str, float]:
    kept = np.where(np.abs(kept) < 1e-6, 0.0, kept)
    if not kept.any():
        return "cross_term", "both statistics behind {op} are treated as constants", 3.3
    shown = join([f"{k:.4g}" for k in kept])
    text = f"the terms of both statistics behind {{op}} are multiplied by {shown}"
    return "cross_term", text, 3.9


# ---- uses of one value ---------------------------------------------------------------


def _uses(
    evidence: Evidence, reverse: Reverse, groups: Sequence[list[Node]]
) -> Iterator[Guess]:
    """What several uses of a value send back: some of it twice, some not at all."""
    wrong = sum(1 << b for b in evidence.wrong)
    for x in reverse.nodes:
        users = _by_operation(reverse.users.get(x, []))
        if not 2 <= len(users) <= _USES or reverse.reached[x] & wrong != wrong:
            continue
        terms = []
        for parts in users:
            change = reverse.change({n: Instead(i, nothing) for n, i in parts})
            assert change is not None
            terms.append(change)
        found = fitted(evidence, terms)
        if found is None:
            continue
        kept = 1 - found[0]
        simple = np.abs(kept[:, None] - _SIMPLE).min(axis=1) < 1e-6
        known = [
            bool(k) or evidence.is_plain(float(f))
            for k, f in zip(simple, kept, strict=True)
        ]
        if all(known) and (np.abs(kept - 1) > 1e-6).sum() > 1:
            shown = join([f"{k:.3g}" for k in np.round(kept, 6) + 0.0])
            text = f"what the {len(users)} uses of {x.label} send back counts {shown} "
            text += "times, the first being {op}"
            code = "accumulation" if simple.all() else "upstream"
            yield found[1].guess(code, text, 3.8, users[0][0][0])


def _by_operation(users: Sequence[tuple[Node, int]]) -> list[list[tuple[Node, int]]]:
    """The uses of a value, those of one operation of the user's together."""
    together: dict[object, list[tuple[Node, int]]] = {}
    for node, i in users:
        key = (node.source.site, node.label) if node.op != "contract" else (node, i)
        together.setdefault(key, []).append((node, i))
    return list(together.values())


def beyond(change: Change, base: Change) -> Change:
    """What one change has more than another."""
    return [
        None if c is None else c - (0.0 if b is None else b)
        for c, b in zip(change, base, strict=True)
    ]
