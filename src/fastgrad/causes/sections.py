"""Sections of a parameter that the loss reads apart, as blocks of their own.

A flat vector holds weights of several kinds, a matrix those of several gates. What is
wrong in two sections in two ways are two mistakes, each of which explains a section.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from fastgrad.causes.evidence import Block, Evidence
from fastgrad.causes.reverse import Reverse, recomputed
from fastgrad.program import Node, value_of

_READS = ("view", "take", "reshape")


class Section(NamedTuple):
    """Entries of a parameter, counted flat; what the loss reads them as, if once."""

    start: int
    stop: int
    shape: tuple[int, ...]
    read: Node | None = None


def in_sections(
    evidence: Evidence, b: int, reverse: Reverse
) -> tuple[Evidence, Reverse | None] | None:
    """Return the evidence on the sections of a block, and the program of these.

    None if the block is not read so; no program, if something wrong is not read once.
    """
    block, parameter = evidence.blocks[b], reverse.program.parameters[b]
    sections = list(_covering(parameter.size, _read(parameter, reverse.program.nodes)))
    if len(sections) < 2 or block.whole is not None:
        return None
    blocks = [_part(block, section) for section in sections]
    apart = Evidence(blocks, evidence.counts, evidence.penalties, evidence.exact)
    wrong = [sections[k].read for k in apart.wrong]
    return apart, None if None in wrong else _of(reverse, sections, blocks)


def _of(
    reverse: Reverse, sections: Sequence[Section], blocks: Sequence[Block]
) -> Reverse:
    """The program with the sections for its parameters."""
    program = reverse.program
    put = {s.read: s.read.value for s in sections if s.read is not None}
    nodes = recomputed(program.nodes, put, reverse.budget)
    parameters = []
    for section, block in zip(sections, blocks, strict=True):
        one = Node("parameter", (), (), block.theta, block.name, program.result.source)
        if section.read is not None:
            one = nodes[section.read]
            one.op, one.label = "parameter", block.name
        parameters.append(one)
    there: Any = SimpleNamespace(
        nodes=[nodes.get(n, n) for n in program.nodes],
        parameters=parameters,
        result=nodes.get(program.result, program.result),
    )
    return Reverse(there, reverse.budget, reverse.side)


def _read(parameter: Node, nodes: Sequence[Node]) -> Iterator[Section]:
    """What is read of a parameter in one stretch, and how that is arranged."""
    numbers = np.arange(float(parameter.size)).reshape(parameter.shape)
    reads = [n for n in nodes if n.inputs == (parameter,) and n.op in _READS]
    users: dict[Node, list[Node]] = {n: [] for n in reads}
    for node in nodes:
        for x in users.keys() & set(node.inputs):
            users[x].append(node)
    found: dict[tuple[int, int], list[Section]] = {}
    for node in reads:
        place = value_of(node, [numbers]).ravel().astype(np.int64)
        if place.size and np.array_equal(place, place[0] + np.arange(place.size)):
            start, stop = int(place[0]), int(place[-1]) + 1
            (user, *others) = users[node] or [node]
            shaped = user if user.op == "reshape" and not others else node
            section = Section(start, stop, shaped.shape, shaped)
            found.setdefault((start, stop), []).append(section)
    for first, *more in found.values():
        shapes = {first.shape, *(one.shape for one in more)}
        shape = first.shape if len(shapes) == 1 else (first.stop - first.start,)
        yield first._replace(shape=shape, read=None) if more else first


def _covering(size: int, read: Iterator[Section]) -> Iterator[Section]:
    """Yield sections that do not overlap, and what is between them."""
    end = 0
    for section in sorted(read, key=lambda s: s[:2]):
        if section.stop - section.start < size and section.start >= end:
            if section.start > end:
                yield Section(end, section.start, (section.start - end,))
            yield section
            end = section.stop
    if 0 < end < size:
        yield Section(end, size, (size - end,))


def _part(block: Block, section: Section) -> Block:
    """A section of a block, named as it would be written."""
    start, stop, shape, _ = section
    row = int(np.prod(block.given.shape[1:]))
    whole = start % row == stop % row == 0
    name = block.name if whole else f"{block.name}.ravel()"
    name += f"[{start // row}:{stop // row}]" if whole else f"[{start}:{stop}]"
    fields = ("theta", "given", "right", "bar", "known", "wrong")
    own = {f: getattr(block, f).ravel()[start:stop].reshape(shape) for f in fields}
    return replace(block, name=name, spread=(), **own)
