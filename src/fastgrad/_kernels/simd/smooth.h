/* Lane kernels of the hot smooth functions: the identities of differences.h on vectors.
 *
 * What a rule wants to know of an element at theta (e^x, 1 / x, ...) is prepared for a row
 * of elements at once; then come the lanes, blocks of MAX_BLOCK vectors in lockstep. Lanes
 * beyond the `limit` of their element, where a vector rule would overflow or lose digits,
 * are done again one by one by the rule in differences.h.
 */
#ifndef FASTGRAD_SMOOTH_H
#define FASTGRAD_SMOOTH_H

#include "differences.h"
#include "operand.h"

/* Elements prepared at once: a multiple of what a block of vectors holds. */
#define ROW 32
#define BLOCK_ELEMENTS (MAX_BLOCK / N_VECS)

typedef struct {
    double x[ROW], y[ROW], f[ROW]; /* operands and result at theta */
    double a[ROW], b[ROW], c[ROW]; /* what a rule wants to know of them */
    double limit[ROW];             /* the largest |d| that its vector rule may be given */
} row;

/* The same, spread over lanes, and the changes d and e of the operands. */
typedef struct {
    vd x[MAX_BLOCK], y[MAX_BLOCK], f[MAX_BLOCK], a[MAX_BLOCK], b[MAX_BLOCK], c[MAX_BLOCK];
    vd d[MAX_BLOCK], e[MAX_BLOCK];
    vi beyond[MAX_BLOCK];
} block;

INLINE void gather(row *r, int64_t first, int64_t n, const operand *in, int n_in,
                   const double *out0, int64_t step0)
{
    for (int64_t i = 0; i < n; i++) {
        r->x[i] = in[0].base[(first + i) * in[0].base_step];
        r->y[i] = in[n_in - 1].base[(first + i) * in[n_in - 1].base_step];
        r->f[i] = out0[(first + i) * step0];
    }
    for (int64_t i = n; i % (MAX_BLOCK * VEC_LEN); i++)
        r->x[i] = r->y[i] = r->f[i] = 1.0;
}

INLINE void load_block(block *b, const row *r, int64_t i, int64_t at, const operand *in,
                       int n_in, const int n_elements)
{
    for (int e = 0; e < n_elements; e++)
        for (int v = 0; v < N_VECS; v++) {
            const int j = e * N_VECS + v;
            const operand last = in[n_in - 1];
            b->d[j] = vec_load(in[0].d + (at + e) * in[0].step + v * VEC_LEN);
            b->e[j] = vec_load(last.d + (at + e) * last.step + v * VEC_LEN);
            b->x[j] = vec_splat(r->x[i + e]), b->y[j] = vec_splat(r->y[i + e]);
            b->f[j] = vec_splat(r->f[i + e]), b->a[j] = vec_splat(r->a[i + e]);
            b->b[j] = vec_splat(r->b[i + e]), b->c[j] = vec_splat(r->c[i + e]);
            b->beyond[j] = ~((vec_abs(b->d[j]) <= r->limit[i + e])
                             & (vec_abs(b->e[j]) <= r->limit[i + e]));
        }
}

typedef double (*one_lane)(const row *r, int64_t i, double d, double e);

/* The lanes beyond the limit, of n elements from element i of a row on, element `at` of the
 * operands. A lane that is not perturbed does not differ. */
static void one_by_one(const row *r, int64_t i, int64_t at, const operand *in, int n_in,
                       const int64_t *beyond, int n, one_lane rule, double *out)
{
    const operand a = in[0], b = in[n_in - 1];
    for (int e = 0; e < n; e++)
        for (int l = 0; l < LANES; l++) {
            const double dx = a.d[(at + e) * a.step + l], dy = b.d[(at + e) * b.step + l];
            if (beyond[e * LANES + l])
                out[e * LANES + l] = dx == 0.0 && dy == 0.0 ? 0.0 : rule(r, i + e, dx, dy);
        }
}

/* Finish a block: its results may overwrite the operands. */
INLINE void store_block(const block *b, const row *r, int64_t i, int64_t at,
                        const operand *in, int n_in, one_lane rule, double *out,
                        const int n_elements)
{
    const int n = n_elements * N_VECS;
    double result[MAX_BLOCK * VEC_LEN];
    int64_t beyond[MAX_BLOCK * VEC_LEN];
    vi any = {0};
    EACH any |= b->beyond[i];
    if (!vec_any(any)) {
        EACH vec_store(out + at * LANES + i * VEC_LEN, b->d[i]);
        return;
    }
    EACH vec_store(result + i * VEC_LEN, b->d[i]);
    EACH *(vi *)(beyond + i * VEC_LEN) = b->beyond[i];
    one_by_one(r, i, at, in, n_in, beyond, n_elements, rule, result);
    memcpy(out + at * LANES, result, n_elements * LANES * sizeof(double));
}

#define SMOOTH(name, n_in, prepare, rule, lane)                                        \
    static double name##_lane(const row *r, int64_t i, double d, double e)             \
    {                                                                                  \
        const double x = r->x[i], y = r->y[i], f0 = r->f[i];                           \
        (void)x, (void)y, (void)f0, (void)e;                                           \
        return lane;                                                                   \
    }                                                                                  \
    static void name(int64_t n, const operand *in, const double *out0, int64_t step0,  \
                     double *out, int64_t *crossed)                                    \
    {                                                                                  \
        row r;                                                                         \
        for (int64_t first = 0; first < n; first += ROW) {                             \
            const int64_t m = n - first < ROW ? n - first : ROW;                       \
            int64_t i = 0;                                                             \
            gather(&r, first, m, in, n_in, out0, step0);                               \
            for (; i < m; i += MAX_BLOCK * VEC_LEN)                                    \
                prepare(&r, i, MAX_BLOCK);                                             \
            for (i = 0; i + BLOCK_ELEMENTS <= m; i += BLOCK_ELEMENTS) {                \
                block b;                                                               \
                load_block(&b, &r, i, first + i, in, n_in, BLOCK_ELEMENTS);            \
                rule(&b, MAX_BLOCK);                                                   \
                store_block(&b, &r, i, first + i, in, n_in, name##_lane, out,          \
                            BLOCK_ELEMENTS);                                           \
            }                                                                          \
            for (; i < m; i++) {                                                       \
                block b;                                                               \
                load_block(&b, &r, i, first + i, in, n_in, 1);                         \
                rule(&b, N_VECS);                                                      \
                store_block(&b, &r, i, first + i, in, n_in, name##_lane, out, 1);      \
            }                                                                          \
        }                                                                              \
    }

/* Vectors j of a field of a row, from element `from` on. */
#define AT(field) (r->field + from + i * VEC_LEN)
INLINE void set_limit(row *r, int64_t from, const int n, vi *inside, double limit)
{
    EACH vec_store(AT(limit), vec_select(inside[i], vec_splat(limit), vec_splat(-1.0)));
}
INLINE vi is_within(vd x, double low, double high) { return (x >= low) & (x <= high); }

/* ---- e^x (e^d - 1): a is e^x ------------------------------------------------------- */

/* e^x is a normal number, or nothing beside what e^d could make of it. */
INLINE void exp_limits(row *r, int64_t from, const int n)
{
    vi inside[MAX_BLOCK];
    EACH inside[i] = is_within(vec_load(AT(a)), 1e-290, 1e300) | (vec_load(AT(x)) < -1500.0);
    set_limit(r, from, n, inside, 700.0);
}
INLINE void prepare_exp(row *r, int64_t from, const int n)
{
    EACH vec_store(AT(a), vec_load(AT(f)));
    exp_limits(r, from, n);
}
INLINE void prepare_expm1(row *r, int64_t from, const int n)
{
    vd x[MAX_BLOCK];
    EACH x[i] = vec_load(AT(x));
    vec_exp(x, n);
    EACH vec_store(AT(a), x[i]);
    exp_limits(r, from, n);
}
INLINE void rule_exp(block *b, const int n)
{
    vec_expm1(b->d, n);
    EACH b->d[i] *= b->a[i];
}
SMOOTH(lanes_exp, 1, prepare_exp, rule_exp, exp_difference(x, d, f0))
SMOOTH(lanes_expm1, 1, prepare_expm1, rule_exp, expm1_difference(x, d, f0))

/* ---- log(1 + d / a), a + c being x or 1 + x; b is 1 / a -------------------------------- */

INLINE void log_limits(row *r, int64_t from, const int n)
{
    vi inside[MAX_BLOCK];
    EACH vec_store(AT(b), 1.0 / vec_load(AT(a)));
    EACH inside[i] = is_within(vec_load(AT(a)), 1e-150, 1e150);
    set_limit(r, from, n, inside, 1e150);
}
INLINE void prepare_log(row *r, int64_t from, const int n)
{
    EACH vec_store(AT(a), vec_load(AT(x)));
    EACH vec_store(AT(c), vec_splat(0.0));
    log_limits(r, from, n);
}
INLINE void prepare_log1p(row *r, int64_t from, const int n)
{
    EACH vec_store(AT(a), 1.0 + vec_load(AT(x)));
    EACH vec_store(AT(c), vec_sum_error(vec_splat(1.0), vec_load(AT(x)), vec_load(AT(a))));
    log_limits(r, from, n);
}
/* log(1 + t) = log u + (t - (u - 1)) / u with u = fl(1 + t) (Goldberg; Kahan's correction);
 * where little is left of x, u is the quotient itself. */
INLINE void vec_log_ratio(block *b, const int n)
{
    vd u[MAX_BLOCK], rest[MAX_BLOCK];
    EACH {
        const vd t = b->d[i] * b->b[i];
        const vi small = t < -0.5;
        const vd y = b->a[i] + b->d[i], whole = 1.0 + t;
        const vd error = vec_sum_error(b->a[i], b->d[i], y) + b->c[i];
        u[i] = vec_select(small, (y + error) * b->b[i], whole);
        rest[i] = vec_select(small, vec_splat(0.0), (t - (whole - 1.0)) / whole);
    }
    vec_log(u, n);
    EACH b->d[i] = u[i] + rest[i];
}
#define RULE_LOG(name, factor)                                                         \
    INLINE void name(block *b, const int n)                                            \
    {                                                                                  \
        vec_log_ratio(b, n);                                                           \
        EACH b->d[i] *= factor;                                                        \
    }
#define LOG10E 0x1.bcb7b1526e50ep-2
RULE_LOG(rule_log2, LOG2E)
RULE_LOG(rule_log10, LOG10E)
SMOOTH(lanes_log, 1, prepare_log, vec_log_ratio, log_difference(x, d, f0))
SMOOTH(lanes_log2, 1, prepare_log, rule_log2, log_difference(x, d, f0) * LOG2E)
SMOOTH(lanes_log10, 1, prepare_log, rule_log10, log_difference(x, d, f0) * LOG10E)
SMOOTH(lanes_log1p, 1, prepare_log1p, vec_log_ratio, log1p_difference(x, d, f0))

/* ---- x^y = e^(y log x), of x alone: a, b, c as for log -------------------------------- */

INLINE void prepare_power(row *r, int64_t from, const int n)
{
    vi inside[MAX_BLOCK];
    prepare_log(r, from, n);
    EACH inside[i] = is_within(vec_load(AT(a)), 1e-150, 1e150)
                     & is_within(vec_abs(vec_load(AT(f))), 1e-290, 1e300);
    set_limit(r, from, n, inside, 1e150);
}
INLINE void rule_power(block *b, const int n)
{
    EACH b->beyond[i] |= b->e[i] != 0.0;
    vec_log_ratio(b, n);
    EACH b->d[i] *= b->y[i];
    EACH b->beyond[i] |= ~(vec_abs(b->d[i]) < 1.0);
    vec_expm1(b->d, n);
    EACH b->d[i] *= b->f[i];
}
SMOOTH(lanes_power, 2, prepare_power, rule_power, power_difference(x, y, d, e, f0))

/* ---- log(e^x + e^y): a and b are the weights of its terms ------------------------------- */

INLINE void prepare_logaddexp(row *r, int64_t from, const int n)
{
    vd high[MAX_BLOCK], e[MAX_BLOCK], rest[MAX_BLOCK];
    vi inside[MAX_BLOCK], first[MAX_BLOCK];
    EACH {
        const vd x = vec_load(AT(x)), y = vec_load(AT(y));
        first[i] = x > y;
        high[i] = vec_select(first[i], x, y);
        e[i] = vec_select(first[i], y, x) - high[i];
        rest[i] = vec_sum_error(vec_select(first[i], y, x), -high[i], e[i]);
        inside[i] = e[i] >= -600.0;
    }
    vec_exp(e, n);
    EACH e[i] += e[i] * rest[i];
    EACH high[i] = 1.0 / (1.0 + e[i]);
    EACH e[i] *= high[i];
    EACH vec_store(AT(a), vec_select(first[i], high[i], e[i]));
    EACH vec_store(AT(b), vec_select(first[i], e[i], high[i]));
    set_limit(r, from, n, inside, 600.0);
}
INLINE void finish_logaddexp(block *b, const int n)
{
    EACH b->beyond[i] |= ~is_within(b->d[i], -0.5, 1e300);
    EACH b->a[i] = vec_splat(1.0);
    EACH b->b[i] = vec_splat(1.0);
    EACH b->c[i] = vec_splat(0.0);
    vec_log_ratio(b, n);
}
INLINE void rule_logaddexp(block *b, const int n)
{
    vec_expm1(b->d, n);
    vec_expm1(b->e, n);
    EACH b->d[i] = b->a[i] * b->d[i] + b->b[i] * b->e[i];
    finish_logaddexp(b, n);
}
/* y unperturbed */
INLINE void rule_logaddexp_1(block *b, const int n)
{
    vec_expm1(b->d, n);
    EACH b->d[i] *= b->a[i];
    finish_logaddexp(b, n);
}
SMOOTH(lanes_logaddexp, 2, prepare_logaddexp, rule_logaddexp,
       logaddexp_difference(x, y, d, e, f0))
SMOOTH(lanes_logaddexp_1, 2, prepare_logaddexp, rule_logaddexp_1,
       logaddexp_difference(x, y, d, e, f0))

/* ---- tanh x = (1 - u) / (1 + u) with u = e^(-2x), for x >= 0; else mirrored --------------
 *
 * With p = e^(-2d) - 1 the difference is -2 u p / ((1 + u) (1 + u + u p)). a is u,
 * b is -2 u / (1 + u), c is -2, with the sign of x. */

INLINE void prepare_tanh(row *r, int64_t from, const int n)
{
    vd u[MAX_BLOCK];
    vi inside[MAX_BLOCK];
    EACH u[i] = vec_abs(vec_load(AT(x)));
    EACH inside[i] = u[i] <= 340.0;
    EACH u[i] *= -2.0;
    vec_exp(u, n);
    EACH {
        const vi sign = (vi)vec_load(AT(x)) & INT64_MIN;
        vec_store(AT(a), u[i]);
        vec_store(AT(b), (vd)((vi)(-2.0 * u[i] / (1.0 + u[i])) ^ sign));
        vec_store(AT(c), (vd)((vi)vec_splat(-2.0) ^ sign));
    }
    set_limit(r, from, n, inside, 340.0);
}
INLINE void rule_tanh(block *b, const int n)
{
    EACH b->d[i] *= b->c[i];
    vec_expm1(b->d, n);
    EACH b->d[i] = (b->b[i] * b->d[i]) / ((1.0 + b->a[i]) + b->a[i] * b->d[i]);
}
SMOOTH(lanes_tanh, 1, prepare_tanh, rule_tanh, tanh_difference(x, d, f0))

/* ---- the circular functions, by the middle of x and x + d ------------------------------- */

#define FAR_ROUND 1e5
INLINE void prepare_circular(row *r, int64_t from, const int n)
{
    vi inside[MAX_BLOCK];
    EACH inside[i] = vec_abs(vec_load(AT(x))) <= FAR_ROUND;
    set_limit(r, from, n, inside, FAR_ROUND);
}
/* Sine of half of d; sine and cosine of x + d / 2. */
INLINE void half_and_middle(const block *b, vd *half, vd *sine, vd *cosine, const int n)
{
    vd h[MAX_BLOCK], zero[MAX_BLOCK], rest[MAX_BLOCK], unused[MAX_BLOCK];
    EACH h[i] = 0.5 * b->d[i];
    EACH zero[i] = vec_splat(0.0);
    vec_sincos(h, zero, half, unused, n);
    EACH unused[i] = b->x[i] + h[i];
    EACH rest[i] = vec_sum_error(b->x[i], h[i], unused[i]);
    vec_sincos(unused, rest, sine, cosine, n);
}
INLINE void rule_sin(block *b, const int n)
{
    vd half[MAX_BLOCK], sine[MAX_BLOCK], cosine[MAX_BLOCK];
    half_and_middle(b, half, sine, cosine, n);
    EACH b->d[i] = (2.0 * half[i]) * cosine[i];
}
INLINE void rule_cos(block *b, const int n)
{
    vd half[MAX_BLOCK], sine[MAX_BLOCK], cosine[MAX_BLOCK];
    half_and_middle(b, half, sine, cosine, n);
    EACH b->d[i] = (-2.0 * half[i]) * sine[i];
}
SMOOTH(lanes_sin, 1, prepare_circular, rule_sin, sin_difference(x, d, f0))
SMOOTH(lanes_cos, 1, prepare_circular, rule_cos, cos_difference(x, d, f0))

/* ---- erf: small steps by quadrature; a is the bell at x ---------------------------------- */

INLINE void prepare_erf(row *r, int64_t from, const int n)
{
    EACH for (int k = 0; k < VEC_LEN; k++)
    {
        AT(a)[k] = bell(AT(x)[k]);
        AT(limit)[k] = fabs(AT(x)[k]) < 25.0 ? ERF_STEP / (1.0 + fabs(AT(x)[k])) : -1.0;
    }
}
INLINE void rule_erf(block *b, const int n)
{
    vd sum[MAX_BLOCK], t[MAX_BLOCK];
    EACH sum[i] = vec_splat(0.0);
    for (int k = 0; k < N_NODES; k++) {
        EACH t[i] = b->d[i] * NODES[k];
        EACH t[i] = -t[i] * (2.0 * b->x[i] + t[i]);
        vec_exp(t, n);
        EACH sum[i] += WEIGHTS[k] * t[i];
    }
    EACH b->d[i] = b->a[i] * b->d[i] * sum[i];
}
INLINE void rule_erfc(block *b, const int n)
{
    rule_erf(b, n);
    EACH b->d[i] = -b->d[i];
}
SMOOTH(lanes_erf, 1, prepare_erf, rule_erf, erf_difference(x, d, f0))
SMOOTH(lanes_erfc, 1, prepare_erf, rule_erfc, erfc_difference(x, d, f0))

#undef AT
#endif
