/* Moments of columns, one chunk of rows at a time.
 *
 * In a chunk, with weights w (1 without), about a pivot p, in one pass:
 *     d1 = sum(w (x - p)),  d2 = sum(w (x - p)^2)
 *     mean = p + d1 / sum(w)  (a double-double),  M2 = d2 - d1^2 / sum(w)
 * p is the mean of LANES rows spread over the chunk. Where it turns out to be so far from
 * the mean that the difference M2 would lose more than two bits, the chunk (still in L2)
 * is summed again about its mean.
 * Chunks are merged in double-double (Chan, Golub and LeVeque 1983):
 *     mean = mean_a + delta W_b / W,  M2 = M2_a + M2_b + delta^2 W_a W_b / W.
 * Columns too large or too small for their squares are scaled by 2^-600 or 2^600.
 *
 * Compiled with -ffp-contract=off: the bits must not depend on the SIMD level. */
#include "doubledouble.h"
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

INLINE void add(vec x, vec w, vec pivot, int masked, int weighted, ivec *count, vec *weight,
                vec *squares, vec *first, vec *second)
{
    vec t = x - pivot;
    if (masked) {
        ivec here = x == x;
        *count -= here;
        t = only(here, t);
        w = only(here, w);
        if (weighted) {
            *weight += w;
            *squares += w * w;
        }
    }
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

INLINE int any(ivec x)
{
    int64_t bits = 0;
    for (int j = 0; j < LANES; j++)
        bits |= x[j];
    return bits != 0;
}

/* Row k of the LANES that the first pivot is the mean of. The steps are no power of 2,
 * which images and tables have periods of. */
INLINE ptrdiff_t sample(int k, ptrdiff_t rows) { return k * (rows - 1) / (LANES - 1); }

INLINE vec guess(vec total, vec count)
{
    vec mean = total / count;
    return only(mean - mean == splat(0.0), mean);
}

/* Columns to be summed again about their mean. */
INLINE ivec far(const sums *s)
{
    return s->first * s->first > s->second * s->weight * splat(0.75);
}

static vec tile_guess(const void *x, ptrdiff_t pitch, ptrdiff_t rows, int single)
{
    vec total[LANES], count[LANES];
    for (int k = 0; k < LANES; k++) {
        vec v = load_at(x, sample(k, rows) * pitch, single);
        total[k] = only(v == v, v);
        count[k] = only(v == v, splat(1.0));
    }
    return guess(tree_of(total), tree_of(count));
}

/* The accumulators of a tile. */
typedef struct {
    vec weight[LANES], squares[LANES], first[LANES], second[LANES];
    ivec count;
} partial;

/* Adds rows, a multiple of LANES but for the last ones of a chunk. */
INLINE void tile_rows(const void *x, ptrdiff_t pitch, const double *w, ptrdiff_t rows,
                      const vec *pivot, partial *sum, int masked, int weighted, int single)
{
    vec first[LANES], second[LANES], about = *pivot; /* copies stay in registers */
    ptrdiff_t i = 0;
    EACH_LANE first[k] = sum->first[k], second[k] = sum->second[k];
#define ADD(i, k, first, second)                                                                 \
    do {                                                                                         \
        prefetch_at(x, ((i) + BAND) * pitch, single);                                            \
        add(load_at(x, (i)*pitch, single), splat(weighted ? w[i] : 1.0), about, masked,          \
            weighted, &sum->count, &sum->weight[k], &sum->squares[k], &first, &second);          \
    } while (0)
    for (; i + LANES <= rows; i += LANES)
        EACH_LANE ADD(i + k, k, first[k], second[k]);
    EACH_LANE sum->first[k] = first[k], sum->second[k] = second[k];
    for (int k = 0; i + k < rows; k++)
        ADD(i + k, k, sum->first[k], sum->second[k]);
#undef ADD
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

/* The accumulators of a column. */
typedef struct {
    vec weight, squares, first, second;
    ivec count;
} column_partial;

INLINE void column_rows(const void *x, const double *w, ptrdiff_t rows, double pivot,
                        column_partial *sum, int masked, int weighted, int single)
{
    column_partial s = {0};
    for (ptrdiff_t i = 0; i < rows; i += LANES) {
        prefetch_at(x, i + CHUNK, single);
        add(rows_at(x, i, rows, masked ? NAN : pivot, single),
            weighted ? load(w + i) : splat(1.0), splat(pivot), masked, weighted, &s.count,
            &s.weight, &s.squares, &s.first, &s.second);
    }
    *sum = s;
}

/* The loops over the data, by masked, weighted, single; everything else is compiled once. */
#define EACH_CASE(X) X(0, 0, 0) X(0, 0, 1) X(0, 1, 0) X(0, 1, 1) X(1, 0, 0) X(1, 0, 1) \
    X(1, 1, 0) X(1, 1, 1)
#define LOOPS(m, w_, s)                                                                          \
    static void tile_##m##w_##s(const void *x, ptrdiff_t pitch, const double *w,                 \
                                ptrdiff_t rows, const vec *pivot, partial *sum)                  \
    {                                                                                            \
        tile_rows(x, pitch, w, rows, pivot, sum, m, w_, s);                                      \
    }                                                                                            \
    static void column_##m##w_##s(const void *x, const double *w, ptrdiff_t rows, double pivot,  \
                                  column_partial *sum)                                           \
    {                                                                                            \
        column_rows(x, w, rows, pivot, sum, m, w_, s);                                           \
    }
EACH_CASE(LOOPS)
#define TILE_LOOP(m, w, s) [m][w][s] = tile_##m##w##s,
static void (*const TILE_LOOPS[2][2][2])(const void *, ptrdiff_t, const double *, ptrdiff_t,
                                         const vec *, partial *) = {EACH_CASE(TILE_LOOP)};
#define COLUMN_LOOP(m, w, s) [m][w][s] = column_##m##w##s,
static void (*const COLUMN_LOOPS[2][2][2])(const void *, const double *, ptrdiff_t, double,
                                           column_partial *) = {EACH_CASE(COLUMN_LOOP)};

INLINE void finish(const partial *p, const totals *all, int masked, int weighted, sums *out)
{
    out->count = masked ? to_double(p->count) : splat(all->count);
    out->weight = !masked ? splat(all->weight) : weighted ? tree_of(p->weight) : out->count;
    out->weight_squares = !masked    ? splat(all->squares)
                          : weighted ? tree_of(p->squares)
                                     : out->count;
    out->first = tree_of(p->first);
    out->second = tree_of(p->second);
}

/* Sums of tiles [start, stop) of a panel about their pivots. */
INLINE void panel_pass(const panel *tiles, ptrdiff_t columns, int start, int stop,
                       const double *w, ptrdiff_t rows, const totals *all, int masked,
                       int single, sums *out)
{
    partial p[TILES];
    memset(p + start, 0, (stop - start) * sizeof(partial));
    for (ptrdiff_t i = 0; i < rows; i += BAND) {
        prefetch_band(tiles, i + 8 * BAND, columns, single);
        for (int t = start; t < stop; t++)
            TILE_LOOPS[masked][w != NULL][single](
                (const char *)tile_at(tiles, t * LANES, columns, single)
                    + i * tiles->pitch * (single ? 4 : 8),
                tiles->pitch, w ? w + i : NULL, rows - i < BAND ? rows - i : BAND,
                &out[t].pivot, p + t);
    }
    for (int t = start; t < stop; t++)
        finish(p + t, all, masked, w != NULL, out + t);
}

/* Sums of a panel. Without `masked`, false if there may be a missing value. */
INLINE int panel_sums(const panel *tiles, ptrdiff_t columns, const double *w, ptrdiff_t rows,
                      const totals *all, int masked, int single, sums *out)
{
    int count = (int)((columns + LANES - 1) / LANES);
    for (int t = 0; t < count; t++)
        out[t].pivot =
            tile_guess(tile_at(tiles, t * LANES, columns, single), tiles->pitch, rows, single);
    panel_pass(tiles, columns, 0, count, w, rows, all, masked, single, out);
    for (int t = 0; t < count; t++) {
        if (!masked && any(out[t].first - out[t].first != splat(0.0)))
            return 0;
        if (!any(far(out + t)))
            continue;
        out[t].pivot += only(far(out + t), out[t].first / out[t].weight);
        panel_pass(tiles, columns, t, t + 1, w, rows, all, masked, single, out);
    }
    return 1;
}

INLINE double column_guess(const void *x, ptrdiff_t rows, int single)
{
    vec v;
    for (int k = 0; k < LANES; k++)
        v[k] = get(x, sample(k, rows), single);
    double total = tree(only(v == v, v)), count = tree(only(v == v, splat(1.0)));
    return guess(splat(total), splat(count))[0];
}

/* The same for one column, which is element c of out. */
INLINE void column_pass(const void *x, const double *w, ptrdiff_t rows, const totals *all,
                        int masked, int single, sums *out, int c)
{
    column_partial p;
    COLUMN_LOOPS[masked][w != NULL][single](x, w, rows, out->pivot[c], &p);
    out->count[c] = masked ? tree(to_double(p.count)) : all->count;
    out->weight[c] = !masked ? all->weight : w ? tree(p.weight) : out->count[c];
    out->weight_squares[c] = !masked ? all->squares : w ? tree(p.squares) : out->count[c];
    out->first[c] = tree(p.first);
    out->second[c] = tree(p.second);
}

static int column_sums(const void *x, const double *w, ptrdiff_t rows, const totals *all,
                       int masked, int single, sums *out, int c)
{
    out->pivot[c] = column_guess(x, rows, single);
    for (int again = 0;; again = 1) {
        column_pass(x, w, rows, all, masked, single, out, c);
        if (!masked && !(out->first[c] - out->first[c] == 0.0))
            return 0;
        if (again || !far(out)[c])
            return 1;
        out->pivot[c] += out->first[c] / out->weight[c];
    }
}

INLINE void put_lanes(double *out, vec x, int columns)
{
    if (columns == LANES)
        *(vec *)out = x;
    else
        memcpy(out, &x, columns * sizeof(double));
}

/* The first columns of the sums as states; an empty one where there is no weight. */
static void store(const sums *s, int columns, double exponent, double *out, ptrdiff_t ld)
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

INLINE int all_zero(const void *x, ptrdiff_t rows, int single)
{
    for (ptrdiff_t i = 0; i < rows; i++)
        if (get(x, i, single) != 0.0)
            return 0;
    return 1;
}

/* A column whose sums were special: scaled, and exact when it has one value only. */
static void store_special(const void *x, const double *w, ptrdiff_t rows, int single, double *out,
                          ptrdiff_t ld, unsigned char *infinite)
{
    double column[CHUNK], top = 0.0, value = 0.0;
    int found = 0, equal = 1;
    for (ptrdiff_t i = 0; i < rows; i++) {
        double v = column[i] = get(x, i, single);
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
    column_sums(column, w, rows, NULL, 1, 0, &s, 0);
    if (equal) {
        s.pivot[0] = value * scale;
        s.first[0] = s.second[0] = 0.0;
    }
    if (isinf(top))
        s.weight[0] = 0.0;
    store(&s, 1, exponent, out, ld);
}

/* `pack_tiles` and `pack_column`, compiled once for both types. */
static panel tiles_of(const rows_view *x, const block *b, void *buffer)
{
    return x->single ? pack_tiles(x, b, buffer, 1) : pack_tiles(x, b, buffer, 0);
}

static const void *column_of(const rows_view *x, const block *b, ptrdiff_t j, void *buffer)
{
    return x->single ? pack_column(x, b, j, buffer, 1) : pack_column(x, b, j, buffer, 0);
}

/* The sums of `columns` columns of a block, from column j of it on, as states. */
static void settle(const rows_view *x, const block *b, ptrdiff_t j, int columns, const double *w,
                   const sums *s, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    double buffer[CHUNK];
    ivec which = special(s);
    store(s, columns, 0.0, out + j, ld);
    for (int k = 0; k < columns; k++) {
        if (!which[k])
            continue;
        const void *column = column_of(x, b, j + k, buffer);
        if (!(s->pivot[k] == 0.0 && all_zero(column, b->rows, x->single)))
            store_special(column, w, b->rows, x->single, out + j + k, ld, infinite + j + k);
    }
}

/* *masked: whether to expect missing values; set when there are. */
INLINE void panel_any(const panel *tiles, ptrdiff_t columns, const double *w, ptrdiff_t rows,
                      const totals *all, int single, int *masked, sums *s)
{
    if (!*masked)
        *masked = !panel_sums(tiles, columns, w, rows, all, 0, single, s);
    if (*masked)
        panel_sums(tiles, columns, w, rows, all, 1, single, s);
}

INLINE void column_any(const void *x, const double *w, ptrdiff_t rows, const totals *all,
                       int single, int *masked, sums *s, int c)
{
    if (!*masked)
        *masked = !column_sums(x, w, rows, all, 0, single, s, c);
    if (*masked)
        column_sums(x, w, rows, all, 1, single, s, c);
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

static void tiled(const rows_view *x, const double *w, const block *b, const totals *all,
                  void *buffer, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    sums s[TILES];
    int masked = 0;
    for (ptrdiff_t q = 0; q * CHUNK < b->rows; q++, out += STATE_ROWS * ld) {
        block now = chunk_of(b, q);
        const double *weights = w ? w + q * CHUNK : NULL;
        panel tiles = tiles_of(x, &now, buffer);
        if (x->single)
            panel_any(&tiles, b->columns, weights, now.rows, all + q, 1, &masked, s);
        else
            panel_any(&tiles, b->columns, weights, now.rows, all + q, 0, &masked, s);
        for (ptrdiff_t j = 0; j < b->columns; j += LANES)
            settle(x, &now, tile_start(j, b->columns), LANES, weights, s + j / LANES, out, ld,
                   infinite);
    }
}

static void columnwise(const rows_view *x, const double *w, const block *b, const totals *all,
                       void *buffer, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    sums s[TURN] = {0};
    for (ptrdiff_t j = 0; j < b->columns; j += LANES) {
        int count = b->columns - j < LANES ? (int)(b->columns - j) : LANES;
        for (int c = 0, masked = 0; c < count; c++)
            for (ptrdiff_t q = 0; q * CHUNK < b->rows; q++) {
                block now = chunk_of(b, q);
                const void *column = column_of(x, &now, j + c, buffer);
                const double *weights = w ? w + q * CHUNK : NULL;
                if (x->single)
                    column_any(column, weights, now.rows, all + q, 1, &masked, s + q, c);
                else
                    column_any(column, weights, now.rows, all + q, 0, &masked, s + q, c);
            }
        for (ptrdiff_t q = 0; q * CHUNK < b->rows; q++) {
            block now = chunk_of(b, q);
            settle(x, &now, j, count, w ? w + q * CHUNK : NULL, s + q,
                   out + q * STATE_ROWS * ld, ld, infinite);
        }
    }
}

static void FG(chunks)(const rows_view *x, const double *weights, const block *b,
                       double *workspace, double *out, ptrdiff_t ld, unsigned char *infinite)
{
    double padded[TURN * CHUNK + LANES], *w = NULL; /* whole vectors of weights */
    totals all[TURN];
    if (weights) {
        w = memcpy(padded, weights, sizeof(double) * b->rows);
        memset(w + b->rows, 0, sizeof(double) * LANES);
    }
    for (ptrdiff_t q = 0; q * CHUNK < b->rows; q++)
        all[q] = total_of(w ? w + q * CHUNK : NULL, chunk_of(b, q).rows);
    if (is_tiled(x, b->columns))
        tiled(x, w, b, all, aligned(workspace), out, ld, infinite);
    else
        columnwise(x, w, b, all, aligned(workspace), out, ld, infinite);
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

const moments_table FG(moments) = {FG(chunks), FG(merge)};
