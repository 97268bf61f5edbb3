"""Normalise a (outer, inner, columns) array: (x - a) / b or (x - a) * b + c by column.

Any strides. Where columns are adjacent in memory the loop runs along rows, and groups of
rows are the parallel tasks; else it runs along columns, and pieces of columns are. One
rounding to the type of the data.
"""

cimport cython
from cython.parallel cimport prange

cdef extern from "affine.h" nogil:
    ctypedef struct affine_table:
        void row(const void *x, void *out, Py_ssize_t count, const double *a,
                 const double *b, const double *c, int single) noexcept nogil
        void column(const void *x, Py_ssize_t stride, void *out, Py_ssize_t out_stride,
                    Py_ssize_t count, const double *a, const double *b,
                    const double *c, int single) noexcept nogil

    const affine_table *affine_pick() noexcept

# Elements that one task takes, about.
cdef enum:
    TASK = 16384


def affine(const cython.floating[:, :, :] x, const double[::1] a, const double[::1] b,
           const double[::1] c, cython.floating[:, :, :] out, *, int num_threads):
    """out = (x - a) * b + c, or (x - a) / b where c is empty. out may be x."""
    cdef const affine_table *kernel = affine_pick()
    cdef Py_ssize_t outer = x.shape[0], inner = x.shape[1], columns = x.shape[2]
    cdef Py_ssize_t size = sizeof(cython.floating), run, runs, task
    cdef const double *offset = NULL
    if outer * inner * columns == 0:
        return
    if c.shape[0]:
        offset = &c[0]
    if x.strides[2] == size and out.strides[2] == size:
        run = max(1, TASK // columns)
        runs = (inner + run - 1) // run
        for task in prange(outer * runs, nogil=True, schedule="static",
                           num_threads=num_threads):
            _rows(kernel, x, a, b, offset, out, task // runs, task % runs * run, run)
        return
    runs = (inner + TASK - 1) // TASK
    for task in prange(outer * columns * runs, nogil=True, schedule="static",
                       num_threads=num_threads):
        _column(kernel, x, a, b, offset, out, task // runs // columns,
                task % runs * TASK, task // runs % columns)


cdef inline void _rows(const affine_table *kernel, const cython.floating[:, :, :] x,
                       const double[::1] a, const double[::1] b, const double *c,
                       cython.floating[:, :, :] out, Py_ssize_t n, Py_ssize_t first,
                       Py_ssize_t run) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, min(first + run, x.shape[1])):
        kernel.row(&x[n, i, 0], &out[n, i, 0], x.shape[2], &a[0], &b[0], c,
                   sizeof(cython.floating) == 4)


cdef inline void _column(const affine_table *kernel, const cython.floating[:, :, :] x,
                         const double[::1] a, const double[::1] b, const double *c,
                         cython.floating[:, :, :] out, Py_ssize_t n, Py_ssize_t first,
                         Py_ssize_t j) noexcept nogil:
    cdef Py_ssize_t size = sizeof(cython.floating)
    kernel.column(&x[n, first, j], x.strides[1] // size, &out[n, first, j],
                  out.strides[1] // size, min(TASK, x.shape[1] - first), &a[j], &b[j],
                  c + j if c != NULL else NULL, size == 4)
