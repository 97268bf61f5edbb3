/* exp, expm1, log, sine and cosine on vectors of doubles, to an ulp or two.
 *
 * Each works in place on n vectors (n a small compile-time constant) in lockstep: every
 * step for all of them before the next step. A polynomial is a chain of dependent
 * multiply-adds; side by side, several chains fill the time in which one would wait.
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
INLINE int vec_any(vi mask)
{
#if VEC_BYTES == 64
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif VEC_BYTES == 32
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
    return (mask[0] | mask[1]) != 0;
#endif
}
INLINE vd vec_abs(vd x) { return (vd)((vi)x & INT64_MAX); }
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
/* Lanes noted so far, and those where `gap` has another sign than `gap0` (zero is a sign
 * of its own). */
#if VEC_BYTES == 64
typedef struct { __mmask8 bits; } vec_flags;
INLINE vec_flags vec_note_sides(vec_flags flags, vd gap, double gap0)
{
    const __m512d product = (__m512d)(gap * gap0);
    const __mmask8 other = _mm512_cmp_pd_mask(product, _mm512_setzero_pd(), _CMP_LE_OQ);
    flags.bits |= _mm512_mask_cmp_pd_mask(other, (__m512d)gap, _mm512_set1_pd(gap0),
                                          _CMP_NEQ_UQ);
    return flags;
}
INLINE vi vec_noted(vec_flags flags) { return (vi)_mm512_movm_epi64(flags.bits); }
/* Negative where |d| is not less than |gap|. (Masks would wait for each other: signs, of NaN
 * too, say it as well.) */
INLINE vi vec_reached(vd d, vd gap)
{
    return (vi)((vd)((vi)d | INT64_MIN) - (vd)((vi)gap | INT64_MIN)) - 1;
}
INLINE int vec_any_negative(vi x) { return _mm512_movepi64_mask((__m512i)x) != 0; }
/* d where x, which is not zero, is positive, else zero. */
INLINE vd vec_if_positive(vd x, vd d) { return (vd)((vi)d & ~((vi)x >> 63)); }
#else
typedef struct { vi bits; } vec_flags;
INLINE vec_flags vec_note_sides(vec_flags flags, vd gap, double gap0)
{
    flags.bits |= (gap * gap0 <= 0.0) & (gap != gap0);
    return flags;
}
INLINE vi vec_noted(vec_flags flags) { return flags.bits; }
INLINE vi vec_reached(vd d, vd gap) { return ~(vec_abs(d) < vec_abs(gap)); }
INLINE int vec_any_negative(vi x) { return vec_any(x); }
INLINE vd vec_if_positive(vd x, vd d) { return (vd)((vi)d & (x > 0.0)); }
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
/* The longest block of vectors. */
#define MAX_BLOCK 4
#define EACH _Pragma("GCC unroll 4") for (int i = 0; i < n; i++)

/* p = polynomial of t, highest coefficient first */
#define HORNER(p, t, ...)                                                              \
    do {                                                                               \
        static const double c_[] = {__VA_ARGS__};                                      \
        EACH p[i] = vec_splat(c_[0]);                                                  \
        _Pragma("GCC unroll 16") for (int k = 1; k < (int)(sizeof c_ / 8); k++)        \
            EACH p[i] = p[i] * t[i] + c_[k];                                           \
    } while (0)

INLINE vd vec_pow2(vi k) { return (vd)((vu)(k + 1023) << 52); }

/* k = rint(x / ln2), and x becomes expm1(x - k ln2) */
INLINE void vec_expm1_reduced(vd *x, vi *k, const int n)
{
    vd shifted[MAX_BLOCK], q[MAX_BLOCK];
    EACH shifted[i] = x[i] * LOG2E + TO_INTEGER;
    EACH k[i] = vec_bits(shifted[i]) - vec_bits(vec_splat(TO_INTEGER));
    EACH shifted[i] -= TO_INTEGER;
    EACH x[i] = (x[i] - shifted[i] * LN2_HI) - shifted[i] * LN2_LO;
    HORNER(q, x, 0x1.af38a9b0ec855p-26, 0x1.289185613a3d6p-22, 0x1.71de0dae63bb3p-19,
           0x1.a019b90d2ae7ap-16, 0x1.a01a01a7c41d5p-13, 0x1.6c16c1788bd90p-10,
           0x1.11111111109b3p-7, 0x1.5555555553d63p-5, 0x1.5555555555556p-3,
           0x1.0000000000001p-1);
    EACH x[i] = x[i] + (x[i] * x[i]) * q[i];
}

INLINE void vec_exp(vd *x, const int n)
{
    vi k[MAX_BLOCK];
    EACH x[i] = vec_clamp(x[i], -746.0, 710.0);
    vec_expm1_reduced(x, k, n);
    /* 2^k in two factors: k reaches -1076 and 1024, beyond one exponent */
    EACH x[i] = ((1.0 + x[i]) * vec_pow2(k[i] >> 1)) * vec_pow2(k[i] - (k[i] >> 1));
}

/* Up to here expm1 takes four terms, and 1 / (1 + q) that many factors; up to TINY two terms
 * and one factor. */
#define NEAR_ZERO 0x1p-14
#define TINY 0x1p-27
enum { FAR_FROM_ZERO, NEAR, VERY_NEAR };
INLINE int vec_near_zero(const vd *x, const int n)
{
    vd largest = vec_abs(x[0]);
    /* in this order: where x is NaN, the largest so far stays */
    EACH largest = vec_larger(vec_abs(x[i]), largest);
    if (!vec_any(~(largest <= TINY)))
        return VERY_NEAR;
    return vec_any(~(largest <= NEAR_ZERO)) ? FAR_FROM_ZERO : NEAR;
}
INLINE void vec_expm1_near_zero(vd *x, const int how, const int n)
{
    if (how == VERY_NEAR)
        EACH x[i] = x[i] + (x[i] * x[i]) * 0.5;
    else
        EACH x[i] = x[i] + (x[i] * x[i]) * (0.5 + x[i] * (1.0 / 6 + x[i] * (1.0 / 24)));
}

/* For x up to 709. */
INLINE void vec_expm1(vd *x, const int n)
{
    vi k[MAX_BLOCK];
    const int how = vec_near_zero(x, n);
    if (how) {
        vec_expm1_near_zero(x, how, n);
        return;
    }
    EACH x[i] = vec_larger(vec_splat(-40.0), x[i]);
    vec_expm1_reduced(x, k, n);
    EACH x[i] = vec_pow2(k[i]) * x[i] + (vec_pow2(k[i]) - 1.0);
}

INLINE void vec_log(vd *x, const int n)
{
    vd f[MAX_BLOCK], s[MAX_BLOCK], z[MAX_BLOCK], p[MAX_BLOCK];
    vi k[MAX_BLOCK];
    EACH {
        const vi tiny = x[i] < 0x1p-1022;
        /* the exponent that puts m in [sqrt(1/2), sqrt(2)) */
        const vu bits = (vu)vec_bits(vec_select(tiny, x[i] * 0x1p54, x[i]));
        k[i] = (vi)(bits - 0x3fe6a09e667f3bcdULL) >> 52;
        f[i] = (vd)(bits - ((vu)k[i] << 52)) - 1.0;
        k[i] = k[i] - (tiny & 54);
    }
    EACH s[i] = f[i] / (f[i] + 2.0);
    EACH z[i] = s[i] * s[i];
    HORNER(p, z, 0x1.2b5900de53b32p-3, 0x1.39fe51a7c18f9p-3, 0x1.7462b51cb66b1p-3,
           0x1.c71c62e3f11e6p-3, 0x1.2492492df281ap-2, 0x1.99999999952d7p-2,
           0x1.5555555555558p-1);
    EACH {
        /* log m = f - f^2/2 + s (f^2/2 + z p): the first term exact, the others small */
        const vd square = 0.5 * f[i] * f[i];
        const vd whole = __builtin_convertvector(k[i], vd);
        vd y = whole * LN2_HI
               + (f[i] - (square - (s[i] * (square + z[i] * p[i]) + whole * LN2_LO)));
        y = vec_select(x[i] == 0.0, vec_splat(-INFINITY), y);
        y = vec_select(x[i] == INFINITY, x[i], y);
        /* negative or NaN: neither x >= 0 nor x < 0 holds for NaN */
        x[i] = vec_select(x[i] >= 0.0, y, vec_splat(NAN));
    }
}

/* What rounding took from s = x + y (Knuth). */
INLINE vd vec_sum_error(vd x, vd y, vd s)
{
    const vd back = s - x;
    return (x - (s - back)) + (y - back);
}

/* Sine and cosine of x + e, for |x| up to 2^17 and an e of some ulp of it. pi/2 in three
 * parts (Cody and Waite), the first two of 33 bits, so that k times them is exact. */
INLINE void vec_sincos(const vd *x, const vd *e, vd *sine, vd *cosine, const int n)
{
    vd shifted[MAX_BLOCK], r[MAX_BLOCK], z[MAX_BLOCK], s[MAX_BLOCK], c[MAX_BLOCK];
    vi k[MAX_BLOCK];
    EACH shifted[i] = x[i] * 0x1.45f306dc9c883p-1 + TO_INTEGER;
    EACH k[i] = vec_bits(shifted[i]);
    EACH shifted[i] -= TO_INTEGER;
    EACH r[i] = ((x[i] - shifted[i] * 0x1.921fb54400000p+0)
                 - shifted[i] * 0x1.0b4611a600000p-34)
                + (e[i] - shifted[i] * 0x1.3198a2e037073p-69);
    EACH z[i] = r[i] * r[i];
    HORNER(s, z, 0x1.5e0916b55daefp-33, -0x1.ae60056a84b16p-26, 0x1.71de379129f2ep-19,
           -0x1.a01a019e7f846p-13, 0x1.1111111110ba1p-7, -0x1.5555555555555p-3);
    HORNER(c, z, -0x1.907b9fa75de90p-37, 0x1.1eeb661c764f2p-29, -0x1.27e4fa1529574p-22,
           0x1.a01a019f4c9c5p-16, -0x1.6c16c16c1695ep-10, 0x1.5555555555555p-5);
    EACH s[i] = r[i] + (r[i] * z[i]) * s[i];
    EACH c[i] = 1.0 - (0.5 * z[i] - (z[i] * z[i]) * c[i]);
    EACH {
        const vi odd = -(k[i] & 1);
        const vd a = vec_select(odd, c[i], s[i]), b = vec_select(odd, s[i], c[i]);
        sine[i] = (vd)(vec_bits(a) ^ ((k[i] & 2) << 62));
        cosine[i] = (vd)(vec_bits(b) ^ (((k[i] + 1) & 2) << 62));
    }
}

#endif
