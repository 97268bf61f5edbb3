"""Backward pass of batch normalisation over (outer, inner, channels) views.

    dx = ((dy - a) - (x - mean) * b) * c,   with a, b from sum(dy), sum(dy (x - mean))

``backward_sums`` takes a few chunks of 512 rows by 128 channels as a parallel task and
adds the chunks up in the order of the rows, in double-double, wave by wave.
``backward`` runs along what is contiguous: channels (NHWC) or the positions of one
channel (NCHW).
"""

cimport cython
from cython.parallel cimport prange, threadid

from fastgrad._kernels._rows cimport CHUNK, PANEL, TURN, block, rows_view

cdef extern from "batchnorm.h" nogil:
    enum:
        BACKWARD_WORKSPACE

    ctypedef struct batchnorm_table:
        void chunks(const rows_view *x, const rows_view *dy, const double *mean,
                    const block *b, double *workspace, double *out,
                    Py_ssize_t ld) noexcept nogil
        void add(double *hi, double *lo, const double *value,
                 Py_ssize_t columns) noexcept nogil
        void row(const void *x, const void *dy, void *dx, Py_ssize_t count,
                 const double *mean, const double *a, const double *b, const double *c,
                 int single) noexcept nogil
        void run(const void *x, const void *dy, void *dx, Py_ssize_t count,
                 double mean, double a, double b, double c, int single) noexcept nogil

    const batchnorm_table *batchnorm_pick() noexcept

CHUNK_ROWS = CHUNK
WORKSPACE_SIZE = BACKWARD_WORKSPACE

cdef enum:
    TASK = 16384  # elements that one task of backward() takes, about


cdef inline rows_view _view(const cython.floating[:, :, :] x) noexcept nogil:
    cdef rows_view view
    view.data = <const char *> &x[0, 0, 0]
    view.outer_stride, view.inner_stride = x.strides[0], x.strides[1]
    view.column_stride, view.inner = x.strides[2], x.shape[1]
    view.single = sizeof(cython.floating) == 4
    return view


def backward_sums(const cython.floating[:, :, :] x, const cython.floating[:, :, :] dy,
                  const double[::1] mean, double[:, ::1] workspace,
                  double[:, :, ::1] wave, double[:, :, ::1] sums, *, int num_threads):
    """Add sum(dy) and sum(dy (x - mean)) per channel to sums; see the stub."""
    cdef const batchnorm_table *kernel = batchnorm_pick()
    cdef rows_view views[2]
    cdef Py_ssize_t rows = x.shape[0] * x.shape[1], columns = x.shape[2]
    cdef Py_ssize_t panels = (columns + PANEL - 1) // PANEL
    cdef Py_ssize_t chunks = (rows + CHUNK - 1) // CHUNK, start = 0, count, task, k
    if rows == 0 or columns == 0:
        return
    views[0], views[1] = _view(x), _view(dy)
    with nogil:
        while start < chunks:
            count = min(wave.shape[0], chunks - start)
            for task in prange((count + TURN - 1) // TURN * panels, schedule="dynamic",
                               num_threads=num_threads):
                _chunks(kernel, views, &mean[0], min(rows, (start + count) * CHUNK),
                        columns, start, task, panels, &workspace[threadid(), 0], wave)
            for k in range(count):
                kernel.add(&sums[0, 0, 0], &sums[0, 1, 0], &wave[k, 0, 0], columns)
                kernel.add(&sums[1, 0, 0], &sums[1, 1, 0], &wave[k, 1, 0], columns)
            start = start + count


cdef inline void _chunks(const batchnorm_table *kernel, const rows_view *views,
                         const double *mean, Py_ssize_t rows, Py_ssize_t columns,
                         Py_ssize_t start, Py_ssize_t task, Py_ssize_t panels,
                         double *workspace, double[:, :, ::1] wave) noexcept nogil:
    cdef Py_ssize_t first = task // panels * TURN
    cdef block b
    b.row, b.column = (start + first) * CHUNK, task % panels * PANEL
    b.rows, b.columns = min(TURN * CHUNK, rows - b.row), min(PANEL, columns - b.column)
    kernel.chunks(&views[0], &views[1], mean, &b, workspace, &wave[first, 0, b.column],
                  wave.shape[2])


def backward(const cython.floating[:, :, :] x, const cython.floating[:, :, :] dy,
             const double[::1] mean, const double[::1] a, const double[::1] b,
             const double[::1] c, cython.floating[:, :, :] dx, *, int num_threads):
    """dx = ((dy - a) - (x - mean) * b) * c per channel."""
    cdef const batchnorm_table *kernel = batchnorm_pick()
    cdef Py_ssize_t outer = x.shape[0], inner = x.shape[1], columns = x.shape[2]
    cdef Py_ssize_t run, runs, task, i, j, n, first
    cdef int single = sizeof(cython.floating) == 4
    if outer * inner * columns == 0:
        return
    if x.strides[2] == sizeof(cython.floating):
        run = max(1, TASK // columns)
        runs = (inner + run - 1) // run
        for task in prange(outer * runs, nogil=True, schedule="static",
                           num_threads=num_threads):
            n, first = task // runs, task % runs * run
            for i in range(first, min(first + run, inner)):
                kernel.row(&x[n, i, 0], &dy[n, i, 0], &dx[n, i, 0], columns, &mean[0],
                           &a[0], &b[0], &c[0], single)
        return
    runs = (inner + TASK - 1) // TASK
    for task in prange(outer * columns * runs, nogil=True, schedule="static",
                       num_threads=num_threads):
        n, j, first = task // runs // columns, task // runs % columns, task % runs * TASK
        kernel.run(&x[n, first, j], &dy[n, first, j], &dx[n, first, j],
                   min(TASK, inner - first), mean[j], a[j], b[j], c[j], single)
