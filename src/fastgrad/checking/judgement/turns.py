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

from fastgrad.checking.judgement.handed import Handed, replace_in
from fastgrad.program import is_internal

_JUMPS = {*dis.hasjrel, *dis.hasjabs}
_YIELD = dis.opmap["YIELD_VALUE"]
_RETURNS = {"RETURN_VALUE", "RETURN_CONST"}
_RECURSION, _CALLBACK = -1, -2


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
        counting.let_go()
        if collecting:
            gc.enable()
    return counting.turns


class _Counting:
    """A trace function, and what it has counted."""

    def __init__(self, file: str, most: float, instead: Handed) -> None:
        self.turns, self._most, self._instead = Turns(), most, instead
        self._file, self._line = file, 0
        self._depth: Counter[CodeType] = Counter()
        self._calls: Counter[CodeType] = Counter()
        self._paused: dict[FrameType, Counter[Loop]] = {}
        self._called_back: dict[FrameType | None, tuple[Loop, int]] = {}

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """Follow a call, or a generator that goes on."""
        code = frame.f_code
        if is_internal(code.co_filename):  # a check within the loss is no solver
            return None
        replace_in(frame, self._instead)
        self._depth[code] += 1
        self._calls[code] += 1
        if not code.co_flags & CO_GENERATOR:
            self._note_call(frame.f_back)
        loops, running = _loops(code), self._paused.pop(frame, Counter[Loop]())
        own = code.co_filename == self._file

        def follow(frame: FrameType, event: str, _: Any) -> Any:
            at = frame.f_lasti
            self._note_event(frame)
            if event == "line":
                self._line = frame.f_lineno if own else self._line
                for loop, first, last in loops:
                    if at == loop.start:
                        running[loop] += 1
                    elif running[loop] and not first <= at <= last:
                        self._ended(loop, running.pop(loop))
            elif event == "return":
                self._leave(code)
                if code.co_code[at] == _YIELD:
                    self._paused[frame] = running
                    return follow
                for loop, count in running.items():
                    if count:
                        self._ended(loop, count)
            return follow

        return follow

    def let_go(self) -> None:
        """Forget frames: they hold all arrays of the functions that run in them."""
        self._paused.clear()
        self._called_back.clear()

    def _note_call(self, caller: FrameType | None) -> None:
        """Count a call; another one of an instruction that has not ended is a turn."""
        if caller is not None:
            code, at = caller.f_code, _CALLBACK - caller.f_lasti
            loop, turns = Loop(code.co_filename, caller.f_lineno, at), 0
            if caller in self._called_back and self._called_back[caller][0] == loop:
                turns = self._called_back[caller][1]
            self._called_back[caller] = loop, turns + 1

    def _note_event(self, frame: FrameType) -> None:
        """Note that a function goes on: what it has called is done."""
        self.turns.events += 1
        if self.turns.events > self._most:
            raise TooManyTurnsError
        loop, turns = self._called_back.pop(frame, (None, 0))
        if loop is not None and turns > 1:
            self._ended(loop, turns)

    def _leave(self, code: CodeType) -> None:
        self._depth[code] -= 1
        if self._depth[code] == 0:
            itself = Loop(code.co_filename, code.co_firstlineno, _RECURSION)
            self._ended(itself, self._calls.pop(code))

    def _ended(self, loop: Loop, turns: int) -> None:
        self.turns[loop][turns] += 1
        self.turns.lines[loop] = self._line


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
