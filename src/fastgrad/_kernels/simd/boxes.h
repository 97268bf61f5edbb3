/* Boxes of lanes: sizes, steps, copies, and walking through them. See replay.h. */
#ifndef FASTGRAD_BOXES_H
#define FASTGRAD_BOXES_H

#include "replay.h"

#include <string.h>

static const double ZEROS[LANES] = {0};

static int64_t box_size(const fg_box *box, int ndim)
{
    int64_t size = 1;
    for (int d = 0; d < ndim; d++)
        size *= box->n[d];
    return size;
}

/* Steps, in doubles, of the lanes of a box: stored in C order, or a window of another. */
static void box_steps(const fg_box *box, int ndim, int64_t *step)
{
    int64_t next = LANES;
    for (int d = ndim - 1; d >= 0; d--) {
        step[d] = box->window ? box->step[d] : next;
        next *= box->n[d];
    }
}

/* Grow [lo, lo + n) to cover [other, other + length). */
static void cover(int64_t *lo, int64_t *n, int64_t other, int64_t length)
{
    const int64_t end = *lo + *n > other + length ? *lo + *n : other + length;
    *lo = *lo < other ? *lo : other;
    *n = end - *lo;
}

/* Cut [lo, lo + n) to what it has in common with [other, other + length), if anything. */
static int overlap(int64_t other, int64_t length, int64_t *lo, int64_t *n)
{
    const int64_t end = *lo + *n < other + length ? *lo + *n : other + length;
    *lo = *lo > other ? *lo : other;
    *n = end - *lo;
    return *n > 0;
}

/* The next position in a box of shape n, in C order, but along the axis `skip` (-1: along
 * every axis); 0 after the last. */
static int advance(const int64_t *n, int ndim, int skip, int64_t *at)
{
    for (int d = ndim - 1; d >= 0; d--) {
        if (d == skip)
            continue;
        if (++at[d] < n[d])
            return 1;
        at[d] = 0;
    }
    return 0;
}

static void clear(double *d, int64_t n_elements)
{
    memset(d, 0, (size_t)n_elements * LANES * sizeof(double));
}

static void copy(double *to, const double *from, int64_t n_elements)
{
    memcpy(to, from, (size_t)n_elements * LANES * sizeof(double));
}

static void copy_row(double *to, const double *from, int64_t n, int64_t step)
{
    if (step == LANES)
        copy(to, from, n);
    else
        for (int64_t i = 0; i < n; i++)
            copy(to + i * LANES, from + i * step, 1);
}

typedef void row_kernel(double *to, const double *from, int64_t n, int64_t step);

static const int64_t NOWHERE[MAX_NDIM] = {0};

/* Copy or add the rows of a box into a larger one that contains it; `shift` is added to
 * its position. Once in the library, for all kinds of rows. */
__attribute__((noinline)) static void into(const fg_box *to, const fg_box *from,
                                           int ndim, const int64_t *shift,
                                           row_kernel *row)
{
    int64_t at[MAX_NDIM] = {0}, step[MAX_NDIM], own[MAX_NDIM];
    box_steps(to, ndim, step);
    box_steps(from, ndim, own);
    const int last = ndim - 1;
    do {
        double *target = to->d;
        const double *source = from->d;
        for (int d = 0; d < ndim; d++) {
            target += (from->lo[d] + shift[d] + at[d] - to->lo[d]) * step[d];
            source += at[d] * own[d];
        }
        row(target, source, ndim ? from->n[last] : 1, ndim ? own[last] : LANES);
    } while (advance(from->n, last, -1, at));
}

#endif
