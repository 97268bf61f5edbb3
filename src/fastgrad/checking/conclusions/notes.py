"""What else a report has to say: the power of the check, and what was left open.

Of what is left open: which entries, why, and what would help.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from fastgrad._arrays import Flags, Index
from fastgrad.checking.differences import (
    RUNGS,
    Calibration,
    binary,
    entry_pairs,
    places,
)
from fastgrad.checking.judgement import (
    COARSE,
    CORRECT,
    UNDECIDED,
    WRONG,
    Judgement,
    Verdicts,
    classify,
    take,
)
from fastgrad.losses import OF_LOSS, Endless, Losses
from fastgrad.reports import Block

_NAMED = 3  # entries by name
_PLANTED = (0.01, 0.1, 1.0)  # errors, as shares of the gradient
_BY_DIFFERENCES = 1e-5  # of each entry: what a gradient by differences is off by
_CANCELLED = 1e-13  # noise over the loss, at most, if it is rounding in float64


def notes(
    losses: Losses,
    blocks: tuple[Block, ...],
    entries: Verdicts,
    calibration: Calibration,
    caught: dict[int, float],
) -> Iterator[str]:
    """Yield the notes on a check entry by entry; see `planted_errors`."""
    yield from _power(blocks, caught)
    yield from _unseen(losses, blocks, entries.open, calibration)
    yield from _open(losses, entries, calibration)
    yield from _together(losses, entries)
    yield from _nearly_right(entries)
    if isinstance(losses.raised, Endless):
        yield f"the loss {_what_it_does(losses.raised)}: it counts as undefined there"


def _together(losses: Losses, entries: Verdicts) -> Iterator[str]:
    """Yield which entries at kinks are wrong though each is between its slopes."""
    at = np.sort(places(entries.index, entries.bent))
    within = np.abs(entries.analytic[at] - entries.numerical[at]) <= entries.error[at]
    tied = at[within]
    if tied.size:
        yield (
            f"wrong together: {_named(losses, entries, tied)}. Each is at a kink and "
            "between its two slopes, the error bar; but moved together the loss has "
            "another slope than they add up to, as of equal maxima that share one "
            "gradient"
        )


def _nearly_right(entries: Verdicts) -> Iterator[str]:
    """Yield to how many digits a gradient is right that is wrong in the last ones."""
    worst = 0.0
    for piece in entries.pieces():
        wrong = piece.kind == WRONG
        a, n = piece.analytic[wrong], piece.numerical[wrong]
        with np.errstate(all="ignore"):
            share = np.abs(a - n) / np.fmax(np.abs(a), np.abs(n))
        worst = max(worst, float(np.max(share, initial=0.0)))
    if 0 < worst <= _BY_DIFFERENCES:
        enough = 10.0 ** np.ceil(np.log10(worst))
        yield (
            f"every entry is right to {int(-np.log10(worst))} digits, as of a gradient "
            f"that is itself taken by differences: `rtol={enough:.0e}` accepts that"
        )


def planted_errors(entries: Verdicts) -> dict[int, float]:
    """Return which planted error is caught, as a share of the gradient, by block.

    Of 1 %, 10 %, or as much as there is; infinite where none. The control of the check
    itself: in the verified entry that is known least well, on a copy; it needs no
    evaluation. Blocks with wrong entries need no control.
    """
    caught = {}
    for b in np.unique(entries.controls.block).tolist():
        own = entries.of_block(b)
        if (own.kind == WRONG).any():
            continue
        some = take(entries.controls, entries.controls.block == b)
        size = np.maximum(np.abs(some.analytic), _typical(own))
        # Of a gradient that is zero at a minimum: what it is nearby.
        size = np.where(size <= some.floor, some.response, size)
        caught[b] = float("inf")
        for share in _PLANTED:
            planted = dataclasses.replace(some, analytic=some.analytic + share * size)
            if (classify(planted) == WRONG).all():
                caught[b] = share
                break
    return caught


def _typical(entries: Verdicts) -> float:
    """Return the root mean square of the verified derivatives."""
    sizes = [
        np.abs(piece.analytic[piece.kind == CORRECT]) for piece in entries.pieces()
    ]
    largest = max(float(np.max(size, initial=0.0)) for size in sizes) or 1.0
    squares = sum(float(np.sum((size / largest) ** 2)) for size in sizes)
    return largest * float(np.sqrt(squares / sum(size.size for size in sizes)))


def _power(blocks: tuple[Block, ...], caught: dict[int, float]) -> Iterator[str]:
    least = _PLANTED[0]
    if caught:
        seen = sum(share == least for share in caught.values())
        planted = f"{len(caught)} planted errors of {100 * least:g} %"
        yield f"control: {seen} of {planted} caught"
    for share in _PLANTED[1:]:
        coarse = [blocks[b].name for b, seen in caught.items() if seen == share]
        if coarse:
            yield (
                f"no power against errors of {100 * least:g} % in {', '.join(coarse)}: "
                f"from {100 * share:g} % of the gradient on they are seen"
            )
    blind = [blocks[b].name for b, seen in caught.items() if np.isinf(seen)]
    if blind:
        yield (
            f"not verified: {', '.join(blind)}. An entry twice as large as it should "
            "be would pass: rounding hides as much. Check it alone, without the larger "
            "terms of the loss"
        )


def _unseen(
    losses: Losses,
    blocks: tuple[Block, ...],
    entries: Judgement,
    calibration: Calibration,
) -> Iterator[str]:
    """Yield which blocks, or entries, are zero or drowned in rounding."""
    zero = [block for block in blocks if block.zero and block.checked]
    if zero:
        limit = max(block.detection_limit for block in zero)
        within = f", to within {limit:.0e}" if limit else ""
        yield (
            f"nothing to see in {', '.join(block.name for block in zero)}: the loss "
            f"does not respond, and both gradients are zero{within}"
        )
    of_zeros = [block.zero for block in blocks]
    drowned = entries.drowned & ~np.array(of_zeros, dtype=bool)[entries.block]
    said = {block.name for block in zero}
    said |= {losses.nest.names[b] for b in entries.block[drowned]}
    for block in blocks:
        silent = block.size > 0 and block.unobservable == block.checked
        if silent and block.name not in said:
            yield _silent(block)
    if drowned.any():
        size = float(np.max(entries.size[drowned]))
        noise = float(calibration.noise[entries.block[drowned]].max())
        coarse = noise > COARSE * abs(losses.base)
        help_ = (
            "In float64 it would show"
            if coarse
            else "Without the larger terms of the loss it would show"
        )
        yield (
            f"not verified: {_named(losses, entries, drowned)}, at most {size:.1e}: "
            f"less than rounding hides. {help_}"
        )


def _silent(block: Block) -> str:
    """Return why a block was not verified in which nothing was seen."""
    if block.checked < block.size:
        return f"not verified: {block.name}. All that was seen of it is zero"
    return (
        f"not verified: {block.name}. It may be zero, or small: what is less than "
        f"{block.detection_limit:.0e} is not seen. Check it alone, without the larger "
        "terms of the loss, or in the compiled engine, where nothing hides it"
    )


def _open(losses: Losses, found: Verdicts, calibration: Calibration) -> Iterator[str]:
    """Yield which entries are undecided, why, and what would help."""
    entries, jump, rough = found.open, found.jump, found.rough
    undecided = entries.kind == UNDECIDED
    nowhere = undecided & ~np.isfinite(entries.numerical)
    if nowhere.any():
        yield (
            f"undecided: {_named(losses, entries, nowhere)}. The loss "
            f"{_what_is_there(losses, entries, nowhere)}"
        )
    rest = undecided & ~nowhere
    if not rest.any():
        return
    if found.condition is not None:
        yield (
            f"undecided: {_named(losses, entries, rest)}. The loss inverts a matrix of "
            f"condition {found.condition:.0e}: rounding may be off by as much as the "
            "gradient is. Scale it, or add to its diagonal"
        )
    elif found.cancels is not None:
        yield (
            f"undecided: {_named(losses, entries, rest)}. Terms of the loss cancel in "
            f"{found.cancels}: what rounding leaves of them has another slope. Write "
            "it so that nothing cancels (log1p, expm1, logaddexp), or check elsewhere"
        )
    elif jump is not None:
        changes = jump.share >= 5e-4  # what is shown as zero is no reason
        slope = f" and its slope changes by {jump.share:.1%}" if changes else ""
        yield (
            f"undecided: {_named(losses, entries, rest)}. The loss is rough below h = "
            f"{jump.distance:.1e} of the parameters: there {jump.line} runs another "
            f"number of times, and the loss jumps by {jump.size:.1e}{slope}. "
            "Tighten the tolerance of that iteration, or fix its number of steps"
        )
    elif rough is not None:
        one, other = (", which the gradient has", "")[:: 1 if rough.meant else -1]
        yield (
            f"undecided: {_named(losses, entries, rest)}. The loss is rough: over "
            f"steps of {losses.nest.label(rough.entry)} from {rough.up_to:.1e} to "
            f"{rough.below:.1e} it has one slope{one}, over smaller ones "
            f"another{other}, there and nearby. A table, rounding, a threshold or a "
            "tolerance inside does that: make it finer, or take the gradient of what "
            f"is {'computed' if rough.meant else 'meant'}"
        )
    else:
        yield from _hidden(losses, entries, calibration, rest)


def _what_is_there(losses: Losses, entries: Judgement, which: Flags) -> str:
    """Return why entries have no slope at all: a border, or one at each step."""
    index, unit = entries.index[which][:_NAMED], entries.unit[which][:_NAMED]
    pairs = entry_pairs(losses, index, binary(unit)[:, None] * RUNGS)
    if losses.raised is None and np.isfinite([pairs.plus, pairs.minus]).all():
        return (
            "has another slope over every step, as a staircase has, or noise: check it "
            "without what rounds, iterates or draws in it"
        )
    does = _what_it_does(losses.raised)
    return f"{does}: move the parameters away from the border of its domain"


def _what_it_does(error: Exception | None) -> str:
    """Return what a loss does that has no value; where, if it raises."""
    if error is None:
        return "has no finite value next to the point"
    told = [n for n in getattr(error, "__notes__", ()) if n.startswith(OF_LOSS)]
    where = told[0].removeprefix(OF_LOSS).rstrip(".") if told else " next to the point"
    if isinstance(error, Endless):
        return f"does not end, or not soon,{where}"
    return f"raises {type(error).__name__} ({str(error)[:60]}){where}"


def _hidden(
    losses: Losses, entries: Judgement, calibration: Calibration, which: Flags
) -> Iterator[str]:
    """Yield what hides the derivatives of entries: steepness, rounding or noise."""
    steep = which & (entries.off > 2 * entries.error + entries.tolerance)
    if steep.any():
        yield (
            f"undecided: {_named(losses, entries, steep)}. They are steeper than any "
            "difference shows, as where the loss oscillates from one number to the "
            "next: no step resolves that. Check it where it is slower, with smaller "
            "frequencies"
        )
    rounded = which & ~steep & (entries.off > 2 * entries.error)
    if rounded.any():
        off = float(np.max(entries.off[rounded]))
        yield (
            f"undecided: {_named(losses, entries, rounded)}. The gradient is off by "
            f"{off:.1e}: rounding may do that where terms as large as the loss cancel "
            "in it. Check these blocks alone, without the other terms of the loss"
        )
    noisy = which & ~steep & ~rounded
    if noisy.any():
        yield _noisy(losses, entries, calibration, noisy)


def _noisy(
    losses: Losses, entries: Judgement, calibration: Calibration, which: Flags
) -> str:
    bar = float(np.max(entries.error[which], initial=0.0))
    known = f"derivatives are known to {bar:.1e} there"
    if np.isinf(bar):
        known = "no steps agree in a derivative there"
    if not losses.joint:  # each output has a noise of its own
        return (
            f"undecided: {_named(losses, entries, which)}. These outputs carry noise, "
            f"or have kinks close by: {known}. Leave "
            "out of them what does not depend on the inputs, compute them in float64 "
            "throughout, and tighten what they iterate to"
        )
    noise = float(calibration.noise[entries.block[which]].max())
    share = noise / abs(losses.base) if losses.base else np.inf
    help_ = "Smooth it: tighten what it iterates to, fix what it draws"
    if share > COARSE:
        help_ = (
            "Compute it in float64: parameters and data as `x.astype(np.float64)`, and "
            "no float32 in between"
        )
    elif share < _CANCELLED:
        help_ = (
            "Leave out what is constant in it, or return one loss per sample with "
            "`reduction`"
        )
    return (
        f"undecided: {_named(losses, entries, which)}. The loss carries noise of "
        f"{noise:.1e}, {share:.0e} of it, or has kinks close by: {known}. {help_}"
    )


def _named(losses: Losses, entries: Judgement | Verdicts, which: Flags | Index) -> str:
    """Return the first of these entries by name, and how many more there are."""
    index = entries.index[which]
    names = [losses.nest.label(int(i)) for i in index[:_NAMED]]
    more = len(index) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
