"""Products: matmul, dot, tensordot, einsum, all one contraction of two operands."""

from __future__ import annotations

import functools
import string
from typing import Any

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives.meanings.products import contraction
from fastgrad.program.primitives.reductions import normalize_axes, sum_
from fastgrad.program.primitives.shapes import gather
from fastgrad.program.primitives.table import stands_for
from fastgrad.program.primitives.ufuncs import elementwise


def contract(x: Node, y: Node, lx: str, ly: str, lo: str, *, label: str) -> Node:
    """Einstein summation of two operands; one letter for each axis."""
    x, lx = _own_labels_summed(x, lx, ly + lo, label)
    y, ly = _own_labels_summed(y, ly, lx + lo, label)
    # An axis of length 1 against a longer one is broadcast: drop it.
    for letter in set(lx).intersection(ly):
        n, m = x.shape[lx.index(letter)], y.shape[ly.index(letter)]
        if n != m and 1 not in (n, m):
            raise ValueError(f"operands do not match: {x.shape} and {y.shape}")
        if n != m and n == 1:
            x, lx = _drop_axis(x, lx, letter, label)
        elif n != m:
            y, ly = _drop_axis(y, ly, letter, label)
    return graph.apply("contract", [x, y], _axes_of(lx, ly, lo), label=label)


@functools.lru_cache(maxsize=1024)
def _axes_of(lx: str, ly: str, lo: str) -> tuple[int, ...]:
    """How many letters, then for each its axis of x, of y and of the result."""
    letters = sorted(set(lx + ly))
    axes = (labels.find(c) for c in letters for labels in (lx, ly, lo))
    return len(letters), *axes


def _own_labels_summed(x: Node, lx: str, others: str, label: str) -> tuple[Node, str]:
    if all(map(others.__contains__, lx)):
        return x, lx
    axes = [d for d, letter in enumerate(lx) if letter not in others]
    x = sum_(x, axes, label=label)
    return x, "".join(letter for letter in lx if letter in others)


def _drop_axis(x: Node, lx: str, letter: str, label: str) -> tuple[Node, str]:
    axis = lx.index(letter)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return graph.reshape(x, shape, label), lx.replace(letter, "")


_LETTERS = string.ascii_letters


def matmul(x: Node, y: Node, *, label: str) -> Node:
    """`x @ y`, with stacks of matrices broadcast."""
    if not x.value.ndim or not y.value.ndim:
        raise ValueError("matmul of a scalar")
    batch = _LETTERS[3 : 3 + max(x.value.ndim, y.value.ndim, 2) - 2]
    lx = "c" if x.value.ndim == 1 else batch[len(batch) - x.value.ndim + 2 :] + "ac"
    ly = "c" if y.value.ndim == 1 else batch[len(batch) - y.value.ndim + 2 :] + "cb"
    lo = batch + ("a" if "a" in lx else "") + ("b" if "b" in ly else "")
    lo = "".join(letter for letter in lo if letter in lx + ly)
    return contract(x, y, lx, ly, lo, label=label)


@stands_for(np.dot, arrays=(0, 1))
def dot(x: Node, y: Node, *, label: str) -> Node:
    if not x.value.ndim or not y.value.ndim:
        return elementwise("multiply", x, y, label=label)
    lx = _LETTERS[: x.value.ndim]
    ly = _LETTERS[x.value.ndim : x.value.ndim + y.value.ndim]
    summed = ly[-2] if len(ly) > 1 else ly[-1]
    return contract(
        x,
        y,
        lx,
        ly.replace(summed, lx[-1]),
        lx[:-1] + ly.replace(summed, ""),
        label=label,
    )


@stands_for(np.tensordot, arrays=(0, 1))
def tensordot(x: Node, y: Node, axes: Any = 2, *, label: str) -> Node:
    if isinstance(axes, (int, np.integer)):
        axes = (
            list(range(x.value.ndim - int(axes), x.value.ndim)),
            list(range(int(axes))),
        )
    ax = normalize_axes(axes[0], x.value.ndim)
    ay = normalize_axes(axes[1], y.value.ndim)
    lx = _LETTERS[: x.value.ndim]
    ly = list(_LETTERS[x.value.ndim : x.value.ndim + y.value.ndim])
    for i, j in zip(ax, ay, strict=True):
        ly[j] = lx[i]
    lo = [letter for d, letter in enumerate(lx) if d not in ax]
    lo += [letter for d, letter in enumerate(ly) if d not in ay]
    return contract(x, y, lx, "".join(ly), "".join(lo), label=label)


@stands_for(contraction, arrays=range(1, 16))
def einsum(subscripts: str, *operands: Node, label: str) -> Node:
    """From left to right."""
    subscripts = subscripts.replace(" ", "")
    left, _, right = subscripts.partition("->")
    parts = left.split(",")
    if "->" not in subscripts:
        letters = left.replace(",", "").replace(".", "")
        right = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
        right = ("..." if "." in left else "") + right
    spare = [c for c in _LETTERS if c not in subscripts]
    parts = [
        _spell_ellipsis(part, x.value.ndim, spare)
        for part, x in zip(parts, operands, strict=True)
    ]
    widest = max(
        (
            x.value.ndim - len(p.replace("...", ""))
            for p, x in zip(left.split(","), operands, strict=True)
            if "." in p
        ),
        default=0,
    )
    right = right.replace("...", "".join(spare[:widest][::-1]))
    x, labels = _diagonals(operands[0], parts[0], label)
    for i in range(1, len(operands)):
        y, ly = _diagonals(operands[i], parts[i], label)
        later = right + "".join(parts[i + 1 :])
        lo = "".join(c for c in dict.fromkeys(labels + ly) if c in later)
        if i == len(operands) - 1:
            lo = right
        x, labels = contract(x, y, labels, ly, lo, label=label), lo
    x, labels = _own_labels_summed(x, labels, right, label)
    return graph.transpose(x, [labels.index(c) for c in right], label)


def _spell_ellipsis(part: str, ndim: int, spare: list[str]) -> str:
    n = ndim - len(part.replace("...", ""))
    return part.replace("...", "".join(spare[:n][::-1]))


def _diagonals(x: Node, labels: str, label: str) -> tuple[Node, str]:
    """One axis for a letter that an operand repeats."""
    distinct = "".join(dict.fromkeys(labels))
    if distinct == labels:
        return x, labels
    letters = list(distinct)
    # Every input axis moves with its letter's output axis: not a view of one step per
    # output axis, so gather instead.
    shape = tuple(x.shape[labels.index(c)] for c in letters)
    grid = np.indices(shape)
    index = tuple(grid[letters.index(c)] for c in labels)
    return gather(x, np.ravel_multi_index(index, x.shape), label), distinct
