/* Sorting: the positions that sort an axis, and taking elements at such positions.
 *
 * Every lane really sorts, beginning with the order at theta. Positions are small
 * integers held as doubles. A lane is on another side of a kink than theta where its
 * order differs, or which neighbours are equal.
 */
#ifndef FASTGRAD_SORTING_H
#define FASTGRAD_SORTING_H

#include "boxes.h"

/* Whether element a comes before b: NaN last, equal elements by position. */
static int precedes(const double *keys, double a, double b)
{
    const double x = keys[(int64_t)a], y = keys[(int64_t)b];
    if (x < y || (x == x && y != y))
        return 1;
    return !(y < x || (y == y && x != x)) && a < b;
}

static void merge_sort(const double *keys, double *order, double *spare, int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            const int64_t middle = lo + width < n ? lo + width : n;
            const int64_t end = middle + width < n ? middle + width : n;
            int64_t i = lo, j = middle;
            for (int64_t k = lo; k < end; k++)
                spare[k] = i < middle && (j == end || precedes(keys, order[i], order[j]))
                               ? order[i++]
                               : order[j++];
        }
        memcpy(order, spare, (size_t)n * sizeof(double));
    }
}

/* One fibre, one lane: its order; 1 if a kink lies between it and theta. */
static int sort_lane(const double *keys, const double *keys0, int64_t stride0,
                     const double *order0, double *order, double *spare, int64_t n)
{
    int sorted = 1, crossed = 0;
    for (int64_t i = 0; i < n; i++) {
        order[i] = order0[i * stride0];
        sorted &= !i || precedes(keys, order[i - 1], order[i]);
    }
    if (!sorted)
        merge_sort(keys, order, spare, n);
    for (int64_t i = 0; i < n; i++) {
        crossed |= order[i] != order0[i * stride0];
        if (i) {
            const double a = order0[(i - 1) * stride0], b = order0[i * stride0];
            crossed |= (keys[(int64_t)order[i - 1]] == keys[(int64_t)order[i]])
                       != (keys0[(int64_t)a * stride0] == keys0[(int64_t)b * stride0]);
        }
    }
    return crossed;
}

static int run_argsort(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                        int measure)
{
    const fg_value *value = &g->values[op->in[0]], *target = &g->values[op->out];
    const fg_box *box = &st->boxes[op->in[0]];
    const int axis = (int)op->ints[0], ndim = value->ndim;
    const int64_t n = value->shape[axis], stride = value->stride[axis];
    for (int d = 0; d < ndim; d++)
        out->lo[d] = box->lo[d], out->n[d] = box->n[d];
    out->lo[axis] = 0, out->n[axis] = n;
    st->cost += 4 * (double)box_size(out, ndim);
    if (measure)
        return 1;
    double *keys = st->work + g->scratch[0], *order = keys + n, *spare = order + n;
    int64_t at[MAX_NDIM] = {0}, from[MAX_NDIM], to[MAX_NDIM];
    box_steps(box, ndim, from);
    box_steps(out, ndim, to);
    do {
        const double *keys0 = value->base, *order0 = target->base, *lanes = box->d;
        double *result = out->d;
        for (int d = 0; d < ndim; d++) {
            if (d == axis)
                continue;
            keys0 += (out->lo[d] + at[d]) * value->stride[d];
            order0 += (out->lo[d] + at[d]) * value->stride[d];
            lanes += at[d] * from[d];
            result += at[d] * to[d];
        }
        for (int l = 0; l < LANES; l++) {
            for (int64_t i = 0; i < n; i++)
                keys[i] = keys0[i * stride];
            for (int64_t i = 0; i < box->n[axis]; i++)
                keys[box->lo[axis] + i] += lanes[i * from[axis] + l];
            if (sort_lane(keys, keys0, stride, order0, order, spare, n))
                st->crossed[l] = -1;
            for (int64_t i = 0; i < n; i++)
                result[i * to[axis] + l] = order[i] - order0[i * stride];
        }
    } while (advance(out->n, ndim, axis, at));
    return 1;
}

static int run_take_along(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                           int measure)
{
    const fg_value *value = &g->values[op->in[0]], *index = &g->values[op->in[1]];
    const fg_value *target = &g->values[op->out];
    const fg_box *x = &st->boxes[op->in[0]], *p = &st->boxes[op->in[1]];
    const int axis = (int)op->ints[0], ndim = value->ndim;
    for (int d = 0; d < ndim; d++) {
        const fg_box *first = x->live ? x : p;
        out->lo[d] = first->lo[d], out->n[d] = first->n[d];
        if (x->live && p->live)
            cover(&out->lo[d], &out->n[d], p->lo[d], p->n[d]);
    }
    out->lo[axis] = 0, out->n[axis] = target->shape[axis];
    st->cost += 4 * (double)box_size(out, ndim);
    if (measure)
        return 1;
    int64_t at[MAX_NDIM] = {0}, step_x[MAX_NDIM], step_p[MAX_NDIM];
    box_steps(x, ndim, step_x);
    box_steps(p, ndim, step_p);
    double *result = out->d;
    do {
        const double *x0 = value->base, *p0 = index->base, *f0 = target->base;
        const double *dx = x->live ? x->d : NULL, *dp = p->live ? p->d : NULL;
        for (int d = 0; d < ndim; d++) {
            const int64_t i = out->lo[d] + at[d];
            p0 += i * index->stride[d];
            f0 += i * target->stride[d];
            dp = dp && i >= p->lo[d] && i < p->lo[d] + p->n[d]
                     ? dp + (i - p->lo[d]) * step_p[d] : NULL;
            if (d == axis)
                continue;
            x0 += i * value->stride[d];
            dx = dx && i >= x->lo[d] && i < x->lo[d] + x->n[d]
                     ? dx + (i - x->lo[d]) * step_x[d] : NULL;
        }
        for (int l = 0; l < LANES; l++) {
            const double moved = dp ? dp[l] : 0.0;
            const int64_t i = (int64_t)(*p0 + moved), j = i - x->lo[axis];
            const double d = dx && j >= 0 && j < x->n[axis] ? dx[j * step_x[axis] + l] : 0.0;
            result[l] = moved == 0.0 ? d : x0[i * value->stride[axis]] + d - *f0;
        }
        result += LANES;
    } while (advance(out->n, ndim, -1, at));
    return 1;
}

#endif
