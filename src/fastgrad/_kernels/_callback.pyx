"""Losses from a compiled function: out[k] = f(theta moved in some way k).

Each thread moves its own row of `thetas`, a C-contiguous (num_threads, P) array whose
rows equal theta before and after every call. Points are the parallel axis.

The function is taken from the capsule in a ``scipy.LowLevelCallable``: either
``double f(double *theta, intptr_t size)`` or the same with ``void *user_data`` behind.
"""

from cpython.pycapsule cimport (
    PyCapsule_GetContext,
    PyCapsule_GetName,
    PyCapsule_GetPointer,
)
from cython.parallel cimport prange, threadid

ctypedef double (*plain_t)(double *, Py_ssize_t) noexcept nogil
ctypedef double (*with_data_t)(double *, Py_ssize_t, void *) noexcept nogil

cdef struct Callback:
    plain_t plain
    with_data_t with_data
    void *data


def at_entries(object capsule, bint has_data, const Py_ssize_t[::1] index,
               const double[::1] value, double[:, ::1] thetas, double[::1] out, *,
               int num_threads):
    """out[k] = f(theta with theta[index[k]] = value[k])."""
    cdef Callback f = _unpack(capsule, has_data)
    cdef Py_ssize_t k
    for k in prange(index.shape[0], nogil=True, schedule="dynamic",
                    num_threads=num_threads):
        out[k] = _at_entry(f, &thetas[threadid(), 0], thetas.shape[1], index[k],
                           value[k])


def along(object capsule, bint has_data, const double[::1] theta,
          const double[::1] direction, const double[::1] t, double[:, ::1] thetas,
          double[::1] out, *, int num_threads):
    """out[k] = f(theta + t[k] * direction)."""
    cdef Callback f = _unpack(capsule, has_data)
    cdef Py_ssize_t k
    for k in prange(t.shape[0], nogil=True, schedule="dynamic",
                    num_threads=num_threads):
        out[k] = _along(f, &thetas[threadid(), 0], theta, direction, t[k])


cdef Callback _unpack(object capsule, bint has_data):
    cdef Callback f
    cdef void *pointer = PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
    f.plain = NULL if has_data else <plain_t> pointer
    f.with_data = <with_data_t> pointer if has_data else NULL
    f.data = PyCapsule_GetContext(capsule)
    return f


cdef inline double _call(Callback f, double *theta, Py_ssize_t size) noexcept nogil:
    if f.plain != NULL:
        return f.plain(theta, size)
    return f.with_data(theta, size, f.data)


cdef inline double _at_entry(Callback f, double *theta, Py_ssize_t size,
                             Py_ssize_t index, double value) noexcept nogil:
    cdef double before = theta[index], result
    theta[index] = value
    result = _call(f, theta, size)
    theta[index] = before
    return result


cdef inline double _along(Callback f, double *row, const double[::1] theta,
                          const double[::1] direction, double t) noexcept nogil:
    cdef Py_ssize_t i, size = theta.shape[0]
    cdef double result
    for i in range(size):
        row[i] = theta[i] + t * direction[i]
    result = _call(f, row, size)
    for i in range(size):
        row[i] = theta[i]
    return result
