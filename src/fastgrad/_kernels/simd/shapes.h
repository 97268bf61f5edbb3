/* Operations that move elements: view, reshape, take, place. Boxes and lanes. */
#ifndef FASTGRAD_SHAPES_H
#define FASTGRAD_SHAPES_H

#include "boxes.h"

static int64_t floor_div(int64_t a, int64_t b)
{
    const int64_t q = a / b;
    return q - ((a % b != 0) && ((a < 0) != (b < 0)));
}

/* The o in [0, length) with low <= step * o <= high: *first and their number. */
static int64_t steps_within(int64_t low, int64_t high, int64_t step, int64_t length,
                            int64_t *first)
{
    int64_t begin = step > 0 ? -floor_div(-low, step) : -floor_div(-high, step);
    int64_t end = step > 0 ? floor_div(high, step) : floor_div(low, step);
    begin = begin > 0 ? begin : 0;
    end = end < length - 1 ? end : length - 1;
    *first = begin;
    return end >= begin ? end - begin + 1 : 0;
}

/* One row (last output axis) of a view whose window axes may step outside the box. */
static void view_row(const fg_value *value, const fg_box *box, const fg_box *out,
                     const int64_t *start, int axis, int64_t step, double *to, int64_t n)
{
    int64_t steps[MAX_NDIM], first = 0, inside = n, from = 0;
    int beside = 0; /* whether the whole row lies outside the box */
    box_steps(box, value->ndim, steps);
    for (int a = 0; a < value->ndim; a++) {
        const int64_t low = box->lo[a] - start[a], high = low + box->n[a] - 1;
        if (a == axis)
            inside = steps_within(low, high, step, n, &first);
        else
            beside |= low > 0 || high < 0;
        from += (start[a] - box->lo[a]) * steps[a];
    }
    inside = beside ? 0 : inside;
    if (inside < n)
        clear(to, n);
    const int64_t move = axis >= 0 ? step * steps[axis] : 0;
    copy_row(to + first * LANES, box->d + from + first * move, inside, move);
}

/* A view as a window: nothing is copied. */
static void open_window(const fg_value *value, const fg_value *target, const fg_op *op,
                        const fg_box *box, fg_box *out)
{
    const int64_t *offset = op->ints, *moves = op->ints + value->ndim;
    int64_t steps[MAX_NDIM];
    box_steps(box, value->ndim, steps);
    out->window = 1;
    out->d = box->d;
    for (int a = 0; a < value->ndim; a++)
        out->d += (offset[a] - box->lo[a]) * steps[a];
    for (int d = 0; d < target->ndim; d++) {
        out->step[d] = moves[2 * d] >= 0 ? moves[2 * d + 1] * steps[moves[2 * d]] : 0;
        out->d += out->lo[d] * out->step[d];
    }
}

static int view_cover(const fg_value *value, const fg_value *target, const fg_op *op,
                      const fg_box *box, fg_box *out)
{
    const int64_t *offset = op->ints, *moves = op->ints + value->ndim;
    int64_t low[MAX_NDIM] = {0}, high[MAX_NDIM] = {0}; /* reach of all output axes */
    for (int d = 0; d < target->ndim; d++)
        if (moves[2 * d] >= 0) {
            const int64_t reach = moves[2 * d + 1] * (target->shape[d] - 1);
            *(reach < 0 ? &low[moves[2 * d]] : &high[moves[2 * d]]) += reach;
        }
    for (int a = 0; a < value->ndim; a++)
        if (offset[a] + high[a] < box->lo[a] || offset[a] + low[a] >= box->lo[a] + box->n[a])
            return 0;
    for (int d = 0; d < target->ndim; d++) {
        const int64_t a = moves[2 * d], step = moves[2 * d + 1];
        out->lo[d] = 0;
        out->n[d] = target->shape[d];
        if (a < 0 || step == 0)
            continue;
        const int64_t reach = step * (target->shape[d] - 1);
        const int64_t low_others = low[a] - (reach < 0 ? reach : 0);
        const int64_t high_others = high[a] - (reach > 0 ? reach : 0);
        out->n[d] = steps_within(box->lo[a] - offset[a] - high_others,
                                 box->lo[a] + box->n[a] - 1 - offset[a] - low_others, step,
                                 target->shape[d], &out->lo[d]);
        if (!out->n[d])
            return 0;
    }
    return 1;
}

static int run_view(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                    int measure)
{
    const fg_value *value = &g->values[op->in[0]], *target = &g->values[op->out];
    const fg_box *box = &st->boxes[op->in[0]];
    const int64_t *offset = op->ints, *moves = op->ints + value->ndim;
    if (!view_cover(value, target, op, box, out))
        return 0;
    if (moves[2 * target->ndim]) {
        open_window(value, target, op, box, out);
        return 1;
    }
    st->cost += (double)box_size(out, target->ndim);
    if (measure)
        return 1;
    const int last = target->ndim - 1;
    const int64_t row = target->ndim ? out->n[last] : 1;
    const int axis = target->ndim ? (int)moves[2 * last] : -1;
    const int64_t step = target->ndim ? moves[2 * last + 1] : 0;
    int64_t at[MAX_NDIM] = {0};
    double *to = out->d;
    for (;; to += row * LANES) {
        int64_t start[MAX_NDIM];
        for (int a = 0; a < value->ndim; a++)
            start[a] = offset[a];
        for (int d = 0; d < target->ndim; d++)
            if (moves[2 * d] >= 0)
                start[moves[2 * d]] += moves[2 * d + 1] * (out->lo[d] + at[d]);
        view_row(value, box, out, start, axis, step, to, row);
        int d = last - 1;
        for (; d >= 0; d--) {
            if (++at[d] < out->n[d])
                break;
            at[d] = 0;
        }
        if (d < 0)
            return 1;
    }
}

/* The box of a group of axes after a reshape: covers the flat range of the old box. */
static void reshape_group(const fg_value *value, const fg_box *box, int a, int na,
                          const fg_value *target, fg_box *out, int d, int nd)
{
    int64_t low = 0, high = 0, rest = 1;
    for (int i = a; i < a + na; i++) {
        low = low * value->shape[i] + box->lo[i];
        high = high * value->shape[i] + box->lo[i] + box->n[i] - 1;
    }
    for (int i = d; i < d + nd; i++)
        rest *= target->shape[i];
    int differ = 0;
    for (int i = d; i < d + nd; i++) {
        rest /= target->shape[i];
        const int64_t first = low / rest, end = high / rest;
        low -= first * rest, high -= end * rest;
        out->lo[i] = differ ? 0 : first;
        out->n[i] = differ ? target->shape[i] : end - first + 1;
        differ |= first != end;
    }
}

static void reshape_scatter(const fg_value *value, const fg_box *box,
                            const fg_value *target, const fg_box *out, const int64_t *ints)
{
    int64_t at[MAX_NDIM] = {0}, step[MAX_NDIM];
    box_steps(out, target->ndim, step);
    const double *from = box->d;
    clear(out->d, box_size(out, target->ndim));
    for (;; from += LANES) {
        double *to = out->d;
        for (int64_t group = 0, a = 0, d = 0; group < ints[0]; group++) {
            const int64_t a1 = a + ints[1 + 2 * group], d1 = d + ints[2 + 2 * group];
            int64_t flat = 0;
            for (; a < a1; a++)
                flat = flat * value->shape[a] + box->lo[a] + at[a];
            for (int64_t i = d1 - 1; i >= d; i--) {
                to += (flat % target->shape[i] - out->lo[i]) * step[i];
                flat /= target->shape[i];
            }
            d = d1;
        }
        copy(to, from, 1);
        int d = value->ndim - 1;
        for (; d >= 0; d--) {
            if (++at[d] < box->n[d])
                break;
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}

static int run_reshape(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                        int measure)
{
    const fg_value *value = &g->values[op->in[0]], *target = &g->values[op->out];
    const fg_box *box = &st->boxes[op->in[0]];
    for (int64_t group = 0, a = 0, d = 0; group < op->ints[0]; group++) {
        const int64_t na = op->ints[1 + 2 * group], nd = op->ints[2 + 2 * group];
        reshape_group(value, box, (int)a, (int)na, target, out, (int)d, (int)nd);
        a += na, d += nd;
    }
    const int64_t size = box_size(out, target->ndim);
    st->cost += (double)size;
    if (measure)
        return 1;
    if (size == box_size(box, value->ndim)) {
        if (out->d != box->d)
            copy(out->d, box->d, size);
    } else {
        fg_box from = *box;
        if (from.d == out->d) {
            from.d = st->work + g->scratch[0];
            copy(from.d, box->d, box_size(box, value->ndim));
        }
        reshape_scatter(value, &from, target, out, op->ints);
    }
    return 1;
}

static int run_take(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                    int measure)
{
    const fg_value *target = &g->values[op->out];
    const fg_box *box = &st->boxes[op->in[0]];
    const int64_t n = op->ints[0], *index = op->ints + 1;
    int64_t first = n, last = -1;
    for (int64_t i = 0; i < n; i++)
        if (index[i] >= box->lo[0] && index[i] < box->lo[0] + box->n[0]) {
            first = i < first ? i : first;
            last = i;
        }
    if (last < 0)
        return 0;
    for (int d = 1; d < target->ndim; d++)
        out->lo[d] = box->lo[d], out->n[d] = box->n[d];
    out->lo[0] = first;
    out->n[0] = last - first + 1;
    const int64_t size = box_size(out, target->ndim), row = size / out->n[0];
    st->cost += (double)size + 0.25 * (double)n;
    if (measure)
        return 1;
    for (int64_t i = first; i <= last; i++) {
        const int64_t at = index[i] - box->lo[0];
        double *to = out->d + (i - first) * row * LANES;
        if (at >= 0 && at < box->n[0])
            copy(to, box->d + at * row * LANES, row);
        else
            clear(to, row);
    }
    return 1;
}

static int run_place(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                      int measure)
{
    const int ndim = g->values[op->out].ndim;
    int n_live = 0;
    for (int i = 0; i < op->n_in; i++) {
        const fg_box *box = &st->boxes[op->many[i]];
        const int64_t *offset = op->ints + i * ndim;
        if (!box->live)
            continue;
        for (int d = 0; d < ndim; d++)
            if (n_live)
                cover(&out->lo[d], &out->n[d], box->lo[d] + offset[d], box->n[d]);
            else
                out->lo[d] = box->lo[d] + offset[d], out->n[d] = box->n[d];
        n_live++;
    }
    const int64_t size = box_size(out, ndim);
    st->cost += (double)size;
    if (measure)
        return 1;
    if (n_live > 1)
        clear(out->d, size);
    for (int i = 0; i < op->n_in; i++)
        if (st->boxes[op->many[i]].live)
            into(out, &st->boxes[op->many[i]], ndim, op->ints + i * ndim, copy_row);
    return 1;
}

#endif
