"""The table of NumPy's functions that are primitives, or a few of them.

Functions of nodes, for what traced arrays are made of; whatever can be written in terms
of these is in `meanings`, in plain NumPy.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Meaning = Callable[..., Any]
F = TypeVar("F", bound=Meaning)

#: NumPy function -> (function of nodes, positions of arguments that are arrays).
FUNCTIONS: dict[Any, tuple[Meaning, tuple[int, ...]]] = {}
#: Of these, the ones whose result is an index.
POSITIONS: set[Any] = set()
#: Of these, the ones whose result shares memory with their first argument.
VIEWS: set[Any] = set()


def stands_for(
    *functions: Any,
    arrays: Iterable[int] = (0,),
    shares: bool = False,
    positions: bool = False,
) -> Callable[[F], F]:
    """Declare a function of nodes for NumPy's functions.

    Parameters
    ----------
    *functions : callable
        What it stands for; takes the same arguments, nodes in place of arrays, and
        ``label=``, the name of the operation for the reader.
    arrays : iterable of int
        Positions of the arguments that are arrays, or sequences of them.
    shares : bool
        Whether the result shares memory with the first argument.
    positions : bool
        Whether the result is an index.
    """

    def declare(meaning: F) -> F:
        FUNCTIONS.update(dict.fromkeys(functions, (meaning, tuple(arrays))))
        VIEWS.update(functions if shares else ())
        POSITIONS.update(functions if positions else ())
        return meaning

    return declare
