/* A traced program and the state in which one bundle of lanes runs through it.
 *
 * A bundle is LANES perturbed evaluations of the program, side by side. The value of an
 * array in a bundle is stored as its *difference* from its value at theta, and only
 * inside a box (a range on every axis) outside which all lanes are unperturbed. Layout:
 * the elements of the box in C order, each LANES doubles (the lane is the last axis).
 */
#ifndef FASTGRAD_REPLAY_H
#define FASTGRAD_REPLAY_H

#include <stdint.h>

#define LANES 8
#define MAX_NDIM 8
#define MAX_LABELS 16
#define N_TERMS 3

/* Every operation, in one list: its code, its name in Python, what runs it (elementwise, of
 * smooth.h or elementwise.h: the kernel for a row of elements; else a function of replay.c)
 * and the cost of one element, in multiply-adds. The parameters ("ints") of those that have any:
 *
 * sum, max, prod   1 for each input axis that is reduced, 0 for the others
 * cumsum, cumprod  the axis
 * contract         n_labels, then per label its axis in the first input, in the second
 *                  and in the output (-1 where it has none)
 * view             input index = offset + sum of step * output index: per input axis its
 *                  offset, then per output axis the input axis it moves along (-1:
 *                  broadcast) and its step; then 1 if the box may be a window, and not a
 *                  copy
 * reshape          n_groups, then per group its number of input and of output axes (the
 *                  products of whose lengths agree)
 * take             n, then n indices into the first axis
 * place            per input, per axis, its offset in the output
 * argsort          the axis
 * take_along       the axis (inputs: values, positions)
 *
 * solve, det, logabsdet, signdet, cholesky act on the last two axes, stacks of matrices.
 */
#define FG_SMOOTH(X) \
    X(EXP, exp, smooth_exp, 10) X(EXPM1, expm1, smooth_expm1, 10) \
    X(LOG, log, smooth_log, 28) X(LOG1P, log1p, smooth_log1p, 30) \
    X(TANH, tanh, smooth_tanh, 14) X(SIN, sin, smooth_sin, 50) \
    X(COS, cos, smooth_cos, 50) X(LOG2, log2, smooth_log2, 28) \
    X(LOG10, log10, smooth_log10, 28) X(ERF, erf, smooth_erf, 60) \
    X(ERFC, erfc, smooth_erfc, 60) X(POWER, power, smooth_power, 40) \
    X(LOGADDEXP, logaddexp, smooth_logaddexp, 50)
#define FG_ELEMENTWISE(X) \
    X(SQRT, sqrt, lanes_sqrt, 8) X(SQUARE, square, lanes_square, 2) \
    X(ABS, abs, lanes_abs, 3) X(SIGN, sign, lanes_sign, 3) \
    X(RECIPROCAL, reciprocal, lanes_reciprocal, 8) \
    X(NEGATIVE, negative, lanes_negative, 1) X(TAN, tan, lanes_tan, 300) \
    X(ARCSIN, arcsin, lanes_arcsin, 300) X(ARCCOS, arccos, lanes_arccos, 300) \
    X(ARCTAN, arctan, lanes_arctan, 300) X(SINH, sinh, lanes_sinh, 300) \
    X(COSH, cosh, lanes_cosh, 300) X(ARCSINH, arcsinh, lanes_arcsinh, 400) \
    X(ARCCOSH, arccosh, lanes_arccosh, 400) X(ARCTANH, arctanh, lanes_arctanh, 400) \
    X(EXP2, exp2, lanes_exp2, 100) X(CBRT, cbrt, lanes_cbrt, 300) \
    X(LGAMMA, lgamma, lanes_lgamma, 2000) X(NDTR, ndtr, lanes_ndtr, 300) \
    X(FLOOR, floor, lanes_floor, 3) \
    X(CEIL, ceil, lanes_ceil, 3) X(RINT, rint, lanes_rint, 3) \
    X(TRUNC, trunc, lanes_trunc, 3) X(NOT, not, lanes_not, 2) \
    X(ADD, add, lanes_add, 1) X(SUBTRACT, subtract, lanes_subtract, 1) \
    X(MULTIPLY, multiply, lanes_multiply, 2) X(DIVIDE, divide, lanes_divide, 8) \
    X(MAXIMUM, maximum, lanes_maximum, 4) X(MINIMUM, minimum, lanes_minimum, 4) \
    X(ARCTAN2, arctan2, lanes_arctan2, 600) X(HYPOT, hypot, lanes_hypot, 200) \
    X(GREATER, greater, lanes_greater, 2) \
    X(GREATER_EQUAL, greater_equal, lanes_greater_equal, 2) \
    X(EQUAL, equal, lanes_equal, 2) X(NOT_EQUAL, not_equal, lanes_not_equal, 2) \
    X(AND, and, lanes_and, 3) X(OR, or, lanes_or, 3) X(WHERE, where, lanes_where, 4)
#define FG_OTHERS(X) \
    X(SUM, sum, run_reduction, 1) X(MAX, max, run_reduction, 6) \
    X(PROD, prod, run_reduction, 6) X(CUMSUM, cumsum, run_cumulative, 1) \
    X(CUMPROD, cumprod, run_cumulative, 3) X(CONTRACT, contract, run_contract, 1) \
    X(VIEW, view, run_view, 1) X(RESHAPE, reshape, run_reshape, 1) \
    X(TAKE, take, run_take, 1) X(PLACE, place, run_place, 1) \
    X(ARGSORT, argsort, run_argsort, 4) X(TAKE_ALONG, take_along, run_take_along, 4) \
    X(SOLVE, solve, run_solve, 1) X(DET, det, run_determinant, 1) \
    X(LOGABSDET, logabsdet, run_determinant, 1) \
    X(SIGNDET, signdet, run_determinant, 1) X(CHOLESKY, cholesky, run_cholesky, 1) \
    X(OPAQUE, opaque, run_opaque, 1)

#define FG_CODE(code, name, kernel, cost) FG_##code,
enum fg_code { FG_SMOOTH(FG_CODE) FG_ELEMENTWISE(FG_CODE) FG_OTHERS(FG_CODE) FG_N_CODES };
#undef FG_CODE

typedef struct {
    int64_t size;
    int64_t shape[MAX_NDIM];
    int64_t stride[MAX_NDIM]; /* C order, in elements */
    const double *base;       /* value at theta */
    int64_t slot;             /* where its lanes live in a workspace, in doubles */
    int32_t ndim;
} fg_value;

typedef struct {
    int32_t code;
    int32_t n_in;
    int32_t in[3];
    int32_t out;
    const int32_t *many;   /* the inputs of FG_PLACE, which may be more than three */
    const int64_t *ints;
    const double *data;    /* what a kernel wants to know about theta: factors of matrices */
    double *terms;         /* and N_TERMS numbers for each element of a smooth function or a
                            * maximum, or NULL */
} fg_op;

typedef struct {
    int64_t lo[MAX_NDIM], n[MAX_NDIM]; /* the box: start and length on every axis */
    double *d;                         /* its lanes */
    int32_t live;                      /* 0: unperturbed in this bundle */
    int32_t window;                    /* 1: they lie in another box, so many doubles apart */
    int64_t step[MAX_NDIM];
} fg_box;

typedef struct {
    int32_t n_values, n_ops, out;
    int64_t scratch[3];  /* room for operands brought to a common box, ..., as slots */
    const fg_value *values;
    const fg_op *ops;
    /* Evaluates the lanes of operation `op`, which only the caller can. */
    void (*call)(void *caller, void *state, int op);
    void *caller;
} fg_program;

/* One thread's state. */
typedef struct {
    fg_box *boxes;        /* one per value */
    double *work;         /* the workspace */
    int64_t crossed[LANES]; /* nonzero: the lane is on another side of a kink than theta */
    double cost;          /* estimated floating-point work of this bundle */
    int64_t first, count; /* the rows (of the first axis) to compute; count 0: all */
} fg_state;

typedef struct {
    /* Propagate the live boxes through the program: with measure != 0 only the boxes and
     * their cost, else also the lanes. */
    void (*run)(const fg_program *, fg_state *, int measure);
    /* Fill in the terms of an operation. */
    void (*prepare)(const fg_program *, int op);
    /* One elementwise operation on n elements, for tests: its operands at theta, the lanes
     * of their changes (n x LANES), its value at theta, room for n x N_TERMS numbers; the
     * lanes of its change. */
    void (*map)(int code, int64_t n, const double *const x[3], const double *const d[3],
                const double *f0, double *terms, double *out);
} fg_replay;

extern const fg_replay fg_replay_base, fg_replay_v3, fg_replay_v4;

#endif
