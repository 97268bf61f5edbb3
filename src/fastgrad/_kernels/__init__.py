"""The compiled kernels: nogil loops, nothing else.

Three tiers, from the inside out:

1. ``simd/*.c``: plain C leaf functions over contiguous memory. Each file is compiled
   once per SIMD level (baseline, AVX2, AVX-512) and chosen at run time.
2. ``_name.pyx``: one kernel family each. Typed memoryviews in, the one OpenMP loop,
   the C leaf inside. No Python object, allocation or exception in the loop.
3. The Python module above (``fastgrad.scaling`` for ``_moments`` and so on) checks the
   arguments, resolves the number of threads and allocates.

Conventions: inputs are ``const`` and come first, outputs come last, ``num_threads`` is
the last argument. Work is cut into pieces fixed by the shape of the data alone and
combined in index order, so the bits do not depend on the number of threads. A ``.pyi``
beside each module gives its types; a plain NumPy twin in the tests is its oracle.
"""
