/* Replay of a traced program for one bundle of lanes: how a perturbation spreads (the
 * box rule of each operation) and what it does (its lane kernel). See replay.h for the
 * layout. One thread runs one bundle; threads share nothing but the program.
 */
#include "replay.h"

#include "boxes.h"
#include "contract.h"
#include "dispatch.h"
#include "elementwise.h"
#include "linear.h"
#include "sorting.h"

/* What runs an operation: finds the box of its result and, unless to `measure`, computes
 * it. Returns whether the result is perturbed. */
typedef int (*runner)(const fg_program *, fg_state *, const fg_op *, fg_box *, int measure);

typedef struct {
    runner run;
    elementwise kernel;
    preparer prepare;
    double cost;
} operation;

static const operation OPERATIONS[FG_N_CODES];

/* Copy a box into a larger one that contains it; `shift` is added to its position. */
static void copy_into(const fg_box *to, const fg_box *from, int ndim, const int64_t *shift)
{
    int64_t at[MAX_NDIM] = {0}, step[MAX_NDIM];
    box_steps(to, ndim, step);
    const int64_t row = ndim ? from->n[ndim - 1] : 1;
    const double *source = from->d;
    for (;;) {
        double *target = to->d;
        for (int d = 0; d < ndim; d++)
            target += (from->lo[d] + shift[d] + at[d] - to->lo[d]) * step[d];
        copy(target, source, row);
        source += row * LANES;
        int d = ndim - 2;
        for (; d >= 0; d--) {
            if (++at[d] < from->n[d])
                break;
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}

/* ---- elementwise ----------------------------------------------------------------- */

typedef struct {
    int64_t n, lane[3], base[3], out0;
} element_loop;

/* One loop fewer where the outer of two neighbours continues the inner. */
static int merge_element_loops(element_loop *loops, int n, int n_in)
{
    int last = 0;
    for (int d = 1; d < n; d++) {
        element_loop *a = &loops[last], *b = &loops[d];
        int joined = a->out0 == b->n * b->out0;
        for (int i = 0; i < n_in; i++)
            joined &= a->lane[i] == b->n * b->lane[i] && a->base[i] == b->n * b->base[i];
        if (joined) {
            b->n *= a->n;
            loops[last] = *b;
        } else {
            loops[++last] = *b;
        }
    }
    return n ? last + 1 : 0;
}

/* Run `kernel` over the box of the output; operands are laid out as boxes box[i]. Without a
 * kernel, `prepare` the terms of the operation. */
static void elementwise_box(const fg_program *g, const fg_op *op, elementwise kernel,
                            preparer prepare, const int *order, const fg_box *box,
                            const fg_box *out, int64_t *crossed)
{
    const fg_value *target = &g->values[op->out];
    const int ndim = target->ndim;
    element_loop loops[MAX_NDIM];
    operand in[3];
    int64_t steps[3][MAX_NDIM];
    for (int i = 0; i < op->n_in; i++) {
        const fg_value *value = &g->values[op->in[order[i]]];
        const fg_box *b = &box[order[i]];
        in[i].d = b->live ? b->d : ZEROS;
        in[i].base = value->base;
        box_steps(b, value->ndim, steps[i]);
    }
    at_theta result = {target->base, op->terms, 0};
    int n_loops = 0;
    for (int d = 0; d < ndim; d++) {
        element_loop l = {out->n[d], {0}, {0}, target->stride[d]};
        result.value += out->lo[d] * l.out0;
        result.terms += out->lo[d] * l.out0 * N_TERMS;
        for (int i = 0; i < op->n_in; i++) {
            const fg_value *value = &g->values[op->in[order[i]]];
            const int a = d - (ndim - value->ndim);
            if (a < 0 || value->shape[a] == 1)
                continue;
            l.base[i] = value->stride[a];
            l.lane[i] = box[order[i]].live ? steps[i][a] : 0;
            in[i].base += out->lo[d] * l.base[i];
        }
        if (l.n > 1)
            loops[n_loops++] = l;
    }
    n_loops = merge_element_loops(loops, n_loops, op->n_in);
    element_loop inner = {1, {0}, {0}, 0};
    if (n_loops)
        inner = loops[--n_loops];
    for (int i = 0; i < op->n_in; i++) {
        in[i].step = inner.lane[i];
        in[i].base_step = inner.base[i];
    }
    result.step = inner.out0;
    int64_t at[MAX_NDIM] = {0};
    double *to = out->d;
    for (;;) {
        if (kernel)
            kernel(inner.n, in, result, to, crossed);
        else
            prepare(inner.n, in, result);
        to += inner.n * LANES;
        int d = n_loops - 1;
        for (; d >= 0; d--) {
            const element_loop *l = &loops[d];
            const int64_t move = ++at[d] < l->n ? 1 : 1 - l->n;
            result.value += move * l->out0;
            result.terms += move * l->out0 * N_TERMS;
            for (int i = 0; i < op->n_in; i++) {
                in[i].d += move * l->lane[i];
                in[i].base += move * l->base[i];
            }
            if (move == 1)
                break;
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}

static void prepare(const fg_program *g, int number)
{
    const fg_op *op = &g->ops[number];
    const fg_value *target = &g->values[op->out];
    const int order[3] = {0, 1, 2};
    fg_box box[3] = {{{0}}}, out = {{0}};
    for (int d = 0; d < target->ndim; d++)
        out.n[d] = target->shape[d];
    if (target->size && OPERATIONS[op->code].prepare)
        elementwise_box(g, op, NULL, OPERATIONS[op->code].prepare, order, box, &out, NULL);
}

/* The box of an elementwise result covers those of its perturbed inputs. */
static void elementwise_cover(const fg_program *g, const fg_state *st, const fg_op *op,
                              fg_box *out)
{
    const fg_value *target = &g->values[op->out];
    int first = 1;
    for (int i = 0; i < op->n_in; i++) {
        const fg_value *value = &g->values[op->in[i]];
        const fg_box *box = &st->boxes[op->in[i]];
        if (!box->live)
            continue;
        for (int d = 0; d < target->ndim; d++) {
            const int a = d - (target->ndim - value->ndim);
            const int whole = a < 0 || value->shape[a] == 1;
            const int64_t lo = whole ? 0 : box->lo[a];
            const int64_t n = whole ? target->shape[d] : box->n[a];
            if (first)
                out->lo[d] = lo, out->n[d] = n;
            else
                cover(&out->lo[d], &out->n[d], lo, n);
        }
        first = 0;
    }
}

/* Cut a box to these rows of the first axis. */
static void take_rows(fg_box *box, int ndim, int64_t first, int64_t count)
{
    int64_t steps[MAX_NDIM], lo = box->lo[0];
    box_steps(box, ndim, steps);
    box->live = overlap(first, count, &box->lo[0], &box->n[0]);
    box->d += (box->lo[0] - lo) * steps[0];
}

static int run_elementwise(const fg_program *g, fg_state *st, const fg_op *op,
                           fg_box *out, int measure)
{
    const fg_value *target = &g->values[op->out];
    elementwise kernel = OPERATIONS[op->code].kernel;
    elementwise_cover(g, st, op, out);
    if (measure) {
        st->cost += OPERATIONS[op->code].cost * (double)box_size(out, target->ndim);
        return 1;
    }
    /* Bring each perturbed operand to the box of the result, with zeros around it. */
    fg_box box[3];
    if (st->count)
        out->lo[0] = st->first, out->n[0] = st->count;
    for (int i = 0; i < op->n_in; i++) {
        const fg_value *value = &g->values[op->in[i]];
        box[i] = st->boxes[op->in[i]];
        if (st->count && box[i].live && value->ndim == target->ndim && value->shape[0] != 1)
            take_rows(&box[i], value->ndim, st->first, st->count);
        if (!box[i].live)
            continue;
        fg_box grown = box[i];
        int differs = 0;
        for (int a = 0; a < value->ndim; a++) {
            const int d = a + target->ndim - value->ndim;
            if (value->shape[a] != 1) {
                grown.lo[a] = out->lo[d];
                grown.n[a] = out->n[d];
                differs |= grown.n[a] != box[i].n[a];
            }
        }
        if (differs) {
            static const int64_t nowhere[MAX_NDIM] = {0};
            grown.d = st->work + g->scratch[i];
            clear(grown.d, box_size(&grown, value->ndim));
            copy_into(&grown, &box[i], value->ndim, nowhere);
            box[i] = grown;
        }
    }
    int order[3] = {0, 1, 2};
    if (op->n_in == 2 && box[0].live != box[1].live) {
        const int live = box[1].live;
        if (ONE_PERTURBED[op->code]) {
            kernel = ONE_PERTURBED[op->code];
            order[0] = live, order[1] = 1 - live;
        }
        /* x + constant, in place: nothing to do */
        if ((op->code == FG_ADD || (op->code == FG_SUBTRACT && !live))
            && box[live].d == out->d)
            return 1;
    }
    elementwise_box(g, op, kernel, NULL, order, box, out, st->crossed);
    return 1;
}

/* ---- reductions ------------------------------------------------------------------ */

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
    for (int d = 0; d < value->ndim; d++)
        shape[d] = op->ints[d] ? 1 : box->n[d];
    double *y = out->d;
    do {
        const double *base = value->base, *lanes = box->d, *f0 = target->base;
        for (int d = 0, k = 0; d < value->ndim; d++)
            if (!op->ints[d]) {
                base += (box->lo[d] + at[d]) * value->stride[d];
                lanes += at[d] * steps[d];
                f0 += (box->lo[d] + at[d]) * target->stride[k++];
            }
        if (op->code == FG_MAX)
            max_element(members, n, base, lanes, *f0, y, st->crossed);
        else
            prod_element(members, n, base, lanes, y);
        y += LANES;
    } while (advance(shape, value->ndim, -1, at));
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

/* ---- contraction ----------------------------------------------------------------- */

static int run_contract(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                        int measure)
{
    const fg_value *va = &g->values[op->in[0]], *vb = &g->values[op->in[1]];
    const fg_box *a = &st->boxes[op->in[0]], *b = &st->boxes[op->in[1]];
    const int n_labels = (int)op->ints[0];
    const int64_t *axes = op->ints + 1;
    int64_t lo[3][MAX_LABELS], n[3][MAX_LABELS]; /* per term, per label */
    int used[3] = {a->live, b->live, a->live && b->live};

    for (int l = 0; l < n_labels; l++) {
        const int64_t ia = axes[3 * l], ib = axes[3 * l + 1], ic = axes[3 * l + 2];
        const int64_t length = ia >= 0 ? va->shape[ia] : vb->shape[ib];
        if (!length)
            return 0; /* an empty sum */
        const int in_a = a->live && ia >= 0, in_b = b->live && ib >= 0;
        lo[0][l] = in_a ? a->lo[ia] : 0, n[0][l] = in_a ? a->n[ia] : length;
        lo[1][l] = in_b ? b->lo[ib] : 0, n[1][l] = in_b ? b->n[ib] : length;
        if (used[2]) {
            lo[2][l] = lo[1][l], n[2][l] = n[1][l];
            used[2] = overlap(lo[0][l], n[0][l], &lo[2][l], &n[2][l]);
        }
        if (ic >= 0) {
            const int t = a->live ? 0 : 1;
            out->lo[ic] = lo[t][l], out->n[ic] = n[t][l];
            if (a->live && b->live)
                cover(&out->lo[ic], &out->n[ic], lo[1][l], n[1][l]);
        }
    }
    for (int l = 0; st->count && l < n_labels; l++)
        if (axes[3 * l + 2] == 0) {
            out->lo[0] = st->first, out->n[0] = st->count;
            for (int t = 0; t < 3; t++)
                used[t] &= overlap(st->first, st->count, &lo[t][l], &n[t][l]);
        }
    for (int t = 0; t < 3; t++)
        if (used[t]) {
            double work = 1;
            for (int l = 0; l < n_labels; l++)
                work *= (double)n[t][l];
            st->cost += work;
        }
    if (measure)
        return 1;

    int64_t step_a[MAX_NDIM], step_b[MAX_NDIM], step_o[MAX_NDIM];
    const int ndim = g->values[op->out].ndim;
    box_steps(a, va->ndim, step_a);
    box_steps(b, vb->ndim, step_b);
    box_steps(out, ndim, step_o);
    /* Add into zeros where terms overlap or a sum runs outside the tile kernel. */
    int n_summed = 0;
    for (int l = 0; l < n_labels; l++)
        n_summed += axes[3 * l + 2] < 0;
    const int accumulate = (a->live && b->live) || n_summed > 1;
    if (accumulate)
        clear(out->d, box_size(out, ndim));

    for (int t = 0; t < 3; t++) {
        if (!used[t])
            continue;
        /* x: the base operand, or a's lanes; y: the perturbed operand, b's lanes */
        const int swap = t == 0;
        const double *pa = t == 1 ? va->base : a->d, *pb = t == 0 ? vb->base : b->d;
        double *o = out->d;
        loop loops[MAX_LABELS];
        int n_loops = 0;
        for (int l = 0; l < n_labels; l++) {
            const int64_t ia = axes[3 * l], ib = axes[3 * l + 1], ic = axes[3 * l + 2];
            int64_t sa = 0, sb = 0, so = 0;
            if (ia >= 0) {
                sa = t == 1 ? va->stride[ia] : step_a[ia];
                pa += (lo[t][l] - (t == 1 ? 0 : a->lo[ia])) * sa;
            }
            if (ib >= 0) {
                sb = t == 0 ? vb->stride[ib] : step_b[ib];
                pb += (lo[t][l] - (t == 0 ? 0 : b->lo[ib])) * sb;
            }
            if (ic >= 0) {
                so = step_o[ic];
                o += (lo[t][l] - out->lo[ic]) * so;
            }
            if (n[t][l] > 1)
                loops[n_loops++] = (loop){n[t][l], swap ? sb : sa, swap ? sa : sb, so};
        }
        contract_term(loops, n_loops, swap ? pb : pa, t == 2, swap ? pa : pb, o, accumulate);
    }
    return 1;
}

/* ---- shape ----------------------------------------------------------------------- */

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
    if (move == LANES)
        copy(to + first * LANES, box->d + from + first * LANES, inside);
    else
        for (int64_t i = first; i < first + inside; i++)
            copy(to + i * LANES, box->d + from + i * move, 1);
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
        reshape_scatter(value, box, target, out, op->ints);
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
            copy_into(out, &st->boxes[op->many[i]], ndim, op->ints + i * ndim);
    return 1;
}

/* ---- the program ----------------------------------------------------------------- */

/* What has no elements is unperturbed, so no box is ever empty. */
static int any_live(const fg_program *g, const fg_state *st, const fg_op *op)
{
    if (!g->values[op->out].size)
        return 0;
    for (int i = 0; i < op->n_in; i++)
        if (st->boxes[op->many[i]].live)
            return 1;
    return 0;
}

#define SMOOTH_ROW(code, name, kernel, cost)                                           \
    [FG_##code] = {run_elementwise, kernel, kernel##_terms, cost},
#define ELEMENTWISE_ROW(code, name, kernel, cost)                                      \
    [FG_##code] = {run_elementwise, kernel, NULL, cost},
#define OTHER_ROW(code, name, run, cost) [FG_##code] = {run, NULL, NULL, cost},
static const operation OPERATIONS[FG_N_CODES] = {
    FG_SMOOTH(SMOOTH_ROW) FG_ELEMENTWISE(ELEMENTWISE_ROW) FG_OTHERS(OTHER_ROW)};

static void run_operation(const fg_program *g, fg_state *st, const fg_op *op, int measure)
{
    fg_box *out = &st->boxes[op->out];
    out->live = any_live(g, st, op);
    out->d = st->work + g->values[op->out].slot;
    if (out->live)
        out->live = OPERATIONS[op->code].run(g, st, op, out, measure);
}

/* ---- chains: one operation and the functions of its result alone ------------------- */

/* Doubles of a strip of rows: a share of the L1 cache. */
#define STRIP 2048

/* Whether an operation works in place on the result of the one before, and on nothing else
 * that is perturbed. */
static int continues(const fg_program *g, const fg_state *st, const fg_op *op)
{
    const int before = (op - 1)->out;
    if (!OPERATIONS[op->code].kernel || g->values[op->out].slot != g->values[before].slot)
        return 0;
    int found = 0;
    for (int i = 0; i < op->n_in; i++) {
        if (op->in[i] != before && st->boxes[op->in[i]].live)
            return 0;
        found |= op->in[i] == before;
    }
    return found;
}

/* The number of operations, from this one on, that can go strip by strip. */
static int chain_length(const fg_program *g, const fg_state *st, int i)
{
    const fg_op *op = &g->ops[i];
    int n = 1;
    if ((op->code == FG_CONTRACT || OPERATIONS[op->code].kernel) && g->values[op->out].ndim
        && any_live(g, st, op))
        while (i + n < g->n_ops && continues(g, st, op + n))
            n++;
    return n;
}

/* Whether a result that overwrites an operand may do so strip by strip: rows are where they
 * were. */
static int rows_stay(const fg_program *g, const fg_state *st, const fg_op *op)
{
    const fg_box *out = &st->boxes[op->out];
    const int ndim = g->values[op->out].ndim;
    for (int i = 0; i < op->n_in && i < 3; i++) {
        const fg_box *box = &st->boxes[op->in[i]];
        if (box->live && box->d == out->d
            && (memcmp(box->lo, out->lo, ndim * sizeof(int64_t))
                || memcmp(box->n, out->n, ndim * sizeof(int64_t))))
            return 0;
    }
    return 1;
}

/* Run the operations on a strip of rows after the other, so that it stays in the cache. */
static void run_chain(const fg_program *g, fg_state *st, const fg_op *op, int n)
{
    for (int k = 0; k < n; k++)
        run_operation(g, st, op + k, 1);
    const fg_box whole = st->boxes[op->out];
    if (!whole.live)
        return;
    const int64_t row = box_size(&whole, g->values[op->out].ndim) / whole.n[0] * LANES;
    const int64_t cut = row < STRIP ? STRIP / row : 1, end = whole.lo[0] + whole.n[0];
    const int64_t strip = rows_stay(g, st, op) ? cut : whole.n[0];
    for (st->first = whole.lo[0]; st->first < end; st->first += strip) {
        st->count = st->first + strip < end ? strip : end - st->first;
        for (int k = 0; k < n; k++) {
            fg_box *out = &st->boxes[op[k].out];
            out->d = whole.d + (st->first - whole.lo[0]) * row;
            OPERATIONS[op[k].code].run(g, st, op + k, out, 0);
        }
    }
    st->count = 0;
    for (int k = 0; k < n; k++)
        st->boxes[op[k].out] = whole;
}

static void run_program(const fg_program *g, fg_state *st, int measure)
{
    for (int i = 0; i < g->n_ops;) {
        const int n = measure ? 1 : chain_length(g, st, i);
        if (n > 1)
            run_chain(g, st, &g->ops[i], n);
        else
            run_operation(g, st, &g->ops[i], measure);
        i += n;
    }
}

static void map(int code, int64_t n, const double *const x[3], const double *const d[3],
                const double *f0, double *terms, double *out)
{
    int64_t crossed[LANES];
    operand in[3];
    const at_theta result = {f0, terms, 1};
    for (int i = 0; i < 3; i++)
        in[i] = (operand){d[i], x[i], LANES, 1};
    if (OPERATIONS[code].prepare)
        OPERATIONS[code].prepare(n, in, result);
    OPERATIONS[code].kernel(n, in, result, out, crossed);
}

extern const fg_replay FG(fg_replay);
const fg_replay FG(fg_replay) = {run_program, prepare, map};
