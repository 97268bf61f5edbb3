"""A program as text: its operations with the user's lines, and what a check costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.program.graph import Node

if TYPE_CHECKING:
    from fastgrad.program.program import Program

_REACHED = 4  # operations that an entry reaches, at most, by name


def listing(program: Program) -> str:
    """Return the operations, how far each parameter reaches, and what that saves."""
    lines = [
        f"{len(program.operations)} operations, {program.nest.size:,} parameters",
        "",
        *_table(("", "operation", "shape", "of", "line"), list(_operations(program))),
        "",
        *_table(("parameter", "shape", "one entry reaches"), list(_reach(program))),
        "",
    ]
    naive = program.nest.size * program.full_cost
    lines.append(
        f"every entry moved once: {2 * program.work:.3g} floating-point operations; "
        f"with whole forward passes {2 * naive:.3g} "
        f"({naive / max(program.work, 1):.0f} times)"
    )
    if program.guards:
        lines.append(
            f"{len(program.guards)} outcomes are guarded (branches, masks, indices): "
            "where one is another, the loss itself is called"
        )
    if program.opaque:
        calls = ", ".join(program.python_operations)
        lines.append(f"called in Python wherever it is reached: {calls}")
    return "\n".join(lines)


def _operations(program: Program) -> Iterator[tuple[str, ...]]:
    order = {node: f"%{i}" for i, node in enumerate(program.operations, 1)}

    def name(node: Node) -> str:
        if node.op == "parameter":
            return node.label
        if not node.active:
            flat = node.value.reshape(-1)
            return f"{flat[0]:g}" if flat.size == 1 else f"const {_shape(node.shape)}"
        return order[node]

    for node in program.operations:
        inputs = ", ".join(map(name, node.inputs))
        where = f"{node.source}: {node.source.quoted}" if node.source.code else ""
        yield order[node], node.label, _shape(node.shape), inputs, where


def _reach(program: Program) -> Iterator[tuple[str, ...]]:
    for name, parameter in zip(program.nest.names, program.parameters, strict=True):
        yield name, _shape(parameter.shape), _spread(program, parameter)


def _spread(program: Program, parameter: Node) -> str:
    """Return what moving one entry in the middle of a parameter changes."""
    if not parameter.size:
        return "nothing"
    middle = np.array([parameter.size // 2], dtype=np.int64)
    boxes, cost = program.replayer(1).spread(program.number[parameter], middle)
    reached = [
        f"%{i} {_shape(box[1])}"
        for i, node in enumerate(program.operations, 1)
        if (box := boxes[program.number[node]]) and box[1] != node.shape
    ]
    text = ", ".join(reached[:_REACHED]) + ", ..." * (len(reached) > _REACHED)
    full = program.full_cost
    share = f"{100 * cost / full:.2g} % of a forward pass" if full else ""
    return "; ".join(part for part in (text, share) if part)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "scalar"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
