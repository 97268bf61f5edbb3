/* Contractions (matmul, einsum, tensordot) of one bundle.
 *
 * d(AB) = dA B0 + A0 dB + dA dB, each term over the boxes of its perturbed operands
 * only. A term with one perturbed operand is a matrix product of scalars S (base values)
 * with lane vectors L:   O[p, q, :] += sum_k S[p, k] L[q, k, :]
 * and runs in register tiles of TILE_P x TILE_Q lane vectors: each vector loaded serves
 * TILE_P multiply-adds, each scalar TILE_Q.
 */
#ifndef FASTGRAD_CONTRACT_H
#define FASTGRAD_CONTRACT_H

#include "boxes.h"
#include "vecmath.h"

#if VEC_BYTES == 64
#define TILE_P 12
#define TILE_Q 2
#elif VEC_BYTES == 32
#define TILE_P 6
#define TILE_Q 1
#elif defined(__aarch64__) /* 32 registers */
#define TILE_P 6
#define TILE_Q 1
#else
#define TILE_P 2
#define TILE_Q 1
#endif
#define LANE_VECS (LANES / VEC_LEN)

/* A sum around that over k: its length, and the steps it makes in S and L. */
typedef struct {
    int64_t n, s, l;
} sums;

INLINE void scalar_tile(const int np, const int nq, int64_t nk, const double *s,
                        int64_t sp, sums outer, int64_t sk, const double *l, int64_t lq,
                        int64_t lk, double *o, int64_t op, int64_t oq, int accumulate)
{
    vd acc[TILE_P][TILE_Q * LANE_VECS];
    for (int p = 0; p < np; p++)
        for (int q = 0; q < nq; q++)
            for (int v = 0; v < LANE_VECS; v++)
                acc[p][q * LANE_VECS + v] =
                    vec_load(accumulate ? o + p * op + q * oq + v * VEC_LEN : ZEROS);
    for (int64_t i = 0; i < outer.n; i++) {
        const double *scalars = s + i * outer.s, *lanes = l + i * outer.l;
        for (int64_t k = 0; k < nk; k++, scalars += sk, lanes += lk) {
            vd x[TILE_Q * LANE_VECS];
#pragma GCC unroll 8
            for (int q = 0; q < nq; q++)
#pragma GCC unroll 8
                for (int v = 0; v < LANE_VECS; v++)
                    x[q * LANE_VECS + v] = vec_load(lanes + q * lq + v * VEC_LEN);
#pragma GCC unroll 16
            for (int p = 0; p < np; p++) {
                const vd scalar = vec_splat(scalars[p * sp]);
#pragma GCC unroll 8
                for (int v = 0; v < nq * LANE_VECS; v++)
                    acc[p][v] += scalar * x[v];
            }
        }
    }
    for (int p = 0; p < np; p++)
        for (int q = 0; q < nq; q++)
            for (int v = 0; v < LANE_VECS; v++)
                vec_store(o + p * op + q * oq + v * VEC_LEN, acc[p][q * LANE_VECS + v]);
}

/* One tile column of a given width nq, np rows: np a compile-time constant each. */
#define TILE_CASE(N)                                                                   \
    case N:                                                                            \
        if (N <= TILE_P)                                                               \
            scalar_tile(N <= TILE_P ? N : 1, nq, nk, s, sp, outer, sk, l, lq, lk, o,   \
                        op, oq, accumulate);                                           \
        break;
INLINE void scalar_tile_rows(int np, const int nq, int64_t nk, const double *s,
                             int64_t sp, sums outer, int64_t sk, const double *l,
                             int64_t lq, int64_t lk, double *o, int64_t op, int64_t oq,
                             int accumulate)
{
    switch (np) {
        TILE_CASE(1) TILE_CASE(2) TILE_CASE(3) TILE_CASE(4) TILE_CASE(5) TILE_CASE(6)
        TILE_CASE(7) TILE_CASE(8) TILE_CASE(9) TILE_CASE(10) TILE_CASE(11) TILE_CASE(12)
    }
}

static void scalar_tile_wide(int np, int64_t nk, const double *s, int64_t sp, sums outer,
                             int64_t sk, const double *l, int64_t lq, int64_t lk,
                             double *o, int64_t op, int64_t oq, int accumulate)
{
    scalar_tile_rows(np, TILE_Q, nk, s, sp, outer, sk, l, lq, lk, o, op, oq, accumulate);
}

static void scalar_tile_narrow(int np, int64_t nk, const double *s, int64_t sp, sums outer,
                               int64_t sk, const double *l, int64_t lq, int64_t lk,
                               double *o, int64_t op, int64_t oq, int accumulate)
{
    scalar_tile_rows(np, 1, nk, s, sp, outer, sk, l, lq, lk, o, op, oq, accumulate);
}

/* O[i] (+)= s[i] l[i], a step of zero having one of them stay in its register. */
INLINE void product_row(int64_t n, const double *s, const int64_t s_step, const double *l,
                        const int64_t l_step, double *o, int64_t o_step, const int accumulate)
{
    vd scalar = vec_splat(s[0]), x[LANE_VECS];
    for (int v = 0; v < LANE_VECS; v++)
        x[v] = vec_load(l + v * VEC_LEN);
    for (int64_t i = 0; i < n; i++, s += s_step, l += l_step, o += o_step)
        for (int v = 0; v < LANE_VECS; v++) {
            scalar = s_step ? vec_splat(s[0]) : scalar;
            x[v] = l_step ? vec_load(l + v * VEC_LEN) : x[v];
            vd product = scalar * x[v];
            if (accumulate)
                product += vec_load(o + v * VEC_LEN);
            vec_store(o + v * VEC_LEN, product);
        }
}

/* O[p, q] (+)= s[p] l[q]: bound by the stores, so write along the shorter stride. */
INLINE void outer_product(int64_t np, int64_t nq, const double *s, int64_t sp,
                          const double *l, int64_t lq, double *o, int64_t op, int64_t oq,
                          const int accumulate)
{
    if (oq <= op)
        for (int64_t p = 0; p < np; p++)
            product_row(nq, s + p * sp, 0, l, lq, o + p * op, oq, accumulate);
    else
        for (int64_t q = 0; q < nq; q++)
            product_row(np, s, sp, l + q * lq, 0, o + q * oq, op, accumulate);
}

__attribute__((noinline)) static void scalar_product(int64_t np, int64_t nq, sums outer, int64_t nk, const double *s,
                           int64_t sp, int64_t sk, const double *l, int64_t lq,
                           int64_t lk, double *o, int64_t op, int64_t oq, int accumulate)
{
    if (nk == 1 && outer.n == 1) {
        if (accumulate)
            outer_product(np, nq, s, sp, l, lq, o, op, oq, 1);
        else
            outer_product(np, nq, s, sp, l, lq, o, op, oq, 0);
        return;
    }
    /* rows in equal blocks: 10 is one block of 10, 16 is 8 + 8 */
    const int64_t blocks = (np + TILE_P - 1) / TILE_P;
    for (int64_t q = 0; q < nq;) {
        const int wide = nq - q >= TILE_Q;
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t first = np * b / blocks, last = np * (b + 1) / blocks;
            (wide ? scalar_tile_wide : scalar_tile_narrow)(
                (int)(last - first), nk, s + first * sp, sp, outer, sk, l + q * lq, lq, lk,
                o + first * op + q * oq, op, oq, accumulate);
        }
        q += wide ? TILE_Q : 1;
    }
}

/* O[p, q, :] += sum_k X[p, k, :] Y[q, k, :]: both operands perturbed. */
#define PAIR_P 4
#define PAIR_Q 2
static void lane_product(int64_t np, int64_t nq, int64_t nk, const double *x, int64_t xp,
                         int64_t xk, const double *y, int64_t yq, int64_t yk, double *o,
                         int64_t op, int64_t oq, int accumulate)
{
    for (int64_t p0 = 0; p0 < np; p0 += PAIR_P)
        for (int64_t q0 = 0; q0 < nq; q0 += PAIR_Q)
            for (int v = 0; v < LANE_VECS; v++) {
                const int64_t pn = np - p0 < PAIR_P ? np - p0 : PAIR_P;
                const int64_t qn = nq - q0 < PAIR_Q ? nq - q0 : PAIR_Q;
                const double *xt = x + p0 * xp + v * VEC_LEN, *yt = y + q0 * yq + v * VEC_LEN;
                double *ot = o + p0 * op + q0 * oq + v * VEC_LEN;
                vd acc[PAIR_P][PAIR_Q] = {{{0}}};
                if (pn == PAIR_P && qn == PAIR_Q) {
                    for (int64_t k = 0; k < nk; k++)
#pragma GCC unroll 4
                        for (int p = 0; p < PAIR_P; p++)
#pragma GCC unroll 2
                            for (int q = 0; q < PAIR_Q; q++)
                                acc[p][q] += vec_load(xt + p * xp + k * xk)
                                             * vec_load(yt + q * yq + k * yk);
                } else {
                    for (int64_t k = 0; k < nk; k++)
                        for (int p = 0; p < pn; p++)
                            for (int q = 0; q < qn; q++)
                                acc[p][q] += vec_load(xt + p * xp + k * xk)
                                             * vec_load(yt + q * yq + k * yk);
                }
                for (int p = 0; p < pn; p++)
                    for (int q = 0; q < qn; q++) {
                        double *at = ot + p * op + q * oq;
                        if (accumulate)
                            acc[p][q] += vec_load(at);
                        vec_store(at, acc[p][q]);
                    }
            }
}

/* One label of a term: its length, and the step it makes in both operands and output. */
typedef struct {
    int64_t n, x, y, o;
} loop;

enum { ROLE_P, ROLE_Q, ROLE_K, ROLE_BATCH, N_ROLES };

static int loop_role(loop l)
{
    return !l.o ? ROLE_K : !l.y ? ROLE_P : !l.x ? ROLE_Q : ROLE_BATCH;
}

/* Merge loops that walk all three arrays as one longer loop would. */
static int merge_loops(loop *loops, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            if (i == j || loop_role(loops[i]) != loop_role(loops[j]))
                continue;
            if (loops[i].x == loops[j].n * loops[j].x && loops[i].y == loops[j].n * loops[j].y
                && loops[i].o == loops[j].n * loops[j].o) {
                loops[j].n *= loops[i].n;
                loops[i] = loops[--n];
                return merge_loops(loops, n);
            }
        }
    return n;
}

/* One term. x indexes p and k, y indexes q and k; x is scalars (base) or lanes, y lanes.
 * Steps of loops are in doubles. */
static void contract_term(loop *loops, int n, const double *x, int x_is_lanes,
                          const double *y, double *o, int accumulate)
{
    n = merge_loops(loops, n);
    /* The longest loop of each role runs in the tile kernel, of sums over scalars two; the
     * others run around it. */
    loop inner[N_ROLES - 1] = {{1, 0, 0, 0}, {1, 0, 0, 0}, {1, 0, 0, 0}};
    loop outer[MAX_LABELS], second = {1, 0, 0, 0};
    int n_outer = 0;
    for (int i = 0; i < n; i++) {
        int role = loop_role(loops[i]);
        loop spare = loops[i];
        if (role != ROLE_BATCH && spare.n > inner[role].n) {
            spare = inner[role];
            inner[role] = loops[i];
        }
        if (!x_is_lanes && loop_role(spare) == ROLE_K && spare.n > second.n) {
            const loop longer = spare;
            spare = second;
            second = longer;
        }
        if (spare.n > 1)
            outer[n_outer++] = spare;
    }
    const sums around = {second.n, second.x, second.y};
    const loop p = inner[ROLE_P], q = inner[ROLE_Q], k = inner[ROLE_K];
    int64_t at[MAX_LABELS] = {0};
    for (;;) {
        /* What is summed around the tile kernel is added to what it began with. */
        int adds = accumulate;
        for (int d = 0; d < n_outer; d++)
            adds |= !outer[d].o && at[d];
        if (x_is_lanes)
            lane_product(p.n, q.n, k.n, x, p.x, k.x, y, q.y, k.y, o, p.o, q.o, adds);
        else
            scalar_product(p.n, q.n, around, k.n, x, p.x, k.x, y, q.y, k.y, o, p.o, q.o, adds);
        int d = n_outer - 1;
        for (; d >= 0; d--) {
            x += outer[d].x, y += outer[d].y, o += outer[d].o;
            if (++at[d] < outer[d].n)
                break;
            x -= outer[d].n * outer[d].x, y -= outer[d].n * outer[d].y;
            o -= outer[d].n * outer[d].o;
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}

/* ---- boxes ----------------------------------------------------------------------- */

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
                used[t] = used[t] && overlap(st->first, st->count, &lo[t][l], &n[t][l]);
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
    /* Add into zeros where terms overlap. */
    const int accumulate = a->live && b->live;
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

#endif
