"""Objects of libraries themselves, where what stands for them in a trace does less."""

from __future__ import annotations

from types import MethodType
from typing import Any

from fastgrad.program.primitives.meanings.registry import StandIn
from fastgrad.program.trace.opaque import call_opaque


def made(result: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """What a function returns, which remembers it where it stands for an object."""
    if isinstance(result, StandIn):
        result.made = function, args, kwargs
    return result


def itself(recording: Any, x: Any) -> Any:
    """The object that something stands for, or its method; others as they are."""
    if isinstance(x, MethodType) and isinstance(x.__self__, StandIn):
        owner = itself(recording, x.__self__)
        return call_opaque(recording, getattr, (owner, x.__name__), {})
    if not isinstance(x, StandIn):
        return x
    function, args, kwargs = x.made
    return call_opaque(recording, itself(recording, function), args, kwargs)
