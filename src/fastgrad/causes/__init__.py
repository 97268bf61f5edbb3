"""Why a gradient is wrong: causes, ranked, each with its evidence.

- `evidence`: a wrong gradient block by block, and when a guess matches it.
- `signatures`, `places`: mistakes that show in the numbers alone.
- `reverse`: how the gradient changes when one operation is broken.
- `mistakes`, `counterfactuals`: mistakes at the operations of the program.

A cause is named when doing the mistake to the right gradient gives the gradient under
test, within the error bars, in whole blocks. Nothing that merely looks alike is named.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.counterfactuals import counterfactuals
from fastgrad.causes.evidence import Block, Evidence, Guess, join
from fastgrad.causes.normalizations import stretched
from fastgrad.causes.places import whereabouts
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.signatures import signatures
from fastgrad.params import Nest
from fastgrad.program.graph import Node
from fastgrad.program.program import Program
from fastgrad.report import Cause

Array = NDArray[np.float64]
_NEAR = 0.7  # in cost: as plausible as the best
_SHOWN = 3  # guesses about the same blocks that cannot be told apart


def name_causes(
    nest: Nest,
    theta: Array,
    given: Array,
    numerical: Array,
    error: Array,
    wrong: NDArray[np.bool_],
    smooth: NDArray[np.bool_],
    *,
    program: Program | None = None,
    elsewhere: Callable[[float], Array] | None = None,
) -> tuple[Cause, ...]:
    """Return why a gradient is wrong, what explains most first.

    Parameters
    ----------
    nest : Nest
        The parameters' structure.
    theta, given : ndarray of float64, shape (P,)
        The parameters, and the gradient under test.
    numerical, error : ndarray of float64, shape (P,)
        The gradient measured and its error bar; nan and inf where it was not.
    wrong : ndarray of bool, shape (P,)
        Entries that are wrong.
    smooth : ndarray of bool, shape (P,)
        Entries that are not at a kink of the loss.
    program : Program, optional
        The traced loss.
    elsewhere : callable, optional
        Of a relative step: the user's gradient at other parameters.

    Returns
    -------
    tuple of Cause
        Empty only if nothing is wrong. ``unknown``, with its location, where no
        mistake fits.
    """
    if not wrong.any():
        return ()
    reverse = Reverse(program) if program is not None else None
    evidence = gather(nest, theta, given, numerical, error, wrong, smooth, reverse)
    guesses = [] if elsewhere is None else list(_stale(evidence, given, elsewhere))
    guesses += signatures(evidence)
    if reverse is not None and evidence.exact:
        guesses += counterfactuals(evidence, reverse)
    return tuple(_rank(evidence, guesses, reverse))


def gather(
    nest: Nest,
    theta: Array,
    given: Array,
    numerical: Array,
    error: Array,
    wrong: NDArray[np.bool_],
    smooth: NDArray[np.bool_],
    reverse: Reverse | None,
) -> Evidence:
    """Return the evidence, with the program's own gradient if it can be trusted."""
    right, bar, exact = numerical, 3 * error, False
    known = np.isfinite(numerical) & np.isfinite(error) & smooth
    if reverse is not None:
        analytic = _program_gradient(nest, reverse)
        with np.errstate(all="ignore"):
            off = np.abs(analytic - numerical) > 3 * error + 1e-5 * np.abs(analytic)
        if np.isfinite(analytic).all() and off[known].mean() <= 0.01:
            right, exact = analytic, True
            bar, known = np.zeros_like(right), smooth.copy()
    eps = _eps(nest, given)
    blocks = []
    for b, (name, start, stop, shape) in enumerate(
        zip(nest.names, nest.offsets, nest.offsets[1:], nest.shapes, strict=False)
    ):
        own = slice(start, stop)
        largest = float(np.max(np.abs(right[own]), initial=0, where=known[own]))
        blocks.append(
            Block(
                name,
                *(v[own].reshape(shape) for v in (theta, given, right)),
                (bar[own] + (1e-9 + 64 * eps) * largest).reshape(shape),
                known[own].reshape(shape),
                wrong[own].reshape(shape),
                eps,
                _spread(reverse, b),
            )
        )
    evidence = Evidence(blocks, _counts(reverse, nest), exact)
    if reverse is not None and exact:
        evidence.bends = _bends(evidence, reverse)
    return evidence


def _bends(evidence: Evidence, reverse: Reverse) -> bool:
    """Whether the right gradient changes with the parameters."""
    moved = {
        p: p.value * (1 + _ELSEWHERE) + _ELSEWHERE
        for p in reverse.program.parameters
        if p in reverse.number
    }
    return any(
        not np.allclose(new, block.right, rtol=1e-9, atol=0)
        for new, block in zip(reverse.replayed(moved), evidence.blocks, strict=True)
    )


def _eps(nest: Nest, given: Array) -> float:
    single = np.array_equal(given.astype(np.float32), given)
    types = {dtype.type for dtype in nest.dtypes}
    return 6e-8 if single and types != {np.float64} else 2.2e-16


def _program_gradient(nest: Nest, reverse: Reverse) -> Array:
    leaves = [
        reverse.gradient.get(p, np.zeros(p.shape)) for p in reverse.program.parameters
    ]
    return nest.join(leaves)


def _spread(reverse: Reverse | None, b: int) -> tuple[int, ...]:
    """Over how many places the program repeats block `b`, one number per axis."""
    if reverse is None:
        return ()
    for node, i in reverse.users.get(reverse.program.parameters[b], ()):
        axes = stretched(node, i)
        if axes:
            return tuple(node.shape[d] for d in axes)
    return ()


def _counts(reverse: Reverse | None, nest: Nest) -> dict[float, str]:
    """Numbers that a factor may equal: axis lengths and constants of the loss."""
    counts: dict[float, str] = {}
    if reverse is None:
        for name, shape in zip(nest.names, nest.shapes, strict=True):
            for axis, n in enumerate(shape):
                counts.setdefault(float(n), f"{n}, axis {axis} of {name}")
        for n in range(2, 4097):
            counts.setdefault(float(n), f"{n}")
        return counts
    for node in reverse.nodes:
        for x in node.inputs:
            if (
                not x.active
                and x.value.ndim == 0
                and abs(x.value) not in (0.0, 1.0, 2.0)
            ):
                c = float(abs(x.value))
                counts.setdefault(c, f"{c:.6g}, a constant in {x.source}")
    for node in reverse.nodes:
        for axis, n in enumerate(node.shape):
            counts.setdefault(float(n), f"{n}, axis {axis} of {node.label}")
        counts.setdefault(
            float(node.value.size), f"{node.value.size}, all of {node.label}"
        )
    return {n: name for n, name in counts.items() if n not in (0.0, 1.0, 2.0)}


#: Relative step to another point, far beyond rounding.
_ELSEWHERE = 1e-3


def _stale(
    evidence: Evidence, given: Array, elsewhere: Callable[[float], Array]
) -> Iterator[Guess]:
    """The same gradient at another point, where the right one differs."""
    if evidence.bends and np.array_equal(elsewhere(_ELSEWHERE), given):
        yield Guess(
            "stale",
            dict.fromkeys(evidence.wrong, 0.0),
            "the gradient is the same at another point, where the right one is not: it "
            "was computed for earlier parameters",
            "compute it anew in each call",
            cost=0.5,
        )


def _rank(
    evidence: Evidence, guesses: list[Guess], reverse: Reverse | None
) -> Iterator[Cause]:
    """Yield the best explanation, then the best of what it leaves, and so on."""
    left = set(evidence.wrong)
    while left:
        useful = [g for g in guesses if left & set(g.blocks)]
        if not useful:
            break
        useful.sort(key=lambda g: (g.against > 0, -len(left & set(g.blocks)), g.cost))
        best = useful[0]
        covered = left & set(best.blocks)
        yield _cause(evidence, best, useful)
        codes = {best.code}
        for other in useful[1:]:
            same = left & set(other.blocks) == covered and bool(other.against) == bool(
                best.against
            )
            near = other.cost <= best.cost + _NEAR
            if same and near and other.code not in codes and len(codes) < _SHOWN:
                codes.add(other.code)
                yield _cause(evidence, other, useful)
        left -= covered
    if left:
        yield _unknown(evidence, sorted(left), reverse)


def _cause(evidence: Evidence, guess: Guess, all_guesses: list[Guess]) -> Cause:
    node = guess.node
    if node is None:
        # Somebody may know the operation.
        same = [
            g
            for g in all_guesses
            if g.node is not None
            and not g.against
            and set(g.blocks) == set(guess.blocks)
            and g.code == guess.code
        ]
        node = min(same, key=lambda g: g.cost).node if same else None
    blocks = tuple(evidence.blocks[b].name for b in sorted(guess.blocks))
    known = [r for r in guess.blocks.values() if np.isfinite(r)]
    residual = max(known) if known else None
    where = f" in {join(blocks)}"
    text = guess.text.format(op=_said(node)) if node is not None else guess.text
    message = text + where
    if residual is not None:
        message += f" (matches to {max(residual, 1e-16):.0e})"
    if guess.advice:
        message += f": {guess.advice}"
    return Cause(guess.code, blocks, message, _line(node), residual)


def _said(node: Node) -> str:
    return f"{node.label} ({node.source})"


def _line(node: Node | None) -> str | None:
    if node is None:
        return None
    code = node.source.code
    return f"{node.source.file}:{node.source.line}" + (f": {code}" if code else "")


def _unknown(evidence: Evidence, left: list[int], reverse: Reverse | None) -> Cause:
    blocks = tuple(evidence.blocks[b].name for b in left)
    node = None
    if reverse is not None:
        bits = sum(1 << b for b in left)
        cover = [
            n for n in reverse.nodes if n.inputs and reverse.reached[n] & bits == bits
        ]
        node = cover[0] if cover else None
    message = f"no known mistake gives the gradient of {join(blocks)}"
    places = [(evidence.blocks[b].name, whereabouts(evidence.blocks[b])) for b in left]
    for name, where in places:
        message += f"; {name} is wrong only {where}" if where else ""
    if node is not None:
        message += f"; everything wrong is behind {_said(node)}"
    return Cause("unknown", blocks, message, _line(node))


__all__ = ["name_causes"]
