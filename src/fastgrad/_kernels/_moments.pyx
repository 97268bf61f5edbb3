"""Moments of the columns of a block of rows: ``simd/moments.c`` over chunks.

    mean = sum(w x) / sum(w),  M2 = sum(w (x - mean)^2)

x is (outer, inner, columns) with any strides; its rows are outer * inner. A few chunks of
512 rows by 128 columns are a parallel task; the states are then merged in
the order of the rows, LANES columns to a task. Chunks come in waves, so that the
workspace does not grow with the number of rows.
"""

cimport cython
from cython.parallel cimport prange, threadid

from fastgrad._kernels._rows cimport CHUNK, LANES, PANEL, TURN, block, rows_view

cdef extern from "moments.h" nogil:
    enum:
        STATE_ROWS
        WORKSPACE

    ctypedef struct moments_table:
        void chunks(const rows_view *x, const double *weights, const block *b,
                    double *workspace, double *out, Py_ssize_t ld,
                    unsigned char *infinite) noexcept nogil
        void merge(double *a, Py_ssize_t lda, const double *b,
                   Py_ssize_t ldb) noexcept nogil

    const moments_table *moments_pick() noexcept

cdef enum:
    MERGES = 16384  # column merges that are worth a thread

CHUNK_ROWS = CHUNK
LANE_COLUMNS = LANES
STATE_SIZE = STATE_ROWS
WORKSPACE_SIZE = WORKSPACE


def accumulate(const cython.floating[:, :, :] x, const double[::1] weights,
               double[:, ::1] workspace, double[:, :, ::1] wave, double[:, ::1] state,
               unsigned char[::1] infinite, *, int num_threads):
    """Merge the moments of x into state; see the stub for shapes."""
    cdef const moments_table *kernel = moments_pick()
    cdef rows_view view
    cdef Py_ssize_t rows = x.shape[0] * x.shape[1], columns = x.shape[2]
    cdef Py_ssize_t panels = (columns + PANEL - 1) // PANEL
    cdef Py_ssize_t chunks = (rows + CHUNK - 1) // CHUNK
    cdef Py_ssize_t width = state.shape[1], start = 0, count, task, j, k
    cdef const double *w = NULL
    if rows == 0 or columns == 0:
        return
    if weights.shape[0]:
        w = &weights[0]
    view.data = <const char *> &x[0, 0, 0]
    view.outer_stride, view.inner_stride = x.strides[0], x.strides[1]
    view.column_stride, view.inner = x.strides[2], x.shape[1]
    view.single = sizeof(cython.floating) == 4
    with nogil:
        while start < chunks:
            count = min(wave.shape[0], chunks - start)
            for task in prange((count + TURN - 1) // TURN * panels, schedule="dynamic",
                               num_threads=num_threads):
                _chunks(kernel, &view, w, min(rows, (start + count) * CHUNK), columns,
                        start, task, panels, &workspace[threadid(), 0], wave,
                        &infinite[0])
            for j in prange(width // LANES, schedule="static",
                            num_threads=min(num_threads, 1 + count * width // MERGES)):
                for k in range(count):
                    kernel.merge(&state[0, j * LANES], width, &wave[k, 0, j * LANES],
                                 width)
            start = start + count


cdef inline void _chunks(const moments_table *kernel, const rows_view *view,
                         const double *w, Py_ssize_t rows, Py_ssize_t columns,
                         Py_ssize_t start, Py_ssize_t task, Py_ssize_t panels,
                         double *workspace, double[:, :, ::1] wave,
                         unsigned char *infinite) noexcept nogil:
    cdef Py_ssize_t first = task // panels * TURN
    cdef block b
    b.row, b.column = (start + first) * CHUNK, task % panels * PANEL
    b.rows, b.columns = min(TURN * CHUNK, rows - b.row), min(PANEL, columns - b.column)
    kernel.chunks(view, w + b.row if w != NULL else NULL, &b, workspace,
                  &wave[first, 0, b.column], wave.shape[2], infinite + b.column)


def merge(double[:, ::1] state, const double[:, ::1] other):
    """Merge other into state, both (STATE_SIZE, columns padded to LANE_COLUMNS)."""
    cdef const moments_table *kernel = moments_pick()
    cdef Py_ssize_t width = state.shape[1], j
    for j in range(0, width, LANES):
        kernel.merge(&state[0, j], width, &other[0, j], width)
