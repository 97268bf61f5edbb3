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

enum fg_code {
    /* elementwise, one input */
    FG_EXP, FG_EXPM1, FG_LOG, FG_LOG1P, FG_TANH, FG_SQRT, FG_SQUARE, FG_ABS, FG_SIGN,
    FG_RECIPROCAL, FG_NEGATIVE, FG_SIN, FG_COS, FG_TAN, FG_ARCSIN, FG_ARCCOS, FG_ARCTAN,
    FG_SINH, FG_COSH, FG_ARCSINH, FG_ARCCOSH, FG_ARCTANH, FG_EXP2, FG_LOG2, FG_LOG10,
    FG_CBRT, FG_ERF, FG_ERFC, FG_LGAMMA, FG_FLOOR, FG_CEIL, FG_RINT, FG_TRUNC, FG_NOT,
    /* elementwise, two inputs */
    FG_ADD, FG_SUBTRACT, FG_MULTIPLY, FG_DIVIDE, FG_MAXIMUM, FG_MINIMUM, FG_POWER,
    FG_LOGADDEXP, FG_ARCTAN2, FG_HYPOT, FG_GREATER, FG_GREATER_EQUAL, FG_EQUAL,
    FG_NOT_EQUAL, FG_AND, FG_OR,
    /* elementwise, three inputs: condition, value where true, value where false */
    FG_WHERE,
    /* over axes; ints: 1 for each reduced input axis */
    FG_SUM, FG_MAX, FG_PROD,
    /* along one axis; ints: the axis */
    FG_CUMSUM,
    /* two operands, summed over shared labels; ints: n_labels, then per label its axis
     * in the first input, in the second and in the output (-1 where it has none) */
    FG_CONTRACT,
    /* input index = offset + sum of step * output index; ints: per input axis its offset,
     * then per output axis the input axis it moves along (-1: broadcast) and its step */
    FG_VIEW,
    /* same elements, other shape; ints: n_groups, then per group its number of input and
     * of output axes (the products of whose lengths agree) */
    FG_RESHAPE,
    /* output[i, ...] = input[index[i], ...]; ints: n, index */
    FG_TAKE,
    /* inputs laid into a larger array at offsets; ints: per input, per axis the offset */
    FG_PLACE,
    FG_N_CODES
};

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
} fg_op;

typedef struct {
    int64_t lo[MAX_NDIM], n[MAX_NDIM]; /* the box: start and length on every axis */
    double *d;                         /* its lanes */
    int32_t live;                      /* 0: unperturbed in this bundle */
} fg_box;

typedef struct {
    int32_t n_values, n_ops, out;
    int64_t scratch[3];  /* room for operands brought to a common box, as slots */
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
