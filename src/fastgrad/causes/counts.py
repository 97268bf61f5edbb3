"""Numbers that a factor may equal, and that penalties multiply parameters by."""

from collections.abc import Iterator, Sequence

import numpy as np

from fastgrad.causes.patterns import penalties
from fastgrad.causes.reverse import Reverse
from fastgrad.params import Nest
from fastgrad.program import Node, Part

_MOST_COUNTED = 1e12  # of things that are counted
_LARGEST = 1e150  # number whose square and inverse are numbers
#: Factors for which no loss need have a reason.
_USUAL = [(2.0, "2"), (0.5, "1/2"), (1.0, "1"), (3.0, "3"), (1 / 3, "1/3")]
_USUAL += [(1.5, "3/2"), (2 / 3, "2/3")]


class Counts(dict[float, str]):
    """Numbers a factor may equal, and what: ``{32.0: "32, an axis of z1"}``."""

    def name(self, factor: float) -> str | None:
        """Return what a factor equals, None if nothing known."""
        found = self._nearest(abs(factor))
        return found and (found[1] if factor > 0 else f"-{found[1]}")

    def written(self, number: float) -> float | None:
        """Return the number of few digits, or known, that is so near; or None."""
        if not np.isfinite(number) or number == 0:
            return None
        short = float(f"{number:.3g}")
        if abs(short - number) <= 1e-6 * abs(number):
            return short
        found = self._nearest(abs(number))
        return float(np.copysign(found[0], number)) if found else None

    def _nearest(self, size: float) -> tuple[float, str] | None:
        known = (*_USUAL, *self._derived()) if 0 < size < np.inf else ()
        near = (one for one in known if abs(size - one[0]) <= 1e-6 * one[0])
        return next(near, None)

    def is_usual(self, number: float) -> bool:
        """Whether a number is one for which no loss need have a reason."""
        return any(abs(abs(number) - n) <= 1e-6 * n for n, _ in _USUAL)

    def is_plain(self, factor: float) -> bool:
        """Whether a factor is 1/2, 2 or one of the counts or its inverse."""
        known = [value for n in (2.0, *self) for value in (n, 1 / n)]
        return any(abs(abs(factor) - value) <= 1e-6 * value for value in known)

    def is_written(self, c: float, error: float) -> bool:
        """Whether people write a number so: three digits, or such over a count."""
        counts = np.array([1.0, *self])
        size = np.abs(c) * np.concatenate([counts, 1 / counts])
        mantissa = size / 10 ** np.floor(np.log10(size))
        return bool((np.abs(np.round(mantissa, 2) - mantissa) <= error).any())

    def _derived(self) -> Iterator[tuple[float, str]]:
        for n, name in self.items():
            yield n, name
            yield 1 / n, f"1 / {name}"
        for n, name in self.items():
            if 1 < n < _MOST_COUNTED and n == round(n):
                yield n / (n - 1), f"n / (n - 1) for n = {name}"
                yield (n - 1) / n, f"(n - 1) / n for n = {name}"
                for power, how in ((0.5, "the root"), (2, "the square")):
                    yield n**power, f"{how} of {name}"
                    yield n**-power, f"1 / {how} of {name}"
                yield n / 2, f"{name}, halved"
                yield 2 / n, f"2 / {name}"


def told(number: float, name: str | None) -> str:
    """A number, and what it equals where that says more."""
    text = f"{number:.6g}"
    return text if name in (None, text) else f"{text}, which is {name}"


def counts_of(reverse: Reverse | None, nest: Nest) -> Counts:
    """Return axis lengths and constants of the loss, and what they are."""
    found = _of_parameters(nest) if reverse is None else _of_program(reverse, nest)
    counts = Counts()
    for n, name in found:
        if 1 / _LARGEST < n < _LARGEST and n not in (1.0, 2.0):
            counts.setdefault(float(n), name)
    return counts


def _of_parameters(nest: Nest) -> Iterator[tuple[float, str]]:
    for name, shape in zip(nest.names, nest.shapes, strict=True):
        for axis, n in enumerate(shape):
            yield n, f"{n}, axis {axis} of {name}"
    for n in range(2, 4097):
        yield n, f"{n}"


def _of_program(reverse: Reverse, nest: Nest) -> Iterator[tuple[float, str]]:
    program = reverse.program
    nodes = reverse.nodes
    if isinstance(program, Part):  # whose axes are shorter
        nodes, nest = program.whole.operations, program.whole.nest
    for n in _batch_sizes(nodes, nest):
        yield n, f"the batch size, {n}"
    for node in nodes:
        for x in node.inputs:
            if not x.active and not x.ndim:
                c = float(abs(x.value))
                yield c, f"{c:.6g}, a constant in {x.source}"
    for node in nodes:
        for axis, n in enumerate(node.shape):
            yield n, f"{n}, axis {axis} of {node.label}"
        yield node.size, f"{node.size}, all of {node.label}"


def _batch_sizes(nodes: Sequence[Node], nest: Nest) -> set[int]:
    """The one length that all arrays of data have in common, and no parameter has."""
    data = [
        set(x.shape)
        for node in nodes
        for x in node.inputs
        if not x.active and x.size > 1
    ]
    own = {1, *(n for shape in nest.shapes for n in shape)}
    common = set.intersection(*data) - own if data else set()
    return common if len(common) == 1 else set()


def penalties_of(reverse: Reverse | None) -> list[float]:
    """Return the c of gradients c * theta that parameters get from penalties."""
    found: set[float] = set()
    if reverse is None:
        return []
    of_penalties = penalties([reverse.program.result])
    for p in reverse.program.parameters:
        uses = [use for use in reverse.users.get(p, ()) if use[0] in of_penalties]
        users = {user for user, _ in uses}
        for some in [users, *({user} for user in users)] if uses else ():
            part = np.sum([reverse.part(u, i) for u, i in uses if u in some], axis=0)
            on = part != 0
            if on.any() and (p.value[on] != 0).all():
                c = part[on] / p.value[on]
                if np.ptp(c) <= 1e-12 * np.abs(c).max():
                    found.add(float(c.flat[0]))
    return sorted(found)
