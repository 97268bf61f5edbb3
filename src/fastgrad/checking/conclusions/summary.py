"""From a verdict on each entry to a report on the gradient."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.checking.conclusions.notes import notes, planted_errors
from fastgrad.checking.differences import Calibration, typical
from fastgrad.checking.directions import UNLUCKY, Search, searched_error
from fastgrad.checking.judgement import (
    CORRECT,
    KINK,
    UNDECIDED,
    UNOBSERVABLE,
    WRONG,
    Verdicts,
)
from fastgrad.losses import Losses
from fastgrad.reports import (
    Block,
    Blocks,
    Entries,
    GradientReport,
    Ladder,
    Some,
    Verdict,
)


def summarize(
    losses: Losses,
    entries: Verdicts,
    calibration: Calibration,
) -> GradientReport:
    """Return the report on the entries judged."""
    caught = planted_errors(entries)
    norms = [_Norms(entries.of_block(b)) for b in range(len(losses.nest.names))]
    blocks = _blocks(losses, entries, calibration, caught, norms)
    return GradientReport(
        verdict=_overall(entries, blocks),
        relative_error=relative_error(norms),
        blocks=Blocks(blocks),
        ladders=_ladders(losses, entries),
        step=None if calibration.fixed is None else calibration.fixed.asked,
        notes=tuple(notes(losses, blocks, entries, calibration, caught)),
        **_of_both(losses, entries, calibration),
    )


def summarize_search(
    losses: Losses,
    searches: list[Search],
    entries: Verdicts,
    calibration: Calibration,
) -> GradientReport:
    """Return the report on a search along random directions."""
    blocks = tuple(
        _searched_block(losses, b, search, entries.of_block(b))
        for b, search in enumerate(searches)
    )
    seen = zip(blocks, searches, strict=True)
    verdicts = {block.verdict for block, s in seen if s.size or s.differs}
    verdict: Verdict = "correct" if verdicts == {"correct"} else "undecided"
    if "wrong" in verdicts:
        verdict = "wrong"
    return GradientReport(
        verdict=verdict,
        relative_error=searched_error(searches),
        blocks=Blocks(blocks),
        notes=tuple(_search_notes(blocks, searches, entries)),
        **_of_both(losses, entries, calibration),
    )


def _of_both(
    losses: Losses, entries: Verdicts, calibration: Calibration
) -> dict[str, Any]:
    """What the two kinds of report have alike."""
    return {
        "wrong": wrong_entries(losses, entries),
        "gradients": _gradients(losses, entries),
        "evaluations": losses.evaluations,
        "engine": losses.engine,
        "threads": losses.num_threads,
        "method": calibration.method,
        "fallback": losses.fallback,
    }


def _blocks(
    losses: Losses,
    entries: Verdicts,
    calibration: Calibration,
    caught: dict[int, float],
    norms: "list[_Norms]",
) -> tuple[Block, ...]:
    """Return the result for each block."""
    nest = losses.nest
    blocks = []
    for b, (name, shape) in enumerate(zip(nest.names, nest.shapes, strict=True)):
        own = entries.of_block(b)
        count = np.bincount(own.kind, minlength=5)
        start, stop = nest.offsets[b], nest.offsets[b + 1]
        steps = calibration.step[typical(start, stop)]
        blocks.append(
            Block(
                name,
                tuple(shape),
                _verdict(count, blind=np.isinf(caught.get(b, 0.0))),
                relative_error([norms[b]]),
                len(own.kind),
                int(count[WRONG]),
                int(count[UNDECIDED]),
                int(count[KINK]),
                int(count[UNOBSERVABLE]),
                detection_limit(own),
                float(np.median(steps)) if steps.size else None,
                bool(entries.zero[b]),
            )
        )
    return tuple(blocks)


def wrong_entries(losses: Losses, entries: Verdicts) -> Entries:
    """Return all wrong entries, the worst first."""
    # There may be as many as parameters: none of these is kept longer than needed.
    wrong = entries.kind == WRONG
    off = entries.numerical[wrong]
    with np.errstate(all="ignore"):
        off -= entries.analytic[wrong]
    np.abs(off, out=off)
    off[~np.isfinite(off)] = np.inf
    small: Any = np.int32 if len(entries.kind) < 2**31 else np.int64
    order = np.argsort(np.negative(off, out=off), kind="stable").astype(small)
    del off
    return Entries(
        tuple(losses.nest.names),
        tuple(losses.nest.shapes),
        entries.index,
        np.flatnonzero(wrong).astype(small)[order],
        (entries.analytic, entries.numerical, entries.error),
    )


_PICTURED = 4  # entries whose slopes are shown by step


def _ladders(losses: Losses, entries: Verdicts) -> tuple[Ladder, ...]:
    """Return the slopes by step of the worst entries of which there are some.

    Without steps that the dtype of the entry cannot hold.
    """
    tried = entries.ladders
    place = np.searchsorted(entries.index, tried.entry)
    place = np.minimum(place, len(entries.index) - 1)
    wrong = entries.kind[place] == WRONG
    wrong &= np.isfinite(entries.analytic[place])
    with np.errstate(all="ignore"):
        off = np.abs(entries.analytic[place] - entries.numerical[place])
    order = np.argsort(np.where(wrong, -off, np.inf), kind="stable")
    worst = order[: min(_PICTURED, int(wrong.sum()))]
    return tuple(
        Ladder(
            losses.nest.label(tried.entry[k]),
            float(entries.analytic[place[k]]),
            float(entries.numerical[place[k]]),
            tried.step[k, moved],
            tried.slope[k, moved],
        )
        for k, moved in zip(worst, tried.step[worst] > 0, strict=True)
    )


class _Norms:
    """Euclidean norms of n - a, n and a in units of `largest`; kinks are left out.

    Scaled first, so that squares neither overflow nor vanish.
    """

    def __init__(self, entries: Verdicts) -> None:
        largest = [0.0] + [
            np.max(np.abs(some), initial=0.0)
            for pair in _smooth(entries)
            for some in pair
        ]
        self.largest, self.scaled = float(np.max(largest)), np.zeros(3)
        if 0 < self.largest < np.inf:
            for a, n in _smooth(entries):
                a, n = a / self.largest, n / self.largest
                self.scaled += [np.sum(x * x) for x in (n - a, n, a)]
            self.scaled = np.sqrt(self.scaled)


def relative_error(norms: Sequence[_Norms]) -> float:
    """Return norm(n - a) / (norm(n) + norm(a)) of blocks together; 0 for 0 / 0."""
    largest = float(np.max([own.largest for own in norms], initial=0.0))
    if not np.isfinite(largest):
        return float("nan")
    if largest == 0:
        return 0.0
    scaled = [own.largest / largest * own.scaled for own in norms]
    off, one, other = np.linalg.norm(scaled, axis=0)
    return float(off / (one + other))


def _smooth(entries: Verdicts) -> Iterator[tuple[Array, Array]]:
    """Yield both derivatives of what has them, piece by piece."""
    for piece in entries.pieces():
        smooth = (piece.kind != KINK) & np.isfinite(piece.numerical)
        which = slice(None) if smooth.all() else smooth
        yield piece.analytic[which], piece.numerical[which]


def detection_limit(entries: Verdicts) -> float:
    """Return the size above which errors in entries that passed would be called wrong.

    That were verified, or are zero as far as is seen.
    """
    limits = []
    for piece in entries.pieces():
        zero = np.abs(piece.numerical) <= piece.error
        own = (piece.kind == CORRECT) | ((piece.kind == UNOBSERVABLE) & zero)
        limit = 2 * piece.error[own] + piece.tolerance[own]
        limits += [limit.max()] if limit.size else []
    return float(np.max(limits)) if limits else float("nan")


def _verdict(count: Any, *, blind: Any = False) -> Verdict:
    """Wrong if any entry is; correct if no entry is open and any was verified.

    None was if no error would have been seen.
    """
    if count[WRONG]:
        return "wrong"
    verified = count[KINK] + (0 if blind else count[CORRECT])
    if count[UNDECIDED] or not verified:
        return "undecided"
    return "correct"


def _overall(entries: Verdicts, blocks: tuple[Block, ...]) -> Verdict:
    """As of a block; and no block may be left without one verified entry.

    Unless all its entries were measured, and are zero.
    """
    verdict = _verdict(np.bincount(entries.kind, minlength=5))
    unseen = any(b.verdict == "undecided" and not b.zero for b in blocks)
    return "undecided" if verdict == "correct" and unseen else verdict


def _gradients(losses: Losses, entries: Verdicts) -> tuple[Any, ...]:
    """Return both gradients and the error bars, built like the parameters."""
    values = entries.numerical, entries.analytic, entries.error
    nest = losses.nest
    if len(entries.index) == nest.size:
        return tuple(map(nest.unvector, values))
    like = nest.nowhere()
    return tuple(Some(like, entries.index, part) for part in values)


def _searched_block(losses: Losses, b: int, search: Search, own: Verdicts) -> Block:
    """Return the result for a block that was searched along random directions."""
    verdict: Verdict = "correct"
    if search.differs:
        verdict = "wrong"
    elif not search.decisive:
        verdict = "undecided"
    scale = search.scale * UNLUCKY
    return Block(
        losses.nest.names[b],
        tuple(losses.nest.shapes[b]),
        verdict,
        search.relative_error,
        int(losses.nest.offsets[b + 1] - losses.nest.offsets[b]),
        wrong=int(np.count_nonzero(own.kind == WRONG)),
        detection_limit=2 * search.error / scale if scale else float("nan"),
        step=search.step,
    )


def _search_notes(
    blocks: tuple[Block, ...], searches: list[Search], entries: Verdicts
) -> Iterator[str]:
    yield (
        "checked along random directions: an error above the limit of its block is "
        "seen with a probability of 99 %, a smaller one more rarely"
    )
    for block, search in zip(blocks, searches, strict=True):
        if search.stopped:
            taken = entries.kind[np.isin(entries.index, search.sample)]
            yield (
                f"{block.name} is wrong in more entries than were searched for: of "
                f"{len(taken)} taken at random {np.count_nonzero(taken == WRONG)} are"
            )
        elif search.clouded:
            yield (
                f"noise hides where {search.clouded} of the errors in {block.name} are"
            )
