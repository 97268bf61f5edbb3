/* Linear algebra on stacks of matrices: solve, determinants, Cholesky.
 *
 * With W the inverse of A at theta, all is said relative to theta,
 *
 *     (A + dA) dx = db - dA x    is    (I + W dA) dx = W (db - dA x)
 *     det(A + dA) = det(A) det(I + W dA)
 *
 * and where dA is zero outside some columns, so is W dA: only that many unknowns are
 * eliminated, and the others follow. These are identities, not expansions: dA may be
 * large. I + E is stored as E, so that log det(I + E) keeps its digits where E is tiny.
 * Where a lane's matrix is singular or not positive definite, its result is not finite.
 */
#ifndef FASTGRAD_LINEAR_H
#define FASTGRAD_LINEAR_H

#include "boxes.h"
#include "contract.h"
#include "vecmath.h"

/* One matrix of a stack: its values at theta, and the lanes of its box. */
typedef struct {
    const double *base;
    const double *d;         /* NULL: unperturbed */
    int64_t row, rows;       /* of the box */
    int64_t column, columns;
    int64_t width;           /* columns of the matrix */
} matrix;

/* The matrix at position `at` of the box `out`, whose leading axes are the stack's. */
static matrix matrix_at(const fg_value *value, const fg_box *box, const fg_box *out,
                        const int64_t *at)
{
    const int lead = value->ndim - 2;
    int64_t steps[MAX_NDIM];
    matrix m = {value->base, box->live ? box->d : NULL, 0, 0, 0, 0, value->shape[lead + 1]};
    box_steps(box, value->ndim, steps);
    for (int d = 0; d < lead; d++) {
        const int64_t i = out->lo[d] + at[d], inside = i - box->lo[d];
        m.base += i * value->stride[d];
        m.d = m.d && inside >= 0 && inside < box->n[d] ? m.d + inside * steps[d] : NULL;
    }
    if (m.d) {
        m.row = box->lo[lead], m.rows = box->n[lead];
        m.column = box->lo[lead + 1], m.columns = box->n[lead + 1];
    }
    return m;
}

static void negate(double *d, int64_t n_elements)
{
    for (int64_t i = 0; i < n_elements * LANES; i++)
        d[i] = -d[i];
}

/* O = S L for scalars S (rows x inner, `step` apart) and lanes L (inner x columns). */
static void times_lanes(const double *s, int64_t step, int64_t rows, const double *lanes,
                        int64_t inner, int64_t columns, double *out)
{
    scalar_product(rows, columns, inner, s, step, 1, lanes, LANES, columns * LANES, out,
                   columns * LANES, LANES, 0);
}

/* ---- elimination of I + E, stored as E (n x n) ------------------------------------ */

static void swap_lane(double *a, double *b, int64_t n_elements)
{
    for (int64_t j = 0; j < n_elements * LANES; j += LANES) {
        const double kept = a[j];
        a[j] = b[j];
        b[j] = kept;
    }
}

/* Partial pivoting, lane by lane; no lane moves while E is small. */
static void choose_pivots(int64_t n, int64_t p, double *e, double *rhs, int64_t k,
                          int64_t *odd)
{
    double largest[LANES];
    int64_t which[LANES];
    for (int l = 0; l < LANES; l++) {
        largest[l] = fabs(1.0 + e[(p * n + p) * LANES + l]);
        which[l] = p;
    }
    for (int64_t i = p + 1; i < n; i++)
        for (int l = 0; l < LANES; l++) {
            const double size = fabs(e[(i * n + p) * LANES + l]);
            const int larger = size > largest[l];
            largest[l] = larger ? size : largest[l];
            which[l] = larger ? i : which[l];
        }
    for (int l = 0; l < LANES; l++) {
        const int64_t i = which[l];
        if (i == p)
            continue;
        double *diagonal[2] = {e + (p * n + p) * LANES + l, e + (i * n + i) * LANES + l};
        for (int d = 0; d < 2; d++)
            *diagonal[d] += 1.0;
        swap_lane(e + p * n * LANES + l, e + i * n * LANES + l, n);
        swap_lane(rhs + p * k * LANES + l, rhs + i * k * LANES + l, k);
        for (int d = 0; d < 2; d++)
            *diagonal[d] -= 1.0;
        odd[l] = !odd[l];
    }
}

/* row -= factor * top */
INLINE void subtract_row(double *row, const double *top, vd factor, int64_t n_elements)
{
    for (int64_t j = 0; j < n_elements * LANES; j += LANES)
        vec_store(row + j, vec_load(row + j) - factor * vec_load(top + j));
}

/* To an upper triangle, the right-hand side (n x k) along with it. odd: lanes whose rows
 * were swapped an odd number of times. */
static void eliminate(int64_t n, double *e, double *rhs, int64_t k, int64_t *odd)
{
    for (int64_t p = 0; p < n; p++) {
        choose_pivots(n, p, e, rhs, k, odd);
        const double *pivot = e + (p * n + p) * LANES;
        for (int64_t i = p + 1; i < n; i++)
            for (int v = 0; v < LANES; v += VEC_LEN) {
                double *row = e + (i * n + p) * LANES + v;
                const vd factor = vec_load(row) / (1.0 + vec_load(pivot + v));
                subtract_row(row + LANES, pivot + LANES + v, factor, n - p - 1);
                subtract_row(rhs + i * k * LANES + v, rhs + p * k * LANES + v, factor, k);
            }
    }
}

static void substitute_back(int64_t n, const double *e, double *x, int64_t k)
{
    for (int64_t i = n - 1; i >= 0; i--)
        for (int v = 0; v < LANES; v += VEC_LEN) {
            const double *row = e + i * n * LANES + v;
            double *to = x + i * k * LANES + v;
            for (int64_t j = i + 1; j < n; j++)
                subtract_row(to, x + j * k * LANES + v, vec_load(row + j * LANES), k);
            const vd pivot = 1.0 + vec_load(row + i * LANES);
            for (int64_t q = 0; q < k * LANES; q += LANES)
                vec_store(to + q, vec_load(to + q) / pivot);
        }
}

/* ---- solve ------------------------------------------------------------------------ */

/* r = db - dA x on the rows that are perturbed: the first of them, and their number. */
static int64_t perturbed_rows(matrix a, matrix b, matrix x, double *r, int64_t *first)
{
    const int64_t k = x.columns;
    int64_t rows = a.d ? a.rows : b.rows;
    *first = a.d ? a.row : b.row;
    if (a.d && b.d)
        cover(first, &rows, b.row, b.rows);
    clear(r, rows * k);
    if (a.d) {
        double *to = r + (a.row - *first) * k * LANES;
        scalar_product(k, a.rows, a.columns, x.base + a.column * x.width + x.column, 1,
                       x.width, a.d, a.columns * LANES, LANES, to, LANES, k * LANES, 0);
        negate(to, a.rows * k);
    }
    for (int64_t i = 0; i < b.rows; i++)
        for (int64_t j = 0; j < b.columns * LANES; j++)
            r[((b.row - *first + i) * k + b.column - x.column) * LANES + j] +=
                b.d[i * b.columns * LANES + j];
    return rows;
}

/* scratch: e for n x n, r for n x k elements */
static void solve_matrix(matrix a, matrix b, matrix x, const double *inverse, double *out,
                         double *e, double *r)
{
    const int64_t n = a.width, k = x.columns, m = a.columns, last = a.column + m;
    int64_t odd[LANES] = {0}, first;
    const int64_t rows = perturbed_rows(a, b, x, r, &first);
    times_lanes(inverse + first, n, n, r, rows, k, out);
    if (!a.d)
        return;
    double *known = out + a.column * k * LANES;
    times_lanes(inverse + a.row, n, n, a.d, a.rows, m, e);
    eliminate(m, e + a.column * m * LANES, known, k, odd);
    substitute_back(m, e + a.column * m * LANES, known, k);
    negate(e, n * m);
    lane_product(a.column, k, m, e, m * LANES, LANES, known, LANES, k * LANES, out,
                 k * LANES, LANES, 1);
    lane_product(n - last, k, m, e + last * m * LANES, m * LANES, LANES, known, LANES,
                 k * LANES, out + last * k * LANES, k * LANES, LANES, 1);
}

/* All rows; the columns of b, or all where the matrix itself is perturbed. */
static void run_solve(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                      int measure)
{
    const fg_value *va = &g->values[op->in[0]], *vb = &g->values[op->in[1]];
    const fg_box *a = &st->boxes[op->in[0]], *b = &st->boxes[op->in[1]];
    const int lead = va->ndim - 2;
    const int64_t n = vb->shape[lead];
    const fg_box *box = a->live ? a : b;
    for (int d = 0; d < lead; d++) {
        out->lo[d] = box->lo[d], out->n[d] = box->n[d];
        if (a->live && b->live)
            cover(&out->lo[d], &out->n[d], b->lo[d], b->n[d]);
    }
    out->lo[lead] = 0, out->n[lead] = n;
    out->lo[lead + 1] = a->live ? 0 : b->lo[lead + 1];
    out->n[lead + 1] = a->live ? vb->shape[lead + 1] : b->n[lead + 1];
    const int64_t size = box_size(out, lead + 2);
    const double m = a->live ? (double)a->n[lead + 1] : 0;
    const double rows = a->live && a->n[lead] > 1 ? (double)n : 1;
    st->cost += (double)size * (rows + 2 * m) + m * m * m
                + (n ? (double)size / (double)n * m : 0);
    if (measure || !size)
        return;
    double *e = st->work + g->scratch[0], *r = st->work + g->scratch[1];
    int64_t at[MAX_NDIM] = {0};
    double *to = out->d;
    do {
        const matrix x = matrix_at(&g->values[op->out], out, out, at);
        const matrix of_a = matrix_at(va, a, out, at), of_b = matrix_at(vb, b, out, at);
        const double *inverse = op->data + (of_a.base - va->base);
        if (of_a.d || of_b.d)
            solve_matrix(of_a, of_b, x, inverse, to, e, r);
        else
            clear(to, n * x.columns);
        to += n * x.columns * LANES;
    } while (advance(out->n, lead, -1, at));
}

/* ---- determinants ----------------------------------------------------------------- */

/* det(I + E) - 1, E being the columns of W dA that are not zero. */
static void determinant_change(matrix a, const double *inverse, double *e, double *change)
{
    const int64_t n = a.width, m = a.columns;
    int64_t odd[LANES] = {0};
    times_lanes(inverse + a.column * n + a.row, n, m, a.d, a.rows, m, e);
    eliminate(m, e, e, 0, odd);
    for (int l = 0; l < LANES; l++) {
        double product = 0.0;
        for (int64_t p = 0; p < m; p++) {
            const double pivot = e[(p * m + p) * LANES + l];
            product = product * (1.0 + pivot) + pivot;
        }
        change[l] = odd[l] ? -2.0 - product : product;
    }
}

/* From det(A + dA) / det(A) - 1 to the difference of the result. */
static double determinant_difference(int code, double change, double value0)
{
    if (code == FG_DET)
        return value0 * change;
    if (code == FG_LOGABSDET)
        return log1p(change < -1.0 ? -2.0 - change : change);
    return change > -1.0 ? 0.0 : change == -1.0 ? -value0 : -2.0 * value0 + 0.0 * change;
}

static void run_determinant(const fg_program *g, fg_state *st, const fg_op *op,
                            fg_box *out, int measure)
{
    const fg_value *va = &g->values[op->in[0]], *target = &g->values[op->out];
    const fg_box *a = &st->boxes[op->in[0]];
    const int lead = target->ndim;
    for (int d = 0; d < lead; d++)
        out->lo[d] = a->lo[d], out->n[d] = a->n[d];
    const double m = (double)a->n[lead + 1];
    st->cost += (double)box_size(out, lead) * (m * m * ((double)a->n[lead] + m) + 30);
    if (measure)
        return;
    int64_t at[MAX_NDIM] = {0};
    double *to = out->d;
    do {
        const matrix of_a = matrix_at(va, a, out, at);
        const double *value0 = target->base;
        double change[LANES];
        for (int d = 0; d < lead; d++)
            value0 += (out->lo[d] + at[d]) * target->stride[d];
        determinant_change(of_a, op->data + (of_a.base - va->base),
                           st->work + g->scratch[0], change);
        for (int l = 0; l < LANES; l++, to++) {
            *to = determinant_difference(op->code, change[l], *value0);
            if (op->code != FG_DET && !(change[l] > -1.0))
                st->crossed[l] = -1;
        }
    } while (advance(out->n, lead, -1, at));
}

/* ---- Cholesky --------------------------------------------------------------------- */

/* One element of dL: of A = L L', the term of element (i, j), in differences. */
static void cholesky_element(matrix a, matrix l, int64_t i, int64_t j, double *row_i,
                             const double *row_j)
{
    const int64_t n = l.width, ai = i - a.row, aj = j - a.column;
    const double *l_i = l.base + i * n, *l_j = l.base + j * n;
    const int inside = a.d && ai >= 0 && ai < a.rows && aj >= 0 && aj < a.columns;
    const double *da = inside ? a.d + (ai * a.columns + aj) * LANES : ZEROS;
    double *to = row_i + (j - l.column) * LANES;
    const double *diagonal = row_j ? row_j + (j - l.column) * LANES : ZEROS;
    for (int v = 0; v < LANES; v += VEC_LEN) {
        vd rest = vec_load(da + v);
        for (int64_t k = l.column; k < j; k++) {
            const int64_t at = (k - l.column) * LANES + v;
            const vd d_i = vec_load(row_i + at);
            const vd d_j = vec_load((row_j ? row_j + at : ZEROS + v));
            rest -= d_i * (l_j[k] + d_j) + l_i[k] * d_j;
        }
        if (i == j) {
            const vd square = l_j[j] * l_j[j] + rest;
            vd root = square;
            for (int s = 0; s < VEC_LEN; s++)
                root[s] = square[s] > 0.0 ? sqrt(square[s]) : NAN;
            vec_store(to + v, rest / (l_j[j] + root));
        } else {
            const vd d = vec_load(diagonal + v);
            vec_store(to + v, (rest - l_i[j] * d) / (l_j[j] + d));
        }
    }
}

static void cholesky_matrix(matrix a, matrix l, double *out)
{
    const int64_t row = l.columns * LANES, last = l.column + l.columns;
    for (int64_t i = l.row; i < l.width; i++) {
        double *row_i = out + (i - l.row) * row;
        for (int64_t j = l.column; j <= i; j++)
            cholesky_element(a, l, i, j, row_i,
                             j < l.row ? NULL : out + (j - l.row) * row);
        clear(row_i + (i + 1 - l.column) * LANES, last - i - 1);
    }
}

/* Of A only the lower triangle is read; what lies before the box stays. */
static int run_cholesky(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
                        int measure)
{
    const fg_value *va = &g->values[op->in[0]], *target = &g->values[op->out];
    const fg_box *a = &st->boxes[op->in[0]];
    const int lead = va->ndim - 2;
    const int64_t n = va->shape[lead], column = a->lo[lead + 1];
    const int64_t row = a->lo[lead] > column ? a->lo[lead] : column;
    if (row >= a->lo[lead] + a->n[lead])
        return 0;
    for (int d = 0; d < lead; d++)
        out->lo[d] = a->lo[d], out->n[d] = a->n[d];
    out->lo[lead] = row, out->n[lead] = n - row;
    out->lo[lead + 1] = column, out->n[lead + 1] = n - column;
    const double size = (double)box_size(out, lead + 2);
    st->cost += size * (double)(n - column);
    if (measure)
        return 1;
    int64_t at[MAX_NDIM] = {0};
    double *to = out->d;
    do {
        const matrix l = matrix_at(target, out, out, at);
        cholesky_matrix(matrix_at(va, a, out, at), l, to);
        to += l.rows * l.columns * LANES;
    } while (advance(out->n, lead, -1, at));
    return 1;
}

#endif
