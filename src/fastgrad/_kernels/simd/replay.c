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
#include "operations.h"
#include "reductions.h"
#include "shapes.h"
#include "sorting.h"

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
    const int64_t n_terms = op->terms ? N_TERMS : 0;
    int n_loops = 0;
    for (int d = 0; d < ndim; d++) {
        element_loop l = {out->n[d], {0}, {0}, target->stride[d]};
        result.value += out->lo[d] * l.out0;
        result.terms += out->lo[d] * l.out0 * n_terms;
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
            kernel(inner.n, in, &result, to, crossed);
        else
            prepare(inner.n, in, &result);
        to += inner.n * LANES;
        int d = n_loops - 1;
        for (; d >= 0; d--) {
            const element_loop *l = &loops[d];
            const int64_t move = ++at[d] < l->n ? 1 : 1 - l->n;
            result.value += move * l->out0;
            result.terms += move * l->out0 * n_terms;
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
    if (!op->terms || !target->size)
        return;
    if (op->code == FG_MAX)
        prepare_max(op, &g->values[op->in[0]], target);
    else
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

static void plus_row(double *to, const double *from, int64_t n, int64_t step)
{
    for (int64_t i = 0; i < n; i++, to += LANES, from += step)
        for (int v = 0; v < LANES; v += VEC_LEN)
            vec_store(to + v, vec_load(to + v) + vec_load(from + v));
}

static void minus_row(double *to, const double *from, int64_t n, int64_t step)
{
    for (int64_t i = 0; i < n; i++, to += LANES, from += step)
        for (int v = 0; v < LANES; v += VEC_LEN)
            vec_store(to + v, vec_load(to + v) - vec_load(from + v));
}

/* A sum or difference of two perturbed operands, of which one has the box of the result:
 * the other is added where it is perturbed. Whether that was done. */
static int add_smaller(const fg_program *g, fg_state *st, const fg_op *op, const fg_box *out,
                       const fg_box *box)
{
    const fg_value *target = &g->values[op->out];
    const int ndim = target->ndim;
    int covers[2];
    if (op->n_in != 2 || (op->code != FG_ADD && op->code != FG_SUBTRACT) || !ndim
        || !box[0].live || !box[1].live)
        return 0;
    for (int i = 0; i < 2; i++) {
        const fg_value *value = &g->values[op->in[i]];
        if (value->ndim != ndim || value->size != target->size)
            return 0;
        covers[i] = !memcmp(box[i].lo, out->lo, ndim * sizeof(int64_t))
                    && !memcmp(box[i].n, out->n, ndim * sizeof(int64_t));
    }
    if (covers[0] == covers[1] || (covers[1] && op->code == FG_SUBTRACT))
        return 0;
    const fg_box *larger = &box[covers[1]];
    fg_box smaller = box[covers[0]];
    if (smaller.d == out->d) {
        smaller.d = st->work + g->scratch[0];
        copy(smaller.d, out->d, box_size(&smaller, ndim));
    }
    if (larger->d != out->d)
        into(out, larger, ndim, NOWHERE, copy_row);
    into(out, &smaller, ndim, NOWHERE, op->code == FG_ADD ? plus_row : minus_row);
    return 1;
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
    fg_box box[3];
    if (st->count)
        out->lo[0] = st->first, out->n[0] = st->count;
    for (int i = 0; i < op->n_in; i++) {
        const fg_value *value = &g->values[op->in[i]];
        box[i] = st->boxes[op->in[i]];
        if (st->count && box[i].live && value->ndim == target->ndim && value->shape[0] != 1)
            take_rows(&box[i], value->ndim, st->first, st->count);
    }
    if (add_smaller(g, st, op, out, box))
        return 1;
    /* Bring each perturbed operand to the box of the result, with zeros around it. */
    for (int i = 0; i < op->n_in; i++) {
        const fg_value *value = &g->values[op->in[i]];
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
            grown.d = st->work + g->scratch[i];
            grown.window = 0;
            clear(grown.d, box_size(&grown, value->ndim));
            into(&grown, &box[i], value->ndim, NOWHERE, copy_row);
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

/* ---- what only the caller can evaluate ------------------------------------------- */

/* Of a call of Python in one lane, in multiply-adds. */
#define CALL_COST 2e4

/* Any change of an argument may change all of the result. */
static int run_opaque(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                      int measure)
{
    const fg_value *target = &g->values[op->out];
    for (int d = 0; d < target->ndim; d++)
        out->lo[d] = 0, out->n[d] = target->shape[d];
    st->cost += CALL_COST;
    if (!measure)
        g->call(g->caller, st, (int)(op - g->ops));
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
    out->window = 0;
    if (out->live)
        out->live = OPERATIONS[op->code].run(g, st, op, out, measure);
}

/* ---- chains: one operation and the functions of its result alone ------------------- */

/* Doubles of a strip of rows: few enough for the near caches, and so many that finding its
 * boxes costs little beside it. */
#define STRIP 16384

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
        OPERATIONS[code].prepare(n, in, &result);
    OPERATIONS[code].kernel(n, in, &result, out, crossed);
}

extern const fg_replay FG(fg_replay);
const fg_replay FG(fg_replay) = {run_program, prepare, map};
