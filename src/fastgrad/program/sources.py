"""Lines of the user's code: where an operation is called, a function begins, fails."""

import ast
import contextlib
import functools
import inspect
import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np

from fastgrad._arguments import shortened

_QUOTED = 80  # characters of a line
_TRACER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
#: The module that calls what is traced.
_ENTRY = os.path.join(_TRACER, "trace", "tracing.py")
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES = (
    _HOME + os.sep,
    os.path.dirname(os.path.abspath(np.__file__)) + os.sep,
    contextlib.__file__,
)
#: The part of fastgrad that plays the user.
_DEMO = os.path.join(_HOME, "demo", "")


def is_internal(file: str) -> bool:
    """Whether a file is fastgrad's or NumPy's."""
    return file.startswith(_PACKAGES) and not file.startswith(_DEMO)


@dataclass(frozen=True)
class Source:
    """A line of the user's code."""

    file: str
    line: int
    #: Which calls were running, to the instruction: the same for each turn of a loop,
    #: different for two calls of a function or two operations on one line. 0 where a
    #: function begins, which stands for what no line of it says.
    site: int = field(default=0, compare=False, repr=False)
    #: The instruction alone: the same however its function is called.
    spot: int = field(default=0, compare=False, repr=False)
    #: Its first and last line, and the columns, in bytes, where it begins and ends.
    span: tuple[int, int, int, int] | None = field(
        default=None, compare=False, repr=False
    )

    @property
    def operands(self) -> tuple[str, ...]:
        """The expressions that the operation takes, if they can be read."""
        if self.span is None:
            return ()
        try:
            (node,) = ast.parse("".join(written(self.file, self.span))).body
        except (SyntaxError, ValueError):  # the file has changed
            return ()
        return tuple(map(ast.unparse, _operands(node)))

    @property
    def code(self) -> str:
        """The text of the line, if its file can be read."""
        return linecache.getline(self.file, self.line).strip()

    @property
    def quoted(self) -> str:
        """As much of the text of the line as a message holds."""
        return shortened(self.code, _QUOTED)

    @property
    def place(self) -> str:
        """The file, or the cell of a notebook, ``Cell In[3]``."""
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        cell = None if shell is None else shell.compile.format_code_name(self.file)
        return self.file if cell is None else " ".join(cell)

    def __str__(self) -> str:
        return f"{os.path.basename(self.place)}, line {self.line}"


def written(file: str, span: tuple[int, int, int, int]) -> list[str]:
    """The lines of a piece of code, without what is before and behind it."""
    first, last, begin, end = span
    lines = [linecache.getline(file, k) for k in range(first, last + 1)]
    lines[-1] = lines[-1].encode()[:end].decode(errors="ignore")
    lines[0] = lines[0].encode()[begin:].decode(errors="ignore")
    return lines


def _operands(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.AugAssign):
        return [node.target, node.value]
    whole = node.value if isinstance(node, ast.Expr) else None
    if isinstance(whole, ast.BinOp):
        return [whole.left, whole.right]
    return whole.args if isinstance(whole, ast.Call) else []


def calling_line(*packages: str) -> Source:
    """The innermost line that is neither fastgrad's nor NumPy's, nor in `packages`."""
    told = outermost.get()
    if told is not None and told[1] is not None:
        return told[1]
    trace = current_trace.get()
    if trace is not None and trace.source is not None:
        source: Source = trace.source
        return source
    frame: FrameType | None = sys._getframe(1)
    assert frame is not None
    while frame.f_back is not None and (
        is_internal(frame.f_code.co_filename)
        or frame.f_code.co_filename.startswith(packages)
    ):
        if trace is not None and frame.f_code.co_filename == _ENTRY:
            origin: Source = trace.origin  # no line within it
            return origin
        frame = frame.f_back
    file, line, site = frame.f_code.co_filename, frame.f_lineno, 0
    spot = frame.f_lasti
    # The user's own calls, out to where fastgrad called the loss.
    while frame is not None and not frame.f_code.co_filename.startswith(_TRACER):
        site = hash((site, frame.f_code.co_filename, frame.f_lineno, frame.f_lasti))
        frame = frame.f_back
    return Source(file, line, site, spot)


def defining_line(function: Any) -> Source:
    """Where a function begins; the calling line for one that is not Python's."""
    while isinstance(function, functools.partial):
        function = function.func
    for candidate in (function, type(function).__call__):
        code = getattr(inspect.unwrap(candidate), "__code__", None)
        if code is not None:
            return Source(code.co_filename, code.co_firstlineno)
    return calling_line()


def raising_line(error: BaseException) -> Source | None:
    """The innermost such line in the traceback of an error."""
    found, entry = None, error.__traceback__
    while entry is not None:
        file = entry.tb_frame.f_code.co_filename
        if not is_internal(file):
            found = Source(file, entry.tb_lineno)
        entry = entry.tb_next
    return found


#: The trace that is going on, if any (`trace.recording.Recording`).
current_trace: ContextVar[Any] = ContextVar("current_trace", default=None)
#: What the user called, where that is one function made of several others, and where
#: it was called, if the stack does not tell.
outermost: ContextVar[tuple[str, Source | None] | None] = ContextVar(
    "spoken", default=None
)


class spoken:
    """Label what is recorded within with the outermost function's name and line."""

    def __init__(self, label: str, source: Source | None = None) -> None:
        self._told = outermost.get() or (label, source)

    def __enter__(self) -> None:
        self._token = outermost.set(self._told)

    def __exit__(self, *error: object) -> None:
        outermost.reset(self._token)


def around(function: Any) -> spoken:
    """Record within what fastgrad computes around it: no operations of the user's."""
    return spoken("", defining_line(function))


@contextmanager
def outside() -> Iterator[None]:
    """Run something as if no trace was going on."""
    token = current_trace.set(None)
    try:
        yield
    finally:
        current_trace.reset(token)


class TakesTooLong(BaseException):
    """A trace takes longer than it is given; no exception for a loss to catch."""


class TraceError(Exception):
    """A loss does something that cannot be traced; says what, and on which line."""

    def __init__(self, reason: str, source: Source | None = None) -> None:
        self.reason = reason
        self.source = source or calling_line()
        trace = current_trace.get()
        if trace is not None:
            trace.refused.append((self.reason, self.source))
        code = self.source.quoted
        super().__init__(f"{self.source}: {reason}" + (f" ({code})" if code else ""))
