/* Moments of columns, one chunk of rows at a time.
 *
 * In a chunk (resident in L2), with weights w (1 without):
 *     p  = sum(w x) / sum(w)                                            the pivot
 *     d1 = sum(w (x - p)),  d2 = sum(w (x - p)^2)
 *     mean = p + d1 / sum(w)  (a double-double),  M2 = d2 - d1^2 / sum(w)
 * Chunks are merged in double-double (Chan, Golub and LeVeque 1983):
 *     mean = mean_a + delta W_b / W,  M2 = M2_a + M2_b + delta^2 W_a W_b / W.
 * Columns too large or too small for their squares are scaled by 2^-600 or 2^600.
 *
 * Compiled with -ffp-contract=off: the bits must not depend on the SIMD level. */
#include "lanes.h"
#include "moments.h"

enum kind { PLAIN, MASKED, WEIGHTED };

typedef struct {
    vec count, weight, weight_squares, pivot, first, second;
} sums;

/* A row takes part when it is not NaN and its weight is positive. */
INLINE ivec present(vec x, vec w, enum kind kind)
{
    return kind == WEIGHTED ? (x == x) & (w > 0.0) : x == x;
}

INLINE void add_weights(vec x, vec w, enum kind kind, vec *total, vec *weight, vec *squares,
                        ivec *count)
{
    ivec here = present(x, w, kind);
    *count -= here;
    x = (vec)((ivec)x & here);
    if (kind == WEIGHTED) {
        w = (vec)((ivec)w & here);
        *weight += w;
        *squares += w * w;
        x *= w;
    }
    *total += x;
}

INLINE void add_deviation(vec x, vec w, vec pivot, enum kind kind, vec *first, vec *second)
{
    vec t = x - pivot;
    if (kind != PLAIN)
        t = (vec)((ivec)t & present(x, w, kind));
    vec weighted = t;
    if (kind == WEIGHTED)
        weighted = t * (vec)((ivec)w & present(x, w, kind));
    *first += weighted;
    *second += weighted * t;
}

INLINE vec to_double(ivec a)
{
    return (vec){a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]};
}

/* Sums of LANES columns. */
INLINE void tile_sums(const void *x, const double *w, ptrdiff_t rows, enum kind kind, int single,
                      sums *out)
{
    vec total[LANES] = {0}, weight[LANES] = {0}, squares[LANES] = {0};
    vec first[LANES] = {0}, second[LANES] = {0}, n, pivot;
    ivec count = {0};
#define ADD(i, k)                                                                                \
    do {                                                                                         \
        vec row = load_at(x, (i)*LANES, single);                                                 \
        if (kind == PLAIN)                                                                       \
            total[k] += row;                                                                     \
        else                                                                                     \
            add_weights(row, kind == WEIGHTED ? splat(w[i]) : row, kind, &total[k], &weight[k],  \
                        &squares[k], &count);                                                    \
    } while (0)
    EACH_ROW(ADD);
#undef ADD
    n = kind == PLAIN ? splat((double)rows) : to_double(count);
    out->count = n;
    out->weight = kind == WEIGHTED ? tree_of(weight) : n;
    out->weight_squares = kind == WEIGHTED ? tree_of(squares) : n;
    out->pivot = pivot = tree_of(total) / out->weight;
#define ADD(i, k)                                                                                \
    do {                                                                                         \
        vec row = load_at(x, (i)*LANES, single);                                                 \
        add_deviation(row, kind == WEIGHTED ? splat(w[i]) : row, pivot, kind, &first[k],         \
                      &second[k]);                                                               \
    } while (0)
    EACH_ROW(ADD);
#undef ADD
    out->first = tree_of(first);
    out->second = tree_of(second);
}

/* LANES rows of one column from row i on, with `fill` beyond the last. */
INLINE vec rows_at(const void *x, ptrdiff_t i, ptrdiff_t rows, double fill, int single)
{
    if (i + LANES <= rows)
        return load_at(x, i, single);
    vec v = splat(fill);
    for (ptrdiff_t k = i; k < rows; k++)
        v[k - i] = get(x, k, single);
    return v;
}

/* Sums of one column, into element j of out. */
INLINE void column_sums(const void *x, const double *w, ptrdiff_t rows, enum kind kind,
                        int single, int j, sums *out)
{
    vec total = {0}, weight = {0}, squares = {0}, first = {0}, second = {0};
    ivec count = {0};
    for (ptrdiff_t i = 0; i < rows; i += LANES) {
        vec v = rows_at(x, i, rows, kind == PLAIN ? 0.0 : NAN, single);
        if (kind == PLAIN)
            total += v;
        else
            add_weights(v, kind == WEIGHTED ? load(w + i) : v, kind, &total, &weight, &squares,
                        &count);
    }
    double n = kind == PLAIN ? (double)rows : tree(to_double(count));
    out->count[j] = n;
    out->weight[j] = kind == WEIGHTED ? tree(weight) : n;
    out->weight_squares[j] = kind == WEIGHTED ? tree(squares) : n;
    double pivot = tree(total) / out->weight[j];
    for (ptrdiff_t i = 0; i < rows; i += LANES) {
        vec v = rows_at(x, i, rows, kind == PLAIN ? pivot : NAN, single);
        add_deviation(v, kind == WEIGHTED ? load(w + i) : v, splat(pivot), kind, &first, &second);
    }
    out->pivot[j] = pivot;
    out->first[j] = tree(first);
    out->second[j] = tree(second);
}

/* Element j of the sums as a state. */
static void store(const sums *s, int j, double exponent, double *out, ptrdiff_t ld)
{
    double weight = s->weight[j];
    for (int k = 0; k < STATE_ROWS; k++)
        out[k * ld] = 0.0;
    if (!(weight > 0.0))
        return;
    double shift = s->first[j] / weight, mean = s->pivot[j] + shift;
    double back = mean - s->pivot[j];
    double squares = s->second[j] - s->first[j] * shift;
    out[COUNT * ld] = s->count[j];
    out[WEIGHT * ld] = weight;
    out[MEAN * ld] = mean;
    out[MEAN_LO * ld] = (s->pivot[j] - (mean - back)) + (shift - back);
    out[SQUARES * ld] = squares > 0.0 ? squares : 0.0;
    out[WEIGHT_SQUARES * ld] = s->weight_squares[j];
    out[EXPONENT * ld] = exponent;
}

/* Data this large or small is scaled, because its squares would not be normal numbers
 * (nor their products with weights between 2^-100 and 2^100). */
#define LARGE 0x1p250
#define SMALL 0x1p-400

/* May the column be of one value, too large, too small, infinite? Never false where it
 * is; cheap, because it is asked for every column of every chunk. */
INLINE int is_special(const sums *s, int j)
{
    double pivot = fabs(s->pivot[j]), second = s->second[j], weight = s->weight[j];
    return !(pivot < LARGE / 4 && second < 0x1p390)
           || (pivot < SMALL * 4 && second <= 0x1p-660)
           || second <= weight * pivot * pivot * 0x1p-92;
}

INLINE int all_zero(const void *x, ptrdiff_t stride, ptrdiff_t rows, int single)
{
    for (ptrdiff_t i = 0; i < rows; i++)
        if (get(x, i * stride, single) != 0.0)
            return 0;
    return 1;
}

/* A column whose sums were special: scaled, and exact when it has one value only. */
static void store_special(const void *x, ptrdiff_t stride, const double *w, ptrdiff_t rows,
                          int single, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    double column[CHUNK], top = 0.0, value = 0.0;
    int found = 0, equal = 1;
    for (ptrdiff_t i = 0; i < rows; i++) {
        double v = column[i] = get(x, i * stride, single);
        if (v != v || (w && !(w[i] > 0.0)))
            continue;
        if (!found)
            value = v;
        found = 1;
        equal &= v == value;
        top = fabs(v) > top ? fabs(v) : top;
    }
    if (isinf(top))
        *infinite = 1;
    double exponent = top > LARGE ? -600.0 : top < SMALL && top > 0.0 ? 600.0 : 0.0;
    double scale = exponent < 0.0 ? 0x1p-600 : exponent > 0.0 ? 0x1p600 : 1.0;
    for (ptrdiff_t i = 0; i < rows; i++)
        column[i] *= scale;
    sums s;
    if (w)
        column_sums(column, w, rows, WEIGHTED, 0, 0, &s);
    else
        column_sums(column, w, rows, MASKED, 0, 0, &s);
    if (equal) {
        s.pivot[0] = value * scale;
        s.first[0] = s.second[0] = 0.0;
    }
    if (isinf(top))
        s.weight[0] = 0.0;
    store(&s, 0, exponent, out, ld);
}

INLINE void settle(const void *x, ptrdiff_t stride, const double *w, ptrdiff_t rows, int single,
                   const sums *s, int j, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    if (is_special(s, j) && !(s->pivot[j] == 0.0 && all_zero(x, stride, rows, single)))
        store_special(x, stride, w, rows, single, out, ld, infinite);
    else
        store(s, j, 0.0, out, ld);
}

INLINE int all_finite(vec x)
{
    ivec bad = (x - x) != splat(0.0);
    int64_t any = 0;
    for (int j = 0; j < LANES; j++)
        any |= bad[j];
    return !any;
}

INLINE void tile(const void *x, const double *w, ptrdiff_t rows, ptrdiff_t columns, int single,
                 double *out, ptrdiff_t ld, unsigned char *infinite)
{
    sums s;
    if (w)
        tile_sums(x, w, rows, WEIGHTED, single, &s);
    else {
        tile_sums(x, w, rows, PLAIN, single, &s);
        if (!all_finite(s.pivot))
            tile_sums(x, w, rows, MASKED, single, &s);
    }
    for (int j = 0; j < columns; j++)
        settle((const char *)x + j * (single ? 4 : 8), LANES, w, rows, single, &s, j, out + j, ld,
               infinite + j);
}

INLINE void column(const void *x, const double *w, ptrdiff_t rows, int single, double *out,
                   ptrdiff_t ld, unsigned char *infinite)
{
    sums s;
    if (w)
        column_sums(x, w, rows, WEIGHTED, single, 0, &s);
    else {
        column_sums(x, w, rows, PLAIN, single, 0, &s);
        if (!(s.pivot[0] - s.pivot[0] == 0.0))
            column_sums(x, w, rows, MASKED, single, 0, &s);
    }
    settle(x, 1, w, rows, single, &s, 0, out, ld, infinite);
}

INLINE void chunk(const rows_view *x, const double *w, ptrdiff_t row, ptrdiff_t rows,
                  ptrdiff_t first, ptrdiff_t columns, void *buffer, double *out, ptrdiff_t ld,
                  unsigned char *infinite, int single)
{
    if (is_tiled(x, columns)) {
        pack_tiles(x, row, rows, first, columns, buffer, single);
        for (ptrdiff_t j = 0; j < columns; j += LANES)
            tile(tile_of(buffer, j / LANES, single), w, rows,
                 columns - j < LANES ? columns - j : LANES, single, out + j, ld, infinite + j);
        return;
    }
    for (ptrdiff_t j = 0; j < columns; j++)
        column(pack_column(x, row, rows, first + j, buffer, single), w, rows, single, out + j, ld,
               infinite + j);
}

static void FG(chunk)(const rows_view *x, const double *weights, ptrdiff_t row, ptrdiff_t rows,
                      ptrdiff_t first, ptrdiff_t columns, double *workspace, double *out,
                      ptrdiff_t ld, unsigned char *infinite)
{
    double padded[CHUNK] = {0}, *w = NULL; /* whole vectors of weights */
    if (weights)
        w = memcpy(padded, weights, sizeof(double) * rows);
    if (x->single)
        chunk(x, w, row, rows, first, columns, aligned(workspace), out, ld, infinite, 1);
    else
        chunk(x, w, row, rows, first, columns, aligned(workspace), out, ld, infinite, 0);
}

/* Double-double arithmetic on LANES columns. No FMA: exact either way, and the same bits
 * on machines without. */
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

/* 2^e for e = 0, -600; 0 for -1200, beyond the range of doubles. */
INLINE vec power(vec e)
{
    return blend(e == splat(0.0), splat(1.0),
                  blend(e == splat(-600.0), splat(0x1p-600), splat(0.0)));
}

INLINE dd dd_load(const double *p, ptrdiff_t ld, int row)
{
    return (dd){load(p + row * ld), load(p + (row + 1) * ld)};
}

INLINE void dd_store(double *p, ptrdiff_t ld, int row, dd a)
{
    *(vec *)(p + row * ld) = a.hi;
    *(vec *)(p + (row + 1) * ld) = a.lo;
}

static void FG(merge)(double *a, ptrdiff_t lda, const double *b, ptrdiff_t ldb)
{
    dd wa = dd_load(a, lda, WEIGHT), wb = dd_load(b, ldb, WEIGHT);
    dd ma = dd_load(a, lda, MEAN), mb = dd_load(b, ldb, MEAN);
    dd qa = dd_load(a, lda, SQUARES), qb = dd_load(b, ldb, SQUARES);
    vec ea = load(a + EXPONENT * lda), eb = load(b + EXPONENT * ldb);
    ivec none_a = wa.hi == splat(0.0), none_b = wb.hi == splat(0.0);
    ivec zero_a = (ma.hi == splat(0.0)) & (qa.hi == splat(0.0));
    ivec zero_b = (mb.hi == splat(0.0)) & (qb.hi == splat(0.0));

    /* Both in the scale of the larger data; zeros have any scale. */
    ea = blend(none_a | zero_a, blend(none_b | zero_b, splat(0.0), eb), ea);
    eb = blend(none_b | zero_b, ea, eb);
    vec e = blend(ea < eb, ea, eb), fa = power(e - ea), fb = power(e - eb);
    ma = dd_scale(ma, fa), qa = dd_scale(dd_scale(qa, fa), fa);
    mb = dd_scale(mb, fb), qb = dd_scale(dd_scale(qb, fb), fb);

    dd w = dd_add(wa, wb), share = dd_div(wb, w);
    dd delta = dd_add(mb, (dd){-ma.hi, -ma.lo});
    dd mean = dd_add(ma, dd_mul(delta, share));
    dd between = dd_mul(dd_mul(delta, delta), dd_mul(wa, share));
    dd squares = dd_add(dd_add(qa, qb), between);

    dd_store(a, lda, WEIGHT, w);
    dd_store(a, lda, MEAN, dd_blend(none_b, ma, dd_blend(none_a, mb, mean)));
    dd_store(a, lda, SQUARES, dd_blend(none_b, qa, dd_blend(none_a, qb, squares)));
    *(vec *)(a + COUNT * lda) = load(a + COUNT * lda) + load(b + COUNT * ldb);
    *(vec *)(a + WEIGHT_SQUARES * lda) += load(b + WEIGHT_SQUARES * ldb);
    *(vec *)(a + EXPONENT * lda) = e;
}

const moments_table FG(moments) = {FG(chunk), FG(merge)};
