"""Nests of arrays as one vector of parameters.

- `nest`: the arrays, their names, and one number for each entry. `leaves`: what may be
  one of them.
- `structure`: walking dicts, lists, tuples and dataclasses of anything.
- `bounds`: a lower and an upper one for each entry; steps.
- `claims`: which thread moves which arrays.
"""

from fastgrad.params.bounds import limits, spread
from fastgrad.params.claims import claimed
from fastgrad.params.nest import Nest, Vector, entry_name
from fastgrad.params.structure import (
    matching,
    named_leaves,
    rebuild,
    told_apart,
    walk,
    with_own_leaves,
)

__all__ = [
    "Nest",
    "Vector",
    "claimed",
    "entry_name",
    "limits",
    "matching",
    "named_leaves",
    "rebuild",
    "spread",
    "told_apart",
    "walk",
    "with_own_leaves",
]
