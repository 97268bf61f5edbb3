/* Uniform words to real numbers, included once for each precision: the same formulas,
 * with as many terms of each series as the precision needs. */

static inline REAL R(from_bits)(BITS bits)
{
    REAL x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline BITS R(to_bits)(REAL x)
{
    BITS bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* sum of c[k] z^k */
#define POLY(c, z, n)                    \
    ({                                   \
        REAL sum_ = (c)[(n) - 1];        \
        for (int k_ = (n) - 2; k_ >= 0; k_--) \
            sum_ = sum_ * (z) + (c)[k_]; \
        sum_;                            \
    })

/* k log 2 + log(1 + f), |f| < 0.42: the logarithm is 2 artanh(s), s = f / (2 + f).
 * log 2 is split so that k times its head is exact. */
static inline REAL R(log_parts)(REAL k, REAL f)
{
    static const REAL series[] = {
        (REAL)(1 / 3.), (REAL)(1 / 5.), (REAL)(1 / 7.), (REAL)(1 / 9.),
        (REAL)(1 / 11.), (REAL)(1 / 13.), (REAL)(1 / 15.), (REAL)(1 / 17.),
        (REAL)(1 / 19.), (REAL)(1 / 21.), (REAL)(1 / 23.)};
    const REAL s = f / (2 + f);
    const REAL z = s * s;
    const REAL tail = 2 * z * POLY(series, z, LOG_TERMS);
    return k * LOG2_HEAD + (f - (s * (f - tail) - k * LOG2_TAIL));
}

/* x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt 2); x positive and normal */
static inline REAL R(split)(REAL x, REAL *f)
{
    const BITS bits = R(to_bits)(x);
    const BITS k = (bits - ROOT_HALF) >> MANTISSA;
    *f = R(from_bits)(bits - k * ((BITS)1 << MANTISSA)) - 1;
    return (REAL)(int32_t)k;
}

/* log(u) for u = (m + 1/2) / 2^31, 0 <= m < 2^31. Close to u = 1, f comes from the
 * distance to 1, which the integer holds exactly. */
static inline REAL R(log_unit)(int32_t m)
{
    REAL low;
    const REAL k = R(split)((REAL)m + (REAL)0.5, &low) - 31;
    const REAL high = ((REAL)(INT32_MAX - m) + (REAL)0.5) * (REAL)-0x1p-31;
    const int near_one = m > 0x5A827999; /* u > sqrt(1/2) */
    return R(log_parts)(near_one ? 0 : k, near_one ? high : low);
}

/* Box & Muller: two words to two independent normals. The angle 2 pi (b + 1/2) / 2^32
 * is a number of quarter turns and t, pi / 2^32 times an odd integer. The integer's two
 * halves are multiplied apart, so that `head` is exact, and t's own rounding is made up
 * for: float32 values are within 4 ulp of the float64 ones. */
static inline void R(normal_pair)(uint32_t a, uint32_t b, REAL square, REAL power,
                                  REAL *x, REAL *y)
{
    static const REAL sines[] = {
        (REAL)(-1 / 6.), (REAL)(1 / 120.), (REAL)(-1 / 5040.), (REAL)(1 / 362880.),
        (REAL)(-1 / 39916800.), (REAL)(1 / 6227020800.), (REAL)(-1 / 1307674368000.)};
    static const REAL cosines[] = {
        (REAL)(1 / 24.), (REAL)(-1 / 720.), (REAL)(1 / 40320.), (REAL)(-1 / 3628800.),
        (REAL)(1 / 479001600.), (REAL)(-1 / 87178291200.), (REAL)(1 / 20922789888000.)};
    const REAL r = SQRT(R(log_unit)((int32_t)(a >> 1)) * square) * power;
    const uint32_t quarter = (b + 0x20000000u) >> 30;
    const int32_t odd = (int32_t)(2 * (b - (quarter << 30)) + 1);
    const int32_t upper = (odd + 0x8000) & ~0xFFFF;
    const REAL head = (REAL)upper * PI_HEAD;
    const REAL rest = (REAL)upper * PI_TAIL +
                      (REAL)(odd - upper) * (REAL)(3.14159265358979323846 * 0x1p-32);
    const REAL t = head + rest;
    const REAL error = head - t + rest;
    const REAL z = t * t;
    const REAL s = head + (rest + t * (z * POLY(sines, z, SIN_TERMS)));
    const REAL down = (REAL)0.5 * z;
    const REAL c = 1 - down;
    const REAL tail = z * z * POLY(cosines, z, COS_TERMS);
    const REAL cosine = c + ((1 - c - down) + (tail - t * error));
    const REAL u = quarter & 1 ? s : cosine;
    const REAL v = quarter & 1 ? cosine : s;
    *x = (quarter + 1) & 2 ? -r * u : r * u;
    *y = quarter & 2 ? -r * v : r * v;
}

static inline void R(normal_group)(words w, const struct philox_draw *draw, REAL *out)
{
    const REAL square = (REAL)(-2 * draw->fraction * draw->fraction);
    const REAL power = (REAL)draw->power;
    for (int pair = 0; pair < 4; pair += 2)
        for (int j = 0; j < LANES; j++)
            R(normal_pair)(w[pair][j], w[pair + 1][j], square, power,
                           out + LANES * pair + j, out + LANES * (pair + 1) + j);
}

static inline void R(uniform_group)(words w, const struct philox_draw *draw, REAL *out)
{
    const REAL scale = (REAL)draw->scale;
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < LANES; j++)
            out[LANES * k + j] =
                ((REAL)(int32_t)w[k][j] + (REAL)0.5) * (REAL)0x1p-31 * scale;
}

#undef POLY
#undef REAL
#undef BITS
#undef R
#undef MANTISSA
#undef ROOT_HALF
#undef LOG_TERMS
#undef SIN_TERMS
#undef COS_TERMS
#undef LOG2_HEAD
#undef LOG2_TAIL
#undef PI_HEAD
#undef PI_TAIL
#undef SQRT
