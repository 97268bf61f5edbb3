"""Other steps for entries outside their bars: suspects, but not yet guilty.

First a ladder of steps. Where that leaves the entry open, or sees a kink, steps that
are smaller still, to get between the point and a kink or the border of the domain.
Where noise hides the slope, steps as large as the entry itself.
"""

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import (
    CHUNK,
    CLOSER,
    EPS,
    FAR,
    KAPPA,
    RUNGS,
    UNLIKE,
    Calibration,
    Pairs,
    Slopes,
    binary,
    entry_pairs,
    fit_slopes,
    keeping_sign,
    ladder,
    noise_of_stairs,
    sharpened,
)
from fastgrad.checking.judgement.evidence import (
    CORRECT,
    DECISIVE,
    KINK,
    UNDECIDED,
    WRONG,
    Judgement,
    Kinds,
    Ladders,
    classify,
    take,
)
from fastgrad.losses import Losses

_GOOD = 2e-3  # of an entry: a wider bar is worth another try
_FIRST_ROUND = 64  # suspects of each block tried again before the rest
# The rest is tried, too, if it is no more of its block, or so many of the few clear up.
_SHARE = 0.1
_SEVERAL = 4 * _FIRST_ROUND  # that only the bars of others acquit: all tried again
_SHARP = 0.1  # of the slope: a change this large over one step may be a kink


def try_again(
    losses: Losses,
    calibration: Calibration,
    entries: Judgement,
    rng: np.random.Generator,
) -> Ladders:
    """Try other steps where the first did not settle it; update `entries`.

    Of each block a few suspects come first. If hardly any clears up and there are very
    many, the block is wrong throughout (or too noisy throughout), and the rest is
    judged by the bars of the first pass, widened by what the few have shown.

    Returns
    -------
    Ladders
        What the few have shown, for a picture.
    """
    suspects = rng.permutation(np.flatnonzero(_unsettled(entries)))
    if suspects.size == 0:
        return Ladders.none()
    owner = entries.block[suspects]
    groups = [suspects[owner == block] for block in np.unique(owner)]
    first = [group[:_FIRST_ROUND] for group in groups]
    before = [
        (entries.numerical[few].copy(), entries.error[few].copy()) for few in first
    ]
    outside = [_outside(take(entries, few)) for few in first]
    ladders = _ladder_verdict(losses, calibration, entries, np.concatenate(first))
    second = []
    for group, few, seen, out in zip(groups, first, before, outside, strict=True):
        rest = group[_FIRST_ROUND:]
        cleared = out & (entries.kind[few] != WRONG) & (entries.kind[few] != UNDECIDED)
        size = np.count_nonzero(entries.block == entries.block[few[0]])
        if rest.size > _SHARE * size and cleared.mean() < _SHARE:
            unclear = _explained_by_kink(entries, rest)
            doubted = _judge_by_example(entries, few, seen, rest[~unclear])
            if np.count_nonzero(doubted) <= _SEVERAL:
                unclear[~unclear] = doubted
            rest = rest[unclear]
        second.append(rest)
    again = _affordable(entries, np.concatenate(second))
    for here in losses.pieces(entries.index[again], CHUNK) if again.size else ():
        _ladder_verdict(losses, calibration, entries, again[here])
    return ladders


def _unsettled(entries: Judgement) -> Flags:
    """Whether another try may change or sharpen the verdict."""
    with np.errstate(all="ignore"):
        vague = entries.error > _GOOD * entries.size
        at_rest = np.abs(entries.analytic) <= entries.floor
    passed = (entries.kind == CORRECT) & ~at_rest & vague
    sharp = entries.jump > np.maximum(4 * entries.error, _SHARP * entries.response)
    passed |= (entries.kind == CORRECT) & sharp
    open_case = (entries.kind == WRONG) | (entries.kind == UNDECIDED)
    unsettled: Flags = passed | (open_case & np.isfinite(entries.analytic))
    return unsettled


def _outside(entries: Judgement) -> Flags:
    """Whether the gradient is outside its bar: a suspect, but not yet guilty."""
    with np.errstate(all="ignore"):
        inside: Flags = entries.off <= entries.error + entries.tolerance
    return ~inside


def _affordable(entries: Judgement, which: Index) -> Index:
    """All whose derivatives differ; of the merely vague, one entry in ten."""
    outside = _outside(take(entries, which))
    vague = which[~outside]
    vague = vague[np.argsort(entries.kind[vague] != UNDECIDED, kind="stable")]
    return np.concatenate(
        [which[outside], vague[: max(CHUNK, len(entries.kind) // 10)]]
    )


def _judge_by_example(
    entries: Judgement, few: Index, before: tuple[Array, Array], others: Index
) -> Flags:
    """Judge entries that were not tried again by how those that were turned out.

    Return which are outside their own bars, and inside those: the few that were tried
    need not be like them.
    """
    value, error = before
    with np.errstate(all="ignore"):
        surprise = np.abs(value - entries.numerical[few])
        surprise = (surprise - entries.error[few]) / error
    known = surprise[np.isfinite(surprise)]
    suspected = entries.kind[others] == WRONG
    entries.error[others] *= max(1.0, float(known.max(initial=0.0)))
    entries.kind[others] = classify(take(entries, others))
    doubted: Flags = suspected & (entries.kind[others] != WRONG)
    return doubted


def _ladder_verdict(
    losses: Losses, calibration: Calibration, entries: Judgement, which: Index
) -> Ladders:
    """Measure a ladder of steps for some entries, and judge them by it."""
    which = np.sort(which)
    index, noise = entries.index[which], calibration.noise[entries.block[which]]
    exact = calibration.method == "exact"  # then it is seen over any steps
    own = calibration.scale.own(index) if exact else calibration.scale[index]
    scale = binary(own)[:, None]
    pairs = entry_pairs(losses, index, scale * RUNGS)
    noise = np.fmax(noise, 2 * noise_of_stairs(losses, index, own, pairs))
    least = np.full(len(index), EPS * abs(losses.base))
    if exact:
        least *= _are_left(losses, pairs)
        noise = np.fmax(noise, least)
    slopes = ladder(pairs, noise)
    if exact:
        slopes = sharpened(losses, index, slopes, calibration.scale)
    _judge_by(slopes, entries, which, noise)
    near = _hidden_nearby(entries, which, slopes, noise, scale[:, 0])
    if near.any():
        some, size = index[near], np.abs(losses.theta[index[near]])
        closer = entry_pairs(losses, some, scale[near] * CLOSER)
        # Of few units in the last place, however exact the loss was elsewhere.
        noisy = np.fmax(noise[near], least[near])
        slopes = ladder(pairs[near].joined(closer), noisy)
        if exact:
            slopes = sharpened(losses, some, slopes, calibration.scale)
        _judge_by(slopes, entries, which[near], noise[near])
        small = (size > 0) & (size < scale[near, 0] * RUNGS[-1])
        small &= _unsettled(take(entries, which[near]))
        if small.any():  # far smaller than usual in its block: on its own scale
            some, size = some[small], size[small]
            pairs_there = entry_pairs(losses, some, binary(size)[:, None] * RUNGS)
            there = np.flatnonzero(near)[small]
            slopes = ladder(pairs_there, noise[there])
            _judge_by(slopes, entries, which[there], noise[there])
    noisy = _unsettled(take(entries, which)) & (entries.kind[which] != WRONG)
    if noisy.any():
        _look_far(losses, entries, which[noisy], scale[noisy], noise[noisy])
    return Ladders(index, pairs.span / 2, pairs.central)


def _are_left(losses: Losses, pairs: Pairs) -> Flags:
    """Which entries the program leaves to the function, whose differences round."""
    program = losses.program
    if program is None or not program.guards or pairs.crossed is None:
        return np.zeros(len(pairs.plus), dtype=bool)
    left: Flags = np.any(pairs.crossed, axis=1)
    return left


def _judge_by(slopes: Slopes, entries: Judgement, which: Index, noise: Array) -> None:
    """Judge by slopes; leave open what is no more than where they began to change."""
    better = _outside(take(entries, which)) | slopes.kink
    _adopt(entries, which, slopes, better | (slopes.error < entries.error[which]))
    kind = _with_kinks(take(entries, which), slopes)
    restless = _is_restless(take(entries, which), slopes, noise)
    restless |= np.isinf(slopes.error)  # of steps that agree in nothing
    restless &= kind != WRONG
    entries.error[which[restless]] = np.inf
    entries.kind[which] = np.where(restless, UNDECIDED, kind)
    entries.bend[which] = np.where(slopes.kink, slopes.right - slopes.left, 0.0)


def _hidden_nearby(
    entries: Judgement, which: Index, slopes: Slopes, noise: Array, scale: Array
) -> Flags:
    """Whether smaller steps may pass by what is in the way of these.

    They can where the noise leaves something to be seen at them.
    """
    part = take(entries, which)
    with np.errstate(all="ignore"):
        bar = KAPPA * np.sqrt(2) * noise / (2 * scale * CLOSER[0])
        beside = np.fmax(np.abs(slopes.left), np.abs(slopes.right))
        steepest = np.fmax(np.fmax(part.size, part.response), beside)
        vague = (part.error > _GOOD * part.size) | (slopes.noise > UNLIKE * noise)
        vague &= (part.kind != CORRECT) | (bar < _GOOD * part.size)
        near: Flags = (slopes.kink | vague) & (bar < DECISIVE * steepest)
    return near


def _is_restless(entries: Judgement, slopes: Slopes, noise: Array) -> Flags:
    """Whether slopes still change at the finest steps, by more than noise explains."""
    with np.errstate(all="ignore"):
        restless: Flags = (slopes.noise > UNLIKE * noise) & ~slopes.kink
        known = entries.error <= DECISIVE * entries.size
        # Slopes that come to nothing from both sides change, too.
        beside = np.fmax(np.abs(slopes.left), np.abs(slopes.right))
        known |= entries.decisive & (slopes.error <= beside)
        return restless & ~known


def _look_far(
    losses: Losses, entries: Judgement, which: Index, scale: Array, noise: Array
) -> None:
    """Try large steps where noise hides the slope at small ones."""
    index, scale = entries.index[which], scale[:, 0]
    x = losses.theta[index]
    usual = scale / FAR[0]  # what is smaller by chance is moved as others are
    small = np.abs(x) < usual / FAR[0]
    reach = np.where(small, usual, keeping_sign(scale, x, FAR[0]))
    pairs = entry_pairs(losses, index, reach[:, None] * FAR)
    value, error = fit_slopes(pairs, noise)
    with np.errstate(all="ignore"):
        apart = np.abs(value - entries.numerical[which])
        better = (error < entries.error[which]) & (entries.kind[which] != KINK)
        better &= apart <= error + entries.error[which]
    entries.numerical[which[better]] = value[better]
    entries.error[which[better]] = error[better]
    entries.kind[which[better]] = classify(take(entries, which[better]))


def _adopt(entries: Judgement, which: Index, slopes: Slopes, better: Flags) -> None:
    entries.numerical[which[better]] = slopes.value[better]
    entries.error[which[better]] = slopes.error[better]


def _with_kinks(entries: Judgement, slopes: Slopes) -> Kinds:
    """`classify`, and at a kink: whether the gradient lies between the two slopes."""
    low = np.fmin(slopes.left, slopes.right)
    high = np.fmax(slopes.left, slopes.right)
    outside = np.fmax(low - entries.analytic, entries.analytic - high)
    at_kink = np.full(len(low), UNDECIDED, dtype=np.uint8)
    at_kink[outside <= entries.tolerance] = KINK
    at_kink[outside > entries.tolerance + slopes.slack] = WRONG  # twice the bar
    return np.where(slopes.kink, at_kink, classify(entries))


def _explained_by_kink(entries: Judgement, which: Index) -> Flags:
    """Whether a kink between the two points may be all that is wrong."""
    part = take(entries, which)
    with np.errstate(all="ignore"):
        explained: Flags = part.crossed | (part.off <= part.jump + 2 * part.error)
    return explained
