/* f(x + d) - f(x), exactly: one rule per function, for one lane.
 *
 * Each is an identity in d, true for every d, in which nothing cancels: the addition
 * theorems of the circular and hyperbolic functions and their inverses, expm1 and log1p
 * for exponentials, logarithms and powers, conjugates for roots, the rule of Gauss and
 * Legendre for erf. Where d is so large that the two values have little in common they
 * are subtracted. No derivative of any function is used.
 *
 * x + d is rounded; what that takes is added again (the `rest`) where it matters: far
 * from zero and near poles. f0 is f(x), rounded.
 */
#ifndef FASTGRAD_DIFFERENCES_H
#define FASTGRAD_DIFFERENCES_H

#include "vecmath.h"

#define LN2 0x1.62e42fefa39efp-1
#define TWO_OVER_SQRT_PI 0x1.20dd750429b6dp+0
#define ONE_OVER_SQRT_2PI 0x1.9884533d43651p-2
#define ROOT_HALF 0x1.6a09e667f3bcdp-1 /* and what that takes from sqrt(1 / 2) */
#define REST_OF_ROOT_HALF -0x1.bdd3413b26456p-55

/* x + d, and what rounding took from it. */
typedef struct {
    double value, rest;
} moved;

static moved move(double x, double d)
{
    const double y = x + d, back = y - x;
    return (moved){y, (x - (y - back)) + (d - back)};
}

/* log(y / x), y being x + d. */
static double log_ratio(double x, double d, double y)
{
    const double t = d / x;
    if (t >= -0.5 && t < INFINITY)
        return log1p(t);
    return t < 0 && t > -INFINITY ? log(y / x) : log(y) - log(x);
}

/* ---- exponentials and powers ------------------------------------------------------- */

/* Numbers below have few digits, if any. Their roots have all. */
#define LEAST 1e-290
static double times_square(double x, double root) { return root * x * root; }

/* Where d is large, or e^x overflows, the values themselves. */
static double exp_difference(double x, double d, double f0)
{
    if (fabs(d) < 700.0 && f0 > LEAST && f0 < INFINITY)
        return f0 * expm1(d);
    if (fabs(d) < 700.0 && f0 <= LEAST)
        return times_square(expm1(d), exp(0.5 * x));
    if (isinf(x))
        return 0.0; /* it is where it was */
    const moved y = move(x, d);
    const double f = exp(y.value);
    return (f < INFINITY ? f + f * y.rest : f) - f0;
}

static double expm1_difference(double x, double d, double f0)
{
    return exp_difference(x, d, exp(x));
}

static double exp2_difference(double x, double d, double f0)
{
    const double growth = fabs(d) < 1.0 ? expm1(d * LN2) : exp2(d) - 1.0;
    if (fabs(d) < 1000.0 && f0 > LEAST && f0 < INFINITY)
        return f0 * growth;
    if (fabs(d) < 1000.0 && f0 <= LEAST)
        return times_square(growth, exp2(0.5 * x));
    const moved y = move(x, d);
    const double f = exp2(y.value);
    return (f < INFINITY ? f + f * (y.rest * LN2) : f) - f0;
}

/* x^y = e^(y log x) */
static double power_difference(double x, double y, double dx, double dy, double f0)
{
    const moved u = move(x, dx), v = move(y, dy);
    const double change = v.value * log_ratio(x, dx, u.value) + (dy == 0.0 ? 0.0 : dy * log(x));
    if (fabs(change) < 1.0 && fabs(f0) > LEAST && fabs(f0) < INFINITY)
        return f0 * expm1(change);
    if (fabs(change) < 1.0 && fabs(f0) <= LEAST)
        return copysign(1.0, f0) * times_square(expm1(change), pow(fabs(x), 0.5 * y));
    const double f = pow(u.value, v.value), log_f = v.value * (u.rest / u.value)
                     + (v.rest == 0.0 ? 0.0 : v.rest * log(u.value));
    return (fabs(log_f) < 1.0 && fabs(f) < INFINITY ? f + f * log_f : f) - f0;
}

static double cbrt_difference(double x, double d, double f0)
{
    const double f = cbrt(x + d);
    return d / (f * f + f * f0 + f0 * f0);
}

/* ---- logarithms -------------------------------------------------------------------- */

static double log_difference(double x, double d, double f0)
{
    return log_ratio(x, d, x + d);
}

static double log1p_difference(double x, double d, double f0)
{
    const moved y = move(1.0, x), z = move(y.value, d);
    return log_ratio(y.value, d, z.value + (z.rest + y.rest));
}

/* The weight of e^x in e^x + e^y. */
static double share(double x, double y)
{
    const moved gap = move(y, -x);
    const double e = exp(gap.value);
    return e < INFINITY ? 1.0 / (1.0 + (e + e * gap.rest)) : exp(-gap.value) * (1.0 - gap.rest);
}

static double times_share(double times, double x, double y)
{
    const moved gap = move(x, -y);
    if (gap.value > -600.0)
        return times * share(x, y);
    return times_square(times, exp(0.5 * gap.value)) * (1.0 + gap.rest);
}

/* What log(e^high + e^low) is above high. */
static double above_larger(double high, double low)
{
    return low == high ? LN2 : log1p(exp(low - high));
}

static double logaddexp_difference(double x, double y, double dx, double dy, double f0)
{
    if (x == -INFINITY && y == -INFINITY && dx < INFINITY && dy < INFINITY)
        return 0.0; /* so is the sum then */
    const double change = times_share(expm1(dx), x, y) + times_share(expm1(dy), y, x);
    const double ratio = times_share(exp(dx), x, y) + times_share(exp(dy), y, x);
    if (change > -0.5 && change < INFINITY)
        return log1p(change);
    if (ratio > 1e-290 && ratio < INFINITY)
        return log(ratio);
    const double u = x + dx, v = y + dy;
    const double high0 = x > y ? x : y, high = u > v ? u : v;
    const double larger = (u > v) != (x > y) ? high - high0 : u > v ? dx : dy;
    return larger + (above_larger(high, u > v ? v : u) - above_larger(high0, x > y ? y : x));
}

/* ---- circular functions -------------------------------------------------------------- */

/* The middle of x and x + d. */
static moved middle(double x, double d) { return move(x, 0.5 * d); }
/* Far out the rest is many turns. */
static double sin_of(moved h) { return sin(h.value) * cos(h.rest) + cos(h.value) * sin(h.rest); }
static double cos_of(moved h) { return cos(h.value) * cos(h.rest) - sin(h.value) * sin(h.rest); }

static double sin_difference(double x, double d, double f0)
{
    return 2.0 * sin(0.5 * d) * cos_of(middle(x, d));
}

static double cos_difference(double x, double d, double f0)
{
    return -2.0 * sin(0.5 * d) * sin_of(middle(x, d));
}

static double tan_difference(double x, double d, double f0)
{
    return sin(d) / (cos(x) * cos_of(move(x, d)));
}

/* The angle between x and x + d as sines: its sine by a conjugate where they are of one
 * sign, and its cosine. */
static double arcsin_difference(double x, double d, double f0)
{
    const moved y = move(x, d);
    const double below = (1.0 - y.value) - y.rest, above = (1.0 + y.value) + y.rest;
    const double cos_x = sqrt((1.0 - x) * (1.0 + x)), cos_y = sqrt(below * above);
    const double across = y.value * cos_x, back = x * cos_y;
    const double sine = (x > 0.0) == (y.value > 0.0) ? d * ((2.0 * x + d) / (across + back))
                                                     : across - back;
    return atan2(sine, cos_x * cos_y + x * y.value);
}

static double arccos_difference(double x, double d, double f0)
{
    return -arcsin_difference(x, d, f0);
}

static double arctan_difference(double x, double d, double f0)
{
    const double y = x + d, size = fabs(y) > 1.0 ? fabs(y) : 1.0;
    return atan2(d / size, 1.0 / size + x * (y / size));
}

/* The angle between (x, y) and where they move: by their cross and dot products. Between
 * the two sides of the cut it is the other way round. (NumPy's first argument is y.) */
static double arctan2_difference(double y, double x, double dy, double dx, double f0)
{
    const double u = x + dx, v = y + dy, plain = atan2(v, u) - f0;
    const double a = fmax(fabs(x), fabs(y)), b = fmax(fabs(u), fabs(v));
    const double cross = (x / a) * (dy / b) - (y / a) * (dx / b);
    const double angle = atan2(cross, (x / a) * (u / b) + (y / a) * (v / b));
    return fabs(plain - angle) < 1.0 ? angle : plain;
}

/* ---- hyperbolic functions ------------------------------------------------------------ */

static double sinh_difference(double x, double d, double f0)
{
    const moved h = middle(x, d);
    if (fabs(h.value) > 700.0 || fabs(d) > 1400.0)
        return sinh(x + d) - f0;
    return 2.0 * sinh(0.5 * d) * (cosh(h.value) + h.rest * sinh(h.value));
}

static double cosh_difference(double x, double d, double f0)
{
    const moved h = middle(x, d);
    if (fabs(h.value) > 700.0 || fabs(d) > 1400.0)
        return cosh(x + d) - f0;
    return 2.0 * sinh(0.5 * d) * (sinh(h.value) + h.rest * cosh(h.value));
}

/* tanh x = (1 - u) / (1 + u) with u = e^(-2x) */
static double tanh_difference(double x, double d, double f0)
{
    const double twice = x < 0.0 ? 2.0 : -2.0, u = exp(-2.0 * fabs(x));
    const double change = exp_difference(-2.0 * fabs(x), twice * d, u), w = u + change;
    return w < 1e300 ? twice * change / ((1.0 + u) * (1.0 + w)) : tanh(x + d) - f0;
}

/* Of numbers this large, arcsinh and arccosh are log(2x). */
#define ONLY_LOGARITHM 1e9

static double arcsinh_difference(double x, double d, double f0)
{
    const double y = x + d;
    if (fabs(x) > ONLY_LOGARITHM && y / x > ONLY_LOGARITHM / fabs(x))
        return copysign(log_ratio(x, d, y), d);
    if (fabs(x) > 1e150 || fabs(y) > 1e150)
        return asinh(y) - f0;
    const double across = y * sqrt(1.0 + x * x), back = x * sqrt(1.0 + y * y);
    return asinh((x > 0.0) == (y > 0.0) ? d * ((2.0 * x + d) / (across + back))
                                        : across - back);
}

static double arccosh_difference(double x, double d, double f0)
{
    const moved y = move(x, d);
    if (x > ONLY_LOGARITHM && y.value > ONLY_LOGARITHM)
        return log_ratio(x, d, y.value);
    if (x > 1e150 || y.value > 1e150)
        return acosh(y.value) - f0;
    const double below = y.value < 1.0 ? NAN : (y.value - 1.0) + y.rest;
    return asinh(d * (2.0 * x + d)
                 / (x * sqrt(below * (y.value + 1.0)) + y.value * sqrt((x - 1.0) * (x + 1.0))));
}

static double arctanh_difference(double x, double d, double f0)
{
    const moved y = move(x, d);
    return 0.5 * (log_ratio(1.0 + x, d, (1.0 + y.value) + y.rest)
                  - log_ratio(1.0 - x, -d, (1.0 - y.value) - y.rest));
}

/* ---- the normal distribution ---------------------------------------------------------- */

/* Nodes and weights of Gauss and Legendre on [0, 1]. */
#define N_NODES 5
static const double NODES[N_NODES] = {0x1.80498fd662cb6p-5, 0x1.d89b804cc91f6p-3, 0.5,
                                      0x1.89d91feccdb82p-1, 0x1.e7fb670299d35p-1};
static const double WEIGHTS[N_NODES] = {0x1.e539ec36e038cp-4, 0x1.ea1da25ae415bp-3,
                                        0x1.23456789abcdfp-2, 0x1.ea1da25ae415bp-3,
                                        0x1.e539ec36e038cp-4};
/* On steps of up to this over 1 + |x| the rule has all its digits. */
#define ERF_STEP 0.2

/* What x * x takes from x^2 (Veltkamp, Dekker), if that is a number. */
static double rest_of_square(double x)
{
    if (fabs(x) > 1e150)
        return 0.0;
    const double t = x * 134217729.0, high = t - (t - x), low = x - high, square = x * x;
    return ((high * high - square) + 2.0 * high * low) + low * low;
}

/* 2 / sqrt(pi) e^(-x^2) */
static double bell(double x)
{
    return TWO_OVER_SQRT_PI * exp(-(x * x)) * (1.0 - rest_of_square(x));
}

/* times e^(-k x^2), k a power of two. */
static double times_bell(double times, double x, double k)
{
    times *= 1.0 - k * rest_of_square(x);
    if (k * (x * x) < 600.0)
        return times * exp(-k * (x * x));
    return times_square(times, exp(-0.5 * k * (x * x)));
}

/* The integral of height e^(-k t^2) from x to x + d, in steps; NaN if these are many. */
static double bell_integral(double height, double x, double d, double k)
{
    const double size = fabs(x) > fabs(x + d) ? fabs(x) : fabs(x + d);
    const double steps = ceil(fabs(d) * (1.0 + size) / ERF_STEP);
    if (!(steps <= 8.0))
        return NAN;
    double sum = 0.0;
    for (double s = 0.0; s < steps; s++) {
        const double t = d * (s / steps);
        for (int j = 0; j < N_NODES; j++) {
            const double at = t + NODES[j] * (d / steps);
            sum += WEIGHTS[j] * exp(-k * at * (2.0 * x + at));
        }
    }
    return times_bell(height * (d / steps) * sum, x, k);
}

/* Across many steps the values are far apart, those of erfc where both are on one side. */
static double erf_difference(double x, double d, double f0)
{
    const double near = bell_integral(TWO_OVER_SQRT_PI, x, d, 1.0);
    if (near == near)
        return near;
    const moved y = move(x, d);
    const double correction = y.rest == 0.0 ? 0.0 : y.rest * bell(y.value);
    if (x > 0.0 && y.value > 0.0)
        return erfc(x) - (erfc(y.value) - correction);
    if (x < 0.0 && y.value < 0.0)
        return (erfc(-y.value) + correction) - erfc(-x);
    return (erf(y.value) + correction) - erf(x);
}

/* The normal distribution, by erfc of -x / sqrt(2) and of what rounding took from that. */
static double normal_below(double x)
{
    const double t = -ROOT_HALF * x;
    if (!(fabs(t) < 30.0))
        return 0.5 * erfc(t);
    const double rest = fma(-ROOT_HALF, x, -t) - REST_OF_ROOT_HALF * x;
    return 0.5 * (erfc(t) - rest * bell(t));
}

static double ndtr_difference(double x, double d, double f0)
{
    const double near = bell_integral(ONE_OVER_SQRT_2PI, x, d, 0.5);
    if (near == near)
        return near;
    const moved y = move(x, d);
    const double correction =
        y.rest == 0.0 ? 0.0 : times_bell(ONE_OVER_SQRT_2PI * y.rest, y.value, 0.5);
    if (x > 0.0 && y.value > 0.0)
        return normal_below(-x) - (normal_below(-y.value) - correction);
    return (normal_below(y.value) + correction) - normal_below(x);
}

static double erfc_difference(double x, double d, double f0)
{
    return -erf_difference(x, d, f0);
}

/* ---- the gamma function ---------------------------------------------------------------- */

/* Elsewhere than on Windows lgamma writes the global signgam. */
#ifdef _WIN32
static double log_gamma(double x) { return lgamma(x); }
#else
double lgamma_r(double, int *); /* macOS declares it on demand */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}
#endif

/* Stirling's series, both arguments shifted up by the recurrence. In long double, since the
 * terms cancel near the minimum. */
static double lgamma_difference(double x0, double d, double f0)
{
    static const long double series[] = {1.0L / 12, -1.0L / 360, 1.0L / 1260, -1.0L / 1680,
                                         1.0L / 1188, -691.0L / 360360, 1.0L / 156};
    long double x = x0, y = x + d, sum = 0.0L;
    if (!(x > 0.0L && y > 0.0L && y < 1e300L))
        return log_gamma(x0 + d) - f0;
    for (; x < 16.0L || y < 16.0L; x++, y++)
        sum -= d < -0.5L * x ? logl(y / x) : log1pl(d / x);
    const long double ratio = d < -0.5L * x ? logl(y / x) : log1pl(d / x);
    sum += (x - 0.5L) * ratio - d + d * logl(y);
    const long double u = 1.0L / x, v = 1.0L / y, first = -d * u * v;
    long double odd = first, power = u; /* v^k - u^k and u^k for odd k */
    for (int k = 0; k < 7; k++) {
        sum += series[k] * odd;
        odd = v * v * odd + power * (first * (u + v));
        power *= u * u;
    }
    return (double)sum;
}

static double hypot_difference(double x, double y, double dx, double dy, double f0)
{
    const double size = hypot(x + dx, y + dy) + f0;
    return dx * ((2.0 * x + dx) / size) + dy * ((2.0 * y + dy) / size);
}

#endif
