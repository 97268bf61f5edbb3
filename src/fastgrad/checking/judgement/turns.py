"""How many turns the loops of a function take.

Counted while it runs: each time a jump backwards reaches the beginning of a loop, once
for each time the loop is begun. A function that calls itself is a loop, too.
"""

import dis
import functools
import gc
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

_JUMPS = {*dis.hasjrel, *dis.hasjabs}
_YIELD = dis.opmap["YIELD_VALUE"]
_RETURNS = {"RETURN_VALUE", "RETURN_CONST"}


@dataclass(frozen=True, slots=True)
class Loop:
    """Where a loop begins: its file, line, and instruction (-1: a recursion).

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
    """

    def __init__(self) -> None:
        super().__init__(Counter)
        self.lines: dict[Loop, int] = {}


def count_turns(function: Callable[[Any], Any], argument: Any) -> Turns:
    """Call a function and return the turns of all loops in Python that this ran.

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
    counting, before, collecting = _Counting(file), sys.gettrace(), gc.isenabled()
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

    def __init__(self, file: str) -> None:
        self.turns = Turns()
        self._file, self._line = file, 0
        self._depth: Counter[CodeType] = Counter()
        self._calls: Counter[CodeType] = Counter()
        self._paused: dict[FrameType, Counter[Loop]] = {}

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """Follow a call, or a generator that goes on."""
        code = frame.f_code
        self._depth[code] += 1
        self._calls[code] += 1
        loops, running = _loops(code), self._paused.pop(frame, Counter[Loop]())
        own = code.co_filename == self._file

        def follow(frame: FrameType, event: str, _: Any) -> Any:
            at = frame.f_lasti
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

    def _leave(self, code: CodeType) -> None:
        self._depth[code] -= 1
        if self._depth[code] == 0:
            itself = Loop(code.co_filename, code.co_firstlineno, -1)
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
