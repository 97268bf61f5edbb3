"""fastgrad with other libraries: one module each, imported only when used.

- `torch`: modules, functions of tensors, custom backward passes; `gradcheck`.
- `jax`: functions of pytrees, custom derivatives; `check_grads`.
- `scipy`: what is handed to optimisers; `check_grad`.
- `dask`: moments of Dask arrays.
- `meanings`: what the translators of `torch` and `jax` share.

A translator is a table, "operation of the framework: its meaning in NumPy functions".
The loss of a framework has a method `in_numpy`, which the tracer of programs calls in
its place, and a method `batched`, which computes it at many points at once.
"""
