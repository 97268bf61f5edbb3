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
/* Rows a multiple of this many bytes apart fall into a few sets of the caches: packing
 * them is twice as fast as reading them where they are. */
#define CROWDED 2048

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
INLINE void prefetch_at(const void *x, ptrdiff_t i, int single)
{
    __builtin_prefetch((const char *)x + i * (single ? 4 : 8));
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

#define EACH_LANE _Pragma("GCC unroll 8") for (int k = 0; k < LANES; k++)

/* Rows that all tiles of a panel take before the next rows: they fit L1. */
enum { BAND = 4 * LANES };

/* Chunk q of a block; of no rows beyond the last. */
INLINE block chunk_of(const block *b, ptrdiff_t q)
{
    ptrdiff_t left = b->rows - q * CHUNK, rows = left < CHUNK ? left : CHUNK;
    return (block){b->row + q * CHUNK, rows > 0 ? rows : 0, b->column, b->columns};
}

INLINE int is_tiled(const rows_view *v, ptrdiff_t columns)
{
    return v->column_stride == (v->single ? 4 : 8) && columns >= LANES;
}

INLINE void *aligned(void *p) { return (void *)(((uintptr_t)p + 63) & ~(uintptr_t)63); }

/* Tiles of a panel: tile b starts `step` elements after tile b - 1, its rows are `pitch`
 * elements apart. */
typedef struct {
    const void *data;
    ptrdiff_t step, pitch;
} panel;

/* Column where the tile of column j begins: the last tile is moved back to be full. */
INLINE ptrdiff_t tile_start(ptrdiff_t j, ptrdiff_t columns)
{
    return j + LANES <= columns ? j : columns - LANES;
}

INLINE const void *tile_at(const panel *p, ptrdiff_t j, ptrdiff_t columns, int single)
{
    ptrdiff_t offset = p->pitch == LANES ? j / LANES * p->step : tile_start(j, columns);
    return (const char *)p->data + offset * (single ? 4 : 8);
}

/* A block of at least LANES columns as a panel: where it is if its rows are evenly spaced
 * and do not crowd the caches, else copied to `buffer`. */
INLINE panel pack_tiles(const rows_view *v, const block *b, void *buffer, int single)
{
    ptrdiff_t size = single ? 4 : 8, n = b->row / v->inner, s = b->row % v->inner;
    ptrdiff_t columns = b->columns, last = tile_start(columns - 1, columns);
    const char *base = v->data + b->column * size;
    if (v->inner_stride % CROWDED && s + b->rows <= v->inner)
        return (panel){base + n * v->outer_stride + s * v->inner_stride, LANES,
                       v->inner_stride / size};
    for (ptrdiff_t i = 0; i < b->rows; i++) {
        const char *p = base + n * v->outer_stride + s * v->inner_stride;
        char *out = (char *)buffer + i * LANES * size;
        for (ptrdiff_t k = 0; k < columns * size; k += 64)
            __builtin_prefetch(p + AHEAD * v->inner_stride + k);
        for (ptrdiff_t j = 0; j + LANES <= columns; j += LANES, out += TILE * size)
            memcpy(out, p + j * size, LANES * size);
        if (columns % LANES)
            memcpy(out, p + last * size, LANES * size);
        if (++s == v->inner) {
            s = 0;
            n++;
        }
    }
    return (panel){buffer, TILE, LANES};
}

/* Bring rows [i, i + BAND) of a panel that is not packed into L2. */
INLINE void prefetch_band(const panel *p, ptrdiff_t i, ptrdiff_t columns, int single)
{
    ptrdiff_t size = single ? 4 : 8;
    for (ptrdiff_t r = i; p->pitch != LANES && r < i + BAND; r++)
        for (ptrdiff_t k = 0; k < columns * size; k += 64)
            __builtin_prefetch((const char *)p->data + r * p->pitch * size + k, 0, 2);
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

/* Column j of a block: where it is, if contiguous, else copied. */
INLINE const void *pack_column(const rows_view *v, const block *b, ptrdiff_t j, void *buffer,
                               int single)
{
    ptrdiff_t n = b->row / v->inner, s = b->row % v->inner, rows = b->rows, done = 0;
    ptrdiff_t size = single ? 4 : 8;
    const char *base = v->data + (b->column + j) * v->column_stride;
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
