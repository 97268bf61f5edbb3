/* The C kernels, tested without Python: what a machine that is emulated can run.
 *
 * `make arm` compiles it, and them, for aarch64. Differences are compared with long double
 * (113 bits there), products with exact integers, random words with published ones. The lines
 * that it prints are bits that must be the same on every machine. Status 1: something is off. */
#include "affine.h"
#include "batchnorm.h"
#include "householder.h"
#include "moments.h"
#include "philox.h"
#include "replay.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const fg_replay fg_replay_base;
static int failures;

static void expect(int holds, const char *what, double got, double wanted)
{
    if (!holds) {
        printf("%s: got %.17g, expected %.17g\n", what, got, wanted);
        failures++;
    }
}

/* ---- differences -------------------------------------------------------------------- */

typedef struct {
    int code;
    const char *name;
    long double (*f)(long double);
    double low, high;
} function;

static long double square(long double x) { return x * x; }
static long double reciprocal(long double x) { return 1 / x; }
static long double negative(long double x) { return -x; }

static const function FUNCTIONS[] = {
    {FG_EXP, "exp", expl, -30, 30},       {FG_EXPM1, "expm1", expm1l, -30, 30},
    {FG_LOG, "log", logl, 0.1, 1e6},      {FG_LOG1P, "log1p", log1pl, -0.4, 1e6},
    {FG_LOG2, "log2", log2l, 0.1, 1e6},   {FG_TANH, "tanh", tanhl, -30, 30},
    {FG_SIN, "sin", sinl, -100, 100},     {FG_COS, "cos", cosl, -100, 100},
    {FG_SINH, "sinh", sinhl, -30, 30},    {FG_COSH, "cosh", coshl, -30, 30},
    {FG_ARCTAN, "arctan", atanl, -99, 99}, {FG_SQRT, "sqrt", sqrtl, 0.1, 1e6},
    {FG_ERF, "erf", erfl, -4, 4},         {FG_EXP2, "exp2", exp2l, -30, 30},
    {FG_CBRT, "cbrt", cbrtl, 0.1, 1e6},   {FG_SQUARE, "square", square, -99, 99},
    {FG_RECIPROCAL, "reciprocal", reciprocal, 0.1, 1e6},
    {FG_NEGATIVE, "negative", negative, -99, 99},
};

static void test_differences(void)
{
    enum { N = 97 };
    static double x[N], f0[N], d[N * LANES], out[N * LANES], terms[N * N_TERMS];
    for (size_t k = 0; k < sizeof FUNCTIONS / sizeof *FUNCTIONS; k++) {
        const function *now = &FUNCTIONS[k];
        for (int i = 0; i < N; i++) {
            x[i] = now->low + (now->high - now->low) * (i + 0.37) / N;
            f0[i] = (double)now->f(x[i]);
            for (int l = 0; l < LANES; l++)
                d[i * LANES + l] = (l % 2 ? -1 : 1) * pow(10.0, -1.2 - 2 * (l / 2));
        }
        const double *bases[3] = {x, x, x}, *changes[3] = {d, d, d};
        fg_replay_base.map(now->code, N, bases, changes, f0, terms, out);
        for (int i = 0; i < N * LANES; i++) {
            const long double at = x[i / LANES], value = now->f(at);
            const long double wanted = now->f(at + d[i]) - value;
            const long double moved = fabsl(at * (wanted / d[i]));
            const long double cancelled = 4 * LDBL_EPSILON * (fabsl(value) + moved);
            /* what rounds the value at theta, or the middle of the two, takes part of an ulp */
            const long double close = 64 * DBL_EPSILON * fabsl(wanted) + cancelled;
            const int turns = now->code == FG_SIN || now->code == FG_COS;
            const long double beside = turns ? 64 * DBL_EPSILON * fabsl(d[i]) : 0;
            expect(fabsl(out[i] - wanted) <= close + beside, now->name, out[i],
                   (double)wanted);
        }
    }
}

/* ---- products ------------------------------------------------------------------------- */

/* A (p x k) B (k x q), B perturbed: in integers, so without rounding. */
static void test_product(int p, int k, int q)
{
    double a[16 * 16], b[16 * 16], c[16 * 16] = {0}, *work = calloc(4 * 256, LANES * 8);
    int64_t ints[] = {3, 0, -1, 0, 1, 0, -1, -1, 1, 1};
    const int shapes[3][2] = {{p, k}, {k, q}, {p, q}};
    const double *bases[3] = {a, b, c};
    fg_value values[3] = {{0}};
    fg_box boxes[3] = {{{0}}};
    for (int i = 0; i < 256; i++)
        a[i] = i % 7 - 3, b[i] = i % 5 - 2;
    for (int v = 0; v < 3; v++) {
        values[v].ndim = 2, values[v].base = bases[v], values[v].slot = v * 256 * LANES;
        for (int axis = 0; axis < 2; axis++)
            values[v].shape[axis] = shapes[v][axis];
        values[v].stride[0] = shapes[v][1], values[v].stride[1] = 1;
        values[v].size = shapes[v][0] * shapes[v][1];
    }
    const int32_t inputs[] = {0, 1};
    fg_op op = {FG_CONTRACT, 2, {0, 1, 0}, 2, inputs, ints, NULL, NULL};
    fg_program program = {3, 1, 2, {3 * 256 * LANES, 0, 0}, values, &op};
    fg_state state = {boxes, work, {0}, 0, 0, 0};
    boxes[1].live = 1, boxes[1].d = work + values[1].slot;
    boxes[1].n[0] = k, boxes[1].n[1] = q;
    for (int i = 0; i < k * q * LANES; i++)
        boxes[1].d[i] = i % 11 - 5;
    fg_replay_base.run(&program, &state, 0);
    for (int i = 0; i < p; i++)
        for (int j = 0; j < q; j++)
            for (int l = 0; l < LANES; l++) {
                double wanted = 0;
                for (int m = 0; m < k; m++)
                    wanted += a[i * k + m] * boxes[1].d[(m * q + j) * LANES + l];
                const double got = boxes[2].d[(i * q + j) * LANES + l];
                expect(got == wanted, "product", got, wanted);
            }
    free(work);
}

/* ---- bits ------------------------------------------------------------------------------ */

static void print_bits(const char *what, const void *data, size_t size)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    printf("%s %016llx\n", what, (unsigned long long)hash);
}

static void test_random_words(void)
{
    uint32_t words[4] = {0}; /* Random123's known answers */
    philox4x32(words, 0, 0);
    expect(words[0] == 0x6627e8d5 && words[3] == 0x9b00dbd8, "philox", words[0], 0x6627e8d5);
    enum { N = 1000 };
    static double numbers[N];
    const ptrdiff_t shape[] = {N}, strides[] = {8};
    struct philox_array array = {(char *)numbers, PHILOX_F64, 1, 1, shape, strides};
    for (int law = PHILOX_UNIFORM; law <= PHILOX_NORMAL; law++) {
        struct philox_draw draw = {{7, 11}, {3, 5}, 2, law, 0.75, 0.75, 1.0, 1.0, 0.0};
        philox_table_base.fill(&draw, 0, N, &array);
        print_bits(law == PHILOX_UNIFORM ? "uniform" : "normal", numbers, sizeof numbers);
    }
}

static void test_sums(void)
{
    enum { ROWS = 700, COLUMNS = 19 };
    static float x[ROWS * COLUMNS], dy[ROWS * COLUMNS];
    static double mean[COLUMNS], out[2 * 2 * COLUMNS], workspace[BACKWARD_WORKSPACE];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        x[i] = (float)(i * 7919 % 1009) / 1009, dy[i] = (float)(i * 104729 % 997) / 997;
    for (int j = 0; j < COLUMNS; j++)
        mean[j] = 0.5 + j / 100.0;
    rows_view views[2] = {{(char *)x, 0, COLUMNS * 4, 4, ROWS, 1},
                          {(char *)dy, 0, COLUMNS * 4, 4, ROWS, 1}};
    const block all = {0, ROWS, 0, COLUMNS};
    batchnorm_base.chunks(&views[0], &views[1], mean, &all, workspace, out, COLUMNS);
    for (int j = 0; j < COLUMNS; j++) {
        long double sum = 0;
        for (int i = 0; i < ROWS; i++)
            sum += dy[i * COLUMNS + j];
        const double got = out[j] + out[2 * COLUMNS + j];
        expect(fabsl(got - sum) <= 1e-13L * sum, "sum", got, (double)sum);
    }
    print_bits("sums", out, sizeof out);
}

static void test_scaling(void)
{
    enum { N = 301 };
    static double x[N], a[N], b[N], c[N], out[N];
    for (int i = 0; i < N; i++) {
        x[i] = (i * 7919 % 1009) / 1009.0, a[i] = 0.25 + i / 700.0;
        b[i] = 1.5 + i / 300.0, c[i] = 4 - i / 500.0;
    }
    for (int divides = 0; divides < 2; divides++) {
        affine_base.row(x, out, N, a, b, divides ? NULL : c, 0);
        for (int i = 0; i < N; i++) {
            const long double moved = (long double)x[i] - a[i];
            const long double wanted = divides ? moved / b[i] : moved * b[i] + c[i];
            expect(fabsl(out[i] - wanted) <= 1e-15L, "scaling", out[i], (double)wanted);
        }
        print_bits(divides ? "divided" : "scaled", out, sizeof out);
    }
}

static void test_moments(void)
{
    enum { ROWS = 700, COLUMNS = 24 };
    static double x[ROWS * COLUMNS], state[2][STATE_ROWS * COLUMNS], workspace[WORKSPACE];
    unsigned char infinite[COLUMNS] = {0};
    for (int i = 0; i < ROWS * COLUMNS; i++)
        x[i] = 3 + (i * 7919 % 1009) / 1009.0;
    const rows_view view = {(char *)x, 0, COLUMNS * 8, 8, ROWS, 0};
    const block all = {0, ROWS, 0, COLUMNS};
    moments_base.chunks(&view, NULL, &all, workspace, state[0], COLUMNS, infinite);
    for (int j = 0; j < COLUMNS; j += LANES)
        moments_base.merge(state[0] + j, COLUMNS, state[1] + j, COLUMNS);
    for (int j = 0; j < COLUMNS; j++) {
        long double mean = 0, squares = 0;
        for (int i = 0; i < ROWS; i++)
            mean += (long double)x[i * COLUMNS + j] / ROWS;
        for (int i = 0; i < ROWS; i++)
            squares += (x[i * COLUMNS + j] - mean) * (x[i * COLUMNS + j] - mean);
        const double *found = state[0] + j;
        expect(fabsl(found[MEAN * COLUMNS] - mean) <= 1e-15L * mean, "mean",
               found[MEAN * COLUMNS], (double)mean);
        expect(fabsl(found[SQUARES * COLUMNS] - squares) <= 1e-13L * squares, "squares",
               found[SQUARES * COLUMNS], (double)squares);
    }
    print_bits("moments", state[0], sizeof state[0]);
}

/* Columns of a product of reflections, as _householder.pyx makes them. */
static void test_reflections(void)
{
    enum { ROWS = 70, COLUMNS = 2 * HOUSEHOLDER_BLOCK, PART = ROWS * HOUSEHOLDER_BLOCK };
    static double v[2][PART], u[2][HOUSEHOLDER_BLOCK * HOUSEHOLDER_BLOCK], q[2][PART];
    double sign[2][HOUSEHOLDER_BLOCK];
    for (int b = 0; b < 2; b++) {
        const ptrdiff_t first = b * HOUSEHOLDER_BLOCK;
        for (int i = 0; i < PART; i++)
            v[b][i] = (i * 7919 % 1009) / 1009.0 - 0.5 + b / 7.0;
        householder_table_base.prepare(v[b], ROWS, first, COLUMNS - first, u[b], sign[b]);
    }
    for (int panel = 0; panel < 2; panel++) {
        for (int j = 0; j < HOUSEHOLDER_BLOCK; j++)
            q[panel][(panel * HOUSEHOLDER_BLOCK + j) * HOUSEHOLDER_BLOCK + j] = sign[panel][j];
        for (int b = panel; b >= 0; b--)
            householder_table_base.apply(v[b], u[b], ROWS, b * HOUSEHOLDER_BLOCK, q[panel]);
    }
    for (int i = 0; i < COLUMNS; i++)
        for (int j = 0; j < COLUMNS; j++) {
            const double *x = q[i / HOUSEHOLDER_BLOCK] + i % HOUSEHOLDER_BLOCK;
            const double *y = q[j / HOUSEHOLDER_BLOCK] + j % HOUSEHOLDER_BLOCK;
            double product = 0;
            for (int r = 0; r < ROWS; r++)
                product += x[r * HOUSEHOLDER_BLOCK] * y[r * HOUSEHOLDER_BLOCK];
            expect(fabs(product - (i == j)) <= 1e-14, "orthonormal", product, i == j);
        }
    print_bits("reflections", q, sizeof q);
}

int main(void)
{
    test_differences();
    for (int p = 1; p <= 13; p++)
        for (int k = 1; k <= 4; k++)
            for (int q = 1; q <= 4; q++)
                test_product(p, k, q);
    test_random_words();
    test_sums();
    test_scaling();
    test_moments();
    test_reflections();
    return failures > 0;
}
