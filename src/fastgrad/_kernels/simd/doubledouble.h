/* Double-double arithmetic on vectors of LANES doubles. No FMA: exact either way, and the
 * same bits on machines without. */
#ifndef FASTGRAD_DOUBLEDOUBLE_H
#define FASTGRAD_DOUBLEDOUBLE_H

#include "lanes.h"

typedef struct {
    vec hi, lo;
} dd;

INLINE dd quick_two_sum(vec a, vec b)
{
    vec s = a + b;
    return (dd){s, b - (s - a)};
}

INLINE dd two_sum(vec a, vec b)
{
    vec s = a + b, back = s - a;
    return (dd){s, (a - (s - back)) + (b - back)};
}

INLINE dd split(vec a)
{
    vec t = a * 134217729.0, hi = t - (t - a); /* 2^27 + 1 */
    return (dd){hi, a - hi};
}

INLINE dd two_prod(vec a, vec b)
{
    vec p = a * b;
    dd x = split(a), y = split(b);
    return (dd){p, ((x.hi * y.hi - p) + x.hi * y.lo + x.lo * y.hi) + x.lo * y.lo};
}

INLINE dd dd_add(dd a, dd b)
{
    dd s = two_sum(a.hi, b.hi), t = two_sum(a.lo, b.lo);
    s = quick_two_sum(s.hi, s.lo + t.hi);
    return quick_two_sum(s.hi, s.lo + t.lo);
}

INLINE dd dd_mul(dd a, dd b)
{
    dd p = two_prod(a.hi, b.hi);
    return quick_two_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

INLINE dd dd_div(dd a, dd b)
{
    vec q = a.hi / b.hi;
    dd p = two_prod(q, b.hi);
    vec rest = ((a.hi - p.hi) - p.lo) + (a.lo - q * b.lo);
    return quick_two_sum(q, rest / b.hi);
}

INLINE dd dd_scale(dd a, vec factor) { return (dd){a.hi * factor, a.lo * factor}; }
INLINE dd dd_blend(ivec mask, dd a, dd b)
{
    return (dd){blend(mask, a.hi, b.hi), blend(mask, a.lo, b.lo)};
}

#endif
