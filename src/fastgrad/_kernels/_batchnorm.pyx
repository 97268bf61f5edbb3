"""Backward pass of batch normalisation over (outer, inner, channels) views.

    dx = ((dy - a) - (x - mean) * b) * c,   with a, b from sum(dy), sum(dy (x - mean))

``backward_sums`` takes chunks of 512 rows by panels of 128 channels in parallel and
adds them up in the order of the rows, in double-double, wave by wave. ``backward`` runs
along what is contiguous: channels (NHWC) or the positions of one channel (NCHW).
"""

cimport cython
from cython.parallel cimport prange, threadid

cdef extern from "batchnorm.h" nogil:
    enum:
        CHUNK
        PANEL
        BACKWARD_WORKSPACE

    ctypedef struct rows_view:
        const char *data
        Py_ssize_t outer_stride, inner_stride, column_stride, inner
        int single

    ctypedef struct batchnorm_table:
        void chunk(const rows_view *x, const rows_view *dy, const double *mean,
                   Py_ssize_t row, Py_ssize_t rows, Py_ssize_t column,
                   Py_ssize_t columns, double *workspace, double *out,
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

# Rows that one task of backward() takes.
cdef enum:
    RUN = 1024


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
            for task in prange(count * panels, schedule="dynamic",
                               num_threads=num_threads):
                _chunk(kernel, views, &mean[0], rows, columns, start, task, panels,
                       &workspace[threadid(), 0], wave)
            for k in range(count):
                kernel.add(&sums[0, 0, 0], &sums[0, 1, 0], &wave[k, 0, 0], columns)
                kernel.add(&sums[1, 0, 0], &sums[1, 1, 0], &wave[k, 1, 0], columns)
            start = start + count


cdef inline void _chunk(const batchnorm_table *kernel, const rows_view *views,
                        const double *mean, Py_ssize_t rows, Py_ssize_t columns,
                        Py_ssize_t start, Py_ssize_t task, Py_ssize_t panels,
                        double *workspace, double[:, :, ::1] wave) noexcept nogil:
    cdef Py_ssize_t slot = task // panels, column = task % panels * PANEL
    cdef Py_ssize_t row = (start + slot) * CHUNK
    kernel.chunk(&views[0], &views[1], mean, row, min(CHUNK, rows - row), column,
                 min(PANEL, columns - column), workspace, &wave[slot, 0, column],
                 wave.shape[2])


def backward(const cython.floating[:, :, :] x, const cython.floating[:, :, :] dy,
             const double[::1] mean, const double[::1] a, const double[::1] b,
             const double[::1] c, cython.floating[:, :, :] dx, *, int num_threads):
    """dx = ((dy - a) - (x - mean) * b) * c per channel."""
    cdef const batchnorm_table *kernel = batchnorm_pick()
    cdef Py_ssize_t outer = x.shape[0], inner = x.shape[1], columns = x.shape[2]
    cdef Py_ssize_t runs = (inner + RUN - 1) // RUN, task, i, j, n, first, stop
    cdef bint by_row = x.strides[2] == sizeof(cython.floating)
    cdef int single = sizeof(cython.floating) == 4
    if outer * inner * columns == 0:
        return
    for task in prange(outer * runs, nogil=True, schedule="static",
                       num_threads=num_threads):
        n = task // runs
        first = task % runs * RUN
        stop = min(first + RUN, inner)
        if by_row:
            for i in range(first, stop):
                kernel.row(&x[n, i, 0], &dy[n, i, 0], &dx[n, i, 0], columns, &mean[0],
                           &a[0], &b[0], &c[0], single)
        else:
            for j in range(columns):
                kernel.run(&x[n, first, j], &dy[n, first, j], &dx[n, first, j],
                           stop - first, mean[j], a[j], b[j], c[j], single)
