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

/* Every operation: its code and its name. The parameters ("ints") of those that have any:
 *
 * sum, max, prod   1 for each input axis that is reduced, 0 for the others
 * cumsum, cumprod  the axis
 * contract         n_labels, then per label its axis in the first input, in the second
 *                  and in the output (-1 where it has none)
 * view             input index = offset + sum of step * output index: per input axis its
 *                  offset, then per output axis the input axis it moves along (-1:
 *                  broadcast) and its step
 * reshape          n_groups, then per group its number of input and of output axes (the
 *                  products of whose lengths agree)
 * take             n, then n indices into the first axis
 * place            per input, per axis, its offset in the output
 * argsort          the axis
 * take_along       the axis (inputs: values, positions)
 *
 * solve, det, logabsdet, signdet, cholesky act on the last two axes, stacks of matrices.
 */
#define FG_ELEMENTWISE_1(X) \
    X(EXP, exp) X(EXPM1, expm1) X(LOG, log) X(LOG1P, log1p) X(TANH, tanh) \
    X(SQRT, sqrt) X(SQUARE, square) X(ABS, abs) X(SIGN, sign) \
    X(RECIPROCAL, reciprocal) X(NEGATIVE, negative) X(SIN, sin) X(COS, cos) \
    X(TAN, tan) X(ARCSIN, arcsin) X(ARCCOS, arccos) X(ARCTAN, arctan) X(SINH, sinh) \
    X(COSH, cosh) X(ARCSINH, arcsinh) X(ARCCOSH, arccosh) X(ARCTANH, arctanh) \
    X(EXP2, exp2) X(LOG2, log2) X(LOG10, log10) X(CBRT, cbrt) X(ERF, erf) \
    X(ERFC, erfc) X(LGAMMA, lgamma) X(FLOOR, floor) X(CEIL, ceil) X(RINT, rint) \
    X(TRUNC, trunc) X(NOT, not)
#define FG_ELEMENTWISE_2(X) \
    X(ADD, add) X(SUBTRACT, subtract) X(MULTIPLY, multiply) X(DIVIDE, divide) \
    X(MAXIMUM, maximum) X(MINIMUM, minimum) X(POWER, power) X(LOGADDEXP, logaddexp) \
    X(ARCTAN2, arctan2) X(HYPOT, hypot) X(GREATER, greater) \
    X(GREATER_EQUAL, greater_equal) X(EQUAL, equal) X(NOT_EQUAL, not_equal) \
    X(AND, and) X(OR, or)
#define FG_OPERATIONS(X) \
    FG_ELEMENTWISE_1(X) FG_ELEMENTWISE_2(X) X(WHERE, where) \
    X(SUM, sum) X(MAX, max) X(PROD, prod) X(CUMSUM, cumsum) \
    X(CUMPROD, cumprod) X(CONTRACT, contract) X(VIEW, view) X(RESHAPE, reshape) \
    X(TAKE, take) X(PLACE, place) X(ARGSORT, argsort) X(TAKE_ALONG, take_along) \
    X(SOLVE, solve) X(DET, det) X(LOGABSDET, logabsdet) X(SIGNDET, signdet) \
    X(CHOLESKY, cholesky)

#define FG_CODE(code, name) FG_##code,
enum fg_code { FG_OPERATIONS(FG_CODE) FG_N_CODES };
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
    const double *data;    /* what a kernel wants to know about theta: inverse matrices */
} fg_op;

typedef struct {
    int64_t lo[MAX_NDIM], n[MAX_NDIM]; /* the box: start and length on every axis */
    double *d;                         /* its lanes */
    int32_t live;                      /* 0: unperturbed in this bundle */
} fg_box;

typedef struct {
    int32_t n_values, n_ops, out;
    int64_t scratch[3];  /* room for operands brought to a common box, ..., as slots */
    const fg_value *values;
    const fg_op *ops;
} fg_program;

/* One thread's state. */
typedef struct {
    fg_box *boxes;        /* one per value */
    double *work;         /* the workspace */
    int64_t crossed[LANES]; /* nonzero: the lane is on another side of a kink than theta */
    double cost;          /* estimated floating-point work of this bundle */
} fg_state;

typedef struct {
    /* Propagate the live boxes through the program: with measure != 0 only the boxes and
     * their cost, else also the lanes. */
    void (*run)(const fg_program *, fg_state *, int measure);
    /* The value at theta of one elementwise operation, by the kernel that replays it. */
    void (*evaluate)(const fg_program *, fg_state *, int op, double *out);
    /* vector mathematics, for tests: which = an fg_code */
    void (*map)(int which, int64_t n, const double *x, double *y);
} fg_replay;

extern const fg_replay fg_replay_base, fg_replay_v3, fg_replay_v4;

#endif
