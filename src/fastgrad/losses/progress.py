"""How far it is: a forecast of what will take long, and a bar after a second."""

import sys
import time
from typing import Any, Self

from fastgrad._arguments import flag

_PATIENCE = 1.0  # seconds before anything is shown
_INTERVAL = 0.1  # seconds between updates
_ENOUGH = 0.3  # seconds that show how fast it goes
_LONG = 10.0  # seconds left that are worth a word


class Progress:
    """Says what will take long, and shows how far it is after the first second.

    With tqdm installed its bar is shown, otherwise a line that overwrites itself.

    Parameters
    ----------
    show : bool or None
        None shows the bar on a terminal only, and the forecast anywhere; False neither.
    total : int or None
        Expected number of evaluations; `expect` adds to it.

    Examples
    --------
    >>> with Progress(show=False) as progress:
    ...     progress.expect(10)
    ...     progress.advance(10)
    >>> progress.done
    10
    """

    def __init__(self, show: bool | None = None, total: int | None = None) -> None:
        if show is not None:
            flag("progress", show)
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.show = terminal if show is None else show
        self.total = total
        self.done = 0
        self._bar: Any = None
        self._patient = self._next = time.monotonic() + _PATIENCE
        #: Whether nothing more is to be said, ever.
        self.said = show is False or sys.stderr is None
        self._planned = 0
        self._cheaper = ""
        self._began = (0.0, 0)
        self._each = float("inf")
        self._told = self.said  # about what was planned last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def plan(self, count: int, cheaper: str) -> None:
        """Announce that about `count` evaluations follow, before the first of them.

        How long they take is seen soon after; if that is long it is said, together with
        what is cheaper; once, whatever is planned after it.
        """
        self._planned, self._cheaper = self.done + count, cheaper
        self._began, self._each = (time.monotonic(), self.done), float("inf")
        self._told = self.said
        if not self._told:
            self._next = min(self._next, time.monotonic() + _ENOUGH)

    def expect(self, count: int) -> None:
        """Announce `count` more evaluations."""
        self.total = (self.total or 0) + count

    def advance(self, count: int = 1) -> None:
        """Say that `count` more evaluations are done."""
        self.done += count
        if (self.show or not self._told) and time.monotonic() >= self._next:
            self._look()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _look(self) -> None:
        now = time.monotonic()
        if self._planned and not self._told:
            self._forecast(now)
        self._next = now + _INTERVAL
        if self.show and now >= self._patient:
            self._draw()

    def _forecast(self, now: float) -> None:
        began, done = self._began
        since = self.done - done
        if since <= 0 or now - began < _ENOUGH:
            return
        each = (now - began) / since
        if each < self._each / 2:  # it may be quicker still
            self._each, self._began = each, (now, self.done)
            return
        self._told = True
        count = self._planned - self.done
        left = count * each
        if left > _LONG:
            self.said = True
            sys.stderr.write(
                f"fastgrad: about {_duration(left)} left, for {count:,} "
                f"evaluations of {_duration(each)}. {self._cheaper}\n"
            )
            sys.stderr.flush()

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _open_bar()
        total = max(self.total or 0, self._planned)
        self._bar.total = max(total, self.done) if total else None
        self._bar.n = self.done
        self._bar.refresh()


def _duration(seconds: float) -> str:
    """Return a time as people say it."""
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _open_bar() -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return _Line()
    return tqdm(desc="checking", unit=" evaluations", unit_scale=True, leave=False)


class _Line:
    """The little of tqdm's interface that is used, as one line on stderr."""

    total: int | None = None
    n = 0

    def __init__(self) -> None:
        self._began: tuple[float, int | None] = (0.0, None)

    def refresh(self) -> None:
        share = ""
        if self.total:
            share = f" ({self.n / self.total:.0%}{self._left()})"
        sys.stderr.write(f"\rchecking: {self.n:,} evaluations{share}\x1b[K")
        sys.stderr.flush()

    def close(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    def _left(self) -> str:
        """Return how long it will take, once some has been done."""
        now = time.monotonic()
        began, done = self._began
        if done is None:
            self._began = now, self.n
            return ""
        if self.n <= done or self.total is None:
            return ""
        left = (self.total - self.n) * (now - began) / (self.n - done)
        return f", {_duration(left)} left"
