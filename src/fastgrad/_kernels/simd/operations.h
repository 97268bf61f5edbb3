/* The table of what runs each operation; it is at the end of replay.c. */
#ifndef FASTGRAD_OPERATIONS_H
#define FASTGRAD_OPERATIONS_H

#include "operand.h"

typedef void (*elementwise)(int64_t, const operand *, const at_theta *, double *, int64_t *);
typedef void (*preparer)(int64_t, const operand *, const at_theta *);
/* What runs an operation: finds the box of its result and, unless to `measure`, computes
 * it. Returns whether the result is perturbed. */
typedef int (*runner)(const fg_program *, fg_state *, const fg_op *, fg_box *, int measure);

typedef struct {
    runner run;
    elementwise kernel;
    preparer prepare;
    double cost;
} operation;

static const operation OPERATIONS[FG_N_CODES];

#endif
