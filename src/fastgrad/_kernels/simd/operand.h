/* The operand of an elementwise lane kernel, see elementwise.h. */
#ifndef FASTGRAD_OPERAND_H
#define FASTGRAD_OPERAND_H

#include "replay.h"
#include "vecmath.h"

typedef struct {
    const double *d;
    const double *base;
    int64_t step, base_step;
} operand;

#define N_VECS (LANES / VEC_LEN)

#endif
