"""How many turns the loops of a function take.

Counted while it runs: each time a jump backwards reaches the beginning of a loop, once
for each time the loop is begun. A function that calls itself is a loop, too, and so is
one that is not Python's and calls back, as compiled solvers and integrators do.
"""

import dis
import functools
import gc
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from inspect import CO_GENERATOR
from types import CodeType, FrameType
from typing import Any

from fastgrad.checking.judgement.handed import Handed, replacing
from fastgrad.program import is_internal

_JUMPS = {*dis.hasjrel, *dis.hasjabs}
_YIELD = dis.opmap["YIELD_VALUE"]
_RETURNS = {"RETURN_VALUE", "RETURN_CONST"}
_RECURSION = -1  # less than that is a call back: no function begins with a call


class TooManyTurnsError(Exception):
    """A function that takes much longer than was expected."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Where a loop begins: its file, line, and instruction.

    That is negative for what is no loop of Python's: a recursion, or what calls back.

    Attributes
    ----------
    decides : bool
        Whether it decides itself when to end, rather than run through something.
    """

    file: str
    line: int
    start: int
    decides: bool = True


class Turns(defaultdict[Loop, Counter[int]]):
    """Of each loop, how often it took how many turns.

    Attributes
    ----------
    lines : dict of Loop to int
        The last line of the function's own file before the loop ended.
    events : int
        How long it took.
    """

    def __init__(self) -> None:
        super().__init__(Counter)
        self.lines: dict[Loop, int] = {}
        self.events = 0

    def changed(self, there: "Turns") -> list[Loop]:
        """Return loops that take turns at both, and not equally many.

        Where a loop is only begun more or less often, a branch around it is what
        changed; and what runs through a list that has become longer, as of neighbours,
        iterates until nothing.
        """
        changed = []
        for loop, turns in self.items():
            others = there[loop]
            both = bool(turns) and bool(others) and loop.decides
            as_often = turns.total() == others.total()
            if both and (turns != others if as_often else set(turns) != set(others)):
                changed.append(loop)
        return changed


def count_turns(
    function: Callable[[Any], Any],
    argument: Any,
    most: float = math.inf,
    instead: Handed | None = None,
) -> Turns:
    """Call a function and return the turns of all loops that this ran.

    With other numbers `instead` of those that functions are handed.

    Raises
    ------
    TooManyTurnsError
        After more than so many events: the function may never end.

    Examples
    --------
    >>> def halve(x):
    ...     while x > 1:
    ...         x /= 2
    >>> for loop, turns in count_turns(halve, 8.0).items():
    ...     print("recursion" if loop.start < 0 else "loop", turns)
    recursion Counter({1: 1})
    loop Counter({3: 1})
    """
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    counting, before = _Counting(file, most, instead or {}), sys.gettrace()
    collecting = gc.isenabled()
    gc.disable()  # callbacks of the collector are not the function
    try:
        sys.settrace(counting.enter)
        function(argument)
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    return counting.turns


class _Counting:
    """A trace function, and what it has counted."""

    def __init__(self, file: str, most: float, instead: Handed) -> None:
        self.turns, self._most, self._file = Turns(), most, file
        self._replacing = replacing(instead)
        self._functions: dict[int, _Function | None] = {}

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """Follow a call, or a generator that goes on."""
        code = frame.f_code
        try:
            function = self._functions[id(code)]
        except KeyError:  # a check within the loss is no solver
            internal = is_internal(code.co_filename)
            function = self._functions[id(code)] = None if internal else _Function(code)
        if function is None:
            return None
        self._replacing(frame)
        function.depth += 1
        function.calls += 1
        if not function.pauses:
            _note_call(frame.f_back)
        elif isinstance(paused := getattr(frame.f_trace, "__self__", None), _Run):
            return paused.follow
        frame.f_trace_lines = bool(function.starts)
        return _Run(self, function).follow

    def tick(self) -> None:
        """Note that time goes by."""
        self.turns.events += 1
        if self.turns.events > self._most:
            raise TooManyTurnsError

    def ended(self, loop: Loop, turns: int, frame: FrameType | None) -> None:
        """Note that a loop has ended, in a function or what that has called."""
        self.turns[loop][turns] += 1
        if loop not in self.turns.lines:
            while frame is not None and frame.f_code.co_filename != self._file:
                frame = frame.f_back
            self.turns.lines[loop] = 0 if frame is None else frame.f_lineno


class _Function:
    """What all runs of a function have in common.

    Found by the identity of its code, whose hash takes longer than many a call.
    """

    __slots__ = ("calls", "code", "depth", "itself", "pauses", "starts")

    def __init__(self, code: CodeType) -> None:
        self.code, self.depth, self.calls = code, 0, 0
        self.itself = Loop(code.co_filename, code.co_firstlineno, _RECURSION)
        self.pauses = bool(code.co_flags & CO_GENERATOR)
        self.starts = {of[0].start: of for of in _loops(code)}


class _Run:
    """One run of a function, whose trace function is `follow`.

    The frame has that, and it has no frame: these hold all arrays of what runs in them.
    """

    __slots__ = ("_called_back", "_calling", "_counting", "_function", "_running")

    def __init__(self, counting: _Counting, function: _Function) -> None:
        self._counting, self._function = counting, function
        self._running: dict[int, int] = {}  # turns, by the starts of loops
        self._calling, self._called_back = -1, 0

    def follow(self, frame: FrameType, event: str, _: Any) -> Any:
        """Note that a function goes on: what it has called is done."""
        self._counting.tick()
        self._call_ended(frame)
        if event == "line":
            if self._function.starts:
                self._go_on(frame, frame.f_lasti)
        elif event == "return":
            self._leave(frame)
        return self.follow

    def note_call(self, frame: FrameType) -> None:
        """Count a call; another one of an instruction that has not ended is a turn."""
        if frame.f_lasti != self._calling:
            self._call_ended(frame)
            self._calling = frame.f_lasti
        self._called_back += 1

    def _call_ended(self, frame: FrameType) -> None:
        if self._called_back > 1:
            file, at = frame.f_code.co_filename, _RECURSION - self._calling
            loop = Loop(file, _line_at(frame.f_code, self._calling), at)
            self._counting.ended(loop, self._called_back, frame)
        self._calling, self._called_back = -1, 0

    def _go_on(self, frame: FrameType, at: int) -> None:
        """Note where a function is."""
        if at in self._function.starts:
            self._running[at] = self._running.get(at, 0) + 1
        for start in list(self._running):
            loop, first, last = self._function.starts[start]
            if not first <= at <= last:
                self._counting.ended(loop, self._running.pop(start), frame)

    def _leave(self, frame: FrameType) -> None:
        function, counting = self._function, self._counting
        function.depth -= 1
        if function.depth == 0:
            counting.ended(function.itself, function.calls, frame)
            function.calls = 0
        if function.pauses and function.code.co_code[frame.f_lasti] == _YIELD:
            return
        for start, turns in self._running.items():
            counting.ended(function.starts[start][0], turns, frame)


def _note_call(caller: FrameType | None) -> None:
    run = None if caller is None else getattr(caller.f_trace, "__self__", None)
    if caller is not None and isinstance(run, _Run):
        run.note_call(caller)


def _line_at(code: CodeType, at: int) -> int:
    """Return the line of an instruction."""
    return next(line or 0 for a, b, line in code.co_lines() if a <= at < b)


@functools.lru_cache(maxsize=1024)
def _loops(code: CodeType) -> list[tuple[Loop, int, int]]:
    """Return the loops of a function, and their first and last instructions."""
    ends: dict[int, int] = {}
    for one in dis.get_instructions(code):
        if one.opcode in _JUMPS and one.argval <= one.offset:
            ends[one.argval] = max(ends.get(one.argval, 0), one.offset)
    lines = [(start, line) for start, _, line in code.co_lines() if line is not None]
    loops, first = [], -1
    for start in sorted(ends):
        first = start if first < 0 else first
        if any(start < other < ends[start] < ends[other] for other in ends):
            continue  # to where `continue` jumps: the condition, ahead of the body
        own = [line for at, line in lines if first <= at <= ends[start]]
        before = [line for at, line in lines if at <= first]
        line = min(own + before[-1:], default=code.co_firstlineno)
        decides = _decides(code, start, ends[start])
        loops.append((Loop(code.co_filename, line, start, decides), first, ends[start]))
        first = -1
    return loops


def _decides(code: CodeType, start: int, end: int) -> bool:
    """Whether a loop is no `for`, or one that `break` or `return` may leave."""
    body = [one for one in dis.get_instructions(code) if start <= one.offset <= end]
    if body[0].opname != "FOR_ITER":
        return True
    return any(
        one.opname in _RETURNS
        or (one.opcode in _JUMPS and not start <= one.argval <= end)
        for one in body[1:]
    )
