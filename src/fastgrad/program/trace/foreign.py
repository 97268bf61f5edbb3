"""Objects that an unknown function made of traced arrays: how to make them again.

What is asked of one (a call, a method, an attribute, an item) is an opaque operation
together with all that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastgrad.program import sources
from fastgrad.program.graph import Node
from fastgrad.program.sources import TraceError


class Foreign:
    """Such an object.

    Parameters
    ----------
    held : object
        What the loss itself would have there.
    template : tuple
        Function, arguments and keywords that make it, with slots for the inputs.
    inputs : sequence of Node
        What goes into the slots.
    """

    __slots__ = ("_trace", "held", "inputs", "template")

    def __init__(self, held: Any, template: Any, inputs: Sequence[Node]) -> None:
        self.held = held
        self.template = template
        self.inputs = inputs
        self._trace = sources.current_trace.get()

    @property
    def live(self) -> bool:
        """Whether the trace that made it is still going on."""
        return self._trace is not None and self._trace is sources.current_trace.get()

    def __getattr__(self, name: str) -> Any:
        if self.live:
            raise TraceError(f"{type(self.held).__name__}.{name} where it is not seen")
        return getattr(self.held, name)
