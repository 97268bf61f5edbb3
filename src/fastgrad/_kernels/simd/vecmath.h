/* exp, expm1, log, log1p, tanh on vectors of doubles, to a few ulp over the whole range
 * (infinities, NaN, subnormal results and the tails included).
 *
 * exp and expm1: x = k ln2 + r with |r| <= ln2/2 (ln2 in two parts, Cody and Waite),
 * expm1(r) = r + r^2 Q(r) with Q of degree 9, interpolated at Chebyshev nodes (error
 * 4e-17 relative). log: x = 2^k m with m in [sqrt(1/2), sqrt(2)), s = (m-1)/(m+1),
 * log m = 2s + s^3 R(s^2) with R of degree 6 (error 5e-18). Branch free.
 */
#ifndef FASTGRAD_VECMATH_H
#define FASTGRAD_VECMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VEC_BYTES 64
#elif defined(__AVX__)
#define VEC_BYTES 32
#else
#define VEC_BYTES 16
#endif
#define VEC_LEN (VEC_BYTES / 8)

typedef double vd __attribute__((vector_size(VEC_BYTES), aligned(8), may_alias));
typedef int64_t vi __attribute__((vector_size(VEC_BYTES), aligned(8), may_alias));
typedef uint64_t vu __attribute__((vector_size(VEC_BYTES), aligned(8), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vd vec_splat(double x) { return x - (vd){0}; }
INLINE vd vec_load(const double *p) { return *(const vd *)p; }
INLINE void vec_store(double *p, vd x) { *(vd *)p = x; }
INLINE vi vec_bits(vd x) { return (vi)x; }
/* mask: all bits set where a lane is true, as vector comparisons give it */
INLINE vd vec_select(vi mask, vd yes, vd no)
{
    return (vd)((mask & (vi)yes) | (~mask & (vi)no));
}
/* The larger, the smaller; y where either is NaN, as the instructions have it. */
#if VEC_BYTES == 64
INLINE vd vec_larger(vd x, vd y) { return (vd)_mm512_max_pd((__m512d)x, (__m512d)y); }
INLINE vd vec_smaller(vd x, vd y) { return (vd)_mm512_min_pd((__m512d)x, (__m512d)y); }
#elif VEC_BYTES == 32
INLINE vd vec_larger(vd x, vd y) { return (vd)_mm256_max_pd((__m256d)x, (__m256d)y); }
INLINE vd vec_smaller(vd x, vd y) { return (vd)_mm256_min_pd((__m256d)x, (__m256d)y); }
#elif defined(__SSE2__)
INLINE vd vec_larger(vd x, vd y) { return (vd)_mm_max_pd((__m128d)x, (__m128d)y); }
INLINE vd vec_smaller(vd x, vd y) { return (vd)_mm_min_pd((__m128d)x, (__m128d)y); }
#else
INLINE vd vec_larger(vd x, vd y) { return vec_select(x > y, x, y); }
INLINE vd vec_smaller(vd x, vd y) { return vec_select(x < y, x, y); }
#endif
/* y, but x where x is NaN */
INLINE vd vec_keep_nan(vd x, vd y)
{
#if VEC_BYTES == 64
    const __mmask8 nan = _mm512_cmp_pd_mask((__m512d)x, (__m512d)x, _CMP_UNORD_Q);
    return (vd)_mm512_mask_mov_pd((__m512d)y, nan, (__m512d)x);
#else
    return vec_select(x != x, x, y);
#endif
}
/* x within [low, high]; NaN stays */
INLINE vd vec_clamp(vd x, double low, double high)
{
    return vec_smaller(vec_splat(high), vec_larger(vec_splat(low), x));
}

#define LOG2E 0x1.71547652b82fep+0
#define LN2_HI 0x1.62e42fee00000p-1
#define LN2_LO 0x1.a39ef35793c76p-33
/* Adding 1.5 * 2^52 leaves the nearest integer in the low bits. */
#define TO_INTEGER 0x1.8p52

/* k = rint(x / ln2), and r = x - k ln2 */
INLINE vd vec_reduce_ln2(vd x, vi *k)
{
    vd shifted = x * LOG2E + TO_INTEGER;
    vd rounded = shifted - TO_INTEGER;
    *k = vec_bits(shifted) - vec_bits(vec_splat(TO_INTEGER));
    return (x - rounded * LN2_HI) - rounded * LN2_LO;
}

INLINE vd vec_pow2(vi k) { return (vd)((vu)(k + 1023) << 52); }

/* expm1 on [-ln2/2, ln2/2] */
INLINE vd vec_expm1_reduced(vd r)
{
    vd q = vec_splat(0x1.af38a9b0ec855p-26);
    q = q * r + 0x1.289185613a3d6p-22;
    q = q * r + 0x1.71de0dae63bb3p-19;
    q = q * r + 0x1.a019b90d2ae7ap-16;
    q = q * r + 0x1.a01a01a7c41d5p-13;
    q = q * r + 0x1.6c16c1788bd90p-10;
    q = q * r + 0x1.11111111109b3p-7;
    q = q * r + 0x1.5555555553d63p-5;
    q = q * r + 0x1.5555555555556p-3;
    q = q * r + 0x1.0000000000001p-1;
    return r + (r * r) * q;
}

INLINE vd vec_exp(vd x)
{
    vi k;
    vd r = vec_reduce_ln2(vec_clamp(x, -746.0, 710.0), &k);
    vd p = 1.0 + vec_expm1_reduced(r);
    /* 2^k in two factors: k reaches -1076 and 1024, beyond one exponent */
    vi half = k >> 1;
    return (p * vec_pow2(half)) * vec_pow2(k - half);
}

INLINE vd vec_expm1(vd x)
{
    vi k;
    vd r = vec_reduce_ln2(vec_clamp(x, -40.0, 710.0), &k);
    vd half = vec_pow2(k - 1);
    vd y = 2.0 * (half * vec_expm1_reduced(r) + (half - 0.5));
    return vec_select(x * x < 0x1p-108, x, y);
}

/* tanh x = e / (e + 2) with e = expm1(2x); 22 is where it rounds to 1 */
INLINE vd vec_tanh(vd x)
{
    vi k;
    vd r = vec_reduce_ln2(vec_clamp(2.0 * x, -44.0, 44.0), &k);
    vd scale = vec_pow2(k);
    vd e = scale * vec_expm1_reduced(r) + (scale - 1.0);
    return e / (e + 2.0);
}

INLINE vd vec_log(vd x)
{
    vi tiny = x < 0x1p-1022;
    vd scaled = vec_select(tiny, x * 0x1p54, x);
    /* the exponent that puts m in [sqrt(1/2), sqrt(2)) */
    vi bits = vec_bits(scaled);
    vi k = (bits - 0x3fe6a09e667f3bcdLL) >> 52;
    vd m = (vd)(bits - (k << 52));
    k = k - (tiny & 54);
    vd f = m - 1.0;
    vd s = f / (m + 1.0);
    vd z = s * s;
    vd p = vec_splat(0x1.2b5900de53b32p-3);
    p = p * z + 0x1.39fe51a7c18f9p-3;
    p = p * z + 0x1.7462b51cb66b1p-3;
    p = p * z + 0x1.c71c62e3f11e6p-3;
    p = p * z + 0x1.2492492df281ap-2;
    p = p * z + 0x1.99999999952d7p-2;
    p = p * z + 0x1.5555555555558p-1;
    /* log m = f - f^2/2 + s (f^2/2 + z p): the first term exact, the others small */
    vd square = 0.5 * f * f;
    vd n = __builtin_convertvector(k, vd);
    vd y = n * LN2_HI + (f - (square - (s * (square + z * p) + n * LN2_LO)));
    y = vec_select(x == 0.0, vec_splat(-INFINITY), y);
    y = vec_select(x == INFINITY, x, y);
    /* negative or NaN: neither x >= 0 nor x < 0 hold for NaN */
    return vec_select(x >= 0.0, y, vec_splat(NAN));
}

/* log1p x = log u + (x - (u - 1)) / u with u = fl(1 + x) (Goldberg; Kahan's correction) */
INLINE vd vec_log1p(vd x)
{
    vd u = 1.0 + x;
    vd correction = (x - (u - 1.0)) / u;
    correction = vec_select((u > 0.0) & (u < INFINITY), correction, vec_splat(0.0));
    vd y = vec_log(u) + correction;
    return vec_select(x == 0.0, x, y);
}

#endif
