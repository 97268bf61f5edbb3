/* Backward pass of batch normalisation. With n samples of a channel and
 * r = 1 / sqrt(var + eps), xhat = (x - mean) r:
 *     dbeta  = sum(dy),  dgamma = sum(dy xhat)
 *     dx     = gamma r (dy - dbeta / n - xhat dgamma / n)
 * Sums are taken in double in the fixed order of rows.h and added up by chunks in
 * double-double. Compiled with -ffp-contract=off: NCHW and NHWC give the same bits. */
#include "batchnorm.h"
#include "lanes.h"

INLINE void tile_sums(const void *x, const void *dy, ptrdiff_t pitch, ptrdiff_t rows, vec mean,
                      int single, vec *sum, vec *product)
{
    vec s[LANES] = {0}, p[LANES] = {0};
#define ADD(i, k)                                                                                \
    do {                                                                                         \
        vec g = load_at(dy, (i)*pitch, single);                                                  \
        s[k] += g;                                                                               \
        p[k] += g * (load_at(x, (i)*pitch, single) - mean);                                      \
    } while (0)
    EACH_ROW(ADD);
#undef ADD
    *sum = tree_of(s);
    *product = tree_of(p);
}

INLINE void column_sums(const void *x, const void *dy, ptrdiff_t rows, double mean, int single,
                        double *sum, double *product)
{
    vec s = {0}, p = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= rows; i += LANES) {
        vec g = load_at(dy, i, single);
        s += g;
        p += g * (load_at(x, i, single) - splat(mean));
    }
    for (int k = 0; i + k < rows; k++) {
        double g = get(dy, i + k, single);
        s[k] += g;
        p[k] += g * (get(x, i + k, single) - mean);
    }
    *sum = tree(s);
    *product = tree(p);
}

INLINE void chunk(const rows_view *x, const rows_view *dy, const double *mean, const block *now,
                  const block *next, double *bx, double *by, double *out, ptrdiff_t ld,
                  int single)
{
    ptrdiff_t columns = now->columns;
    mean += now->column;
    if (!is_tiled(x, columns)) {
        for (ptrdiff_t j = 0; j < columns; j++) {
            prefetch_column(x, now, j + 1);
            prefetch_column(dy, now, j + 1);
            column_sums(pack_column(x, now, j, bx, single), pack_column(dy, now, j, by, single),
                        now->rows, mean[j], single, out + j, out + ld + j);
        }
        return;
    }
    panel tx = pack_tiles(x, now, bx, single), ty = pack_tiles(dy, now, by, single);
    for (ptrdiff_t j = 0; j < columns; j += LANES) {
        ptrdiff_t start = tile_start(j, columns);
        vec sum, product;
        prefetch_part(x, next, j / LANES, (columns + LANES - 1) / LANES);
        prefetch_part(dy, next, j / LANES, (columns + LANES - 1) / LANES);
        tile_sums(tile_at(&tx, j, columns, single), tile_at(&ty, j, columns, single), tx.pitch,
                  now->rows, load(mean + start), single, &sum, &product);
        *(vec *)(out + start) = sum;
        *(vec *)(out + ld + start) = product;
    }
}

static void FG(chunk)(const rows_view *x, const rows_view *dy, const double *mean,
                      const block *now, const block *next, double *workspace, double *out,
                      ptrdiff_t ld)
{
    double *bx = aligned(workspace), *by = bx + TILES * TILE;
    if (x->single)
        chunk(x, dy, mean, now, next, bx, by, out, ld, 1);
    else
        chunk(x, dy, mean, now, next, bx, by, out, ld, 0);
}

static void FG(add)(double *hi, double *lo, const double *value, ptrdiff_t columns)
{
    for (ptrdiff_t j = 0; j < columns; j++) {
        double s = hi[j] + value[j], back = s - hi[j];
        lo[j] += (hi[j] - (s - back)) + (value[j] - back);
        hi[j] = s;
    }
}

INLINE void row(const void *x, const void *dy, void *dx, ptrdiff_t count, const double *mean,
                const double *a, const double *b, const double *c, int single)
{
#pragma GCC ivdep
    for (ptrdiff_t j = 0; j < count; j++)
        put(dx, j,
            ((get(dy, j, single) - a[j]) - (get(x, j, single) - mean[j]) * b[j]) * c[j],
            single);
}

INLINE void run(const void *x, const void *dy, void *dx, ptrdiff_t count, double mean, double a,
                double b, double c, int single)
{
#pragma GCC ivdep
    for (ptrdiff_t i = 0; i < count; i++)
        put(dx, i, ((get(dy, i, single) - a) - (get(x, i, single) - mean) * b) * c, single);
}

static void FG(row)(const void *x, const void *dy, void *dx, ptrdiff_t count, const double *mean,
                    const double *a, const double *b, const double *c, int single)
{
    if (single)
        row(x, dy, dx, count, mean, a, b, c, 1);
    else
        row(x, dy, dx, count, mean, a, b, c, 0);
}

static void FG(run)(const void *x, const void *dy, void *dx, ptrdiff_t count, double mean,
                    double a, double b, double c, int single)
{
    if (single)
        run(x, dy, dx, count, mean, a, b, c, 1);
    else
        run(x, dy, dx, count, mean, a, b, c, 0);
}

const batchnorm_table FG(batchnorm) = {FG(chunk), FG(add), FG(row), FG(run)};
