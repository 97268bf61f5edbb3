/* Sums, maxima and products over axes, and cumulative ones: boxes and lanes. */
#ifndef FASTGRAD_REDUCTIONS_H
#define FASTGRAD_REDUCTIONS_H

#include "boxes.h"
#include "operations.h"

/* y += the n elements of x, in four partial sums: one would wait for itself. */
static void add_row(const double *x, int64_t n, double *y)
{
    vd sum[4][N_VECS] = {{{0}}};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            for (int v = 0; v < N_VECS; v++)
                sum[k][v] += vec_load(x + (i + k) * LANES + v * VEC_LEN);
    for (; i < n; i++)
        for (int v = 0; v < N_VECS; v++)
            sum[0][v] += vec_load(x + i * LANES + v * VEC_LEN);
    for (int v = 0; v < N_VECS; v++)
        vec_store(y + v * VEC_LEN, vec_load(y + v * VEC_LEN)
                                       + ((sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v])));
}

static void run_sum(const fg_program *g, const fg_op *op, const fg_box *box,
                    const fg_box *out)
{
    const fg_value *value = &g->values[op->in[0]];
    const int ndim = value->ndim, last = ndim - 1;
    int64_t step[MAX_NDIM] = {0}, kept = LANES, at[MAX_NDIM] = {0};
    for (int d = last; d >= 0; d--)
        if (!op->ints[d]) {
            step[d] = kept;
            kept *= box->n[d];
        }
    clear(out->d, kept / LANES);
    const int64_t row = box->n[last];
    const double *x = box->d;
    double *y = out->d;
    for (;;) {
        if (op->ints[last]) {
            add_row(x, row, y);
        } else {
            for (int64_t i = 0; i < row * LANES; i += VEC_LEN)
                vec_store(y + i, vec_load(y + i) + vec_load(x + i));
        }
        x += row * LANES;
        int d = last - 1;
        for (; d >= 0; d--) {
            y += step[d];
            if (++at[d] < box->n[d])
                break;
            y -= box->n[d] * step[d];
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}

/* What one element of a max or product is over: all of the reduced axes, also outside the
 * box, where lanes are unperturbed. One of them: how far its value at theta and its lanes
 * are from those of the first (lanes < 0: outside). */
typedef struct {
    int64_t base, lanes;
} member;

static int64_t find_members(const fg_op *op, const fg_value *value, const fg_box *box,
                            member *members)
{
    int64_t at[MAX_NDIM] = {0}, shape[MAX_NDIM], steps[MAX_NDIM], count = 0;
    box_steps(box, value->ndim, steps);
    for (int d = 0; d < value->ndim; d++)
        shape[d] = op->ints[d] ? value->shape[d] : 1;
    do {
        member *m = &members[count++];
        int inside = 1;
        *m = (member){0, 0};
        for (int d = 0; d < value->ndim; d++)
            if (op->ints[d]) {
                inside &= at[d] >= box->lo[d] && at[d] < box->lo[d] + box->n[d];
                m->base += at[d] * value->stride[d];
                m->lanes += (at[d] - box->lo[d]) * steps[d];
            }
        m->lanes = inside ? m->lanes : -1;
    } while (advance(shape, value->ndim, -1, at));
    return count;
}

INLINE const double *lanes_of(const member *m, const double *lanes)
{
    return m->lanes < 0 ? ZEROS : lanes + m->lanes;
}

/* How far a member is from the largest at theta, f0: by its own change if it is the largest,
 * else by its value, so that x == max(x) holds for a new winner as well. */
INLINE vd from_largest(double x0, double f0, vd dx)
{
    const double from = x0 == f0 ? 0.0 : x0, to = x0 == f0 ? 0.0 : f0;
    return (from + dx) - to;
}

/* What is known of each element of a maximum, its terms: which member alone is the largest at
 * theta, and how far lanes may move without another coming up to it, zero if there is none. */
typedef struct {
    double winner, reach;
} lead;

static void prepare_max(const fg_op *op, const fg_value *value, const fg_value *target)
{
    const int last = value->ndim - 1;
    int64_t at[MAX_NDIM] = {0}, kept[MAX_NDIM] = {0}, member[MAX_NDIM] = {0}, next = 1;
    for (int d = last, k = target->ndim - 1; d >= 0; d--)
        if (op->ints[d])
            member[d] = next, next *= value->shape[d];
        else
            kept[d] = target->stride[k--];
    lead *leads = (lead *)op->terms;
    for (int64_t i = 0; i < target->size; i++)
        leads[i] = (lead){-1.0, -INFINITY};
    const double *x = value->base;
    do {
        int64_t element = 0, number = 0;
        for (int d = 0; d < last; d++)
            element += at[d] * kept[d], number += at[d] * member[d];
        for (int64_t i = 0; i < value->shape[last]; i++, x++) {
            lead *one = &leads[element + i * kept[last]];
            if (*x != target->base[one - leads])
                one->reach = *x > one->reach ? *x : one->reach;
            else
                one->winner = one->winner == -1.0 ? (double)(number + i * member[last]) : -2.0;
        }
    } while (advance(value->shape, value->ndim, last, at));
    /* Both it and another may move, and the gap is rounded. */
    for (int64_t i = 0; i < target->size; i++)
        leads[i].reach = leads[i].winner < 0.0
                             ? 0.0
                             : (target->base[i] - leads[i].reach) * (0.5 - 0x1p-50);
}

/* Where no lane moves by more than the reach, the largest changes as its winner does. Whether
 * that is so. */
INLINE int keeps_winner(const member *members, int64_t n, const double *lanes, lead known,
                        double *out)
{
    if (!(known.reach > 0.0))
        return 0;
    vi reached = {0};
    for (int64_t k = 0; k < n; k++) {
        const double *d = lanes_of(&members[k], lanes);
        for (int v = 0; v < N_VECS; v++)
            reached |= vec_reached(vec_load(d + v * VEC_LEN), vec_splat(known.reach));
    }
    if (vec_any_negative(reached))
        return 0;
    const double *own = lanes_of(&members[(int64_t)known.winner], lanes);
    for (int v = 0; v < N_VECS; v++)
        vec_store(out + v * VEC_LEN, vec_load(own + v * VEC_LEN));
    return 1;
}

/* A lane is on another side than theta unless the same elements win. */
static void max_element(const member *members, int64_t n, const double *base,
                        const double *lanes, double f0, double *out, int64_t *crossed)
{
    vd most[N_VECS];
    vi now[N_VECS] = {{0}}, kept[N_VECS] = {{0}};
    int64_t before = 0;
    for (int v = 0; v < N_VECS; v++)
        most[v] = vec_splat(-INFINITY);
    for (int64_t k = 0; k < n; k++) {
        const double x0 = base[members[k].base], *d = lanes_of(&members[k], lanes);
        for (int v = 0; v < N_VECS; v++) {
            const vd x = from_largest(x0, f0, vec_load(d + v * VEC_LEN));
            most[v] = vec_keep_nan(most[v], vec_larger(most[v], x));
        }
    }
    for (int64_t k = 0; k < n; k++) {
        const double x0 = base[members[k].base], *d = lanes_of(&members[k], lanes);
        const int64_t won = -(x0 == f0);
        for (int v = 0; v < N_VECS; v++) {
            const vi wins = from_largest(x0, f0, vec_load(d + v * VEC_LEN)) == most[v];
            now[v] -= wins;
            kept[v] -= wins & won;
        }
        before -= won;
    }
    for (int v = 0; v < N_VECS; v++) {
        vec_store(out + v * VEC_LEN, most[v]);
        *(vi *)(crossed + v * VEC_LEN) |= (now[v] != before) | (kept[v] != before);
    }
}

/* How far the product is from its own at theta, by d(x y) = dx (y0 + dy) + x0 dy. */
static void prod_element(const member *members, int64_t n, const double *base,
                         const double *lanes, double *out)
{
    vd change[N_VECS] = {{0}};
    double product = 1.0;
    for (int64_t k = 0; k < n; k++) {
        const double x0 = base[members[k].base], *d = lanes_of(&members[k], lanes);
        for (int v = 0; v < N_VECS; v++) {
            const vd dx = vec_load(d + v * VEC_LEN);
            change[v] = change[v] * (x0 + dx) + product * dx;
        }
        product *= x0;
    }
    for (int v = 0; v < N_VECS; v++)
        vec_store(out + v * VEC_LEN, change[v]);
}

static void run_fold(const fg_program *g, fg_state *st, const fg_op *op, const fg_box *box,
                     const fg_box *out)
{
    const fg_value *value = &g->values[op->in[0]], *target = &g->values[op->out];
    int64_t at[MAX_NDIM] = {0}, shape[MAX_NDIM], steps[MAX_NDIM];
    member *members = (member *)(st->work + g->scratch[0]);
    const int64_t n = find_members(op, value, box, members);
    box_steps(box, value->ndim, steps);
    int last = -1; /* of the axes that are kept */
    int64_t kept[MAX_NDIM] = {0};
    for (int d = 0, k = 0; d < value->ndim; d++) {
        shape[d] = op->ints[d] ? 1 : box->n[d];
        if (!op->ints[d])
            kept[last = d] = target->stride[k++];
    }
    double *y = out->d;
    const lead *leads = (const lead *)op->terms;
    do {
        const double *base = value->base, *lanes = box->d, *f0 = target->base;
        for (int d = 0; d < value->ndim; d++)
            if (!op->ints[d]) {
                base += (box->lo[d] + at[d]) * value->stride[d];
                lanes += at[d] * steps[d];
                f0 += (box->lo[d] + at[d]) * kept[d];
            }
        for (int64_t i = last < 0 ? 1 : box->n[last]; i > 0; i--, y += LANES) {
            if (op->code == FG_PROD)
                prod_element(members, n, base, lanes, y);
            else if (!leads || !keeps_winner(members, n, lanes, leads[f0 - target->base], y))
                max_element(members, n, base, lanes, *f0, y, st->crossed);
            if (last >= 0)
                base += value->stride[last], lanes += steps[last], f0 += kept[last];
        }
    } while (advance(shape, value->ndim, last, at));
}

static int run_reduction(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                          int measure)
{
    const fg_value *value = &g->values[op->in[0]];
    const fg_box *box = &st->boxes[op->in[0]];
    double read = 1;
    for (int d = 0, k = 0; d < value->ndim; d++) {
        if (!op->ints[d])
            out->lo[k] = box->lo[d], out->n[k++] = box->n[d];
        read *= (double)(op->ints[d] && op->code != FG_SUM ? value->shape[d] : box->n[d]);
    }
    st->cost += OPERATIONS[op->code].cost * read;
    if (measure)
        return 1;
    if (op->code == FG_SUM)
        run_sum(g, op, box, out);
    else
        run_fold(g, st, op, box, out);
    return 1;
}

/* d(x y) = dx (y0 + dy) + x0 dy, x being the product so far. */
static void run_cumprod(const fg_value *value, const fg_value *target, const fg_box *box,
                        const fg_box *out, int axis)
{
    int64_t at[MAX_NDIM] = {0}, step[MAX_NDIM], from[MAX_NDIM];
    box_steps(out, value->ndim, step);
    box_steps(box, value->ndim, from);
    const int64_t stride = value->stride[axis];
    do {
        const double *x0 = value->base, *y0 = target->base, *x = box->d;
        double *y = out->d;
        for (int d = 0; d < value->ndim; d++) {
            x0 += (out->lo[d] + at[d]) * value->stride[d];
            y0 += (out->lo[d] + at[d]) * value->stride[d];
            x += at[d] * from[d];
            y += at[d] * step[d];
        }
        for (int64_t j = 0; j < out->n[axis]; j++) {
            const double *dx = j < box->n[axis] ? x + j * from[axis] : ZEROS;
            const double *before = j ? y + (j - 1) * step[axis] : ZEROS;
            const double product0 = out->lo[axis] + j ? y0[(j - 1) * stride] : 1.0;
            for (int l = 0; l < LANES; l++)
                y[j * step[axis] + l] =
                    before[l] * (x0[j * stride] + dx[l]) + product0 * dx[l];
        }
    } while (advance(out->n, value->ndim, axis, at));
}

static void run_cumsum(const fg_value *value, const fg_box *box, const fg_box *out,
                       int axis)
{
    int64_t outer = 1, inner = LANES;
    for (int d = 0; d < value->ndim; d++)
        if (d < axis)
            outer *= box->n[d];
        else if (d > axis)
            inner *= box->n[d];
    const double *x = box->d;
    double *y = out->d;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < out->n[axis]; j++, y += inner) {
            for (int64_t k = 0; k < inner; k++)
                y[k] = (j ? y[k - inner] : 0.0) + (j < box->n[axis] ? x[k] : 0.0);
            x += j < box->n[axis] ? inner : 0;
        }
}

/* Everything behind the box along the axis changes. */
static int run_cumulative(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                           int measure)
{
    const fg_value *value = &g->values[op->in[0]];
    const fg_box *box = &st->boxes[op->in[0]];
    const int axis = (int)op->ints[0];
    for (int d = 0; d < value->ndim; d++)
        out->lo[d] = box->lo[d], out->n[d] = box->n[d];
    out->n[axis] = value->shape[axis] - box->lo[axis];
    st->cost += OPERATIONS[op->code].cost * (double)box_size(out, value->ndim);
    if (measure)
        return 1;
    if (op->code == FG_CUMSUM)
        run_cumsum(value, box, out, axis);
    else
        run_cumprod(value, &g->values[op->out], box, out, axis);
    return 1;
}

#endif
