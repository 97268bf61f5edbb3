/* What an elementwise lane kernel works on, see elementwise.h. */
#ifndef FASTGRAD_OPERAND_H
#define FASTGRAD_OPERAND_H

#include "replay.h"
#include "vecmath.h"

/* One operand: its lanes advance by `step` doubles an element (0: unperturbed, `d` then
 * points to zeros), its values at theta by `base_step`. */
typedef struct {
    const double *d;
    const double *base;
    int64_t step, base_step;
} operand;

/* The result at theta, and N_TERMS numbers for each of its elements (NULL: none). */
typedef struct {
    const double *value;
    double *terms;
    int64_t step;
} at_theta;

#define N_VECS (LANES / VEC_LEN)

#endif
