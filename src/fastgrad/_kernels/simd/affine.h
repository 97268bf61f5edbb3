/* (x - a) / b and (x - a) * b + c, computed in double and rounded once; see affine.c. */
#ifndef FASTGRAD_AFFINE_H
#define FASTGRAD_AFFINE_H

#include "dispatch.h"

#include <stddef.h>

typedef struct {
    /* One contiguous row: a[j], b[j], c[j] belong to element j. c NULL: division. */
    void (*row)(const void *x, void *out, ptrdiff_t count, const double *a, const double *b,
                const double *c, int single);
    /* `count` elements of one column (strides in elements): *a, *b, *c belong to all. */
    void (*column)(const void *x, ptrdiff_t stride, void *out, ptrdiff_t out_stride,
                   ptrdiff_t count, const double *a, const double *b, const double *c,
                   int single);
} affine_table;

extern const affine_table affine_base, affine_v3, affine_v4;

static inline const affine_table *affine_pick(void) { return FG_PICK(affine); }

#endif
