"""Sections of a parameter that the loss reads apart, as blocks of their own.

A flat vector holds weights of several kinds, a matrix those of several gates. What is
wrong in two sections in two ways are two mistakes, each of which explains a section.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastgrad.causes.evidence import Block, Evidence
from fastgrad.program import Node, value_of

_READS = ("view", "take", "reshape")


class Section(NamedTuple):
    """Entries of a parameter, counted flat, and the shape that the loss gives them."""

    start: int
    stop: int
    shape: tuple[int, ...]


def in_sections(
    evidence: Evidence, block: Block, parameter: Node, nodes: Sequence[Node]
) -> Evidence | None:
    """Return the evidence on the sections of a block; None if it is not read so."""
    sections = list(_covering(parameter.size, _read(parameter, nodes)))
    if len(sections) < 2 or block.whole is not None:
        return None
    blocks = [_part(block, section) for section in sections]
    return Evidence(blocks, evidence.counts, evidence.penalties, evidence.exact)


def _read(parameter: Node, nodes: Sequence[Node]) -> set[Section]:
    """What is read of a parameter in one stretch, and how that is arranged."""
    numbers = np.arange(float(parameter.size)).reshape(parameter.shape)
    reads = [n for n in nodes if n.inputs == (parameter,) and n.op in _READS]
    users: dict[Node, set[tuple[str, tuple[int, ...]]]] = {n: set() for n in reads}
    for node in nodes:
        for x in users.keys() & set(node.inputs):
            users[x].add((node.op, node.shape))
    found = set()
    for node in reads:
        place = value_of(node, [numbers]).ravel().astype(np.int64)
        if place.size and np.array_equal(place, place[0] + np.arange(place.size)):
            (op, shape), *others = users[node] or {(node.op, node.shape)}
            shape = shape if op == "reshape" and not others else node.shape
            found.add(Section(int(place[0]), int(place[-1]) + 1, shape))
    return found


def _covering(size: int, read: set[Section]) -> Iterator[Section]:
    """Yield sections that do not overlap, and what is between them."""
    end = 0
    for section in sorted(s for s in read if s.stop - s.start < size):
        if section.start >= end:
            if section.start > end:
                yield Section(end, section.start, (section.start - end,))
            yield section
            end = section.stop
    if 0 < end < size:
        yield Section(end, size, (size - end,))


def _part(block: Block, section: Section) -> Block:
    """A section of a block, named as it would be written."""
    start, stop, shape = section
    row = int(np.prod(block.given.shape[1:]))
    whole = start % row == stop % row == 0
    name = block.name if whole else f"{block.name}.ravel()"
    name += f"[{start // row}:{stop // row}]" if whole else f"[{start}:{stop}]"
    fields = ("theta", "given", "right", "bar", "known", "wrong")
    own = {f: getattr(block, f).ravel()[start:stop].reshape(shape) for f in fields}
    return replace(block, name=name, spread=(), **own)
