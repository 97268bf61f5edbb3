"""What may have become of a gradient, by the numbers: a factor, a penalty, a rounding.

An edit says what the right gradient has become; it is a guess if that is the gradient
under test, within the error bars. Where its advice has a formula, in `grads` and
`theta`, that gives the right gradient back.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fastgrad.causes.evidence import Array, Block, Evidence, Guess, are_equal, fit

#: What a mistake makes of a block's gradient, None where that has been compared; and
#: the mistake. Those of one code and key in several blocks are one.
Made = tuple[Any, Guess]
Kind = Callable[[Evidence, Block], Iterator[Made]]


def _fitted(block: Block, target: Array, *terms: Array) -> list[float] | None:
    """What the terms are multiplied by in a sum that is nearly the target."""
    known = block.known
    found = fit(target[known], *(np.asarray(t)[known] for t in terms))
    if found is None:
        return None
    left = target[known] - sum(c * t[known] for c, t in zip(found, terms, strict=True))
    size = np.linalg.norm(target[known])
    return found.tolist() if np.linalg.norm(left) <= 1e-3 * size else None


def nonfinite(evidence: Evidence, block: Block) -> Iterator[Made]:
    """Yield that there are nan or infinities."""
    bad = int((~np.isfinite(block.given)).sum())
    kind = "nan" if np.isnan(block.given).any() else "infinite"
    text = (
        f"{bad:,} of {block.given.size:,} entries are {kind}, where the loss and its "
    )
    undo = "look for 0 / 0, 0 * inf, or the logarithm or root of zero"
    text += "numerical gradient are finite"
    yield None, Guess("nonfinite", {}, text, undo, -12, kind)


# ---- factors -------------------------------------------------------------------------


def _linear(evidence: Evidence, block: Block) -> Iterator[Made]:
    """Nothing; a multiple of the right gradient; and one of the parameters beside."""
    # Rounding errors are left where something was computed, and cancelled.
    rounded = bool(np.any(block.given))
    text = "the gradient is zero throughout" + (", to rounding" if rounded else "")
    undo = "no gradient is ever passed back to it, or it is never written"
    yield 0.0, Guess("zero", {}, text, undo, 9 if rounded else -7, "nothing")
    alone = _fitted(block, block.given, block.right)
    both = _fitted(block, block.given, block.right, block.theta)
    if alone is not None:
        yield from _scaled(evidence, block, alone[0])
    elif both is not None and block.given.size > 3:
        k, c = both
        if abs(k) < 1e-7:
            text = f"only {c:.4g} times the parameters is left, as from a penalty"
            undo = "no gradient of the data is passed back to it"
            plain = any(abs(c / known - 1) < 1e-6 for known in evidence.penalties)
            made, bits = c * block.theta, -4.5 if plain else 5.5
            yield made, Guess("zero", {}, text, undo, bits, "nothing")
        elif abs(k - 1) > 1e-7 and np.any(np.abs(c * block.theta) > block.bar.max()):
            made, one = _times(evidence, block, k, evidence.counts.name(k))
            undo, _ = undone(k, of=f"(grads - {c:.12g} * theta)")
            text = (
                f"all but {c / (1 - k):.6g} * theta, as of a penalty, is multiplied by "
            )
            one.text, one.advice = f"{text}{k:.6g}", f"`{undo}`"
            one.bits, one.factor, one.key = one.bits + 1, None, one.text
            yield made + c * block.theta, one


def _begun(evidence: Evidence, block: Block) -> Iterator[Made]:
    """The same number is added to every entry."""
    ones = np.ones_like(block.right)
    both = _fitted(block, block.given, block.right, ones)
    if both is None or block.given.size < 3 or abs(both[0] - 1) > 1e-6:
        return
    if start := float(np.median((block.given - block.right)[block.known])):
        text = (
            f"every entry is off by {start:.6g}, as if it were added to that, not to 0"
        )
        sign = "-" if start > 0 else "+"
        undo = f"`grads {sign} {abs(start):.12g}`: begin with zeros"
        bits = -3.0 if start == 1 else 2.0 if (2 * start).is_integer() else 5.0
        made = block.right + start
        yield (
            made,
            Guess("accumulation", {}, text, undo, bits, ("begun", round(start, 9))),
        )


def _scaled(evidence: Evidence, block: Block, k: float) -> Iterator[Made]:
    """A factor, unless it is one; near one it is a rounding."""
    name = evidence.counts.name(k)
    if 1e-9 <= abs(k - 1) < 1e-6:
        text = f"`grads / {k:.12g}` matches: it agrees to about "
        text += f"{-np.log10(abs(k - 1)):.0f} digits"
        undo = "look for a constant of float32, or of few digits"
        yield k * block.right, Guess("precision", {}, text, undo, -7, k)
    elif abs(k - 1) >= 1e-6 and (np.sum(block.right[block.known] != 0) > 1 or name):
        yield _times(evidence, block, k, name)


def _times(evidence: Evidence, block: Block, factor: float, name: str | None) -> Made:
    made, (undo, words) = factor * block.right, undone(factor)
    if abs(factor + 1) < 1e-6:
        return made, Guess("sign", {}, f"`{undo}` matches", words, -2, factor=-1.0)
    counts = {
        int(np.prod(some))
        for n in range(1, len(block.spread) + 1)
        for some in combinations(block.spread, n)
    }
    count = round(1 / factor) if 0 < factor < 1 else 0
    if (
        abs(factor * count - 1) < 1e-6
        and count > 1
        and (count in counts or _only_biases(evidence, factor))
    ):
        text = "the gradient is averaged over the uses of each entry, not summed"
        return made, Guess("reduction", {}, text, f"sum, or `{undo}`", -2, "averaged")
    what = f", a factor of {name}" if name else ""
    several = int((block.right[block.known] != 0).sum()) > 1
    bits = 0.5 if name and (several or evidence.counts.is_plain(factor)) else 10.5
    text, key = f"`{undo}` matches{what}", round(factor, 9)
    return made, Guess("scale", {}, text, words, bits, key, factor=factor)


def _only_biases(evidence: Evidence, factor: float) -> bool:
    """Whether vectors are a whole number too small, and all matrices are right."""
    if evidence.exact or not 0 < factor < 0.6:
        return False
    matrix = [sum(k > 1 for k in block.given.shape) > 1 for block in evidence.blocks]
    wrong = [matrix[b] for b in evidence.wrong]
    whole = abs(1 / factor - round(1 / factor)) < 1e-6 / factor
    return whole and any(matrix) and not any(wrong)


def undone(factor: float, digits: int = 12, of: str = "grads") -> tuple[str, str]:
    """The formula that undoes a factor, of the gradient, and what it is in words."""
    if abs(factor + 1) < max(1e-6, 0.5 * 10.0 ** (1 - digits)):
        return f"-{of}", "the sign is wrong"
    if abs(factor) < 1:
        number = _number(1 / factor, digits)
        return f"{of} * {number}", f"multiply by {number}"
    number = _number(factor, digits)
    return f"{of} / {number}", f"divide by {number}"


def _number(x: float, digits: int = 12) -> str:
    return f"{x:.0f}" if abs(x - round(x)) < 1e-7 * abs(x) else f"{x:.{digits}g}"


# ---- penalties -----------------------------------------------------------------------

_STRANGE = 5.0  # bits of one where the loss has none
_UNWRITTEN = 11.0  # bits of a coefficient that nobody would choose
_COMPARE = "compare the penalty in the loss with the one in the gradient"


def _penalty(evidence: Evidence, block: Block) -> Iterator[Made]:
    """Off by a multiple of theta; of its sign; of both."""
    terms = {"theta": block.theta, "np.sign(theta)": np.sign(block.theta)}
    for names in (("theta",), ("np.sign(theta)",), tuple(terms)):
        c = _fitted(block, block.off, *(terms[name] for name in names))
        if c is None or block.given.size < len(names) + 2:
            continue
        parts = [ci * terms[name] for ci, name in zip(c, names, strict=True)]
        smallest = min(float(np.abs(part).max()) for part in parts)
        if smallest < 1e-3 * np.abs(block.off[block.known]).max():
            continue
        # Where all of the gradient is of that form, it may as well be scaled.
        trivial = _fitted(block, block.right, terms[names[0]]) is not None
        sign = "missing or too small" if c[0] < 0 else "extra or too large"
        sum_ = " ".join(
            f"{'-' if ci > 0 else '+'} {abs(ci):.12g} * {name}"
            for ci, name in zip(c, names, strict=True)
        )
        text = f"the error is a multiple of {', '.join(names)}: a penalty on the "
        text += f"parameters is {sign}"
        bits = -1 + 5 * (len(names) - 1) + 2.5 * trivial
        error = 1e-9 if evidence.exact else 1e-5
        bits += 0 if evidence.counts.is_written(c[0], error) else _UNWRITTEN
        # Of an identity matrix, say, any function may be such a multiple.
        none = evidence.exact and not evidence.penalties
        bits += _STRANGE * (none and are_equal(block.theta[block.theta != 0]))
        made, undo = block.right + sum(parts), f"`grads {sum_}`; {_COMPARE}"
        yield made, Guess("regularization", {}, text, undo, bits, (names, sign))


def known_penalty(evidence: Evidence, block: Block) -> Iterator[Made]:
    """Yield that it is off by a penalty of the loss, be it in some entries only."""
    off = block.wrong & block.known
    for c in evidence.penalties:
        for factor in (1.0, -1.0, 0.5, -0.5, -2.0):
            sign = "missing or too small" if factor < 0 else "applied to it too"
            text = f"the error is {factor * c:.6g} times the parameter, and the loss "
            text += f"has a penalty with {c:.6g}: it is {sign}"
            made = block.right + np.where(off, factor * c * block.theta, 0.0)
            yield made, Guess("regularization", {}, text, _COMPARE, 0.5, (factor, c))


# ---- rounding, clipping, another variable --------------------------------------------


def _bfloat16(x: Array) -> Array:
    """Nearest bfloat16 values; exact ones stay as they are."""
    single = np.ascontiguousarray(x, np.float32)
    if not np.array_equal(single.astype(float), x):
        return single.astype(float)
    bits = single.view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(float)


_FORMATS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "integers": (np.trunc, 0.0),
    "nearest integers": (np.rint, 0.0),
    "float16": (lambda x: x.astype(np.float16).astype(float), 2.0**-11),
    "bfloat16": (_bfloat16, 2.0**-8),
    "float32": (lambda x: x.astype(np.float32).astype(float), 2.0**-24),
}


def _precision(evidence: Evidence, block: Block) -> Iterator[Made]:
    given, right = block.given, block.right
    if not (block.known & block.wrong).any():
        return
    for name, (rounded, ulp) in _FORMATS.items():
        exact = np.array_equal(rounded(given), given)
        if not (exact and given.size > 2 and np.any(given)):
            continue
        step = 2 * (np.abs(right) * ulp + 6e-8 * (name == "float16")) + block.bar
        close = np.abs(block.off) <= step if ulp else given == rounded(right)
        if close[block.known].all():
            text = f"every entry is exactly representable in {name}, and off by no "
            text += "more than that rounding"
            undo = "keep the gradient in the precision of the parameters"
            yield None, Guess("precision", {}, text, undo, -2, name)


_UNCLIPPED = "check the gradient before clipping it"


def _clipped(evidence: Evidence, block: Block) -> Iterator[Made]:
    """Entries scaled down to one size."""
    yield from _clipped_along(block, [tuple(range(block.given.ndim))])


def clipped_rows(evidence: Evidence, block: Block) -> Iterator[Made]:
    """Yield that rows (columns, ...) are scaled down to one size."""
    every = range(block.given.ndim)
    yield from _clipped_along(block, [(d,) for d in every if len(every) > 1])


def _clipped_along(block: Block, axes: Sequence[tuple[int, ...]]) -> Iterator[Made]:
    every = tuple(range(block.given.ndim))
    for kept in axes:
        over = tuple(d for d in every if d not in kept)
        size, had = (
            np.sqrt(np.sum(x**2, axis=over, keepdims=True))
            for x in (block.given, block.right)
        )
        limit = float(size.max(initial=0))
        there = size >= limit * (1 - 1e-9)
        if limit <= block.bar.max(initial=0) or there.sum() < 2:
            continue
        what = f"the norms along axis {kept[0]}" if over else "entries"
        # What is clipped has lost its differences.
        lost = np.ptp(had[there]) > 1e-9 * limit
        made = block.right * np.where(had > limit, limit / had, 1.0)
        # Where nothing is below it, it is one that people choose.
        some = not there.all() or limit == float(f"{limit:.1g}")
        text, key = f"{what} are clipped to {limit:.6g}", (over, round(limit, 12))
        bits = -4.5 if lost and some else 8
        yield made, Guess("clipped", {}, text, _UNCLIPPED, bits, key)


def clipped_by_norm(evidence: Evidence) -> Iterator[Guess]:
    """Yield the whole gradient scaled down to a norm that is a round number."""
    blocks = [(b, evidence.blocks[b]) for b in evidence.wrong]
    groups = [blocks, *([pair] for pair in blocks)] if len(blocks) > 1 else [blocks]
    for group in groups:
        given = np.concatenate([block.given.ravel() for _, block in group])
        whole = [block.everywhere for _, block in group]
        norm = float(np.linalg.norm([np.linalg.norm(x.given) for x in whole]))
        size = float(np.linalg.norm([np.linalg.norm(x.right) for x in whole]))
        if given.size < 2 or not np.isfinite(norm) or not norm or not size:
            continue
        k = norm / size
        left = {b: block.residual(k * block.right) for b, block in group}
        is_round = abs(norm / float(f"{norm:.2g}") - 1) <= 1e-9
        if is_round and all(r is not None for r in left.values()):
            text = f"the gradient is scaled to the norm {norm:.6g}"
            known = {b: r or 0.0 for b, r in left.items()}
            # Of equal numbers the norm is often a round one.
            equal = np.ptp(np.abs(given)) <= 1e-9 * norm or evidence.counts.name(k)
            yield Guess("clipped", known, text, _UNCLIPPED, 10.5 if equal else -4.5)
            return


#: phi(theta), its derivative as a formula, and one over that: with respect to phi the
#: gradient is that with respect to theta, divided by the derivative.
_CHAINS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "log(theta)": ("/ theta", lambda t: t),
    "theta**2 / 2": ("* theta", lambda t: 1 / t),
    "exp(theta)": ("* np.exp(theta)", lambda t: np.exp(-t)),
    "-exp(-theta)": ("* np.exp(-theta)", np.exp),
    "exp(2 * theta)": ("* 2 * np.exp(2 * theta)", lambda t: np.exp(-2 * t) / 2),
    "theta**2": ("* 2 * theta", lambda t: 1 / (2 * t)),
    "sqrt(theta)": ("/ (2 * np.sqrt(theta))", lambda t: 2 * np.sqrt(t)),
    "sigmoid(theta)": (
        "/ (2 + np.exp(theta) + np.exp(-theta))",
        lambda t: 2 + np.exp(t) + np.exp(-t),
    ),
    "softplus(theta)": ("/ (1 + np.exp(-theta))", lambda t: 1 + np.exp(-t)),
    "tanh(theta)": ("/ np.cosh(theta)**2", lambda t: np.cosh(t) ** 2),
    "1 / theta": ("/ -(theta**2)", lambda t: -(t**2)),
    "logit(theta)": ("/ (theta * (1 - theta))", lambda t: t * (1 - t)),
    "arctanh(theta)": ("/ (1 - theta**2)", lambda t: 1 - t**2),
    "log(exp(theta) - 1)": ("/ (1 - np.exp(-theta))", lambda t: -np.expm1(-t)),
}


def _reparametrized(evidence: Evidence, block: Block) -> Iterator[Made]:
    trivial = np.ptp(block.theta) <= 1e-9 * np.abs(block.theta).max(initial=0)
    bits = 7.5 if trivial else 0.0
    chains = {name: slope(block.theta) for name, (_, slope) in _CHAINS.items()}
    for scaled in (False, True):
        for name, slopes in chains.items():
            constant = np.ptp(slopes) <= 1e-9 * np.abs(slopes).max(initial=0)
            if constant and (scaled or not trivial):
                continue  # a factor, and nothing else
            made, undo = block.right * slopes, f"grads {_CHAINS[name][0]}"
            text = f"the gradient is that with respect to {name}, not theta"
            if not scaled and block.undone(made, slopes):
                yield made, Guess("reparametrized", {}, text, f"`{undo}`", bits, name)
            # Bounds have a width, too.
            c = _fitted(block, block.given, made) if scaled else None
            if c is not None and c[0] and block.given.size > 2:
                text, undo = f"{text}, times {c[0]:.6g}", f"`{undo} / {_number(c[0])}`"
                key, odd = (name, round(c[0], 9)), bits + 5.5
                yield c[0] * made, Guess("reparametrized", {}, text, undo, odd, key)


KINDS: tuple[Kind, ...] = (
    _linear,
    _begun,
    _penalty,
    known_penalty,
    _precision,
    _clipped,
    clipped_rows,
    _reparametrized,
)
