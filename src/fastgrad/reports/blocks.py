"""What a check found block by block, why, and the exception that carries it."""

import math
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex, overload

from fastgrad._arguments import described, shortened

_LONG = 400  # letters of names that are told

Verdict = Literal["correct", "wrong", "undecided"]


@dataclass(frozen=True)
class Block:
    """The result for one array of the parameters.

    Attributes
    ----------
    name : str
        Path in the nest, ``encoder.0.W``.
    shape : tuple of int
        Of the array.
    verdict : {"correct", "wrong", "undecided"}
        Wrong if any entry is.
    relative_error : float
        ``norm(n - a) / (norm(n) + norm(a))`` over the entries checked.
    checked : int
        Number of entries checked; the counts below are parts of it.
    wrong, undecided, at_kink, unobservable : int
        Entries outside their error bars; entries whose error bar is wider than the
        difference that matters; entries at a kink of the loss, where any slope between
        the one-sided ones is accepted; entries whose gradient is zero on both sides,
        about which the check says nothing.
    detection_limit : float
        The smallest error, absolute, that would have been caught in a typical entry.
    step : float or None
        Typical step of the differences.
    zero : bool
        Whether all entries were measured, and none has a slope: then the block does not
        keep the verdict on the whole from being "correct".
    """

    name: str
    shape: tuple[int, ...]
    verdict: Verdict
    relative_error: float
    checked: int
    wrong: int = 0
    undecided: int = 0
    at_kink: int = 0
    unobservable: int = 0
    detection_limit: float = math.nan
    step: float | None = None
    zero: bool = False

    @property
    def size(self) -> int:
        """Number of entries of the array."""
        return math.prod(self.shape)


class Blocks(tuple[Block, ...]):
    """Blocks in order, which their names find too: ``report.blocks["W1"]``."""

    @overload
    def __getitem__(self, which: SupportsIndex | str) -> Block: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[Block, ...]: ...
    def __getitem__(self, which: Any) -> Any:
        if not isinstance(which, str):
            return super().__getitem__(which)
        for block in self:
            if block.name == which:
                return block
        names = shortened(", ".join(block.name for block in self), _LONG)
        raise KeyError(f"there is no block {described(which)}; there are {names}")


@dataclass(frozen=True)
class Cause:
    """Why the gradient is wrong, or why nothing can be said about it.

    Attributes
    ----------
    code : str
        One word, as listed in the documentation: ``sign``, ``scale``, ``zero``, ...
    blocks : tuple of str
        The blocks it explains.
    message : str
        What is wrong, with its evidence, and what to do.
    source_line : str or None
        The line of the loss it points at, ``model.py:12: a1 = np.tanh(z1)``.
    residual : float or None
        Relative error that is left when the supposed mistake is undone.
    """

    code: str
    blocks: tuple[str, ...]
    message: str
    source_line: str | None = None
    residual: float | None = None


class GradientError(AssertionError):
    """A gradient did not pass its check, or its battery; `report` says why."""

    def __init__(self, report: Any) -> None:
        super().__init__(f"\n{report}")
        self.report = report

    def __reduce__(self) -> Any:
        return type(self), (self.report,)
