"""Random orthogonal matrices as products of Householder reflections.

Q = H_0 H_1 ... H_(q-1) D, with H_k the reflection that takes a vector of p - k normals
to a multiple of the first axis and D the signs of those multiples, is uniform over the
p x q matrices with orthonormal columns (Stewart, 1980). Reflections are applied 32 at
a time, as I - V U^-1 V', U being the upper triangle of V'V with half its diagonal
(Joffrain et al., 2006). Layout: V is (blocks, p, 32), Q is (panels of 32 columns, p,
32). Parallel axes: blocks, then panels.
"""

from cython.parallel cimport prange

cdef extern from "householder.h" nogil:
    const int HOUSEHOLDER_BLOCK
    struct householder_table:
        void (*prepare)(
            double *, Py_ssize_t, Py_ssize_t, Py_ssize_t, double *, double *
        ) noexcept nogil
        void (*apply)(
            const double *, const double *, Py_ssize_t, Py_ssize_t, double *
        ) noexcept nogil

cdef extern from *:
    """
    #include "dispatch.h"
    #include "householder.h"
    static const struct householder_table *householder_pick(void)
    {
        return FG_PICK(householder_table);
    }
    """
    const householder_table *householder_pick() noexcept

BLOCK = HOUSEHOLDER_BLOCK


def orthonormal_columns(double[:, :, ::1] v, double[:, :, ::1] u, double[:, ::1] sign,
                        double[:, :, ::1] q, Py_ssize_t columns, int num_threads):
    """Turn normals `v` into `q`; `v` is overwritten, `u` and `sign` are workspace."""
    cdef const householder_table *kernels = householder_pick()
    cdef Py_ssize_t n = HOUSEHOLDER_BLOCK, rows = v.shape[1], blocks = v.shape[0]
    cdef Py_ssize_t block, panel, i, j
    if not rows or not blocks:
        return
    for block in prange(blocks, nogil=True, schedule="static", num_threads=num_threads):
        kernels.prepare(&v[block, 0, 0], rows, block * n, columns - block * n,
                        &u[block, 0, 0], &sign[block, 0])
    # A column is still a unit vector to the reflections after its own.
    for i in prange(blocks, nogil=True, schedule="dynamic", num_threads=num_threads):
        panel = blocks - 1 - i
        for j in range(min(n, columns - panel * n)):
            q[panel, panel * n + j, j] = sign[panel, j]
        for block in range(panel, -1, -1):
            kernels.apply(&v[block, 0, 0], &u[block, 0, 0], rows, block * n,
                          &q[panel, 0, 0])
