"""The operations a program is made of, and the functions that are made of them.

From the bottom up:

- `primitive`: what every operation has: its value, its derivative, the ufuncs it is.
  `elementwise`, `contractions`, `moves`, `matrices` declare them, under the names of
  their kernels, `calls` what only Python can evaluate; `ops` is the table of all.
- `table`: functions of nodes that stand for NumPy's. `ufuncs`, `reductions`,
  `products`, `shapes`, `sorting`, `linear` declare them; `functions` is their door.
- `meanings`: everything else that NumPy, SciPy and `math` have, in plain NumPy.

A declaration is all there is to add: importing registers it, and the test of its family
includes it.
"""
