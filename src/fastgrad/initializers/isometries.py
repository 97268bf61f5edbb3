"""Weights that keep lengths: random orthogonal matrices and the identity."""

import math
from functools import partial
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import number
from fastgrad._arrays import AnyArray, Array
from fastgrad._kernels import _householder, _philox
from fastgrad._threads import pass_over
from fastgrad.initializers.draw import Draw, Options, scheme
from fastgrad.initializers.streams import Shape, draw, write

_WORTH_A_THREAD = 64 * 64  # entries; waking a thread takes as long as fewer do


@scheme
def orthogonal(
    shape: Shape, *, gain: float = 1.0, **options: Unpack[Options]
) -> AnyArray:
    """Return a uniformly random orthogonal matrix, times `gain`.

    Parameters
    ----------
    shape : tuple of int
        At least two axes. For a convolution the matrix has a row for each output
        channel and a column for each input channel and tap; with groups there is one
        for each group. Rows are orthonormal if they are not longer than there are
        columns, columns are otherwise.
    gain : float
        All singular values.
    **options
        As for `variance_scaling`, without `rows`; `stride` does not matter.

    Notes
    -----
    A product of Householder reflections of normal vectors, which is uniform (Haar) over
    the orthogonal matrices (Stewart, 1980), and half the work of a QR factorisation of
    a matrix of normals. Computed in float64 by fastgrad's own kernels, not by the BLAS
    at hand, and then rounded: the bits do not depend on the machine or the number of
    threads. For an m x n matrix, m >= n, 2 n² (m - n / 3) multiplications and additions
    and 16 m n bytes.

    References
    ----------
    .. [1] G. W. Stewart, "The efficient generation of random orthogonal matrices with
       an application to condition estimators", SIAM J. Numer. Anal. 17, 1980.

    Examples
    --------
    >>> w = orthogonal((3, 8), seed=1)
    >>> bool(np.allclose(w @ w.T, np.eye(3)))
    True
    """
    tensor = Draw.of(shape, options)
    target, blocks = _start(tensor)
    gain, key = number("gain", gain), tensor.key
    start = 0
    for block in blocks:
        columns = math.prod(block.shape[1:])
        matrix, start = _haar(block.shape[0], columns, key, start, tensor.threads)
        _write(block, matrix, gain)
    return target


@scheme
def delta_orthogonal(
    shape: Shape, *, gain: float = 1.0, **options: Unpack[Options]
) -> AnyArray:
    """Return a convolution: an orthogonal matrix at its central tap, 0 elsewhere.

    With periodic borders such a convolution keeps the length of every input, as
    `orthogonal` does not (Xiao et al., 2018).

    Parameters
    ----------
    shape : tuple of int
        At least three axes, and (in each group) no fewer output than input channels:
        fewer could not keep lengths.
    gain, **options
        As for `orthogonal`. The central tap of an even number k is k / 2.

    Examples
    --------
    >>> w = delta_orthogonal((8, 4, 3, 3), seed=1)
    >>> tap = w[:, :, 1, 1]
    >>> bool(np.allclose(tap.T @ tap, np.eye(4))), int((w != 0).sum())
    (True, 32)
    """
    tensor = Draw.of(shape, options)
    target, blocks = _start(tensor)
    rows, columns, *spatial = blocks[0].shape
    if not spatial:
        raise ValueError(
            f"`shape` must have a spatial axis at least, got {target.shape}."
        )
    if rows < columns:
        raise ValueError(
            f"`shape` must not have fewer outputs ({rows}) than inputs ({columns}) "
            "in a group."
        )
    gain, key = number("gain", gain), tensor.key
    target[...] = 0
    start = 0
    for block in blocks:
        matrix, start = _haar(rows, columns, key, start, tensor.threads)
        _write(_central_tap(block), matrix, gain)
    return target


@scheme
def identity(
    shape: Shape, *, gain: float = 1.0, **options: Unpack[Options]
) -> AnyArray:
    """Return the weight that passes channel k of each group on to channel k.

    Parameters
    ----------
    shape : tuple of int
        At least two axes; spatial ones are zero but for the central tap (k / 2 of an
        even number k). Channels without a partner get or give nothing.
    gain, **options
        As for `orthogonal`; nothing here is random.

    Examples
    --------
    >>> identity((2, 3))
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    target, blocks = _start(Draw.of(shape, options))
    gain = number("gain", gain)
    target[...] = 0
    for block in blocks:
        _write(_central_tap(block), np.eye(*block.shape[:2]), gain)
    return target


def _haar(
    rows: int, columns: int, key: NDArray[np.uint32], start: int, threads: int
) -> tuple[Array, int]:
    """Return a matrix from the stream at `start`, and where the stream stands then."""
    long, short = max(rows, columns), min(rows, columns)
    n = _householder.BLOCK
    blocks = -(-short // n)
    threads = min(threads, max(1, long * short // _WORTH_A_THREAD))
    v = np.empty((blocks, long, n))
    draw(v, key, _philox.NORMAL, 1.0, start=start, num_threads=threads)
    q = np.zeros((blocks, long, n))
    given = (v, np.empty((blocks, n, n)), np.empty((blocks, n)), q, short, threads)
    pass_over(q.size * short // n, partial(_householder.orthonormal_columns, *given))
    tall = q.transpose(1, 0, 2).reshape(long, blocks * n)[:, :short]
    return (tall if rows == long else tall.T), start + v.size


def _start(tensor: Draw) -> tuple[AnyArray, list[AnyArray]]:
    """Return the array to write to, and its groups as (outputs, inputs, spatial)."""
    axes, target = tensor.axes, tensor.target()
    in_order = target.transpose(axes.output, axes.input, *axes.spatial)
    blocks = np.split(in_order, tensor.groups)
    if tensor.transposed:
        blocks = [block.swapaxes(0, 1) for block in blocks]
    return target, blocks


def _central_tap(block: AnyArray) -> AnyArray:
    centre = [slice(length // 2, length // 2 + 1) for length in block.shape[2:]]
    return block[:, :, *centre]


def _write(block: AnyArray, matrix: Array, gain: float) -> None:
    write(block, (matrix * gain if gain != 1 else matrix).reshape(block.shape))
