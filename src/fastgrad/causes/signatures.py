"""Mistakes that show in the numbers alone, whichever way losses are computed.

Each signature takes a wrong block and yields what it may be; `merge` joins what several
blocks have in common. The supposed mistake is done to the right gradient, and has to
give the gradient under test to within the error bars.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

import numpy as np

from fastgrad.causes.evidence import Array, Block, Evidence, Guess, fit, merge

Signature = Callable[[Evidence, int, Block], Iterable[Guess]]


def signatures(evidence: Evidence) -> list[Guess]:
    """Return what the numbers alone suggest."""
    from fastgrad.causes.places import PLACES, partial

    found: list[Guess] = []
    for b in evidence.wrong:
        block = evidence.blocks[b]
        if evidence.is_single:
            found += [*_known_penalty(evidence, b, block), *partial(evidence, b, block)]
            continue
        if not np.isfinite(block.given).all():
            found += _nonfinite(evidence, b, block)
            continue
        for signature in (*_NUMBERS, *PLACES):
            found += signature(evidence, b, block)
    return merge(found) + list(_clipped_by_norm(evidence))


def _nonfinite(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    bad = int((~np.isfinite(block.given)).sum())
    kind = "nan" if np.isnan(block.given).any() else "infinite"
    yield Guess(
        "nonfinite",
        {b: float("nan")},
        f"{bad:,} of {block.given.size:,} entries are {kind}, where the loss and its "
        "numerical gradient are finite",
        "look for 0 / 0, 0 * inf, or the logarithm or root of zero",
        cost=0,
        key=kind,
    )


def _zero(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    residual = block.residual(0.0)
    if residual is not None:
        # Rounding errors are left where something was computed, and cancelled.
        text = "the gradient is zero throughout"
        if np.any(block.given):
            text += ", to rounding"
        yield Guess(
            "zero",
            {b: 0.0},
            text,
            "no gradient is ever passed back to it, or it is never written",
            cost=4.2 if np.any(block.given) else 1,
        )
    elif block.given.size > 3:
        yield from _penalty_only(b, block)


def _penalty_only(b: int, block: Block) -> Iterator[Guess]:
    c = fit(block.given[block.known], block.theta[block.known])
    if c is None or block.residual(c[0] * block.theta) is None:
        return
    if fit(block.right[block.known], block.theta[block.known]) is None:
        return
    yield Guess(
        "zero",
        {b: block.residual(c[0] * block.theta) or 0.0},
        f"only {c[0]:.4g} times the parameters is left, as from a penalty",
        "no gradient of the data is passed back to it",
        cost=1.5,
    )


def _scale(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    k = fit(block.given[block.known], block.right[block.known])
    if k is None:
        return
    factor = float(k[0])
    residual = block.residual(factor * block.right)
    if residual is None or abs(factor - 1) < 1e-9:
        return
    name = evidence.factor(factor)
    if int((block.right[block.known] != 0).sum()) < 2 and name is None:
        return
    yield _scaled(evidence, block, b, factor, name, residual)


def _only_biases(evidence: Evidence, factor: float) -> bool:
    """Whether vectors are a whole number too small, and all matrices are right."""
    if evidence.exact or not 0 < factor < 0.6:
        return False
    matrix = [sum(k > 1 for k in block.given.shape) > 1 for block in evidence.blocks]
    wrong = [matrix[b] for b in evidence.wrong]
    whole = abs(1 / factor - round(1 / factor)) < 1e-6 / factor
    return whole and any(matrix) and not any(wrong)


def _scaled(
    evidence: Evidence,
    block: Block,
    b: int,
    factor: float,
    name: str | None,
    residual: float,
) -> Guess:
    if abs(factor + 1) < 1e-6:
        text = "the sign is wrong: minus the gradient matches"
        return Guess("sign", {b: residual}, text, "negate it", cost=2, factor=-1.0)
    averaged = block.spread and abs(factor * _count(block) - 1) < 1e-6
    if averaged:
        text = (
            "the gradient is averaged where it is to be summed, over "
            f"{_count(block)} uses of each entry"
        )
        return Guess("reduction", {b: residual}, text, "sum", cost=2, key="averaged")
    if _only_biases(evidence, factor):
        text = (
            f"the gradient is averaged over {_number(1 / factor)} uses of each entry, "
        )
        text += "and that of the weights is right"
        return Guess("reduction", {b: residual}, text, "sum", cost=2.4, key="averaged")
    what = f", which is {name}" if name else ""
    text = f"`grads / {_number(factor)}` matches{what}"
    advice = f"divide by {_number(factor)}"
    if 0 < factor < 1:
        advice = f"multiply by {_number(1 / factor)}"
        text = f"`grads * {_number(1 / factor)}` matches{what}"
    several = int((block.right[block.known] != 0).sum()) > 1
    cost = 2.5 if name and (several or evidence.is_plain(factor)) else 4.5
    return Guess(
        "scale", {b: residual}, text, advice, cost, key=round(factor, 9), factor=factor
    )


def _count(block: Block) -> int:
    return int(np.prod(block.spread))


def _number(x: float) -> str:
    return f"{x:.0f}" if abs(x - round(x)) < 1e-7 * abs(x) else f"{x:.6g}"


def _regularization(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Off by a multiple of theta; of its sign; of a constant and theta."""
    if block.given.size < 3:
        return
    off, known = block.off, block.known
    theta = block.theta
    shapes = {
        "theta": (theta,),
        "the sign of theta": (np.sign(theta),),
        "theta and a constant": (theta, np.ones_like(theta)),
        "theta and its sign": (theta, np.sign(theta)),
        "a constant": (np.ones_like(theta),),
    }
    for name, terms in shapes.items():
        if block.given.size < len(terms) + 2:
            continue
        c = fit(off[known], *(term[known] for term in terms))
        if c is None:
            continue
        parts = [ci * term for ci, term in zip(c, terms, strict=True)]
        residual = block.residual(block.right + sum(parts))
        smallest = min(float(np.abs(part).max()) for part in parts)
        if residual is None or smallest < 1e-3 * np.abs(off[known]).max():
            continue
        # Where all of the gradient is of that form, it may as well be scaled.
        alone = fit(block.right[known], *(term[known] for term in terms[:1]))
        trivial = alone is not None and np.allclose(
            alone[0] * terms[0][known], block.right[known], rtol=1e-6, atol=0
        )
        sign = "missing or too small" if c[0] < 0 else "extra or too large"
        shown = " and ".join(f"{ci:.6g}" for ci in c)
        yield Guess(
            "regularization",
            {b: residual},
            f"the error is {name}, times {shown}: a penalty on the parameters is "
            f"{sign}",
            "compare the penalty in the loss with the one in the gradient",
            cost=2.2 + (len(terms) - 1) + (0.5 if trivial else 0.0),
            key=(name, sign),
        )
        return
    yield from _penalty_on_some(b, block)


def _known_penalty(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Off by what the loss has as a penalty elsewhere, be it in one entry only."""
    off = block.wrong & block.known
    for c in evidence.penalties:
        for factor in (1.0, -1.0, 0.5, -0.5):
            for of, term in (("parameter", block.theta), ("number 1", 1.0)):
                guess = block.right + np.where(off, factor * c * term, 0.0)
                residual = block.residual(guess)
                if residual is not None and (of == "parameter" or factor == 1):
                    sign = "missing or too small" if factor < 0 else "applied to it too"
                    yield Guess(
                        "regularization",
                        {b: residual},
                        f"the error is {factor * c:.6g} times the {of}, and the loss "
                        f"has a penalty with {c:.6g}: it is {sign}",
                        "compare which entries the loss and the gradient penalise",
                        cost=2.8,
                        key=(factor, c, of),
                    )
                    return


def _shifted_penalty(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Each entry has the penalty of the one before, or behind."""
    for c in evidence.penalties if block.theta.ndim == 1 else ():
        for shift in (1, -1):
            other = np.roll(block.theta, shift)
            wrong = block.wrong & block.known
            guess = block.right + np.where(wrong, c * (other - block.theta), 0.0)
            residual = block.residual(guess)
            if residual is not None and wrong.sum() > 2:
                text = f"each entry has the penalty of the one {shift} place further"
                yield Guess(
                    "regularization",
                    {b: residual},
                    text,
                    "compare which entries the loss and the gradient penalise",
                    cost=2.8,
                )
                return


def _penalty_on_some(b: int, block: Block) -> Iterator[Guess]:
    """Off by plus or minus one multiple of theta, on a few entries."""
    off = block.wrong & block.known & (block.theta != 0)
    if int(off.sum()) < 2 or off.all() or (block.wrong & ~off).any():
        return
    c = block.off[off] / block.theta[off]
    size = float(np.median(np.abs(c)))
    guess = block.right.copy()
    guess[off] += size * np.sign(c) * block.theta[off]
    residual = block.residual(guess)
    if residual is not None:
        yield Guess(
            "regularization",
            {b: residual},
            f"{int(off.sum())} entries are off by {size:.6g} times the parameter: the "
            "penalty is applied to the wrong ones",
            "compare which entries the loss and the gradient penalise",
            cost=3,
        )


def _scale_beside_penalty(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """The data's part scaled, the penalty's part right."""
    known = block.known
    if block.given.size < 4:
        return
    c = fit(block.given[known], block.right[known], block.theta[known])
    if c is None or abs(c[0] - 1) < 1e-7 or abs(c[0]) < 1e-7:
        return
    factor = float(c[0])
    guess = factor * block.right + c[1] * block.theta
    residual = block.residual(guess)
    if residual is None or abs(c[1]) * np.abs(block.theta).max() <= block.bar.max():
        return
    found = _scaled(evidence, block, b, factor, evidence.factor(factor), residual)
    found.cost += 0.2
    found.text += f" for the data's part, beside a penalty of {c[1] / (1 - factor):.6g}"
    yield found


def _precision(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    given, right = block.given, block.right
    formats: dict[str, Callable[[Array], Array]] = {
        "integers": np.trunc,
        "nearest integers": np.rint,
        "float16": lambda x: x.astype(np.float16).astype(float),
        "bfloat16": _bfloat16,
        "float32": lambda x: x.astype(np.float32).astype(float),
    }
    ulp = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}
    for name, rounded in formats.items():
        with np.errstate(over="ignore"):
            exact = np.array_equal(rounded(given), given)
        if not exact or given.size < 3 or not np.any(given):
            continue
        if "integers" in name:
            close = given[block.known] == rounded(right[block.known])
        else:
            step = np.abs(right) * ulp[name] + 6e-8 * (name == "float16")
            close = (
                np.abs(block.off)[block.known] <= (2 * step + block.bar)[block.known]
            )
        if close.all():
            relative = float(np.abs(block.off).max() / np.abs(right).max())
            yield Guess(
                "precision",
                {b: relative},
                f"every entry is exactly representable in {name}, and off by no more "
                "than that rounding",
                "keep the gradient in the precision of the parameters",
                cost=2,
                key=name,
            )
            return


def _bfloat16(x: Array) -> Array:
    """Nearest bfloat16 values; exact ones stay as they are."""
    single = np.ascontiguousarray(x, np.float32)
    if not np.array_equal(single.astype(float), x):
        return single.astype(float)
    bits = single.view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(float)


def _clipped(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    limit = float(np.abs(block.given).max(initial=0))
    at_limit = np.abs(block.given) >= limit * (1 - 1e-12)
    residual = block.residual(np.clip(block.right, -limit, limit))
    negligible = limit <= block.bar.max(initial=0)
    if residual is not None and not negligible and at_limit.sum() > 1:
        yield Guess(
            "clipped",
            {b: residual},
            f"entries are clipped to {limit:.6g}",
            "check the gradient before clipping it",
            cost=1.5,
            key=round(limit, 12),
        )


def _clipped_along(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Each row, column, ... scaled down to one norm."""
    for axis in range(block.given.ndim if block.given.ndim > 1 else 0):
        others = tuple(d for d in range(block.given.ndim) if d != axis)
        norm = np.sqrt(np.sum(block.right**2, axis=others, keepdims=True))
        limit = float(np.sqrt(np.sum(block.given**2, axis=others)).max())
        clipped = norm > limit * (1 + 1e-9)
        if clipped.sum() < 2 or limit <= block.bar.max(initial=0):
            continue
        residual = block.residual(block.right * np.where(clipped, limit / norm, 1.0))
        if residual is not None:
            yield Guess(
                "clipped",
                {b: residual},
                f"the norms along axis {axis} are clipped to {limit:.6g}",
                "check the gradient before clipping it",
                cost=1.5,
                key=(axis, round(limit, 12)),
            )


def _clipped_by_norm(evidence: Evidence) -> Iterator[Guess]:
    """The whole gradient scaled down to a norm that is a round number."""
    blocks = [(b, evidence.blocks[b]) for b in evidence.wrong]
    groups = [blocks, *([pair] for pair in blocks)] if len(blocks) > 1 else [blocks]
    for group in groups:
        given = np.concatenate([block.given.ravel() for _, block in group])
        if given.size < 2 or not np.isfinite(given).all():
            continue
        norm = float(np.linalg.norm(given))
        if not norm or abs(norm / float(f"{norm:.2g}") - 1) > 1e-9:
            continue
        right = np.concatenate([block.right.ravel() for _, block in group])
        if not right.any():
            continue
        k = norm / float(np.linalg.norm(right))
        residuals = {b: block.residual(k * block.right) for b, block in group}
        if all(r is not None for r in residuals.values()) and k > 0:
            yield Guess(
                "clipped",
                {b: r or 0.0 for b, r in residuals.items()},
                f"the gradient is scaled to the norm {norm:.6g}",
                "check the gradient before clipping or normalising it",
                cost=1.5,
            )
            return


#: Derivatives of usual reparametrisations at theta, and what the gradient is then of.
_CHAINS: dict[str, Callable[[Array], Array]] = {
    "theta itself, not of its logarithm": lambda t: t,
    "log theta, not of theta": lambda t: 1 / t,
    "exp(theta), not of theta": lambda t: np.exp(-t),
    "theta, where exp(theta) is due": np.exp,
    "exp(2 theta), not of theta": lambda t: np.exp(-2 * t) / 2,
    "theta squared, not of theta": lambda t: 1 / (2 * t),
    "the root of theta, not of theta": lambda t: 2 * np.sqrt(t),
    "sigmoid(theta), not of theta": lambda t: 2 + np.exp(t) + np.exp(-t),
    "softplus(theta), not of theta": lambda t: 1 + np.exp(-t),
    "tanh(theta), not of theta": lambda t: np.cosh(t) ** 2,
    "sin(theta), not of theta": lambda t: 1 / np.cos(t),
    "the root of theta**2 + 1, not of theta": lambda t: np.sqrt(t * t + 1) / t,
}


def _reparametrized(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    for name, slope in _CHAINS.items():
        with np.errstate(all="ignore"):
            chain = block.right * slope(block.theta)
        if not np.isfinite(chain).all():
            continue
        residual = block.residual(chain)
        # A bounded parameter has a width, too.
        factor = 1.0
        if residual is None and block.given.size > 2 and "bounded" not in name:
            c = fit(block.given[block.known], chain[block.known])
            factor = float(c[0]) if c is not None else 1.0
            residual = block.residual(factor * chain)
        if residual is not None:
            times = "" if factor == 1 else f" (times {factor:.6g})"
            yield Guess(
                "reparametrized",
                {b: residual},
                f"the gradient is that with respect to {name}{times}",
                "multiply by the derivative of what the parameter goes through",
                # What a product does with it may be read either way.
                cost=(3.9 if block.is_factor else 2.4) + (1.1 if factor != 1 else 0.0),
                key=name,
            )
            return


def _total(evidence: Evidence, b: int, block: Block) -> Iterator[Guess]:
    """Every entry is the sum of all, or of all along some axes."""
    axes = range(block.given.ndim)
    for n in range(block.given.ndim, 0, -1):
        for chosen in combinations(axes, n):
            if np.prod([block.given.shape[d] for d in chosen]) < 2:
                continue
            total = block.right.sum(axis=chosen, keepdims=True)
            for name, value in (("sum", total), ("mean", _mean(block, chosen))):
                residual = block.residual(np.broadcast_to(value, block.given.shape))
                if residual is not None:
                    yield Guess(
                        "reduction",
                        {b: residual},
                        f"every entry is the {name} over axes {chosen}: one axis too "
                        "many is reduced",
                        "reduce only the axes along which it was repeated",
                        cost=2,
                        key=(name, "total"),
                    )
                    return


def _mean(block: Block, axes: tuple[int, ...]) -> Array:
    return np.asarray(block.right.mean(axis=axes, keepdims=True))


_NUMBERS: tuple[Signature, ...] = (
    _zero,
    _scale,
    _scale_beside_penalty,
    _regularization,
    _known_penalty,
    _shifted_penalty,
    _precision,
    _clipped,
    _clipped_along,
    _reparametrized,
    _total,
)
