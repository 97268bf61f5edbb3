"""What is said: guesses as causes, what is left as unknown, digits that are missing."""

from dataclasses import replace

import numpy as np

from fastgrad.causes.budget import Budget
from fastgrad.causes.evidence import Block, Evidence, Guess, fit, join
from fastgrad.causes.lines import Place
from fastgrad.causes.location import name, proved
from fastgrad.causes.numbers import undone
from fastgrad.causes.ranking import choose, merged
from fastgrad.causes.reverse import Reverse
from fastgrad.program import Node
from fastgrad.reports import Cause

_TOLD = "the mistake is"
_FEW_DIGITS = 1e-6  # of the gradient: more than differences and float32 are off by
_BLURRED, _SEVERAL = 1e-2, 3  # of a multiple of the gradient; entries that show it
_COMMON = 0.25  # of the entries: so many are off where it is by rounding


def told(
    evidence: Evidence, guesses: list[Guess], reverse: Reverse | None, budget: Budget
) -> list[Cause]:
    """The causes, what explains most of the error first."""
    chosen, left = choose(evidence, guesses, set(evidence.wrong), reverse, budget)
    causes = [(set(one.blocks), _cause(evidence, one)) for one in merged(chosen)]
    rounded = {b for b in left if _is_rounded(evidence.blocks[b])}
    if rounded:
        causes.append((rounded, _rounded(evidence, rounded)))
    left = left - rounded
    for some in (left, *({b} for b in left)):
        if some and some <= left and (nearly := _nearly_scaled(evidence, some)):
            causes.append((some, nearly))
            left = left - some
    if left:
        names = tuple(evidence.blocks[b].name for b in sorted(left))
        said, node = proved(evidence, reverse, sorted(left))
        message = f"no known mistake gives the gradient of {join(names)}{said}"
        unknown = Cause("unknown", names, message + of_search(budget), _line(node))
        causes.append((left, unknown))
    causes.sort(key=lambda pair: -evidence.share(pair[0]))
    return [cause for _, cause in causes]


def _cause(evidence: Evidence, guess: Guess) -> Cause:
    node = guess.node
    blocks = tuple(evidence.blocks[b].name for b in sorted(guess.blocks))
    known = [r for r in guess.blocks.values() if np.isfinite(r)]
    residual = max(known) if known else None
    message = guess.text.replace("{op}", name(node)) if node else guess.text
    message += f" in {join(blocks)}"
    if residual is not None:
        message += f" (matches to {max(residual, 1e-16):.0e})"
    if guess.advice:
        message += f": {guess.advice}"
    if guess.rivals:
        message += f"; {_not_separated(evidence, guess)}"
    if guess.place is not None:
        message += f"; {_TOLD} {guess.place.text}"
    return Cause(guess.code, blocks, message, _line(node), residual)


def _not_separated(evidence: Evidence, guess: Guess) -> str:
    """What else gives these numbers, and where it would not."""
    others = join(guess.rivals)
    where = evidence.better_point(guess.blocks)
    if where is None:
        return f"{others} would give the same numbers"
    return f"this point does not tell it from {others}: {where} would"


def _line(node: Node | None) -> str | None:
    if node is None:
        return None
    code = node.source.quoted
    return f"{node.source.place}:{node.source.line}" + (f": {code}" if code else "")


def _is_rounded(block: Block) -> bool:
    """Whether a block is right to as many digits as differences or float32 have."""
    off, size = np.abs(block.off[block.wrong]), np.abs(block.right[block.wrong])
    if not off.any() or not block.known.any():  # at kinks there is no one slope
        return False
    of_each = bool((off <= _FEW_DIGITS * size).all())
    largest = float(np.max(size)) or 1.0  # squares must neither vanish nor overflow
    with np.errstate(over="ignore"):
        typical = np.sqrt(np.mean((block.right[block.known] / largest) ** 2)) * largest
    common = block.wrong.mean() >= _COMMON and off.max() <= _FEW_DIGITS * typical
    return of_each or bool(common)


def _rounded(evidence: Evidence, some: set[int]) -> Cause:
    """Return the cause where no formula is wrong, but digits are missing."""
    blocks = [evidence.blocks[b] for b in sorted(some)]
    off = np.concatenate([block.off[block.wrong] for block in blocks])
    right = np.concatenate([block.right[block.wrong] for block in blocks])
    whole = np.concatenate([block.right[block.known] for block in blocks])
    unit = np.max(np.abs(whole))  # squares must neither vanish nor overflow
    worst = float(np.max(np.abs(off / right)))
    share = np.linalg.norm(off / unit) / np.linalg.norm(whole / unit)
    digits = int(-np.log10(share or worst))  # far below the others its own count
    enough = 10.0 ** np.ceil(np.log10(worst))
    names = tuple(block.name for block in blocks)
    message = (
        f"agrees to about {digits} digits in {join(names)}: what differs looks like "
        "the error of differences, or of constants or arithmetic in float32, rather "
        "than of a formula: compute it in float64 throughout"
    )
    if enough <= 10 * _FEW_DIGITS:
        message += f", or pass `rtol={enough:.0e}` if that is enough"
    return Cause("precision", names, message)


def _nearly_scaled(evidence: Evidence, some: set[int]) -> Cause | None:
    """Return the factor that nearly all is off by, where a loss blurs its slopes.

    As one does that iterates until something is small: its slope at a point is not the
    one meant, to which the gradient may be proportional.
    """
    blocks = [evidence.blocks[b] for b in sorted(some)]
    given, right = (
        np.concatenate([getattr(block, what)[block.known] for block in blocks])
        for what in ("given", "right")
    )
    found = fit(given, right)
    if found is None or np.count_nonzero(right) < _SEVERAL:
        return None
    factor = float(found[0])
    unit = np.max(np.abs(given))  # squares must neither vanish nor overflow
    left = np.abs(given - factor * right)
    rest = float(np.linalg.norm(left / unit) / np.linalg.norm(given / unit))
    each = bool((left <= _BLURRED * np.abs(given)).all())
    if not each or rest >= _BLURRED * min(1.0, abs(factor - 1)):
        return None
    digits = max(2, int(-np.log10(rest)) if rest else 15)
    undo, words = undone(factor, digits)
    message = (
        f"`{undo}` nearly matches in {join([b.name for b in blocks])} (to {rest:.0e}): "
        f"{words}; what is left may be the tolerance of an iteration in the loss, or "
        "another mistake"
    )
    code = "sign" if undo == "-grads" else "scale"
    return Cause(code, tuple(block.name for block in blocks), message, residual=rest)


def of_search(budget: Budget) -> str:
    """What the search did not do."""
    told = ""
    if budget.is_spent:
        told += f"; not all mistakes were tried in {budget.seconds:.0f} s"
    if budget.is_starved:
        told += "; not all mistakes were tried: memory ran out"
    if budget.failures:
        told += "; the search failed, which is a bug of fastgrad, not of the gradient: "
        told += join(budget.failures)
    return told


def with_place(cause: Cause, evidence: Evidence, places: list[Place]) -> Cause:
    """The cause with where its mistake is in the user's gradient code."""
    if _TOLD in cause.message:
        return cause
    names = [block.name for block in evidence.blocks]
    texts = []
    for place in places:
        blocks = [name for b, name in enumerate(names) if b in place.blocks]
        if of := [name for name in blocks if name in cause.blocks]:
            if cause.code == "accumulation":  # what is missing may be so anywhere
                place = replace(place, behind=True)
            whole = len(of) == len(cause.blocks)
            texts.append(place.text + ("" if whole else f" (for {join(of)})"))
    if not texts:
        return cause
    return replace(cause, message=f"{cause.message}; {_TOLD} {join(texts)}")
