/* Vectors of LANES doubles, and rows_view packed for them. For the leaf files only.
 *
 * The arithmetic order is fixed by the absolute row index alone. Rows are cut into
 * chunks of CHUNK; row i of a chunk is added to accumulator i mod LANES; the LANES
 * accumulators are added as a tree. Two packings keep vectors full:
 *     tile   [row][LANES columns]: a vector is one row of LANES columns (C order);
 *     column [row]:                a vector is LANES rows of one column (the rest).
 * Both do the same additions in the same order, so their results are the same bits. */
#ifndef FASTGRAD_LANES_H
#define FASTGRAD_LANES_H

#include "element.h"
#include "rows.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Rows that packing prefetches ahead. */
#define AHEAD 8

typedef double vec __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef int64_t ivec __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

INLINE vec load(const double *p) { return *(const vec *)p; }
/* LANES consecutive elements from element i on. */
INLINE vec load_at(const void *x, ptrdiff_t i, int single)
{
    if (single) {
        const float *p = (const float *)x + i;
        return (vec){p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
    }
    return *(const vec *)((const double *)x + i);
}
INLINE vec splat(double x) { return (vec){x, x, x, x, x, x, x, x}; }
INLINE vec blend(ivec mask, vec a, vec b)
{
    return (vec)(((ivec)a & mask) | ((ivec)b & ~mask));
}

/* The sum of the LANES accumulators of one column. */
INLINE double tree(vec a)
{
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
}

/* The same tree for LANES columns at once. */
INLINE vec tree_of(const vec *a)
{
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
}

/* Does STEP(i, k) for every row i < rows, k = i mod LANES being a constant. */
#define EACH_ROW(STEP)                                                                           \
    do {                                                                                         \
        ptrdiff_t i_ = 0;                                                                        \
        for (; i_ + LANES <= rows; i_ += LANES) {                                                \
            _Pragma("GCC unroll 8") for (int k = 0; k < LANES; k++) STEP(i_ + k, k);             \
        }                                                                                        \
        _Pragma("GCC unroll 8") for (int k = 0; k < LANES; k++) if (i_ + k < rows)               \
            STEP(i_ + k, k);                                                                     \
    } while (0)

INLINE int is_tiled(const rows_view *v, ptrdiff_t columns)
{
    return v->column_stride == (v->single ? 4 : 8) && columns >= 4;
}

INLINE void *aligned(void *p) { return (void *)(((uintptr_t)p + 63) & ~(uintptr_t)63); }

/* Tile b of a panel. */
INLINE const void *tile_of(const void *tiles, ptrdiff_t b, int single)
{
    return (const char *)tiles + b * TILE * (single ? 4 : 8);
}

/* Rows [row, row + rows) of columns [column, column + columns) as tiles, with zeros up to
 * the next multiple of LANES columns; where they are, if they are one tile already. */
INLINE const void *pack_tiles(const rows_view *v, ptrdiff_t row, ptrdiff_t rows,
                              ptrdiff_t column, ptrdiff_t columns, void *tiles, int single)
{
    ptrdiff_t full = columns / LANES, rest = columns % LANES, size = single ? 4 : 8;
    ptrdiff_t n = row / v->inner, s = row % v->inner;
    if (columns == LANES && v->inner_stride == LANES * size && s + rows <= v->inner)
        return v->data + n * v->outer_stride + s * v->inner_stride + column * size;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const char *p = v->data + n * v->outer_stride + s * v->inner_stride + column * size;
        char *out = (char *)tiles + i * LANES * size;
        for (ptrdiff_t k = 0; k < columns * size; k += 64)
            __builtin_prefetch(p + AHEAD * v->inner_stride + k);
        for (ptrdiff_t b = 0; b < full; b++, p += LANES * size, out += TILE * size)
            memcpy(out, p, LANES * size);
        if (rest) {
            memset(out, 0, LANES * size);
            memcpy(out, p, rest * size);
        }
        if (++s == v->inner) {
            s = 0;
            n++;
        }
    }
    return tiles;
}

INLINE void pack_run(const char *p, ptrdiff_t stride, ptrdiff_t count, void *out, int single)
{
    if (stride == (single ? 4 : 8))
        memcpy(out, p, count * stride);
    else if (single)
        for (ptrdiff_t i = 0; i < count; i++)
            ((float *)out)[i] = *(const float *)(p + i * stride);
    else
        for (ptrdiff_t i = 0; i < count; i++)
            ((double *)out)[i] = *(const double *)(p + i * stride);
}

/* Rows [row, row + rows) of one column: where they are, if contiguous, else copied. */
INLINE const void *pack_column(const rows_view *v, ptrdiff_t row, ptrdiff_t rows,
                               ptrdiff_t column, void *buffer, int single)
{
    ptrdiff_t n = row / v->inner, s = row % v->inner, size = single ? 4 : 8, done = 0;
    const char *base = v->data + column * v->column_stride;
    if (v->inner_stride == size && s + rows <= v->inner)
        return base + n * v->outer_stride + s * size;
    for (; done < rows; s = 0, n++) {
        ptrdiff_t run = v->inner - s < rows - done ? v->inner - s : rows - done;
        pack_run(base + n * v->outer_stride + s * v->inner_stride, v->inner_stride, run,
                 (char *)buffer + done * size, single);
        done += run;
    }
    return buffer;
}

#endif
