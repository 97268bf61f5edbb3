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

typedef struct {
    vec count, weight, weight_squares, pivot, first, second;
} sums;

/* Weight and squared weights of a chunk without missing values. */
typedef struct {
    double count, weight, squares;
} totals;

INLINE vec only(ivec mask, vec x) { return (vec)((ivec)x & mask); }

INLINE void add_value(vec x, vec w, int masked, int weighted, vec *total, vec *weight,
                      vec *squares, ivec *count)
{
    if (masked) {
        ivec here = x == x;
        *count -= here;
        x = only(here, x);
        w = only(here, w);
        if (weighted) {
            *weight += w;
            *squares += w * w;
        }
    }
    if (weighted)
        x = x * w;
    *total += x;
}

INLINE void add_deviation(vec x, vec w, vec pivot, int masked, int weighted, vec *first,
                          vec *second)
{
    vec t = x - pivot;
    if (masked)
        t = only(x == x, t);
    vec wt = t;
    if (weighted)
        wt = t * w;
    *first += wt;
    *second += wt * t;
}

INLINE vec to_double(ivec a)
{
    return (vec){a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]};
}

INLINE int all_finite(vec x)
{
    ivec bad = (x - x) != splat(0.0);
    int64_t any = 0;
    for (int j = 0; j < LANES; j++)
        any |= bad[j];
    return !any;
}

/* Sums of LANES columns. Without `masked`, false if there may be a missing value. */
INLINE int tile_sums(const void *x, ptrdiff_t pitch, const double *w, ptrdiff_t rows,
                     const totals *all, int masked, int weighted, int single, sums *out)
{
    vec total[LANES] = {0}, weight[LANES] = {0}, squares[LANES] = {0};
    vec first[LANES] = {0}, second[LANES] = {0}, pivot;
    ivec count = {0};
#define ADD(i, k)                                                                                \
    add_value(load_at(x, (i)*pitch, single), splat(weighted ? w[i] : 1.0), masked, weighted,     \
              &total[k], &weight[k], &squares[k], &count)
    EACH_ROW(ADD);
#undef ADD
    out->count = masked ? to_double(count) : splat(all->count);
    out->weight = masked && weighted ? tree_of(weight) : out->count;
    out->weight_squares = masked && weighted ? tree_of(squares) : out->count;
    if (!masked && weighted) {
        out->weight = splat(all->weight);
        out->weight_squares = splat(all->squares);
    }
    out->pivot = pivot = tree_of(total) / out->weight;
    if (!masked && !all_finite(pivot))
        return 0;
#define ADD(i, k)                                                                                \
    add_deviation(load_at(x, (i)*pitch, single), splat(weighted ? w[i] : 1.0), pivot, masked,    \
                  weighted, &first[k], &second[k])
    EACH_ROW(ADD);
#undef ADD
    out->first = tree_of(first);
    out->second = tree_of(second);
    return 1;
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

/* The same of one column, into element 0 of out. */
INLINE int column_sums(const void *x, const double *w, ptrdiff_t rows, const totals *all,
                       int masked, int weighted, int single, sums *out)
{
    vec total = {0}, weight = {0}, squares = {0}, first = {0}, second = {0};
    ivec count = {0};
    for (ptrdiff_t i = 0; i < rows; i += LANES)
        add_value(rows_at(x, i, rows, masked ? NAN : 0.0, single),
                  weighted ? load(w + i) : splat(1.0), masked, weighted, &total, &weight,
                  &squares, &count);
    out->count[0] = masked ? tree(to_double(count)) : all->count;
    out->weight[0] = !weighted ? out->count[0] : masked ? tree(weight) : all->weight;
    out->weight_squares[0] = !weighted ? out->count[0] : masked ? tree(squares) : all->squares;
    double pivot = out->pivot[0] = tree(total) / out->weight[0];
    if (!masked && !(pivot - pivot == 0.0))
        return 0;
    for (ptrdiff_t i = 0; i < rows; i += LANES)
        add_deviation(rows_at(x, i, rows, masked ? NAN : pivot, single),
                      weighted ? load(w + i) : splat(1.0), splat(pivot), masked, weighted, &first,
                      &second);
    out->first[0] = tree(first);
    out->second[0] = tree(second);
    return 1;
}

INLINE void put_lanes(double *out, vec x, int columns)
{
    if (columns == LANES)
        *(vec *)out = x;
    else
        memcpy(out, &x, columns * sizeof(double));
}

/* The first columns of the sums as states; an empty one where there is no weight. */
INLINE void store(const sums *s, int columns, double exponent, double *out, ptrdiff_t ld)
{
    ivec some = s->weight > splat(0.0);
    vec shift = s->first / s->weight, mean = s->pivot + shift, back = mean - s->pivot;
    vec lo = (s->pivot - (mean - back)) + (shift - back);
    vec squares = s->second - s->first * shift;
    put_lanes(out + COUNT * ld, only(some, s->count), columns);
    put_lanes(out + WEIGHT * ld, only(some, s->weight), columns);
    put_lanes(out + WEIGHT_LO * ld, splat(0.0), columns);
    put_lanes(out + MEAN * ld, only(some, mean), columns);
    put_lanes(out + MEAN_LO * ld, only(some, lo), columns);
    put_lanes(out + SQUARES * ld, only(some & (squares > splat(0.0)), squares), columns);
    put_lanes(out + SQUARES_LO * ld, splat(0.0), columns);
    put_lanes(out + WEIGHT_SQUARES * ld, only(some, s->weight_squares), columns);
    put_lanes(out + EXPONENT * ld, only(some, splat(exponent)), columns);
}

/* Data this large or small is scaled, because its squares would not be normal numbers
 * (nor their products with weights between 2^-100 and 2^100). */
#define LARGE 0x1p250
#define SMALL 0x1p-400

/* Which columns may be of one value, too large, too small, infinite? Never false where
 * they are; cheap, because it is asked for every column of every chunk. */
INLINE ivec special(const sums *s)
{
    vec pivot = only(splat(0.0) <= s->pivot, s->pivot) - only(s->pivot < splat(0.0), s->pivot);
    ivec normal = (pivot < splat(LARGE / 4)) & (s->second < splat(0x1p390));
    ivec tiny = (pivot < splat(SMALL * 4)) & (s->second <= splat(0x1p-660));
    ivec nan = s->pivot != s->pivot;
    return ~normal | tiny | nan | (s->second <= s->weight * pivot * pivot * splat(0x1p-92));
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
        if (v != v)
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
    sums s = {0};
    if (w)
        column_sums(column, w, rows, NULL, 1, 1, 0, &s);
    else
        column_sums(column, w, rows, NULL, 1, 0, 0, &s);
    if (equal) {
        s.pivot[0] = value * scale;
        s.first[0] = s.second[0] = 0.0;
    }
    if (isinf(top))
        s.weight[0] = 0.0;
    store(&s, 1, exponent, out, ld);
}

INLINE void settle(const void *x, ptrdiff_t stride, const double *w, ptrdiff_t rows, int columns,
                   int single, const sums *s, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    ivec which = special(s);
    store(s, columns, 0.0, out, ld);
    for (int j = 0; j < columns; j++) {
        const char *column = (const char *)x + j * (single ? 4 : 8);
        if (which[j] && !(s->pivot[j] == 0.0 && all_zero(column, stride, rows, single)))
            store_special(column, stride, w, rows, single, out + j, ld, infinite + j);
    }
}

INLINE void tile(const void *x, ptrdiff_t pitch, const double *w, ptrdiff_t rows,
                 const totals *all, int single, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    sums s;
    if (w) {
        if (!tile_sums(x, pitch, w, rows, all, 0, 1, single, &s))
            tile_sums(x, pitch, w, rows, all, 1, 1, single, &s);
    } else if (!tile_sums(x, pitch, w, rows, all, 0, 0, single, &s))
        tile_sums(x, pitch, w, rows, all, 1, 0, single, &s);
    settle(x, pitch, w, rows, LANES, single, &s, out, ld, infinite);
}

INLINE void column(const void *x, const double *w, ptrdiff_t rows, const totals *all, int single,
                   double *out, ptrdiff_t ld, unsigned char *infinite)
{
    sums s = {0};
    if (w) {
        if (!column_sums(x, w, rows, all, 0, 1, single, &s))
            column_sums(x, w, rows, all, 1, 1, single, &s);
    } else if (!column_sums(x, w, rows, all, 0, 0, single, &s))
        column_sums(x, w, rows, all, 1, 0, single, &s);
    settle(x, 1, w, rows, 1, single, &s, out, ld, infinite);
}

static totals total_of(const double *w, ptrdiff_t rows)
{
    if (!w)
        return (totals){(double)rows, (double)rows, (double)rows};
    vec weight = {0}, squares = {0};
    for (ptrdiff_t i = 0; i < rows; i += LANES) {
        weight += load(w + i);
        squares += load(w + i) * load(w + i);
    }
    return (totals){(double)rows, tree(weight), tree(squares)};
}

INLINE void chunk(const rows_view *x, const double *w, const block *now, const block *next,
                  void *buffer, double *out, ptrdiff_t ld, unsigned char *infinite, int single)
{
    ptrdiff_t rows = now->rows, columns = now->columns;
    totals all = total_of(w, rows);
    if (is_tiled(x, columns)) {
        panel tiles = pack_tiles(x, now, buffer, single);
        for (ptrdiff_t j = 0; j < columns; j += LANES) {
            ptrdiff_t start = tile_start(j, columns);
            if (columns > LANES)
                prefetch_part(x, next, j / LANES, (columns + LANES - 1) / LANES);
            tile(tile_at(&tiles, j, columns, single), tiles.pitch, w, rows, &all, single,
                 out + start, ld, infinite + start);
        }
        return;
    }
    for (ptrdiff_t j = 0; j < columns; j++) {
        prefetch_column(x, now, j + 1);
        column(pack_column(x, now, j, buffer, single), w, rows, &all, single, out + j, ld,
               infinite + j);
    }
}

static void FG(chunk)(const rows_view *x, const double *weights, const block *now,
                      const block *next, double *workspace, double *out, ptrdiff_t ld,
                      unsigned char *infinite)
{
    double padded[CHUNK] = {0}, *w = NULL; /* whole vectors of weights */
    if (weights)
        w = memcpy(padded, weights, sizeof(double) * now->rows);
    if (x->single)
        chunk(x, w, now, next, aligned(workspace), out, ld, infinite, 1);
    else
        chunk(x, w, now, next, aligned(workspace), out, ld, infinite, 0);
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
