# Samples of several features, whatever their layout, and how they are cut into tasks:
# simd/rows.h.
cdef extern from "rows.h" nogil:
    enum:
        LANES
        CHUNK
        TURN
        PANEL

    ctypedef struct rows_view:
        const char *data
        Py_ssize_t outer_stride, inner_stride, column_stride, inner
        int single

    ctypedef struct block:
        Py_ssize_t row, rows, column, columns
