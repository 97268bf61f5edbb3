"""Numbers that functions are handed: seen, and made smaller, while a loss runs.

The tolerance of a solver is one of these, be it the default of a library.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from fastgrad.program import is_internal

# Numbers by the functions that are handed them, and the names of these arguments.
Handed = dict[CodeType, dict[str, float]]


@contextmanager
def seen() -> Iterator[Handed]:
    """Note the numbers that functions are handed; nan for those that vary."""
    handed: Handed = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code, own = frame.f_code, frame.f_locals
        if is_internal(code.co_filename):
            return
        numbers = handed.setdefault(code, {})
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            value = own.get(name)
            if isinstance(value, float):
                numbers[name] = value if numbers.get(name, value) == value else math.nan

    with _tracing(note):
        yield handed


@contextmanager
def handing(instead: Handed) -> Iterator[None]:
    """Have functions handed other numbers instead."""
    replace = replacing(instead)
    with _tracing(lambda frame, *_: replace(frame)):
        yield


def replacing(instead: Handed) -> Callable[[FrameType], None]:
    """Return what replaces what a function was handed, when it begins.

    Functions are known by the identity of their code: its hash takes longer than to
    call them.
    """
    numbers = {id(code): changed for code, changed in instead.items()}

    def replace(frame: FrameType) -> None:
        if id(frame.f_code) in numbers:
            frame.f_locals.update(numbers[id(frame.f_code)])

    return replace


@contextmanager
def _tracing(enter: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)
