/* One element of an array of float32 (single) or float64, as double. */
#ifndef FASTGRAD_ELEMENT_H
#define FASTGRAD_ELEMENT_H

#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))
/* Before a loop whose turns do not depend on each other, though pointers might alias. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

INLINE double get(const void *x, ptrdiff_t i, int single)
{
    return single ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

INLINE void put(void *x, ptrdiff_t i, double value, int single)
{
    if (single)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

#endif
