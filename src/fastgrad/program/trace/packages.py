"""Functions of installed packages: traced as the user's own, as far as that goes.

Where it does not, a call out of the user's own code into a package is an operation of
its own. Where something got past the trace in one, all of them are called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastgrad.program.trace.definitions import package_of


@dataclass
class Packages:
    """What the traces of one loss have in common.

    Attributes
    ----------
    followed : bool
        Whether a function of a package has been traced.
    called : bool
        Whether all of them are called, not traced.
    lost : dict of int to callable
        By their ids, those that cannot be traced.
    """

    followed: bool = False
    called: bool = False
    lost: dict[int, Any] = field(default_factory=dict)

    def traced(self, function: Any) -> bool:
        """Whether to trace a function."""
        return not self.called and id(function) not in self.lost


def enters(site: Any, file: str) -> bool:
    """Whether a call leads from the user's own code into an installed package."""
    inside = site is None or package_of(site.file) is not None
    return not inside and package_of(file) is not None
