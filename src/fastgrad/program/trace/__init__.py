"""What turns a user's code into nodes of a program.

The loss is run once, its own functions rewritten, with arrays that record.

From source to code: `definitions` finds the source of a function, `rewriting` makes
operations of it calls of `sites`, which hand them to `objects` (attributes, items,
writing) and `calls` (what is called, decided by what it is: of `libraries` once for
all). `packages` are followed as the user's own code is, as far as that goes; `neutral`
functions take arrays as any other objects.

From operations to nodes: `traced` is the array that records, `axes` what follows from
its shape, `complexes` pairs of them, `memory` what arrays share. `numpy_calls` has
NumPy's functions, of which `fourier` and `vectorized` are two of their own, `methods`
those of arrays, `python_functions` Python's own, `outcomes` and `as_numbers` what the
loss acts on, `opaque` all others: by `templates` of their calls, and for `foreign`
objects that they return. `stand_ins` of objects of libraries are exchanged for these,
`special_methods` are those of the user's objects.

One trace: `recording` is what it has met, `kept` what it leaves behind in the user's
objects, `keys` of dictionaries, `tracing` its beginning and end, `agreement` what two
of them have in common.
"""
