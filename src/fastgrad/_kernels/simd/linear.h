/* Linear algebra on stacks of matrices: solve, determinants, Cholesky.
 *
 * The factors of the perturbed matrix are found in differences from those at theta.
 * With P A = L U, row by row, as for any product d(l u) = dl (u + du) + l du:
 *
 *     dL[i,p] = (dA[i,p] - sum_{k<p} d(L[i,k] U[k,p]) - L[i,p] dU[p,p]) / (U + dU)[p,p]
 *     dU[i,j] =  dA[i,j] - sum_{k<i} d(L[i,k] U[k,j])
 *
 * and likewise for A = L L'. So a small change keeps all its digits; nothing is
 * linearised. The rows stay in the order P of theta. From the factors
 *
 *     (A + dA) dx = db - dA x
 *     d log|det A| = sum log|1 + dU[p,p] / U[p,p]|
 *
 * Where a lane's matrix is singular or not positive definite, its result is not finite.
 */
#ifndef FASTGRAD_LINEAR_H
#define FASTGRAD_LINEAR_H

#include "boxes.h"
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

/* ---- P A = L U ---------------------------------------------------------------------- */

/* At theta, from numpy: per row of the factors (L below the diagonal, U on and above it)
 * n numbers, then which row of A it is. */
static int64_t source_row(const double *factors, int64_t n, int64_t i)
{
    return (int64_t)factors[i * (n + 1) + n];
}

/* Subtract row p of U, times element (i, p) of L, from row i: in differences. */
static void subtract_row(const double *l_ip, const double *u_p, const double *du_p,
                         double *row, int64_t p, int64_t n)
{
    for (int v = 0; v < LANES; v += VEC_LEN) {
        const vd pivot = vec_load(du_p + p * LANES + v);
        const vd dl = (vec_load(row + p * LANES + v) - *l_ip * pivot) / (u_p[p] + pivot);
        vec_store(row + p * LANES + v, dl);
        for (int64_t j = p + 1; j < n; j++) {
            const vd du = vec_load(du_p + j * LANES + v);
            vec_store(row + j * LANES + v,
                      vec_load(row + j * LANES + v) - dl * (u_p[j] + du) - *l_ip * du);
        }
    }
}

/* The differences of the factors (n x n). */
static void factor_lu(matrix a, const double *factors, double *d)
{
    const int64_t n = a.width;
    int64_t first = a.column; /* row p of U and column p of L stay for all p before it */
    for (int64_t i = 0; i < n; i++) {
        double *row = d + i * n * LANES;
        const int64_t from = source_row(factors, n, i) - a.row;
        clear(row, n);
        if (from >= 0 && from < a.rows) {
            copy(row + a.column * LANES, a.d + from * a.columns * LANES, a.columns);
            first = first < i ? first : i;
        }
        for (int64_t p = first; p < i; p++)
            subtract_row(factors + i * (n + 1) + p, factors + p * (n + 1),
                         d + p * n * LANES, row, p, n);
    }
}

static double factor_cost(const fg_value *value)
{
    const double n = (double)value->shape[value->ndim - 1];
    return 0.7 * n * n * n;
}

/* The factors at theta of the matrix at `base`. */
static const double *factors_of(const fg_op *op, const fg_value *value, const double *base)
{
    const int64_t n = value->shape[value->ndim - 1];
    return op->data + (base - value->base) / n * (n + 1);
}

/* ---- solve -------------------------------------------------------------------------- */

/* x -= (base + d) y, for k columns */
static void subtract_multiple(double *x, double base, const double *d, const double *y,
                              int64_t k)
{
    for (int v = 0; v < LANES; v += VEC_LEN) {
        const vd factor = base + vec_load(d + v);
        for (int64_t q = 0; q < k * LANES; q += LANES)
            vec_store(x + q + v, vec_load(x + q + v) - factor * vec_load(y + q + v));
    }
}

/* L U x = x in place (n x k); step: from one element of d to the next, 0 for none. */
static void substitute(const double *factors, const double *d, int64_t step, double *x,
                       int64_t n, int64_t k)
{
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            subtract_multiple(x + i * k * LANES, factors[i * (n + 1) + j],
                              d + (i * n + j) * step, x + j * k * LANES, k);
    for (int64_t i = n - 1; i >= 0; i--) {
        for (int64_t j = i + 1; j < n; j++)
            subtract_multiple(x + i * k * LANES, factors[i * (n + 1) + j],
                              d + (i * n + j) * step, x + j * k * LANES, k);
        for (int v = 0; v < LANES; v += VEC_LEN) {
            const vd pivot = factors[i * (n + 1) + i] + vec_load(d + (i * n + i) * step + v);
            for (int64_t q = v; q < k * LANES; q += LANES)
                vec_store(x + i * k * LANES + q, vec_load(x + i * k * LANES + q) / pivot);
        }
    }
}

/* Row i of db - dA x. */
static void residual_row(matrix a, matrix b, matrix x, int64_t i, double *out)
{
    const int64_t k = x.columns, ia = i - a.row, ib = i - b.row;
    clear(out, k);
    if (ib >= 0 && ib < b.rows)
        copy(out + (b.column - x.column) * LANES, b.d + ib * b.columns * LANES, b.columns);
    if (ia < 0 || ia >= a.rows)
        return;
    for (int64_t j = 0; j < a.columns; j++) {
        const double *da = a.d + (ia * a.columns + j) * LANES;
        const double *x_j = x.base + (a.column + j) * x.width + x.column;
        for (int64_t q = 0; q < k; q++)
            for (int v = 0; v < LANES; v += VEC_LEN)
                vec_store(out + q * LANES + v, vec_load(out + q * LANES + v)
                                                   - vec_load(da + v) * x_j[q]);
    }
}

/* scratch: d for n x n elements */
static void solve_matrix(matrix a, matrix b, matrix x, const double *factors, double *out,
                         double *d)
{
    const int64_t n = a.width, k = x.columns;
    for (int64_t i = 0; i < n; i++)
        residual_row(a, b, x, source_row(factors, n, i), out + i * k * LANES);
    if (a.d)
        factor_lu(a, factors, d);
    substitute(factors, a.d ? d : ZEROS, a.d ? LANES : 0, out, n, k);
}

/* All rows; the columns of b, or all where the matrix itself is perturbed. */
static int run_solve(const fg_program *g, fg_state *st, const fg_op *op, fg_box *out,
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
    st->cost += (double)n * (double)box_size(out, lead + 2);
    if (a->live)
        st->cost += (double)box_size(out, lead) * factor_cost(va);
    if (measure)
        return 1;
    int64_t at[MAX_NDIM] = {0};
    double *to = out->d;
    do {
        const matrix x = matrix_at(&g->values[op->out], out, out, at);
        const matrix of_a = matrix_at(va, a, out, at), of_b = matrix_at(vb, b, out, at);
        solve_matrix(of_a, of_b, x, factors_of(op, va, of_a.base), to,
                     st->work + g->scratch[0]);
        to += n * x.columns * LANES;
    } while (advance(out->n, lead, -1, at));
    return 1;
}

/* ---- determinants ------------------------------------------------------------------- */

/* The determinant of P. */
static double sign_of_rows(const double *factors, int64_t n)
{
    int odd = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            odd ^= source_row(factors, n, j) > source_row(factors, n, i);
    return odd ? -1.0 : 1.0;
}

/* det(A) - det0, by the rule for products. */
static double det_difference(const double *factors, const double *d, int64_t n)
{
    double product0 = sign_of_rows(factors, n), difference = 0.0;
    for (int64_t p = 0; p < n; p++) {
        const double u = factors[p * (n + 1) + p], du = d[(p * n + p) * LANES];
        difference = difference * (u + du) + product0 * du;
        product0 *= u;
    }
    return difference;
}

/* log|det A| - log|det A0|, and the sign of det A / det A0. */
static double logabsdet_difference(const double *factors, const double *d, int64_t n,
                                   double *sign)
{
    double sum = 0.0;
    *sign = 1.0;
    for (int64_t p = 0; p < n; p++) {
        const double ratio = d[(p * n + p) * LANES] / factors[p * (n + 1) + p];
        sum += log1p(ratio < -1.0 ? -2.0 - ratio : ratio);
        *sign *= ratio > -1.0 ? 1.0 : ratio < -1.0 ? -1.0 : 1.0 + ratio;
    }
    return sum;
}

static int run_determinant(const fg_program *g, fg_state *st, const fg_op *op,
                            fg_box *out, int measure)
{
    const fg_value *va = &g->values[op->in[0]], *target = &g->values[op->out];
    const fg_box *a = &st->boxes[op->in[0]];
    const int lead = target->ndim;
    const int64_t n = va->shape[lead];
    for (int d = 0; d < lead; d++)
        out->lo[d] = a->lo[d], out->n[d] = a->n[d];
    st->cost += (double)box_size(out, lead) * factor_cost(va);
    if (measure)
        return 1;
    int64_t at[MAX_NDIM] = {0};
    double *to = out->d, *d = st->work + g->scratch[0];
    do {
        const matrix of_a = matrix_at(va, a, out, at);
        const double *factors = factors_of(op, va, of_a.base), *value0 = target->base;
        for (int axis = 0; axis < lead; axis++)
            value0 += (out->lo[axis] + at[axis]) * target->stride[axis];
        factor_lu(of_a, factors, d);
        for (int l = 0; l < LANES; l++, to++) {
            if (op->code == FG_DET) {
                *to = det_difference(factors, d + l, n);
                continue;
            }
            double sign;
            const double change = logabsdet_difference(factors, d + l, n, &sign);
            *to = op->code == FG_LOGABSDET ? change : *value0 * sign - *value0;
            if (sign != 1.0)
                st->crossed[l] = -1;
        }
    } while (advance(out->n, lead, -1, at));
    return 1;
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
