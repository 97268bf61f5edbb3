#include "philox.h"

#include <string.h>

#include "dispatch.h"

/* The widest vectors of this level, as 64-bit lanes, and the product of their low
 * halves, which GCC does not find by itself. */
#if defined(__AVX512F__)
#include <immintrin.h>
typedef uint64_t lanes __attribute__((vector_size(64)));
#define MUL32(a, b) ((lanes)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#elif defined(__AVX2__)
#include <immintrin.h>
typedef uint64_t lanes __attribute__((vector_size(32)));
#define MUL32(a, b) ((lanes)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#elif defined(__SSE2__)
#include <emmintrin.h>
typedef uint64_t lanes __attribute__((vector_size(16)));
#define MUL32(a, b) ((lanes)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#else
typedef uint64_t lanes __attribute__((vector_size(16)));
#define MUL32(a, b) (((a) & 0xFFFFFFFF) * ((b) & 0xFFFFFFFF))
#endif
enum {
    LANES = PHILOX_LANES,
    GROUP = PHILOX_GROUP,
    WIDTH = sizeof(lanes) / sizeof(uint64_t)
};

typedef uint32_t words[4][LANES];

static inline lanes all(uint64_t x)
{
    return x - (lanes){0};
}

static inline void philox_round(lanes x[4], lanes k0, lanes k1)
{
    const lanes p0 = MUL32(x[0], all(0xD2511F53)), p1 = MUL32(x[2], all(0xCD9E8D57));
    x[0] = (p1 >> 32) ^ x[1] ^ k0;
    x[1] = p1;
    x[2] = (p0 >> 32) ^ x[3] ^ k1;
    x[3] = p0;
}

/* The four words of counters 16 * group + 0 .. 15. Even counters are worked on in one
 * vector of 64-bit lanes and odd ones in another: the product of two low halves is one
 * instruction, and what collects in the high halves does no harm. */
static inline void group_words(const struct philox_draw *draw, uint64_t group, words w)
{
    static const uint64_t even[] = {0, 2, 4, 6, 8, 10, 12, 14};
    for (int first = 0; first < LANES; first += 2 * WIDTH) {
        lanes x[4], y[4];
        memcpy(x, even, sizeof(lanes));
        x[0] += all((uint32_t)(group << 4) + first);
        y[0] = x[0] + 1;
        x[1] = y[1] = all(group >> 28);
        x[2] = y[2] = all(draw->stream[0]);
        x[3] = y[3] = all(draw->stream[1]);
        lanes k0 = all(draw->key[0]), k1 = all(draw->key[1]);
#pragma GCC unroll 10
        for (int round = 0; round < PHILOX_ROUNDS; round++) {
            philox_round(x, k0, k1);
            philox_round(y, k0, k1);
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        for (int k = 0; k < 4; k++) {
            const lanes both = (x[k] & 0xFFFFFFFF) | y[k] << 32;
            memcpy(w[k] + first, &both, sizeof both);
        }
    }
}

#define REAL float
#define BITS int32_t
#define R(name) name##_f32
#define MANTISSA 23
#define ROOT_HALF 0x3F3504F3
#define LOG_TERMS 4
#define SIN_TERMS 4
#define COS_TERMS 4
#define LOG2_HEAD 0x1.62e4p-1f
#define LOG2_TAIL 0x1.7f7d1cf79abcap-20f
#define PI_HEAD 0x1.92p-31f
#define PI_TAIL 0x1.fb54442d1846ap-43f
#define SQRT __builtin_sqrtf
#include "philox_real.h"

#define REAL double
#define BITS int64_t
#define R(name) name##_f64
#define MANTISSA 52
#define ROOT_HALF 0x3FE6A09E667F3BCD
#define LOG_TERMS 11
#define SIN_TERMS 7
#define COS_TERMS 7
#define LOG2_HEAD 0x1.62e42fefa2p-1
#define LOG2_TAIL 0x1.9ef35793c7673p-41
#define PI_HEAD 0x1.921fb544p-31
#define PI_TAIL 0x1.0b4611a626331p-65
#define SQRT __builtin_sqrt
#include "philox_real.h"

/* The quantile of the normal distribution at 1/2 + q, for |q| < 1/2; `p` is the tail
 * 1/2 - |q|, exact where it is small. Wichura (1988), algorithm AS 241, PPND16; its
 * third region, p < 1.4e-11, lies beyond 32-bit words. */
static inline double quantile(double q, double p)
{
    static const double a[] = {
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
        1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
        3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double b[] = {
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2,
        5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
        2.8729085735721942674e4, 5.2264952788528545610e3};
    static const double c[] = {
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
        3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[] = {
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0,
        6.89767334985100004550e-1, 1.48103976427480074590e-1,
        1.51986665636164571966e-2, 5.47593808499534494600e-4,
        1.05075007164441684324e-9};
    const double centre = 0.180625 - q * q;
    double f;
    const double k = split_f64(p, &f);
    const double r = __builtin_sqrt(-log_parts_f64(k, f)) - 1.6;
    double ca = a[7], cb = b[7], tc = c[7], td = d[7];
    for (int i = 6; i >= 0; i--) {
        ca = ca * centre + a[i];
        cb = cb * centre + b[i];
        tc = tc * r + c[i];
        td = td * r + d[i];
    }
    const double tail = tc / td;
    const double middle = q * (ca / cb);
    return p > 0.075 ? middle : q < 0 ? -tail : tail;
}

static inline void truncated_group(words w, const struct philox_draw *draw, double *out)
{
    const double half = draw->inside / 2;
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < LANES; j++) {
            const double s = ((double)(int32_t)w[k][j] + 0.5) * 0x1p-31;
            const double p = draw->outside + half * (1 - __builtin_fabs(s));
            out[LANES * k + j] = quantile(half * s, p) * draw->scale;
        }
}

/* The words of each of `count` groups, and what becomes of them. */
#define EACH_GROUP(made)                                                               \
    for (int64_t i = 0; i < count; i++) {                                              \
        words w;                                                                       \
        group_words(draw, group + i, w);                                               \
        made;                                                                          \
    }

static void narrowed_group(words w, const struct philox_draw *draw, float *out)
{
    double wide[GROUP];
    truncated_group(w, draw, wide);
    for (int k = 0; k < GROUP; k++)
        out[k] = (float)wide[k];
}

/* A function that writes `count` groups of a law, side by side. */
#define GROUPS(name, type, normal, uniform, truncated)                                 \
    static void name(const struct philox_draw *draw, uint64_t group, int64_t count,    \
                     type *out)                                                        \
    {                                                                                  \
        if (draw->law == PHILOX_NORMAL)                                                \
            EACH_GROUP(normal(w, draw, out + i * GROUP))                               \
        else if (draw->law == PHILOX_UNIFORM)                                          \
            EACH_GROUP(uniform(w, draw, out + i * GROUP))                              \
        else                                                                           \
            EACH_GROUP(truncated(w, draw, out + i * GROUP))                            \
    }
GROUPS(groups_f64, double, normal_group_f64, uniform_group_f64, truncated_group)
GROUPS(groups_f32, float, normal_group_f32, uniform_group_f32, narrowed_group)

/* Round to the nearest, ties to even. */
static inline uint16_t to_half(float x)
{
    const uint32_t bits = (uint32_t)to_bits_f32(x);
    const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF;
    const uint32_t normal = (size - (112u << 23) + 0xFFF + (size >> 13 & 1)) >> 13;
    /* ulp(1/2) is the spacing of float16's subnormal numbers */
    const uint32_t small = to_bits_f32(from_bits_f32((int32_t)size) + 0.5f) - 0x3F000000;
    const uint32_t finite = size < 0x38800000 ? small : normal;
    return (uint16_t)(sign | (size < 0x47800000 ? finite : 0x7C00));
}

static inline uint16_t to_bfloat(float x)
{
    const uint32_t bits = (uint32_t)to_bits_f32(x);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static void groups_16(const struct philox_draw *draw, uint64_t group, int64_t count,
                      int dtype, uint16_t *out)
{
    for (int64_t i = 0; i < count; i++, out += GROUP) {
        float wide[GROUP];
        groups_f32(draw, group + i, 1, wide);
        if (dtype == PHILOX_F16)
            for (int k = 0; k < GROUP; k++)
                out[k] = to_half(wide[k]);
        else
            for (int k = 0; k < GROUP; k++)
                out[k] = to_bfloat(wide[k]);
    }
}

static void groups_any(const struct philox_draw *draw, uint64_t group, int64_t count,
                       int dtype, char *out)
{
    if (dtype == PHILOX_F64)
        groups_f64(draw, group, count, (double *)out);
    else if (dtype == PHILOX_F32)
        groups_f32(draw, group, count, (float *)out);
    else
        groups_16(draw, group, count, dtype, (uint16_t *)out);
}

static size_t item_size(int dtype)
{
    return dtype == PHILOX_F64 ? 8 : dtype == PHILOX_F32 ? 4 : 2;
}

/* Places start .. stop - 1 of the array, side by side. */
static void fill_run(const struct philox_draw *draw, int64_t start, int64_t stop, int dtype,
                     char *out)
{
    const size_t item = item_size(dtype);
    start += draw->offset;
    stop += draw->offset;
    while (start < stop) {
        const int64_t group = start / GROUP, skip = start % GROUP;
        int64_t n = stop - start;
        if (skip == 0 && n >= GROUP) {
            n -= n % GROUP;
            groups_any(draw, (uint64_t)group, n / GROUP, dtype, out);
        } else {
            double room[GROUP];
            n = n < GROUP - skip ? n : GROUP - skip;
            groups_any(draw, (uint64_t)group, 1, dtype, (char *)room);
            memcpy(out, (char *)room + skip * item, n * item);
        }
        start += n;
        out += n * item;
    }
}

static void copy_strided(char *out, ptrdiff_t stride, const char *in, size_t item, int64_t n)
{
    if (stride == (ptrdiff_t)item)
        memcpy(out, in, n * item);
    else if (item == 2)
        for (int64_t i = 0; i < n; i++)
            memcpy(out + i * stride, in + i * 2, 2);
    else if (item == 4)
        for (int64_t i = 0; i < n; i++)
            memcpy(out + i * stride, in + i * 4, 4);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(out + i * stride, in + i * 8, 8);
}

static void FG(fill)(const struct philox_draw *draw, int64_t start, int64_t stop,
                     const struct philox_array *array)
{
    enum { ROOM = 1024, MAX_DIM = 64 };
    const size_t item = item_size(array->dtype);
    if (array->contiguous) {
        fill_run(draw, start, stop, array->dtype, array->data + start * item);
        return;
    }
    const int last = array->ndim - 1;
    ptrdiff_t index[MAX_DIM];
    char *at = array->data;
    int64_t rest = start;
    for (int axis = last; axis >= 0; axis--) {
        index[axis] = rest % array->shape[axis];
        rest /= array->shape[axis];
        at += index[axis] * array->strides[axis];
    }
    while (start < stop) {
        double room[ROOM];
        const int64_t n = stop - start < ROOM ? stop - start : ROOM;
        fill_run(draw, start, start + n, array->dtype, (char *)room);
        for (int64_t done = 0; done < n;) {
            const int64_t left = array->shape[last] - index[last];
            const int64_t run = n - done < left ? n - done : left;
            copy_strided(at, array->strides[last], (char *)room + done * item, item, run);
            done += run;
            index[last] += run;
            at += run * array->strides[last];
            for (int axis = last; axis > 0 && index[axis] == array->shape[axis]; axis--) {
                at += array->strides[axis - 1] - index[axis] * array->strides[axis];
                index[axis] = 0;
                index[axis - 1]++;
            }
        }
        start += n;
    }
}

const struct philox_table FG(philox_table) = {FG(fill)};
