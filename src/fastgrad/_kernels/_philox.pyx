"""Random numbers by counter (Philox4x32-10), written to arrays of any strides.

Element i (its place in C order, whatever the memory layout) is a function of the key,
the stream and i. Formulas and order: ``simd/philox.h``. Parallel axis: chunks of
elements.
"""

from cpython.buffer cimport (
    PyBUF_STRIDED, PyBUF_WRITABLE, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cython.parallel cimport prange
from libc.math cimport frexp, ldexp
from libc.stdint cimport int64_t, uint32_t

cdef extern from "philox.h" nogil:
    const int PHILOX_UNIFORM, PHILOX_NORMAL, PHILOX_TRUNCATED
    const int PHILOX_F32, PHILOX_F64, PHILOX_F16, PHILOX_BF16

    struct philox_draw:
        uint32_t key[2]
        uint32_t stream[2]
        int64_t offset
        int law
        double scale
        double fraction
        double power
        double inside
        double outside

    struct philox_array:
        char *data
        int dtype
        int contiguous
        int ndim
        const Py_ssize_t *shape
        const Py_ssize_t *strides

    struct philox_table:
        void (*fill)(
            const philox_draw *, int64_t, int64_t, const philox_array *
        ) noexcept nogil

    void philox4x32_block "philox4x32"(uint32_t *, uint32_t, uint32_t) noexcept

cdef extern from *:
    """
    #include "dispatch.h"
    #include "philox.h"
    static const struct philox_table *philox_pick(void)
    {
        return FG_PICK(philox_table);
    }
    """
    const philox_table *philox_pick() noexcept

UNIFORM, NORMAL, TRUNCATED = PHILOX_UNIFORM, PHILOX_NORMAL, PHILOX_TRUNCATED
FLOAT32, FLOAT64 = PHILOX_F32, PHILOX_F64
FLOAT16, BFLOAT16 = PHILOX_F16, PHILOX_BF16

cdef int64_t CHUNK = 1 << 14


def fill(object out, const uint32_t[::1] key, int law, double scale, double inside,
         double outside, int dtype, int64_t offset, int64_t start, int64_t stop,
         int num_threads):
    """Write places `start` .. `stop` - 1 of `out`; place 0 takes element `offset`."""
    cdef philox_draw draw
    cdef philox_array array
    cdef int exponent
    cdef Py_buffer view
    cdef const philox_table *kernels = philox_pick()
    cdef int64_t first, chunk, chunks = (stop - start + CHUNK - 1) // CHUNK
    draw.key[0], draw.key[1] = key[0], key[1]
    draw.stream[0], draw.stream[1] = key[2], key[3]
    draw.offset = offset
    draw.fraction = frexp(scale, &exponent)
    draw.power = ldexp(1.0, exponent)
    draw.law, draw.scale, draw.inside, draw.outside = law, scale, inside, outside
    PyObject_GetBuffer(out, &view, PyBUF_STRIDED | PyBUF_WRITABLE)
    try:
        array.data = <char *> view.buf
        array.dtype = dtype
        array.contiguous = view.ndim == 0 or PyBuffer_IsContiguous(&view, b"C")
        array.ndim, array.shape, array.strides = view.ndim, view.shape, view.strides
        for chunk in prange(chunks, nogil=True, schedule="static",
                            num_threads=max(1, min(num_threads, chunks))):
            first = start + chunk * CHUNK
            kernels.fill(&draw, first, min(first + CHUNK, stop), &array)
    finally:
        PyBuffer_Release(&view)


def philox4x32(const uint32_t[:, ::1] counter, const uint32_t[:, ::1] key,
               uint32_t[:, ::1] out):
    """Philox4x32-10 of each row of `counter` (n, 4) under that row of `key` (n, 2)."""
    cdef Py_ssize_t i
    with nogil:
        out[:] = counter
        for i in range(out.shape[0]):
            philox4x32_block(&out[i, 0], key[i, 0], key[i, 1])
