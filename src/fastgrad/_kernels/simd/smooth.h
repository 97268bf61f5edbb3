/* Lane kernels of the hot smooth functions: the identities of differences.h on vectors.
 *
 * What a rule wants to know of an element at theta (e^x, 1 / x, ...), its terms, is found
 * once per program, or, where that would take too much memory, each time. The lanes come
 * in blocks of MAX_BLOCK vectors in lockstep. Lanes beyond the limit of their element,
 * where a vector rule would overflow or lose digits, are done again one by one by the rule
 * in differences.h.
 */
#ifndef FASTGRAD_SMOOTH_H
#define FASTGRAD_SMOOTH_H

#include "differences.h"
#include "operand.h"

#define BLOCK_ELEMENTS (MAX_BLOCK / N_VECS)

/* Of one element: the largest |d| that its vector rule may be given, and two numbers. */
typedef struct {
    double limit, a, b;
} terms;

/* Operands and result at theta and the terms, spread over lanes; the changes d and e of the
 * operands, the first of which becomes the result; the lanes beyond the limit. */
typedef struct {
    vd x[MAX_BLOCK], y[MAX_BLOCK], f[MAX_BLOCK], a[MAX_BLOCK], b[MAX_BLOCK];
    vd d[MAX_BLOCK], e[MAX_BLOCK];
    vi beyond[MAX_BLOCK];
} block;

typedef terms (*of_element)(double x, double y, double f0);

/* The terms of n elements from element i on. */
static void find_terms(int64_t i, const operand *in, int n_in, at_theta f, of_element prepare,
                       int n, terms *out)
{
    const operand first = in[0], last = in[n_in - 1];
    for (int64_t k = i; k < i + n; k++)
        *out++ = prepare(first.base[k * first.base_step], last.base[k * last.base_step],
                         f.value[k * f.step]);
}

INLINE void load_block(block *b, int64_t i, const operand *in, int n_in, at_theta f,
                       of_element prepare, const int n_elements)
{
    const operand first = in[0], last = in[n_in - 1];
    terms found[BLOCK_ELEMENTS];
    const terms *t = (const terms *)f.terms + i * f.step;
    if (!f.terms) {
        find_terms(i, in, n_in, f, prepare, n_elements, found);
        t = found;
    }
    const int64_t step = f.terms ? f.step : 1;
    for (int e = 0; e < n_elements; e++, t += step) {
        for (int v = 0; v < N_VECS; v++) {
            const int j = e * N_VECS + v;
            b->d[j] = vec_load(first.d + (i + e) * first.step + v * VEC_LEN);
            b->e[j] = vec_load(last.d + (i + e) * last.step + v * VEC_LEN);
            b->x[j] = vec_splat(first.base[(i + e) * first.base_step]);
            b->y[j] = vec_splat(last.base[(i + e) * last.base_step]);
            b->f[j] = vec_splat(f.value[(i + e) * f.step]);
            b->a[j] = vec_splat(t->a), b->b[j] = vec_splat(t->b);
            b->beyond[j] = ~((vec_abs(b->d[j]) <= t->limit) & (vec_abs(b->e[j]) <= t->limit));
        }
    }
}

typedef double (*one_lane)(double x, double y, double d, double e, double f0);

/* The lanes beyond the limit, of n elements from element i on. A lane that is not perturbed
 * does not differ. */
static void one_by_one(int64_t i, const operand *in, int n_in, at_theta f,
                       const int64_t *beyond, int n, one_lane rule, double *out)
{
    const operand a = in[0], b = in[n_in - 1];
    for (int64_t k = i; k < i + n; k++)
        for (int l = 0; l < LANES; l++, out++, beyond++) {
            const double d = a.d[k * a.step + l], e = b.d[k * b.step + l];
            if (*beyond)
                *out = d == 0.0 && e == 0.0 ? 0.0
                                            : rule(a.base[k * a.base_step], b.base[k * b.base_step],
                                                   d, e, f.value[k * f.step]);
        }
}

/* Finish a block: its results may overwrite the operands. */
INLINE void store_block(const block *b, int64_t at, const operand *in, int n_in, at_theta f,
                        one_lane rule, double *out, const int n_elements)
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
    one_by_one(at, in, n_in, f, beyond, n_elements, rule, result);
    memcpy(out + at * LANES, result, n_elements * LANES * sizeof(double));
}

/* A kernel of n_in operands: `prepare` gives the terms of (x, y, f0), `rule` works on a
 * block, `lane` is the rule for one lane. */
#define SMOOTH(name, n_in, prepare, rule, lane)                                        \
    static double name##_lane(double x, double y, double d, double e, double f0)       \
    {                                                                                  \
        return lane;                                                                   \
    }                                                                                  \
    static void name##_terms(int64_t n, const operand *in, const at_theta *at)         \
    {                                                                                  \
        const at_theta f = *at;                                                        \
        const operand first = in[0], last = in[n_in - 1];                              \
        for (int64_t i = 0; i < n; i++)                                                \
            *(terms *)(f.terms + i * f.step * N_TERMS) =                               \
                prepare(first.base[i * first.base_step],                               \
                        last.base[i * last.base_step], f.value[i * f.step]);           \
    }                                                                                  \
    static void name(int64_t n, const operand *in, const at_theta *at, double *out,        \
                     int64_t *crossed)                                                 \
    {                                                                                  \
        const at_theta f = *at;                                                        \
        int64_t i = 0;                                                                 \
        for (; i + BLOCK_ELEMENTS <= n; i += BLOCK_ELEMENTS) {                         \
            block b;                                                                   \
            load_block(&b, i, in, n_in, f, prepare, BLOCK_ELEMENTS);                   \
            rule(&b, MAX_BLOCK);                                                       \
            store_block(&b, i, in, n_in, f, name##_lane, out, BLOCK_ELEMENTS);         \
        }                                                                              \
        for (; i < n; i++) {                                                           \
            block b;                                                                   \
            load_block(&b, i, in, n_in, f, prepare, 1);                                \
            rule(&b, N_VECS);                                                          \
            store_block(&b, i, in, n_in, f, name##_lane, out, 1);                      \
        }                                                                              \
    }

#define NEVER -1.0
static int is_within(double x, double low, double high) { return x >= low && x <= high; }
INLINE vi vec_is_within(vd x, double low, double high) { return (x >= low) & (x <= high); }

/* ---- e^x (e^d - 1): a is e^x ----------------------------------------------------------- */

/* e^x is a normal number, or nothing beside what e^d could make of it. */
static terms exp_terms(double x, double y, double f0)
{
    return (terms){is_within(f0, 1e-290, 1e300) || x < -1500.0 ? 700.0 : NEVER, f0, 0.0};
}
static terms expm1_terms(double x, double y, double f0) { return exp_terms(x, y, exp(x)); }
INLINE void rule_exp(block *b, const int n)
{
    vec_expm1(b->d, n);
    EACH b->d[i] *= b->a[i];
}
SMOOTH(smooth_exp, 1, exp_terms, rule_exp, exp_difference(x, d, f0))
SMOOTH(smooth_expm1, 1, expm1_terms, rule_exp, expm1_difference(x, d, f0))

/* ---- log(1 + d / x): b is 1 / x, or 1 / (1 + x) -------------------------------------------- */

static terms log_terms(double x, double y, double f0)
{
    return (terms){is_within(x, 1e-150, 1e150) ? 1e150 : NEVER, 0.0, 1.0 / x};
}
static terms log1p_terms(double x, double y, double f0) { return log_terms(1.0 + x, y, f0); }

/* log((y + d) / y), y being x + rest and b = 1 / y. By log(1 + t) = log u + (t - (u - 1)) / u
 * with u = fl(1 + t) (Goldberg; Kahan's correction); where little is left of y, u is the
 * quotient itself. */
INLINE void vec_log_ratio(vd *d, const vd *x, const vd *rest, const vd *b, const int n)
{
    vd u[MAX_BLOCK], correction[MAX_BLOCK];
    EACH u[i] = d[i] * b[i];
    if (vec_near_zero(u, n) == VERY_NEAR) {
        EACH d[i] = u[i] - (u[i] * u[i]) * 0.5;
        return;
    }
    EACH {
        const vd t = u[i], whole = 1.0 + t, y = x[i] + d[i];
        const vi small = t < -0.5;
        u[i] = vec_select(small, (y + (vec_sum_error(x[i], d[i], y) + rest[i])) * b[i], whole);
        correction[i] = vec_select(small, vec_splat(0.0), (t - (whole - 1.0)) / whole);
    }
    vec_log(u, n);
    EACH d[i] = u[i] + correction[i];
}
INLINE void rule_log(block *b, const int n)
{
    vd zero[MAX_BLOCK];
    EACH zero[i] = vec_splat(0.0);
    vec_log_ratio(b->d, b->x, zero, b->b, n);
}
INLINE void rule_log2(block *b, const int n)
{
    rule_log(b, n);
    EACH b->d[i] *= LOG2E;
}
#define LOG10E 0x1.bcb7b1526e50ep-2
INLINE void rule_log10(block *b, const int n)
{
    rule_log(b, n);
    EACH b->d[i] *= LOG10E;
}
INLINE void rule_log1p(block *b, const int n)
{
    vd y[MAX_BLOCK], rest[MAX_BLOCK];
    EACH y[i] = 1.0 + b->x[i];
    EACH rest[i] = vec_sum_error(vec_splat(1.0), b->x[i], y[i]);
    vec_log_ratio(b->d, y, rest, b->b, n);
}
SMOOTH(smooth_log, 1, log_terms, rule_log, log_difference(x, d, f0))
SMOOTH(smooth_log2, 1, log_terms, rule_log2, log_difference(x, d, f0) * LOG2E)
SMOOTH(smooth_log10, 1, log_terms, rule_log10, log_difference(x, d, f0) * LOG10E)
SMOOTH(smooth_log1p, 1, log1p_terms, rule_log1p, log1p_difference(x, d, f0))

/* ---- x^y = e^(y log x), of x alone: b is 1 / x ---------------------------------------------- */

static terms power_terms(double x, double y, double f0)
{
    return is_within(fabs(f0), 1e-290, 1e300) ? log_terms(x, y, f0) : (terms){NEVER, 0.0, 0.0};
}
INLINE void rule_power(block *b, const int n)
{
    EACH b->beyond[i] |= b->e[i] != 0.0;
    rule_log(b, n);
    EACH b->d[i] *= b->y[i];
    EACH b->beyond[i] |= ~(vec_abs(b->d[i]) < 1.0);
    vec_expm1(b->d, n);
    EACH b->d[i] *= b->f[i];
}
SMOOTH(smooth_power, 2, power_terms, rule_power, power_difference(x, y, d, e, f0))

/* ---- log(e^x + e^y): a and b are the shares of its terms -------------------------------------- */

static terms logaddexp_terms(double x, double y, double f0)
{
    return (terms){fabs(x - y) <= 600.0 ? 600.0 : NEVER, share(x, y), share(y, x)};
}
INLINE void vec_log1p(vd *x, const int n)
{
    vd one[MAX_BLOCK], zero[MAX_BLOCK];
    EACH one[i] = vec_splat(1.0);
    EACH zero[i] = vec_splat(0.0);
    vec_log_ratio(x, one, zero, one, n);
}
INLINE void rule_logaddexp(block *b, const int n)
{
    vec_expm1(b->d, n);
    vec_expm1(b->e, n);
    EACH b->d[i] = b->a[i] * b->d[i] + b->b[i] * b->e[i];
    EACH b->beyond[i] |= ~vec_is_within(b->d[i], -0.5, 1e300);
    vec_log1p(b->d, n);
}
SMOOTH(smooth_logaddexp, 2, logaddexp_terms, rule_logaddexp,
       logaddexp_difference(x, y, d, e, f0))

/* ---- tanh x = (1 - u) / (1 + u) with u = e^(-2x), for x >= 0; else mirrored -------------------
 *
 * With p = e^(-2d) - 1 and w = u / (1 + u) the difference is -2 w p / (1 + u) / (1 + w p).
 * a is w, b is 4 w / (1 + u), which is 1 - f0^2: of tiny d it is b d (1 - f0 d). */

static terms tanh_terms(double x, double y, double f0)
{
    const double u = exp(-2.0 * fabs(x)), w = u / (1.0 + u);
    return (terms){fabs(x) <= 340.0 ? 340.0 : NEVER, w, 4.0 * w / (1.0 + u)};
}
INLINE void rule_tanh(block *b, const int n)
{
    vd q[MAX_BLOCK], minus[MAX_BLOCK];
    const int how = vec_near_zero(b->d, n);
    if (how == VERY_NEAR) {
        EACH q[i] = b->b[i] * b->d[i];
        EACH b->d[i] = q[i] - q[i] * (b->f[i] * b->d[i]);
        return;
    }
    EACH minus[i] = (vd)(((vi)b->f[i] & INT64_MIN) ^ (vi)vec_splat(-1.0));
    EACH b->d[i] *= 2.0 * minus[i];
    EACH b->b[i] *= 0.5 * minus[i];
    if (how == NEAR) {
        vec_expm1_near_zero(b->d, how, n);
        EACH q[i] = b->a[i] * b->d[i];
        EACH b->d[i] *= b->b[i] * ((1.0 - q[i]) + (1.0 - q[i]) * (q[i] * q[i]));
        return;
    }
    vec_expm1(b->d, n);
    EACH b->d[i] = (b->b[i] * b->d[i]) / (1.0 + b->a[i] * b->d[i]);
}
SMOOTH(smooth_tanh, 1, tanh_terms, rule_tanh, tanh_difference(x, d, f0))

/* ---- sine and cosine, by the middle of x and x + d --------------------------------------------- */

#define FAR_ROUND 1e5
static terms circular_terms(double x, double y, double f0)
{
    return (terms){fabs(x) <= FAR_ROUND ? FAR_ROUND : NEVER, 0.0, 0.0};
}
/* Sine of half of d; sine and cosine of x + d / 2. */
INLINE void half_and_middle(const block *b, vd *half, vd *sine, vd *cosine, const int n)
{
    vd h[MAX_BLOCK], middle[MAX_BLOCK], rest[MAX_BLOCK], unused[MAX_BLOCK];
    EACH h[i] = 0.5 * b->d[i];
    EACH rest[i] = vec_splat(0.0);
    vec_sincos(h, rest, half, unused, n);
    EACH middle[i] = b->x[i] + h[i];
    EACH rest[i] = vec_sum_error(b->x[i], h[i], middle[i]);
    vec_sincos(middle, rest, sine, cosine, n);
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
SMOOTH(smooth_sin, 1, circular_terms, rule_sin, sin_difference(x, d, f0))
SMOOTH(smooth_cos, 1, circular_terms, rule_cos, cos_difference(x, d, f0))

/* ---- erf: small steps by quadrature; a is the bell at x ------------------------------------------ */

static terms erf_terms(double x, double y, double f0)
{
    const double limit = fabs(x) < 25.0 ? ERF_STEP / (1.0 + fabs(x)) : NEVER;
    return (terms){limit, bell(x), 0.0};
}
INLINE void rule_erf(block *b, const int n)
{
    vd sum[MAX_BLOCK], t[MAX_BLOCK];
    EACH sum[i] = vec_splat(0.0);
    for (int k = 0; k < N_NODES; k++) {
        EACH t[i] = b->d[i] * NODES[k];
        EACH t[i] = -t[i] * (2.0 * b->x[i] + t[i]);
        vec_expm1(t, n);
        EACH sum[i] += WEIGHTS[k] + WEIGHTS[k] * t[i];
    }
    EACH b->d[i] = b->a[i] * b->d[i] * sum[i];
}
INLINE void rule_erfc(block *b, const int n)
{
    rule_erf(b, n);
    EACH b->d[i] = -b->d[i];
}
SMOOTH(smooth_erf, 1, erf_terms, rule_erf, erf_difference(x, d, f0))
SMOOTH(smooth_erfc, 1, erf_terms, rule_erfc, erfc_difference(x, d, f0))

#endif
