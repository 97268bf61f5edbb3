/* Count, weight, mean and sum of squared deviations of columns; see moments.c. */
#ifndef FASTGRAD_MOMENTS_H
#define FASTGRAD_MOMENTS_H

#include "dispatch.h"
#include "rows.h"

/* One state: STATE_ROWS rows of doubles, one column per feature. hi + lo is a
 * double-double. MEAN and SQUARES are those of the data times 2^EXPONENT. */
enum { COUNT, WEIGHT, WEIGHT_LO, MEAN, MEAN_LO, SQUARES, SQUARES_LO, WEIGHT_SQUARES, EXPONENT,
       STATE_ROWS };
enum { WORKSPACE = TILES * TILE + LANES };

typedef struct {
    /* The states of the chunks of a block: row k of chunk q's goes to
     * out + (q * STATE_ROWS + k) * ld. weights > 0 of its rows, or NULL. NaN is skipped;
     * infinite[j] is set where column j has an infinity (its state is then empty). */
    void (*chunks)(const rows_view *x, const double *weights, const block *b, double *workspace,
                   double *out, ptrdiff_t ld, unsigned char *infinite);
    /* a = a + b for LANES columns of two states. */
    void (*merge)(double *a, ptrdiff_t lda, const double *b, ptrdiff_t ldb);
} moments_table;

extern const moments_table moments_base, moments_v3, moments_v4;

static inline const moments_table *moments_pick(void) { return FG_PICK(moments); }

#endif
