/* Products of Householder reflections, for random orthogonal matrices. */
#ifndef FASTGRAD_HOUSEHOLDER_H
#define FASTGRAD_HOUSEHOLDER_H

#include <stddef.h>

/* Reflections are kept in blocks of this many, columns of Q in panels of as many. */
enum { HOUSEHOLDER_BLOCK = 32 };

struct householder_table {
    /* Normals in v (rows, 32) to the reflections first .. first + 31: column j becomes
     * the Householder vector of its own rows first + j and below, or 0 from column
     * `count` on; sign[j] is the sign of that column's diagonal entry of R; u (32, 32)
     * becomes the triangle for which the product of the 32 reflections is
     * I - v u^-1 v'. */
    void (*prepare)(double *v, ptrdiff_t rows, ptrdiff_t first, ptrdiff_t count, double *u,
                    double *sign);
    /* x -= v u^-1 v' x for a panel x (rows, 32), rows first and below */
    void (*apply)(const double *v, const double *u, ptrdiff_t rows, ptrdiff_t first,
                  double *x);
};

extern const struct householder_table householder_table_base, householder_table_v3,
    householder_table_v4;

#endif
