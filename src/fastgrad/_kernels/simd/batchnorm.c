/* Backward pass of batch normalisation. With n samples of a channel and
 * r = 1 / sqrt(var + eps), xhat = (x - mean) r:
 *     dbeta  = sum(dy),  dgamma = sum(dy xhat)
 *     dx     = gamma r (dy - dbeta / n - xhat dgamma / n)
 * Sums are taken in double in the fixed order of rows.h and added up by chunks in
 * double-double. Compiled with -ffp-contract=off: NCHW and NHWC give the same bits. */
#include "batchnorm.h"
#include "lanes.h"

typedef struct {
    vec sum[LANES], product[LANES];
} partial;

/* Adds rows of a tile, a multiple of LANES but for the last ones of a chunk. */
INLINE void tile_rows(const void *x, const void *dy, ptrdiff_t pitch, ptrdiff_t rows, vec mean,
                      int single, partial *sums)
{
    vec sum[LANES], product[LANES]; /* copies stay in registers */
    ptrdiff_t i = 0;
    EACH_LANE sum[k] = sums->sum[k], product[k] = sums->product[k];
#define ADD(i, sum, product)                                                                     \
    do {                                                                                         \
        vec g = load_at(dy, (i)*pitch, single);                                                  \
        sum += g;                                                                                \
        product += g * (load_at(x, (i)*pitch, single) - mean);                                   \
    } while (0)
    for (; i + LANES <= rows; i += LANES)
        EACH_LANE ADD(i + k, sum[k], product[k]);
    EACH_LANE sums->sum[k] = sum[k], sums->product[k] = product[k];
    for (int k = 0; i + k < rows; k++)
        ADD(i + k, sums->sum[k], sums->product[k]);
#undef ADD
}

INLINE void column_sums(const void *x, const void *dy, ptrdiff_t rows, double mean, int single,
                        double *sum, double *product)
{
    vec s = {0}, p = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= rows; i += LANES) {
        vec g = load_at(dy, i, single);
        prefetch_at(x, i + CHUNK, single);
        prefetch_at(dy, i + CHUNK, single);
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

INLINE void tiled(const rows_view *x, const rows_view *dy, const double *mean, const block *b,
                  double *bx, double *by, double *out, ptrdiff_t ld, int single)
{
    panel tx = pack_tiles(x, b, bx, single), ty = pack_tiles(dy, b, by, single);
    partial sums[TILES];
    memset(sums, 0, (b->columns + LANES - 1) / LANES * sizeof(partial));
    for (ptrdiff_t i = 0; i < b->rows; i += BAND) {
        prefetch_band(&tx, i + 8 * BAND, b->columns, single);
        prefetch_band(&ty, i + 8 * BAND, b->columns, single);
        for (ptrdiff_t j = 0; j < b->columns; j += LANES) {
            ptrdiff_t offset = i * tx.pitch * (single ? 4 : 8);
            tile_rows((const char *)tile_at(&tx, j, b->columns, single) + offset,
                      (const char *)tile_at(&ty, j, b->columns, single) + offset, tx.pitch,
                      b->rows - i < BAND ? b->rows - i : BAND,
                      load(mean + tile_start(j, b->columns)), single, sums + j / LANES);
        }
    }
    for (ptrdiff_t j = 0; j < b->columns; j += LANES) {
        ptrdiff_t start = tile_start(j, b->columns);
        *(vec *)(out + start) = tree_of(sums[j / LANES].sum);
        *(vec *)(out + ld + start) = tree_of(sums[j / LANES].product);
    }
}

INLINE void chunks(const rows_view *x, const rows_view *dy, const double *mean, const block *b,
                   double *bx, double *by, double *out, ptrdiff_t ld, int single)
{
    if (is_tiled(x, b->columns)) {
        for (ptrdiff_t q = 0; q * CHUNK < b->rows; q++) {
            block now = chunk_of(b, q);
            tiled(x, dy, mean, &now, bx, by, out + 2 * q * ld, ld, single);
        }
        return;
    }
    for (ptrdiff_t j = 0; j < b->columns; j++)
        for (ptrdiff_t q = 0; q * CHUNK < b->rows; q++) {
            block now = chunk_of(b, q);
            double *to = out + 2 * q * ld + j;
            column_sums(pack_column(x, &now, j, bx, single), pack_column(dy, &now, j, by, single),
                        now.rows, mean[j], single, to, to + ld);
        }
}

static void FG(chunks)(const rows_view *x, const rows_view *dy, const double *mean,
                       const block *b, double *workspace, double *out, ptrdiff_t ld)
{
    double *bx = aligned(workspace), *by = bx + TILES * TILE;
    mean += b->column;
    if (x->single)
        chunks(x, dy, mean, b, bx, by, out, ld, 1);
    else
        chunks(x, dy, mean, b, bx, by, out, ld, 0);
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
    INDEPENDENT
    for (ptrdiff_t j = 0; j < count; j++)
        put(dx, j,
            ((get(dy, j, single) - a[j]) - (get(x, j, single) - mean[j]) * b[j]) * c[j],
            single);
}

INLINE void run(const void *x, const void *dy, void *dx, ptrdiff_t count, double mean, double a,
                double b, double c, int single)
{
    INDEPENDENT
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

const batchnorm_table FG(batchnorm) = {FG(chunks), FG(add), FG(row), FG(run)};
