/* Samples of several features ("columns"), read as double, whatever their layout.
 *
 * Row r = n * inner + s, column c is the element at
 *     data + n * outer_stride + s * inner_stride + c * column_stride   (bytes)
 * which covers C order, F order, strides, NCHW (inner = H * W) and NHWC alike. */
#ifndef FASTGRAD_ROWS_H
#define FASTGRAD_ROWS_H

#include <stddef.h>

/* Vectors have LANES doubles; a chunk has CHUNK rows; a task takes PANEL columns of TURN
 * chunks. TILE is the doubles per packed tile: the row too many keeps the tiles of a panel
 * out of each other's cache sets. */
enum { LANES = 8, CHUNK = 512, TURN = 4, PANEL = 128 };
enum { TILE = (CHUNK + 1) * LANES, TILES = PANEL / LANES };

typedef struct {
    const char *data;
    ptrdiff_t outer_stride, inner_stride, column_stride, inner;
    int single; /* float32, else float64 */
} rows_view;

/* Up to TURN chunks of rows by a panel of columns: one task. */
typedef struct {
    ptrdiff_t row, rows, column, columns;
} block;

#endif
