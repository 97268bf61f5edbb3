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

/* Adds up to LANES rows of a tile. */
INLINE void tile_rows(const void *x, const void *dy, ptrdiff_t pitch, ptrdiff_t rows, vec mean,
                      int single, partial *sums)
{
#define ADD(k)                                                                                   \
    do {                                                                                         \
        vec g = load_at(dy, (k)*pitch, single);                                                  \
        sums->sum[k] += g;                                                                       \
        sums->product[k] += g * (load_at(x, (k)*pitch, single) - mean);                          \
    } while (0)
    if (rows == LANES)
        EACH_LANE ADD(k);
    else
        for (int k = 0; k < rows; k++)
            ADD(k);
#undef ADD
}

/* Adds the rows of a column, a multiple of LANES but for the last ones of a chunk; brings as
 * many rows from `ahead` on, of each operand, into the cache. */
INLINE void column_rows(const void *x, const void *dy, ptrdiff_t rows, ptrdiff_t ahead,
                        double mean, int single, vec *sum, vec *product)
{
    vec s = *sum, p = *product;
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= rows; i += 2 * LANES) {
        prefetch_at(x, i + ahead, single);
        prefetch_at(dy, i + ahead, single);
        for (int k = 0; k < 2; k++) {
            vec g = load_at(dy, i + k * LANES, single);
            s += g;
            p += g * (load_at(x, i + k * LANES, single) - splat(mean));
        }
    }
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
    *sum = s;
    *product = p;
}

/* Sums of a chunk of column j: where it is, run by run, if that leaves every row in its lane. */
INLINE void column_sums(const rows_view *x, const rows_view *dy, const block *b, ptrdiff_t j,
                        ptrdiff_t ahead, double mean, double *bx, double *by, int single,
                        double *sum, double *product)
{
    const ptrdiff_t size = single ? 4 : 8;
    ptrdiff_t n = b->row / x->inner, at = b->row % x->inner, done = 0;
    vec s = {0}, p = {0};
    if (x->inner_stride != size || x->inner % LANES) {
        column_rows(pack_column(x, b, j, bx, single), pack_column(dy, b, j, by, single),
                    b->rows, ahead, mean, single, &s, &p);
    } else {
        for (; done < b->rows; at = 0, n++) {
            const ptrdiff_t left = b->rows - done, run = x->inner - at;
            const ptrdiff_t offset = n * x->outer_stride + at * size
                                     + (b->column + j) * x->column_stride;
            column_rows(x->data + offset, dy->data + offset, run < left ? run : left, ahead,
                        mean, single, &s, &p);
            done += run;
        }
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
    /* So few rows at a time are read nearly in the order of memory. */
    for (ptrdiff_t i = 0; i < b->rows; i += LANES)
        for (ptrdiff_t j = 0; j < b->columns; j += LANES) {
            ptrdiff_t offset = i * tx.pitch * (single ? 4 : 8);
            tile_rows((const char *)tile_at(&tx, j, b->columns, single) + offset,
                      (const char *)tile_at(&ty, j, b->columns, single) + offset, tx.pitch,
                      b->rows - i < LANES ? b->rows - i : LANES,
                      load(mean + tile_start(j, b->columns)), single, sums + j / LANES);
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
    /* After the last chunk of a column comes the first of the next. */
    const ptrdiff_t last = (b->rows - 1) / CHUNK;
    const ptrdiff_t next = x->column_stride / (single ? 4 : 8) - last * CHUNK;
    for (ptrdiff_t j = 0; j < b->columns; j++)
        for (ptrdiff_t q = 0; q <= last; q++) {
            block now = chunk_of(b, q);
            double *to = out + 2 * q * ld + j;
            column_sums(x, dy, &now, j, q < last ? CHUNK : next, mean[j], bx, by, single, to,
                        to + ld);
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
