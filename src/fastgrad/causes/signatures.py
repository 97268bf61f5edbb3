"""What may have become of the gradient of a whole block."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fastgrad.causes.evidence import Block, Evidence


class Edit(NamedTuple):
    """What may have become of a block's gradient.

    Attributes
    ----------
    code, text : str
        The cause code, and what is wrong.
    made : array_like or None
        The gradient that the mistake gives; None where that has been compared.
    undo : str
        What to do: where there is one, a formula in `grads` and `theta`.
    cost : float
        How far-fetched it is.
    key : object
        Edits of one code and key in several blocks are one mistake.
    factor : float or None
        What the block is multiplied by, if that is all.
    """

    code: str
    text: str
    made: Any
    undo: str
    cost: float
    key: Any = None
    factor: float | None = None


Kind = Callable[[Evidence, Block], Iterator[Edit]]
