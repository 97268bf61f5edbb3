/* Elementwise lane kernels: out = f(x0 + dx, y0 + dy) - f(x0, y0), per element and lane.
 *
 * Layout: a run of n elements, LANES doubles each. An operand's lanes advance by
 * `step` doubles an element (0: unperturbed, `d` then points to zeros), its base values
 * by `base_step`. Exact identities stand in where they exist, e.g. for x * y the
 * difference is dx * (y0 + dy) + x0 * dy; no derivative of any function is used.
 * A kernel that selects (maximum, abs, where, comparisons) ORs into `crossed` the lanes
 * that are on another side than theta, a tie counting as a side of its own.
 */
#ifndef FASTGRAD_ELEMENTWISE_H
#define FASTGRAD_ELEMENTWISE_H

#include "replay.h"
#include "vecmath.h"

typedef struct {
    const double *d;
    const double *base;
    int64_t step, base_step;
} operand;

#define N_VECS (LANES / VEC_LEN)

/* x, y, z: values at the lanes; x0, y0, z0: at theta; dx, dy, dz: their differences */
#define KERNEL_1(name, result)                                                         \
    static void name(int64_t n, const operand *in, const double *out0, int64_t step0,  \
                     double *out, int64_t *crossed)                                    \
    {                                                                                  \
        vi cross[N_VECS] = {{0}};                                                      \
        const operand a = in[0];                                                       \
        for (int64_t i = 0; i < n; i++) {                                              \
            const vd x0 = vec_splat(a.base[i * a.base_step]);                          \
            const vd f0 = vec_splat(out0[i * step0]);                                  \
            for (int v = 0; v < N_VECS; v++) {                                         \
                const vd dx = vec_load(a.d + i * a.step + v * VEC_LEN);                \
                const vd x = x0 + dx;                                                  \
                vi side = {0};                                                         \
                vec_store(out + i * LANES + v * VEC_LEN, (result));                    \
                cross[v] |= side;                                                      \
            }                                                                          \
        }                                                                              \
        for (int v = 0; v < N_VECS; v++)                                               \
            *(vi *)(crossed + v * VEC_LEN) |= cross[v];                                \
    }

#define KERNEL_2(name, result)                                                         \
    static void name(int64_t n, const operand *in, const double *out0, int64_t step0,  \
                     double *out, int64_t *crossed)                                    \
    {                                                                                  \
        vi cross[N_VECS] = {{0}};                                                      \
        const operand a = in[0], b = in[1];                                            \
        for (int64_t i = 0; i < n; i++) {                                              \
            const vd x0 = vec_splat(a.base[i * a.base_step]);                          \
            const vd y0 = vec_splat(b.base[i * b.base_step]);                          \
            const vd f0 = vec_splat(out0[i * step0]);                                  \
            for (int v = 0; v < N_VECS; v++) {                                         \
                const vd dx = vec_load(a.d + i * a.step + v * VEC_LEN);                \
                const vd dy = vec_load(b.d + i * b.step + v * VEC_LEN);                \
                const vd x = x0 + dx, y = y0 + dy;                                     \
                vi side = {0};                                                         \
                vec_store(out + i * LANES + v * VEC_LEN, (result));                    \
                cross[v] |= side;                                                      \
            }                                                                          \
        }                                                                              \
        for (int v = 0; v < N_VECS; v++)                                               \
            *(vi *)(crossed + v * VEC_LEN) |= cross[v];                                \
    }

/* Lane by lane through libm: rarely hot. */
#define LIBM_1(f)                                                                      \
    INLINE vd vec_libm_##f(vd x)                                                       \
    {                                                                                  \
        for (int i = 0; i < VEC_LEN; i++)                                              \
            x[i] = f(x[i]);                                                            \
        return x;                                                                      \
    }
#define LIBM_2(f)                                                                      \
    INLINE vd vec_libm_##f(vd x, vd y)                                                 \
    {                                                                                  \
        for (int i = 0; i < VEC_LEN; i++)                                              \
            x[i] = f(x[i], y[i]);                                                      \
        return x;                                                                      \
    }
LIBM_1(sin) LIBM_1(cos) LIBM_1(tan) LIBM_1(asin) LIBM_1(acos) LIBM_1(atan)
LIBM_1(sinh) LIBM_1(cosh) LIBM_1(asinh) LIBM_1(acosh) LIBM_1(atanh)
LIBM_1(exp2) LIBM_1(log2) LIBM_1(log10) LIBM_1(cbrt) LIBM_1(erf) LIBM_1(erfc)
LIBM_1(floor) LIBM_1(ceil) LIBM_1(rint) LIBM_1(trunc) LIBM_1(sqrt)
LIBM_2(pow) LIBM_2(atan2) LIBM_2(hypot)

/* lgamma would write the global signgam. */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}
LIBM_1(log_gamma)

INLINE vd vec_one_where(vi mask) { return vec_select(mask, vec_splat(1.0), vec_splat(0.0)); }
INLINE vd vec_sign(vd x) { return vec_one_where(x > 0.0) - vec_one_where(x < 0.0); }

/* log(e^x + e^y); equal infinities are their own result */
INLINE vd vec_logaddexp(vd x, vd y)
{
    vd high = vec_select(x > y, x, y), e = vec_select(x > y, y, x) - high;
    vec_exp(&e, 1);
    vec_log1p(&e, 1);
    return vec_select(x == y, x + 0x1.62e42fefa39efp-1, high + e);
}

/* A function of vecmath.h on blocks of MAX_BLOCK vectors. */
#define BLOCK_ELEMENTS (MAX_BLOCK / N_VECS)
INLINE void load_block(operand in, int64_t i, vd *x, const int n_elements)
{
    for (int e = 0; e < n_elements; e++)
        for (int v = 0; v < N_VECS; v++)
            x[e * N_VECS + v] = in.base[(i + e) * in.base_step]
                                + vec_load(in.d + (i + e) * in.step + v * VEC_LEN);
}
INLINE void store_block(const vd *x, const double *out0, int64_t step0, double *out,
                        int64_t i, const int n_elements)
{
    for (int e = 0; e < n_elements; e++)
        for (int v = 0; v < N_VECS; v++)
            vec_store(out + (i + e) * LANES + v * VEC_LEN,
                      x[e * N_VECS + v] - out0[(i + e) * step0]);
}
#define KERNEL_BLOCKS(name, function)                                                  \
    static void name(int64_t n, const operand *in, const double *out0, int64_t step0,  \
                     double *out, int64_t *crossed)                                    \
    {                                                                                  \
        const operand a = in[0];                                                       \
        int64_t i = 0;                                                                 \
        for (; i + BLOCK_ELEMENTS <= n; i += BLOCK_ELEMENTS) {                         \
            vd x[MAX_BLOCK];                                                           \
            load_block(a, i, x, BLOCK_ELEMENTS);                                       \
            function(x, MAX_BLOCK);                                                    \
            store_block(x, out0, step0, out, i, BLOCK_ELEMENTS);                       \
        }                                                                              \
        for (; i < n; i++) {                                                           \
            vd x[MAX_BLOCK];                                                           \
            load_block(a, i, x, 1);                                                    \
            function(x, N_VECS);                                                       \
            store_block(x, out0, step0, out, i, 1);                                    \
        }                                                                              \
    }

KERNEL_BLOCKS(lanes_exp, vec_exp)
KERNEL_BLOCKS(lanes_expm1, vec_expm1)
KERNEL_BLOCKS(lanes_log, vec_log)
KERNEL_BLOCKS(lanes_log1p, vec_log1p)
KERNEL_BLOCKS(lanes_tanh, vec_tanh)
KERNEL_1(lanes_sqrt, vec_libm_sqrt(x) - f0)
KERNEL_1(lanes_square, dx * (x0 + x))
KERNEL_1(lanes_reciprocal, 1.0 / x - f0)
KERNEL_1(lanes_negative, -dx)
KERNEL_1(lanes_sin, vec_libm_sin(x) - f0)
KERNEL_1(lanes_cos, vec_libm_cos(x) - f0)
KERNEL_1(lanes_tan, vec_libm_tan(x) - f0)
KERNEL_1(lanes_arcsin, vec_libm_asin(x) - f0)
KERNEL_1(lanes_arccos, vec_libm_acos(x) - f0)
KERNEL_1(lanes_arctan, vec_libm_atan(x) - f0)
KERNEL_1(lanes_sinh, vec_libm_sinh(x) - f0)
KERNEL_1(lanes_cosh, vec_libm_cosh(x) - f0)
KERNEL_1(lanes_arcsinh, vec_libm_asinh(x) - f0)
KERNEL_1(lanes_arccosh, vec_libm_acosh(x) - f0)
KERNEL_1(lanes_arctanh, vec_libm_atanh(x) - f0)
KERNEL_1(lanes_exp2, vec_libm_exp2(x) - f0)
KERNEL_1(lanes_log2, vec_libm_log2(x) - f0)
KERNEL_1(lanes_log10, vec_libm_log10(x) - f0)
KERNEL_1(lanes_cbrt, vec_libm_cbrt(x) - f0)
KERNEL_1(lanes_erf, vec_libm_erf(x) - f0)
KERNEL_1(lanes_erfc, vec_libm_erfc(x) - f0)
KERNEL_1(lanes_lgamma, vec_libm_log_gamma(x) - f0)

/* The gap between the two changed sign; zero is a sign of its own. */
INLINE vi vec_sides(vd gap, vd gap0) { return (gap * gap0 <= 0.0) & (gap != gap0); }
/* |x| - f0 = max(x, -x) - f0, of which the branch that stays is exact. */
INLINE vd vec_abs_difference(vd dx, vd x0, vd f0, vi *side)
{
    *side = vec_sides(x0 + dx, x0);
    return vec_larger(dx + (x0 - f0), -dx - (x0 + f0));
}
INLINE vd vec_step_difference(vd f, vd f0, vi *side)
{
    *side = f != f0;
    return f - f0;
}
KERNEL_1(lanes_abs, vec_abs_difference(dx, x0, f0, &side))
KERNEL_1(lanes_sign, vec_step_difference(vec_sign(x), f0, &side))
KERNEL_1(lanes_floor, vec_step_difference(vec_libm_floor(x), f0, &side))
KERNEL_1(lanes_ceil, vec_step_difference(vec_libm_ceil(x), f0, &side))
KERNEL_1(lanes_rint, vec_step_difference(vec_libm_rint(x), f0, &side))
KERNEL_1(lanes_trunc, vec_step_difference(vec_libm_trunc(x), f0, &side))
KERNEL_1(lanes_not, vec_step_difference(vec_one_where(x == 0.0), f0, &side))

/* max(x, y) - f0 = max(dx + (x0 - f0), dy + (y0 - f0)): exact where the winner stays,
 * since its own term is then dx + 0 or dy + 0; min likewise. The hottest of the kernels
 * that choose (ReLU), so what is the same for all lanes is computed once, as a number. */
#define KERNEL_WINNER(name, winner)                                                    \
    static void name(int64_t n, const operand *in, const double *out0, int64_t step0,  \
                     double *out, int64_t *crossed)                                    \
    {                                                                                  \
        vec_flags cross[N_VECS] = {{0}};                                               \
        const operand a = in[0], b = in[1];                                            \
        for (int64_t i = 0; i < n; i++) {                                              \
            const double x0 = a.base[i * a.base_step];                                 \
            const double y0 = b.base[i * b.base_step];                                 \
            const double f0 = out0[i * step0];                                         \
            for (int v = 0; v < N_VECS; v++) {                                         \
                const vd x = vec_load(a.d + i * a.step + v * VEC_LEN)                  \
                             + (x0 - f0);                                              \
                const vd y = vec_load(b.d + i * b.step + v * VEC_LEN)                  \
                             + (y0 - f0);                                              \
                vec_store(out + i * LANES + v * VEC_LEN,                               \
                          vec_keep_nan(x, winner(x, y)));                              \
                cross[v] = vec_note_sides(cross[v], x - y, x0 - y0);                   \
            }                                                                          \
        }                                                                              \
        for (int v = 0; v < N_VECS; v++)                                               \
            *(vi *)(crossed + v * VEC_LEN) |= vec_noted(cross[v]);                     \
    }

KERNEL_2(lanes_add, dx + dy)
KERNEL_2(lanes_subtract, dx - dy)
KERNEL_2(lanes_multiply, dx * y + x0 * dy)
KERNEL_2(lanes_divide, (dx - f0 * dy) / y)
KERNEL_WINNER(lanes_maximum, vec_larger)
KERNEL_WINNER(lanes_minimum, vec_smaller)

/* The same with y unperturbed, as in ReLU and clipping. (The instructions give their
 * second operand where either is NaN.) */
#define KERNEL_WINNER_1(name, winner)                                                  \
    static void name(int64_t n, const operand *in, const double *out0, int64_t step0,  \
                     double *out, int64_t *crossed)                                    \
    {                                                                                  \
        vec_flags cross[N_VECS] = {{0}};                                               \
        const operand a = in[0], b = in[1];                                            \
        for (int64_t i = 0; i < n; i++) {                                              \
            const double x0 = a.base[i * a.base_step], y0 = b.base[i * b.base_step];   \
            const double f0 = out0[i * step0];                                         \
            const vd y = vec_splat(y0 - f0);                                           \
            for (int v = 0; v < N_VECS; v++) {                                         \
                const vd x = vec_load(a.d + i * a.step + v * VEC_LEN) + (x0 - f0);     \
                vec_store(out + i * LANES + v * VEC_LEN, winner(y, x));                \
                cross[v] = vec_note_sides(cross[v], x - y, x0 - y0);                   \
            }                                                                          \
        }                                                                              \
        for (int v = 0; v < N_VECS; v++)                                               \
            *(vi *)(crossed + v * VEC_LEN) |= vec_noted(cross[v]);                     \
    }
KERNEL_WINNER_1(lanes_maximum_1, vec_larger)
KERNEL_WINNER_1(lanes_minimum_1, vec_smaller)
KERNEL_2(lanes_power, vec_libm_pow(x, y) - f0)
KERNEL_2(lanes_logaddexp, vec_logaddexp(x, y) - f0)
KERNEL_2(lanes_arctan2, vec_libm_atan2(x, y) - f0)
KERNEL_2(lanes_hypot, vec_libm_hypot(x, y) - f0)
KERNEL_2(lanes_greater, vec_step_difference(vec_one_where(x > y), f0, &side))
KERNEL_2(lanes_greater_equal, vec_step_difference(vec_one_where(x >= y), f0, &side))
KERNEL_2(lanes_equal, vec_step_difference(vec_one_where(x == y), f0, &side))
KERNEL_2(lanes_not_equal, vec_step_difference(vec_one_where(x != y), f0, &side))
KERNEL_2(lanes_and,
         vec_step_difference(vec_one_where((x != 0.0) & (y != 0.0)), f0, &side))
KERNEL_2(lanes_or,
         vec_step_difference(vec_one_where((x != 0.0) | (y != 0.0)), f0, &side))
/* y unperturbed: common, and no 0 * infinity where a mask is infinite. */
KERNEL_2(lanes_multiply_1, dx * y0)

static void lanes_where(int64_t n, const operand *in, const double *out0, int64_t step0,
                        double *out, int64_t *crossed)
{
    vi cross[N_VECS] = {{0}};
    const operand c = in[0], a = in[1], b = in[2];
    for (int64_t i = 0; i < n; i++) {
        const double c0 = c.base[i * c.base_step];
        const vd x0 = vec_splat(a.base[i * a.base_step]);
        const vd y0 = vec_splat(b.base[i * b.base_step]);
        const vd f0 = vec_splat(out0[i * step0]);
        const vi chose0 = vec_splat(c0) != 0.0;
        for (int v = 0; v < N_VECS; v++) {
            const vd dc = vec_load(c.d + i * c.step + v * VEC_LEN);
            const vd dx = vec_load(a.d + i * a.step + v * VEC_LEN);
            const vd dy = vec_load(b.d + i * b.step + v * VEC_LEN);
            const vi chose = c0 + dc != 0.0;
            const vi side = chose ^ chose0;
            const vd other = vec_select(chose, x0 + dx, y0 + dy) - f0;
            vec_store(out + i * LANES + v * VEC_LEN,
                      vec_select(side, other, vec_select(chose, dx, dy)));
            cross[v] |= side;
        }
    }
    for (int v = 0; v < N_VECS; v++)
        *(vi *)(crossed + v * VEC_LEN) |= cross[v];
}

typedef void (*elementwise)(int64_t, const operand *, const double *, int64_t, double *,
                            int64_t *);

/* The kernel of an operation and the cost of one element, in multiply-adds. */
static const struct { elementwise kernel; double cost; } ELEMENTWISE[FG_SUM] = {
    [FG_EXP] = {lanes_exp, 17}, [FG_EXPM1] = {lanes_expm1, 19},
    [FG_LOG] = {lanes_log, 22}, [FG_LOG1P] = {lanes_log1p, 32},
    [FG_TANH] = {lanes_tanh, 24}, [FG_SQRT] = {lanes_sqrt, 8},
    [FG_SQUARE] = {lanes_square, 2}, [FG_ABS] = {lanes_abs, 3},
    [FG_SIGN] = {lanes_sign, 3}, [FG_RECIPROCAL] = {lanes_reciprocal, 8},
    [FG_NEGATIVE] = {lanes_negative, 1}, [FG_SIN] = {lanes_sin, 200},
    [FG_COS] = {lanes_cos, 200}, [FG_TAN] = {lanes_tan, 300},
    [FG_ARCSIN] = {lanes_arcsin, 300}, [FG_ARCCOS] = {lanes_arccos, 300},
    [FG_ARCTAN] = {lanes_arctan, 300}, [FG_SINH] = {lanes_sinh, 300},
    [FG_COSH] = {lanes_cosh, 300}, [FG_ARCSINH] = {lanes_arcsinh, 400},
    [FG_ARCCOSH] = {lanes_arccosh, 400}, [FG_ARCTANH] = {lanes_arctanh, 400},
    [FG_EXP2] = {lanes_exp2, 100}, [FG_LOG2] = {lanes_log2, 150},
    [FG_LOG10] = {lanes_log10, 200}, [FG_CBRT] = {lanes_cbrt, 300},
    [FG_ERF] = {lanes_erf, 300}, [FG_ERFC] = {lanes_erfc, 300},
    [FG_LGAMMA] = {lanes_lgamma, 600}, [FG_FLOOR] = {lanes_floor, 3},
    [FG_CEIL] = {lanes_ceil, 3}, [FG_RINT] = {lanes_rint, 3},
    [FG_TRUNC] = {lanes_trunc, 3}, [FG_NOT] = {lanes_not, 2},
    [FG_ADD] = {lanes_add, 1}, [FG_SUBTRACT] = {lanes_subtract, 1},
    [FG_MULTIPLY] = {lanes_multiply, 2}, [FG_DIVIDE] = {lanes_divide, 8},
    [FG_MAXIMUM] = {lanes_maximum, 4}, [FG_MINIMUM] = {lanes_minimum, 4},
    [FG_POWER] = {lanes_power, 600}, [FG_LOGADDEXP] = {lanes_logaddexp, 60},
    [FG_ARCTAN2] = {lanes_arctan2, 600}, [FG_HYPOT] = {lanes_hypot, 200},
    [FG_GREATER] = {lanes_greater, 2}, [FG_GREATER_EQUAL] = {lanes_greater_equal, 2},
    [FG_EQUAL] = {lanes_equal, 2}, [FG_NOT_EQUAL] = {lanes_not_equal, 2},
    [FG_AND] = {lanes_and, 3}, [FG_OR] = {lanes_or, 3},
    [FG_WHERE] = {lanes_where, 4},
};

/* Of commutative operations: the kernel for when only one operand is perturbed, which
 * then comes first. NULL: there is none. */
static const elementwise ONE_PERTURBED[FG_SUM] = {
    [FG_MULTIPLY] = lanes_multiply_1,
    [FG_MAXIMUM] = lanes_maximum_1,
    [FG_MINIMUM] = lanes_minimum_1,
};

#endif
