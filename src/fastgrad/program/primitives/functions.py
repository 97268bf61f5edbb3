"""What NumPy's functions mean, and which of them return views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives import (
    linear,
    products,
    reductions,
    shapes,
    sorting,
    ufuncs,
)
from fastgrad.program.primitives.meanings.products import contraction


def ufunc(name: str, inputs: Sequence[Node], label: str) -> Node | None:
    """The result of a ufunc; None where it has no meaning in primitives."""
    if name == "matmul":
        return products.matmul(*inputs, label=label)
    return ufuncs.ufunc(name, inputs, label)


#: NumPy function -> (meaning, positions of arguments that are arrays).
FUNCTIONS: dict[Any, tuple[Callable[..., Any], tuple[int, ...]]] = {
    np.sum: (reductions.sum_, (0,)),
    np.mean: (reductions.mean, (0,)),
    np.max: (reductions.max_, (0,)),
    np.min: (reductions.min_, (0,)),
    np.amax: (reductions.max_, (0,)),
    np.amin: (reductions.min_, (0,)),
    np.prod: (reductions.prod, (0,)),
    np.cumsum: (reductions.cumulative("cumsum"), (0,)),
    np.cumprod: (reductions.cumulative("cumprod"), (0,)),
    np.linalg.matrix_transpose: (linear.transposed, (0,)),
    np.linalg.solve: (linear.solve, (0, 1)),
    np.linalg.inv: (linear.inv, (0,)),
    np.linalg.det: (linear.det, (0,)),
    np.linalg.slogdet: (linear.slogdet, (0,)),
    np.linalg.cholesky: (linear.cholesky, (0,)),
    np.dot: (products.dot, (0, 1)),
    np.tensordot: (products.tensordot, (0, 1)),
    contraction: (products.einsum, tuple(range(1, 16))),
    np.reshape: (shapes.reshape, (0,)),
    np.ravel: (shapes.ravel, (0,)),
    np.transpose: (shapes.transpose, (0,)),
    np.matrix_transpose: (linear.transposed, (0,)),
    np.swapaxes: (shapes.permuted(np.swapaxes), (0,)),
    np.moveaxis: (shapes.permuted(np.moveaxis), (0,)),
    np.rollaxis: (shapes.permuted(np.rollaxis), (0,)),
    np.squeeze: (shapes.squeeze, (0,)),
    np.expand_dims: (shapes.expand_dims, (0,)),
    np.broadcast_to: (
        lambda x, shape, *, label: graph.broadcast_to(
            x, np.broadcast_to(x.value, shape).shape, label
        ),
        (0,),
    ),
    np.atleast_1d: (shapes.atleast(1), (0,)),
    np.atleast_2d: (shapes.atleast(2), (0,)),
    np.atleast_3d: (shapes.atleast(3), (0,)),
    np.concatenate: (shapes.concatenate, (0,)),
    np.stack: (shapes.stack, (0,)),
    np.vstack: (shapes.joined(np.vstack, 0), (0,)),
    np.hstack: (shapes.joined(np.hstack, 1), (0,)),
    np.column_stack: (shapes.joined(np.column_stack, 1), (0,)),
    np.split: (shapes.split(np.split), (0,)),
    np.array_split: (shapes.split(np.array_split), (0,)),
    np.vsplit: (shapes.split(np.vsplit), (0,)),
    np.hsplit: (shapes.split(np.hsplit), (0,)),
    np.pad: (shapes.pad, (0,)),
    np.take: (shapes.take, (0,)),
    np.take_along_axis: (sorting.take_along_axis, (0, 1)),
    np.sort: (sorting.sort, (0,)),
    np.argsort: (sorting.argsort, (0,)),
    np.repeat: (shapes.rearranging(np.repeat), (0,)),
    np.tile: (shapes.rearranging(np.tile), (0,)),
    np.roll: (shapes.rearranging(np.roll), (0,)),
    np.fft.fftshift: (shapes.rearranging(np.fft.fftshift), (0,)),
    np.fft.ifftshift: (shapes.rearranging(np.fft.ifftshift), (0,)),
    np.rot90: (shapes.rearranging(np.rot90), (0,)),
    np.flip: (shapes.flip, (0,)),
    np.fliplr: (lambda x, *, label: shapes.flip(x, 1, label=label), (0,)),
    np.flipud: (lambda x, *, label: shapes.flip(x, 0, label=label), (0,)),
    np.diagonal: (shapes.diagonal, (0,)),
    np.diag: (shapes.diag, (0,)),
    np.clip: (ufuncs.clip, (0, 1, 2)),
    np.where: (ufuncs.where, (0, 1, 2)),
    np.round: (ufuncs.round_, (0,)),
    np.copy: (lambda x, *, label: x, (0,)),
    sliding_window_view: (shapes.sliding_windows, (0,)),
}
#: Of these, the ones whose result is an index.
POSITIONS = {np.argsort}
#: Of these, the ones whose result shares memory with their first argument.
VIEWS = {
    np.reshape,
    np.ravel,
    np.transpose,
    np.matrix_transpose,
    np.linalg.matrix_transpose,
    np.swapaxes,
    np.moveaxis,
    np.rollaxis,
    np.squeeze,
    np.expand_dims,
    np.broadcast_to,
    np.atleast_1d,
    np.atleast_2d,
    np.atleast_3d,
    np.split,
    np.array_split,
    np.vsplit,
    np.hsplit,
    np.flip,
    np.fliplr,
    np.flipud,
    np.rot90,
    np.diagonal,
    np.diag,
    sliding_window_view,
}
