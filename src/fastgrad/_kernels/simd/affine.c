/* Normalise and undo it: (x - a) / b or (x - a) * b + c per feature, in double, rounded
 * once to the type of the data. Compiled with -ffp-contract=off: rows and columns, and
 * all SIMD levels, must give the same bits. */
#include "affine.h"
#include "element.h"

/* x may be out. */
INLINE void row(const void *x, void *out, ptrdiff_t count, const double *a, const double *b,
                const double *c, int single)
{
    if (c)
        INDEPENDENT
        for (ptrdiff_t j = 0; j < count; j++)
            put(out, j, (get(x, j, single) - a[j]) * b[j] + c[j], single);
    else
        INDEPENDENT
        for (ptrdiff_t j = 0; j < count; j++)
            put(out, j, (get(x, j, single) - a[j]) / b[j], single);
}

INLINE void column(const void *x, ptrdiff_t sx, void *out, ptrdiff_t so, ptrdiff_t count,
                   double a, double b, double c, int divide, int single)
{
    if (divide)
        INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++)
            put(out, i * so, (get(x, i * sx, single) - a) / b, single);
    else
        INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++)
            put(out, i * so, (get(x, i * sx, single) - a) * b + c, single);
}

static void FG(row)(const void *x, void *out, ptrdiff_t count, const double *a, const double *b,
                    const double *c, int single)
{
    if (single)
        row(x, out, count, a, b, c, 1);
    else
        row(x, out, count, a, b, c, 0);
}

static void FG(column)(const void *x, ptrdiff_t sx, void *out, ptrdiff_t so, ptrdiff_t count,
                       const double *a, const double *b, const double *c, int single)
{
    int unit = sx == 1 && so == 1;
    double offset = c ? *c : 0.0;
    if (unit && single)
        column(x, 1, out, 1, count, *a, *b, offset, !c, 1);
    else if (unit)
        column(x, 1, out, 1, count, *a, *b, offset, !c, 0);
    else
        column(x, sx, out, so, count, *a, *b, offset, !c, single);
}

const affine_table FG(affine) = {FG(row), FG(column)};
