"""Columns of a sparse matrix in groups without a common row (Curtis, Powell, Reid 1974).

Greedy: the first group takes every column, in the order given, that shares no row with
those it has; the next group takes of what is left. Layout: the rows of column j are
row[edge[j]], ..., row[edge[j + 1] - 1]. Not parallel: each choice rests on the last.
"""

from libc.stdint cimport int64_t


def group_columns(const int64_t[::1] row, const int64_t[::1] edge, int64_t[::1] left,
                  int64_t[::1] taken, int64_t[::1] group):
    """Set the group of every column in `left`, which has entries.

    left: columns in the order in which they choose; overwritten. taken: one number for
    each row, overwritten. group: OUT.
    """
    cdef Py_ssize_t n = left.shape[0], kept, k
    cdef int64_t number = 0, j, e
    cdef bint free
    with nogil:
        taken[:] = -1
        while n:
            kept = 0
            for k in range(n):
                j = left[k]
                free = True
                for e in range(edge[j], edge[j + 1]):
                    if taken[row[e]] == number:
                        free = False
                        break
                if not free:
                    left[kept] = j
                    kept += 1
                    continue
                group[j] = number
                for e in range(edge[j], edge[j + 1]):
                    taken[row[e]] = number
            n = kept
            number += 1
