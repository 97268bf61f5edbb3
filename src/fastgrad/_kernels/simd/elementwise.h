/* Elementwise lane kernels: out = f(x0 + dx, y0 + dy) - f(x0, y0), per element and lane.
 *
 * Layout: a run of n elements, LANES doubles each; see operand.h. Everything is an
 * identity in the changes, e.g. for x * y dx * (y0 + dy) + x0 * dy, in which nothing
 * cancels; no derivative of any function is used.
 * A kernel that selects (maximum, abs, where, comparisons) ORs into `crossed` the lanes
 * that are on another side than theta, a tie counting as a side of its own. So does one
 * whose slope at theta is infinite (sqrt of 0, arccos of 1): that is a vertex.
 */
#ifndef FASTGRAD_ELEMENTWISE_H
#define FASTGRAD_ELEMENTWISE_H

#include "operations.h"
#include "smooth.h"

/* x, y, z: values at the lanes; x0, y0, z0: at theta; dx, dy, dz: their differences */
#define KERNEL(name, second, result)                                                   \
    static void name(int64_t n, const operand *in, const at_theta *at, double *out,    \
                     int64_t *crossed)                                                 \
    {                                                                                  \
        const at_theta f = *at;                                                        \
        vi cross[N_VECS] = {{0}};                                                      \
        const operand a = in[0], b = in[second];                                       \
        for (int64_t i = 0; i < n; i++) {                                              \
            const vd x0 = vec_splat(a.base[i * a.base_step]);                          \
            const vd y0 = vec_splat(b.base[i * b.base_step]);                          \
            const vd f0 = vec_splat(f.value[i * f.step]);                              \
            for (int v = 0; v < N_VECS; v++) {                                         \
                const vd dx = vec_load(a.d + i * a.step + v * VEC_LEN);                \
                const vd dy = vec_load(b.d + i * b.step + v * VEC_LEN);                \
                const vd x = x0 + dx, y = y0 + dy;                                     \
                vi side = {0};                                                         \
                (void)y;                                                               \
                vec_store(out + i * LANES + v * VEC_LEN, (result));                    \
                cross[v] |= side;                                                      \
            }                                                                          \
        }                                                                              \
        for (int v = 0; v < N_VECS; v++)                                               \
            *(vi *)(crossed + v * VEC_LEN) |= cross[v];                                \
    }
#define KERNEL_1(name, result) KERNEL(name, 0, result)
#define KERNEL_2(name, result) KERNEL(name, 1, result)

/* Lane by lane, by a rule of differences.h: rarely hot. What is infinite stays. */
#define KERNEL_LANES(name, rule, vertex)                                               \
    static void name(int64_t n, const operand *in, const at_theta *at, double *out,    \
                     int64_t *crossed)                                                 \
    {                                                                                  \
        const at_theta f = *at;                                                        \
        for (int64_t i = 0; i < n; i++)                                                \
            for (int l = 0; l < LANES; l++) {                                          \
                const double d = in[0].d[i * in[0].step + l];                          \
                const double x = in[0].base[i * in[0].base_step];                      \
                out[i * LANES + l] =                                                   \
                    d == 0.0 || isinf(x) ? 0.0 : rule(x, d, f.value[i * f.step]);      \
                crossed[l] |= d != 0.0 && (vertex);                                    \
            }                                                                          \
    }
#define KERNEL_LANES_2(name, rule, vertex)                                             \
    static void name(int64_t n, const operand *in, const at_theta *at, double *out,    \
                     int64_t *crossed)                                                 \
    {                                                                                  \
        const at_theta f = *at;                                                        \
        const operand a = in[0], b = in[1];                                            \
        for (int64_t i = 0; i < n; i++)                                                \
            for (int l = 0; l < LANES; l++) {                                          \
                const double d = a.d[i * a.step + l], e = b.d[i * b.step + l];         \
                const double x = a.base[i * a.base_step], y = b.base[i * b.base_step]; \
                const int moved = d != 0.0 || e != 0.0;                                \
                out[i * LANES + l] =                                                   \
                    moved ? rule(x, y, d, e, f.value[i * f.step]) : 0.0;               \
                crossed[l] |= moved && (vertex);                                       \
            }                                                                          \
    }
KERNEL_LANES(lanes_exp2, exp2_difference, 0)
KERNEL_LANES(lanes_cbrt, cbrt_difference, x == 0.0)
KERNEL_LANES(lanes_tan, tan_difference, 0)
KERNEL_LANES(lanes_arcsin, arcsin_difference, fabs(x) == 1.0)
KERNEL_LANES(lanes_arccos, arccos_difference, fabs(x) == 1.0)
KERNEL_LANES(lanes_arctan, arctan_difference, 0)
KERNEL_LANES(lanes_sinh, sinh_difference, 0)
KERNEL_LANES(lanes_cosh, cosh_difference, 0)
KERNEL_LANES(lanes_arcsinh, arcsinh_difference, 0)
KERNEL_LANES(lanes_arccosh, arccosh_difference, x == 1.0)
KERNEL_LANES(lanes_arctanh, arctanh_difference, 0)
KERNEL_LANES(lanes_lgamma, lgamma_difference, 0)
KERNEL_LANES(lanes_ndtr, ndtr_difference, 0)
KERNEL_LANES_2(lanes_arctan2, arctan2_difference, 0)
KERNEL_LANES_2(lanes_hypot, hypot_difference, x == 0.0 && y == 0.0)

/* Rounding, one element at a time. */
#define LIBM_1(f)                                                                      \
    INLINE vd vec_libm_##f(vd x)                                                       \
    {                                                                                  \
        for (int i = 0; i < VEC_LEN; i++)                                              \
            x[i] = f(x[i]);                                                            \
        return x;                                                                      \
    }
LIBM_1(floor) LIBM_1(ceil) LIBM_1(rint) LIBM_1(trunc) LIBM_1(sqrt)

INLINE vd vec_one_where(vi mask) { return vec_select(mask, vec_splat(1.0), vec_splat(0.0)); }
INLINE vd vec_sign(vd x) { return vec_one_where(x > 0.0) - vec_one_where(x < 0.0); }
/* A result, of unperturbed lanes zero (whatever the value at theta is). */
INLINE vd vec_where_moved(vd d, vd result)
{
    return vec_select(d == 0.0, vec_splat(0.0), result);
}

/* Zero where both are. */
INLINE vd vec_either(vd x, vd y) { return (vd)(((vi)x | (vi)y) & INT64_MAX); }

KERNEL_1(lanes_sqrt, (side = (f0 == 0.0) & (dx != 0.0),
                      vec_where_moved(dx, dx / (vec_libm_sqrt(x) + f0))))
KERNEL_1(lanes_square, vec_where_moved(dx, dx * (2.0 * x0 + dx)))
KERNEL_1(lanes_reciprocal, vec_where_moved(dx, -(dx / x) * f0))
KERNEL_1(lanes_negative, -dx)

/* The gap between the two changed sign; zero is a sign of its own. */
INLINE vi vec_sides(vd gap, vd gap0) { return (gap * gap0 <= 0.0) & (gap != gap0); }
/* |x| - f0 = max(x, -x) - f0, of which the branch that stays is exact. */
INLINE vd vec_abs_difference(vd dx, vd x0, vd f0, vi *side)
{
    *side = vec_sides(x0 + dx, x0);
    return vec_where_moved(dx, vec_larger(dx + (x0 - f0), -dx - (x0 + f0)));
}
INLINE vd vec_step_difference(vd f, vd f0, vi *side)
{
    *side = (f != f0) & ((f == f) | (f0 == f0));
    return vec_select(*side, f - f0, vec_splat(0.0));
}
/* A difference from nan or infinity does not say of what: the outcome is not known. */
INLINE vd vec_outcome(vi outcome, vd dx, vd dy, vd f0, vi *side)
{
    const vd unknown = dx - dx + (dy - dy);
    return vec_step_difference(vec_one_where(outcome), f0, side) + unknown;
}
/* Where two were equal either has a kink, be the outcome another to one side only. */
INLINE vd vec_order(vi outcome, vd dx, vd dy, vi equal, vd f0, vi *side)
{
    const vd step = vec_outcome(outcome, dx, dy, f0, side);
    *side |= equal & (dx != dy);
    return step;
}
KERNEL_1(lanes_abs, vec_abs_difference(dx, x0, f0, &side))
KERNEL_1(lanes_sign, vec_step_difference(vec_sign(x), f0, &side))
KERNEL_1(lanes_floor, vec_step_difference(vec_libm_floor(x), f0, &side))
KERNEL_1(lanes_ceil, vec_step_difference(vec_libm_ceil(x), f0, &side))
KERNEL_1(lanes_rint, vec_step_difference(vec_libm_rint(x), f0, &side))
KERNEL_1(lanes_trunc, vec_step_difference(vec_libm_trunc(x), f0, &side))
KERNEL_1(lanes_not, vec_outcome(x == 0.0, dx, dx, f0, &side))

/* x - f0 and what rounding took from it, nothing between equal infinities. (A branch on
 * x == f0 would be mispredicted.) */
static moved gap(double x, double f0)
{
    moved found = move(x, -f0);
    found.value = found.value == found.value || x != f0 ? found.value : 0.0;
    found.rest = found.rest == found.rest ? found.rest : 0.0;
    return found;
}
/* What x + d is beyond f0. */
INLINE vd vec_beyond(vd d, moved gap) { return (d + gap.value) + gap.rest; }

/* max(x, y) - f0 = max(dx + (x0 - f0), dy + (y0 - f0)): exact where the winner stays,
 * since its own term is then dx + 0 or dy + 0; min likewise. The hottest of the kernels
 * that choose (ReLU), so what is the same for all lanes is computed once, as a number. */
#define KERNEL_WINNER(name, winner)                                                    \
    static void name(int64_t n, const operand *in, const at_theta *at, double *out,    \
                     int64_t *crossed)                                                 \
    {                                                                                  \
        const at_theta f = *at;                                                        \
        vec_flags cross[N_VECS] = {};                                                  \
        const operand a = in[0], b = in[1];                                            \
        for (int64_t i = 0; i < n; i++) {                                              \
            const double x0 = a.base[i * a.base_step];                                 \
            const double y0 = b.base[i * b.base_step];                                 \
            const double f0 = f.value[i * f.step];                                     \
            const moved x1 = gap(x0, f0), y1 = gap(y0, f0);                            \
            for (int v = 0; v < N_VECS; v++) {                                         \
                const vd x = vec_beyond(vec_load(a.d + i * a.step + v * VEC_LEN), x1); \
                const vd y = vec_beyond(vec_load(b.d + i * b.step + v * VEC_LEN), y1); \
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
KERNEL_2(lanes_multiply, vec_where_moved(vec_either(dx, dy), dx * y + x0 * dy))
KERNEL_2(lanes_divide, vec_where_moved(vec_either(dx, dy), (dx - f0 * dy) / y))
KERNEL_WINNER(lanes_maximum, vec_larger)
KERNEL_WINNER(lanes_minimum, vec_smaller)

/* The same with y unperturbed, as in ReLU and clipping. (The instructions give their
 * second operand where either is NaN.) Where all lanes move by less than the gap at theta,
 * as they mostly do, the winner stays. */
#define KERNEL_WINNER_1(name, winner, sign)                                            \
    static void name##_each(int64_t first, int64_t end, const operand *in, at_theta f, \
                            double *out, int64_t *crossed)                             \
    {                                                                                  \
        vec_flags cross[N_VECS] = {};                                                  \
        const operand a = in[0], b = in[1];                                            \
        for (int64_t i = first; i < end; i++) {                                        \
            const double x0 = a.base[i * a.base_step], y0 = b.base[i * b.base_step];   \
            const double f0 = f.value[i * f.step];                                     \
            const moved x1 = gap(x0, f0);                                              \
            const vd y = vec_beyond(vec_splat(0.0), gap(y0, f0));                      \
            for (int v = 0; v < N_VECS; v++) {                                         \
                const vd x = vec_beyond(vec_load(a.d + i * a.step + v * VEC_LEN), x1); \
                vec_store(out + i * LANES + v * VEC_LEN, winner(y, x));                \
                cross[v] = vec_note_sides(cross[v], x - y, x0 - y0);                   \
            }                                                                          \
        }                                                                              \
        for (int v = 0; v < N_VECS; v++)                                               \
            *(vi *)(crossed + v * VEC_LEN) |= vec_noted(cross[v]);                     \
    }                                                                                  \
    INLINE void name##_steps(int64_t n, operand a, operand b, at_theta f, double *out, \
                             int64_t *crossed)                                         \
    {                                                                                  \
        enum { AT_ONCE = MAX_BLOCK / N_VECS };                                         \
        const operand in[] = {a, b};                                                   \
        int64_t i = 0;                                                                 \
        for (; i + AT_ONCE <= n; i += AT_ONCE) {                                       \
            vd d[MAX_BLOCK];                                                           \
            vi reached = {0};                                                          \
            _Pragma("GCC unroll 4") for (int j = 0; j < MAX_BLOCK; j++)                \
            {                                                                          \
                const int64_t e = i + j / N_VECS;                                      \
                const vd gap0 = vec_splat(a.base[e * a.base_step])                     \
                                - vec_splat(b.base[e * b.base_step]);                  \
                d[j] = vec_load(a.d + e * a.step + j % N_VECS * VEC_LEN);              \
                reached |= vec_reached(d[j], gap0);                                    \
                d[j] = vec_if_positive(sign gap0, d[j]);                               \
            }                                                                          \
            if (vec_any_negative(reached))                                             \
                name##_each(i, i + AT_ONCE, in, f, out, crossed);                      \
            else                                                                       \
                _Pragma("GCC unroll 4") for (int j = 0; j < MAX_BLOCK; j++)            \
                    vec_store(out + i * LANES + j * VEC_LEN, d[j]);                    \
        }                                                                              \
        name##_each(i, n, in, f, out, crossed);                                        \
    }                                                                                  \
    static void name(int64_t n, const operand *in, const at_theta *at, double *out,    \
                     int64_t *crossed)                                                 \
    {                                                                                  \
        const at_theta f = *at;                                                        \
        operand a = in[0], b = in[1];                                                  \
        /* As ReLU has it: the same, compiled for strides that are constants. */       \
        if (a.step == LANES && a.base_step == 1 && b.base_step == 0) {                 \
            a.step = LANES, a.base_step = 1, b.base_step = 0;                          \
            name##_steps(n, a, b, f, out, crossed);                                    \
        } else {                                                                       \
            name##_steps(n, a, b, f, out, crossed);                                    \
        }                                                                              \
    }
KERNEL_WINNER_1(lanes_maximum_1, vec_larger, +)
KERNEL_WINNER_1(lanes_minimum_1, vec_smaller, -)
KERNEL_2(lanes_greater, vec_order(x > y, dx, dy, x0 == y0, f0, &side))
KERNEL_2(lanes_greater_equal, vec_order(x >= y, dx, dy, x0 == y0, f0, &side))
KERNEL_2(lanes_equal, vec_outcome(x == y, dx, dy, f0, &side))
KERNEL_2(lanes_not_equal, vec_outcome(x != y, dx, dy, f0, &side))
KERNEL_2(lanes_and, vec_outcome((x != 0.0) & (y != 0.0), dx, dy, f0, &side))
KERNEL_2(lanes_or, vec_outcome((x != 0.0) | (y != 0.0), dx, dy, f0, &side))
/* y unperturbed: common, and no 0 * infinity where a mask is infinite. */
KERNEL_2(lanes_multiply_1, dx * y0)

static void lanes_where(int64_t n, const operand *in, const at_theta *at, double *out,
                     int64_t *crossed)
{
    const at_theta f = *at;
    vi cross[N_VECS] = {{0}};
    const operand c = in[0], a = in[1], b = in[2];
    for (int64_t i = 0; i < n; i++) {
        const double c0 = c.base[i * c.base_step];
        const vd x0 = vec_splat(a.base[i * a.base_step]);
        const vd y0 = vec_splat(b.base[i * b.base_step]);
        const vd f0 = vec_splat(f.value[i * f.step]);
        const vi chose0 = vec_splat(c0) != 0.0;
        for (int v = 0; v < N_VECS; v++) {
            const vd dc = vec_load(c.d + i * c.step + v * VEC_LEN);
            const vd dx = vec_load(a.d + i * a.step + v * VEC_LEN);
            const vd dy = vec_load(b.d + i * b.step + v * VEC_LEN);
            const vi chose = c0 + dc != 0.0;
            const vi side = chose ^ chose0;
            const vd other = vec_select(chose, x0 + dx, y0 + dy) - f0;
            vec_store(out + i * LANES + v * VEC_LEN,
                      vec_select(side, other, vec_select(chose, dx, dy)) + (dc - dc));
            cross[v] |= side;
        }
    }
    for (int v = 0; v < N_VECS; v++)
        *(vi *)(crossed + v * VEC_LEN) |= cross[v];
}


/* Of commutative operations: the kernel for when only one operand is perturbed, which
 * then comes first. NULL: there is none. */
static const elementwise ONE_PERTURBED[FG_N_CODES] = {
    [FG_MULTIPLY] = lanes_multiply_1,
    [FG_MAXIMUM] = lanes_maximum_1,
    [FG_MINIMUM] = lanes_minimum_1,
};

#endif
