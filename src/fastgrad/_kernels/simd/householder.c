#include "householder.h"

#include <math.h>
#include <string.h>

#include "dispatch.h"

enum { N = HOUSEHOLDER_BLOCK };

/* Tiles of ROWS x 2 vectors stay in registers. Every sum runs in index order, one
 * product at a time, so that the tile's shape and the vector's width leave the bits
 * alone (this file is compiled without fused multiply-add). */
#if defined(__AVX512F__)
enum { BYTES = 64, ROWS = 8 };
#elif defined(__AVX2__)
enum { BYTES = 32, ROWS = 4 };
#else
enum { BYTES = 16, ROWS = 4 };
#endif
typedef double vec __attribute__((vector_size(BYTES), aligned(8)));
enum { LANES = BYTES / sizeof(double), COLUMNS = 2 * LANES };

/* s = v' x, both (rows, 32) */
static void inner_products(const double *v, const double *x, ptrdiff_t rows, double *s)
{
    for (int i = 0; i < N; i += ROWS)
        for (int j = 0; j < N; j += COLUMNS) {
            vec sum[ROWS][2] = {0};
            for (ptrdiff_t r = 0; r < rows; r++) {
                const vec *row = (const vec *)(x + r * N + j);
                const vec x0 = row[0], x1 = row[1];
#pragma GCC unroll 8
                for (int k = 0; k < ROWS; k++) {
                    sum[k][0] += v[r * N + i + k] * x0;
                    sum[k][1] += v[r * N + i + k] * x1;
                }
            }
            for (int k = 0; k < ROWS; k++)
                memcpy(s + (i + k) * N + j, sum[k], sizeof sum[k]);
        }
}

/* ROWS rows of x -= v s; COUNT is ROWS except at the end */
static inline void subtract_rows(const double *v, const double *s, double *x, const int count)
{
    for (int j = 0; j < N; j += COLUMNS) {
        vec sum[ROWS][2];
        for (int k = 0; k < count; k++)
            memcpy(sum[k], x + k * N + j, sizeof sum[k]);
        for (int i = 0; i < N; i++) {
            const vec *row = (const vec *)(s + i * N + j);
            const vec s0 = row[0], s1 = row[1];
#pragma GCC unroll 8
            for (int k = 0; k < count; k++) {
                sum[k][0] -= v[k * N + i] * s0;
                sum[k][1] -= v[k * N + i] * s1;
            }
        }
        for (int k = 0; k < count; k++)
            memcpy(x + k * N + j, sum[k], sizeof sum[k]);
    }
}

/* s = u^-1 s, u upper triangular */
static void solve(const double *u, double *s)
{
    for (int i = N - 1; i >= 0; i--) {
        for (int k = i + 1; k < N; k++)
            for (int j = 0; j < N; j++)
                s[i * N + j] -= u[i * N + k] * s[k * N + j];
        for (int j = 0; j < N; j++)
            s[i * N + j] /= u[i * N + i];
    }
}

static void FG(prepare)(double *v, ptrdiff_t rows, ptrdiff_t first, ptrdiff_t count,
                        double *u, double *sign)
{
    double square[N] = {0};
    v += first * N;
    rows -= first;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (int j = 0; j < N; j++) {
            if (j > r || j >= count)
                v[r * N + j] = 0;
            square[j] += v[r * N + j] * v[r * N + j];
        }
    for (int j = 0; j < N && j < count; j++) {
        double *head = v + j * N + j;
        sign[j] = signbit(*head) ? 1 : -1;
        *head -= sign[j] * sqrt(square[j]);
    }
    inner_products(v, v, rows, u);
    for (int j = 0; j < N; j++)
        u[j * N + j] = j < count ? u[j * N + j] / 2 : 1;
}

static void FG(apply)(const double *v, const double *u, ptrdiff_t rows, ptrdiff_t first,
                      double *x)
{
    double s[N * N];
    v += first * N;
    x += first * N;
    rows -= first;
    inner_products(v, x, rows, s);
    solve(u, s);
    ptrdiff_t r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        subtract_rows(v + r * N, s, x + r * N, ROWS);
    for (; r < rows; r++)
        subtract_rows(v + r * N, s, x + r * N, 1);
}

const struct householder_table FG(householder_table) = {FG(prepare), FG(apply)};
