"""The compiled kernels: nogil loops, nothing else.

Three tiers, from the inside out::

    simd/moments.c  replay.c  philox.c ...   C leaf functions over contiguous memory;
        |   each file compiled for baseline, AVX2 and AVX-512, chosen at run time
    _moments.pyx  _replay.pyx  _philox.pyx   typed memoryviews in, the one OpenMP loop
        |   over independent pieces, the C leaf inside; a .pyi beside each
    scaling.py  program/  initializers.py    checks arguments, resolves the number of
            threads, allocates

Conventions: inputs are ``const`` and come first, outputs come last, ``num_threads`` is
the last argument. No Python object, allocation or exception in a loop. Work is cut into
pieces fixed by the shape of the data alone and combined in index order, so the bits do
not depend on the number of threads. Every kernel has a plain NumPy twin in the tests.

How replay works, the kernel that checks gradients
--------------------------------------------------
A traced loss is a list of array operations with their values at theta. Perturbing one
entry changes only a *box* of each value, and 8 perturbed evaluations, a *bundle*, go
through the program side by side::

    W1[i, j..j+3] +- h          one row of W1, 4 entries, both signs: 8 lanes
      z1 = W1 @ X               row i of z1            (1 x 32 elements x 8 lanes)
      a1 = tanh(z1)             row i of a1
      z2 = W2 @ a1              all of z2, as an outer product W2[:, i] (x) row
      a2 = tanh(z2)             all of a2
      z3 = W3 @ a2              a matrix product of scalars with lane vectors
      J                         8 numbers

- The lane is the last axis of everything: one AVX-512 register, or two AVX2 ones, is an
  element, so every operation is vectorised whatever its shape, strides or box.
- A value is stored as its *difference* from theta, and every operation computes f(x +
  d) - f(x) from d by an identity in which nothing cancels (``differences.h``,
  ``smooth.h``): e^x (e^d - 1), log(1 + d / x), the addition theorems of the circular
  and hyperbolic functions and their inverses, dx y + x dy + dx dy, quadrature for erf,
  the winner's own change for a maximum. They hold for every d; no derivative is used.
  The promise, tested against mpmath for d from 1e-300 to 1e3 of both signs: a
  difference is right to a few units in its own last place, however small it is beside
  the value. So a loss that moved in its 200th digit is as exact as one that moved in
  its first.
- What is added (sums, products, an operation with several perturbed operands) rounds
  relative to its largest term. The values at theta are NumPy's, rounded; they enter as
  factors only, never as a minuend, and a lane that is not perturbed differs by exactly
  0.
- The factors of a matrix (LU, Cholesky) are found in differences too, by the rule for
  products: d(l u) = dl (u + du) + l du.
- ``replay.h`` lists the operations; ``replay.c`` finds the boxes as it goes (one rule
  per operation); ``elementwise.h``, ``contract.h``, ``linear.h``, ``sorting.h`` and
  ``vecmath.h`` do the arithmetic; ``_replay.pyx`` hands bundles to threads. Which
  entries are bundled, so that boxes stay small, is decided in ``program/plan.py``.
- What a rule wants to know about theta (e^x, 1 / x, ...) is found once, when a program
  is packed. A contraction and the functions applied to its result alone go strip by
  strip, so that lanes stay in the L1 cache from the product to the activation.
- Operations that choose (maximum, abs, where, comparisons, sorting) report the lanes
  that chose otherwise than at theta: kinks are seen, not guessed.
"""
