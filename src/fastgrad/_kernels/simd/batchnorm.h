/* The backward pass of batch normalisation; see batchnorm.c. */
#ifndef FASTGRAD_BATCHNORM_H
#define FASTGRAD_BATCHNORM_H

#include "dispatch.h"
#include "rows.h"

enum { BACKWARD_WORKSPACE = 2 * TILES * TILE + LANES };

typedef struct {
    /* sum(dy) and sum(dy * (x - mean)) of the columns of the chunks of a block, to
     * out + 2 q ld and out + (2 q + 1) ld for chunk q. x and dy have the same strides. */
    void (*chunks)(const rows_view *x, const rows_view *dy, const double *mean, const block *b,
                   double *workspace, double *out, ptrdiff_t ld);
    /* total[0] + total[1] (a double-double per column) += value, for columns. */
    void (*add)(double *hi, double *lo, const double *value, ptrdiff_t columns);
    /* dx = ((dy - a) - (x - mean) * b) * c for one row of channels, contiguous ... */
    void (*row)(const void *x, const void *dy, void *dx, ptrdiff_t count, const double *mean,
                const double *a, const double *b, const double *c, int single);
    /* ... and for a contiguous run of one channel. */
    void (*run)(const void *x, const void *dy, void *dx, ptrdiff_t count, double mean, double a,
                double b, double c, int single);
} batchnorm_table;

extern const batchnorm_table batchnorm_base, batchnorm_v3, batchnorm_v4;

static inline const batchnorm_table *batchnorm_pick(void) { return FG_PICK(batchnorm); }

#endif
