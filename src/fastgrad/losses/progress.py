"""A progress bar for anything that takes more than a second."""

import sys
import time
from types import TracebackType
from typing import Any, Self

_PATIENCE = 1.0  # seconds before anything is shown
_INTERVAL = 0.1  # seconds between updates


class Progress:
    """Shows how many evaluations are done, after the first second.

    With tqdm installed its bar is shown, otherwise a line that overwrites itself.

    Parameters
    ----------
    show : bool or None
        None shows it on a terminal only.
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
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.show = terminal if show is None else show
        self.total = total
        self.done = 0
        self._bar: Any = None
        self._next = time.monotonic() + _PATIENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def expect(self, count: int) -> None:
        """Announce `count` more evaluations."""
        self.total = (self.total or 0) + count

    def advance(self, count: int = 1) -> None:
        """Say that `count` more evaluations are done."""
        self.done += count
        if self.show and time.monotonic() >= self._next:
            self._draw()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _open_bar()
        self._bar.total = None if self.total is None else max(self.total, self.done)
        self._bar.n = self.done
        self._bar.refresh()
        self._next = time.monotonic() + _INTERVAL


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

    def refresh(self) -> None:
        share = f" ({self.n / self.total:.0%})" if self.total else ""
        sys.stderr.write(f"\rchecking: {self.n:,} evaluations{share}\x1b[K")
        sys.stderr.flush()

    def close(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
