"""What this build and this machine allow: OpenMP, threads, SIMD level.

The only file that names OpenMP's own functions.
"""

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    static int fg_enabled(void) { return 1; }
    static int fg_pause(void) { return omp_pause_resource_all(omp_pause_soft); }
    #else
    static int omp_get_max_threads(void) { return 1; }
    static int fg_enabled(void) { return 0; }
    static int fg_pause(void) { return 0; }
    #endif
    """
    int omp_get_max_threads() noexcept nogil
    int fg_enabled() noexcept
    int fg_pause() noexcept

cdef extern from "dispatch.h":
    int _simd_level "simd_level"() noexcept


def openmp_enabled():
    return bool(fg_enabled())


def max_threads():
    return omp_get_max_threads()


def pause():
    """Release OpenMP's thread pool; the next parallel region makes a new one."""
    return fg_pause()


def simd_level():
    return ("baseline", "x86-64-v3 (AVX2)", "x86-64-v4 (AVX-512)")[_simd_level()]
