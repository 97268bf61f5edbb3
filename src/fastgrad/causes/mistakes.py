"""A mistake at one place of the code, done to all turns of a loop at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from fastgrad.causes.reverse import Sends
from fastgrad.program.graph import Node


@dataclass
class Mistake:
    """A mistake at one place of the code.

    Attributes
    ----------
    code : str
        The cause code.
    text : str
        What is wrong, `{op}` standing for the operation.
    broken : dict of Node to Sends
    cost : float
        How far-fetched it is.
    constant : bool
        Whether a constant factor may be wrong besides.
    step : bool
        Whether any multiple of the change is the same mistake.
    """

    code: str
    text: str
    broken: dict[Node, Sends]
    cost: float = 3.3
    constant: bool = False
    step: bool = False

    @property
    def node(self) -> Node:
        """The operation it is about."""
        return next(iter(self.broken))


def everywhere(group: Sequence[Node], sends: Sends) -> dict[Node, Sends]:
    """All operations of a group broken in the same way."""
    return dict.fromkeys(group, sends)


def subsets(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All choices of some of the axes, small ones first."""
    return [s for n in range(1, len(axes) + 1) for s in combinations(axes, n)]
