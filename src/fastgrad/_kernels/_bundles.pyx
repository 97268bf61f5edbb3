"""Which requests go through a program together.

Layout: requests (entries to perturb) in one array, counted through all parameters. The
entries of a parameter have a *position* in its bundling order, see program/plan.py, in
which the lines that bundles stay within follow each other.
Parallel axis: none; two passes over the requests.
"""

from libc.stdint cimport int32_t, int64_t

import numpy as np


def positions(const int64_t[::1] index, const int64_t[::1] offsets,
              const int32_t[::1] ndim, const int64_t[:, ::1] shape,
              const int64_t[:, ::1] step):
    """Position of each request in the bundling order, and whether these ascend.

    offsets: where each parameter begins, and the last ends; ndim, shape (parameters x 8):
    of each; step (parameters x 8): by how much the position grows along each axis.
    """
    cdef int64_t[::1] position = np.empty(index.shape[0], dtype=np.int64)
    cdef int64_t i, rest, at, last = -1
    cdef int b = 0, d, ascending = 1
    with nogil:
        for i in range(index.shape[0]):
            while index[i] < offsets[b]:
                b -= 1
            while index[i] >= offsets[b + 1]:
                b += 1
            rest = index[i] - offsets[b]
            at = offsets[b]
            for d in range(ndim[b] - 1, 0, -1):
                at += (rest % shape[b, d]) * step[b, d]
                rest = rest // shape[b, d]
            at += rest * step[b, 0]
            position[i] = at
            ascending &= at >= last
            last = at
    return np.asarray(position), bool(ascending)


def cut(const int64_t[::1] position, const int64_t[::1] offsets,
        const int64_t[::1] line, int64_t apart, int64_t most):
    """Cut ascending positions into bundles of `most` at most.

    A bundle stays within a line (of line[b] positions, in parameter b), and ends where
    two neighbours are further apart than that.
    Returns where each bundle begins (and, last, the number of requests), and the
    parameter of each.
    """
    cdef int64_t n = position.shape[0], i, count = 0, end = -1
    cdef int64_t[::1] start = np.empty(n + 1, dtype=np.int64)
    cdef int64_t[::1] block = np.empty(n, dtype=np.int64)
    cdef int b = 0
    with nogil:
        for i in range(n):
            if (position[i] >= end or position[i] - position[i - 1] > apart
                    or i - start[count - 1] >= most):
                if position[i] >= end:
                    while position[i] >= offsets[b + 1]:
                        b += 1
                    end = position[i] - offsets[b]
                    end = offsets[b] + (end - end % line[b]) + line[b]
                start[count] = i
                block[count] = b
                count += 1
        start[count] = n
    return np.asarray(start)[:count + 1], np.asarray(block)[:count]
