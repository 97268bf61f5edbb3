"""What holds for a loss without any difference taken.

- `samples`: which arguments hold samples; other batches and layouts of them.
- `invariances`: identities that a loss may obey, each a combination of losses, a line.
- `identities`: which of these hold, and whether the gradient obeys them.
"""

from fastgrad.checking.metamorphic.identities import Function, find_identities
from fastgrad.checking.metamorphic.invariances import nearby
from fastgrad.checking.metamorphic.samples import (
    Arguments,
    Samples,
    data_arrays,
    has_orders,
    other_order,
    spread_out,
    unchanged,
)

__all__ = [
    "Arguments",
    "Function",
    "Samples",
    "data_arrays",
    "find_identities",
    "has_orders",
    "nearby",
    "other_order",
    "spread_out",
    "unchanged",
]
