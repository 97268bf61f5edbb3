"""What a loss leaves behind: traced arrays in its objects become plain ones.

A model keeps running statistics, caches for its backward pass, a history. What it would
hold after an ordinary call, it holds after a trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.keys import Key


class Kept:
    """The attributes and containers that something was put into."""

    def __init__(self) -> None:
        self._attributes: list[tuple[Any, str]] = []
        self._containers: dict[int, Any] = {}

    def attribute(self, owner: Any, name: str) -> None:
        """Note an attribute that was set."""
        self._attributes.append((owner, name))

    def container(self, owner: Any) -> None:
        """Note a list, dict, set or deque that was changed."""
        self._containers[id(owner)] = owner

    @property
    def count(self) -> int:
        """How often an attribute was set."""
        return len(self._attributes)

    def settle(self, first: int = 0) -> None:
        """Make traced arrays in them, from that attribute on, the values they have."""
        for owner, name in self._attributes[first:]:
            value = getattr(owner, name, None)
            settled = plain(value)
            if settled is not value:
                _set(owner, name, settled)
        del self._attributes[first:]
        if not first:
            for owner in self._containers.values():
                _settle_in(owner, set())


def _set(owner: Any, name: str, value: Any) -> None:
    """Past a `__setattr__` of the user's own, which would notice."""
    try:
        object.__setattr__(owner, name, value)
    except TypeError:  # classes and modules have another
        setattr(owner, name, value)


def plain(x: Any, seen: set[int] | None = None) -> Any:
    """`x` with its traced arrays as plain ones; itself where there is none."""
    seen = set() if seen is None else seen
    if type(x) is Foreign:
        return x.held
    if isinstance(x, Key):
        return x.plain()
    if getattr(type(x), "is_traced", False):
        value = np.asarray(x)
        return value if value.ndim else value[()]
    if type(x) in (list, dict):
        _settle_in(x, seen)
    elif isinstance(x, tuple):
        settled = [plain(y, seen) for y in x]
        if any(a is not b for a, b in zip(settled, x, strict=True)):
            return x._make(settled) if hasattr(x, "_make") else type(x)(settled)
    return x


def _settle_in(owner: Any, seen: set[int]) -> None:
    if id(owner) in seen or isinstance(owner, (set, frozenset)):
        return
    seen.add(id(owner))  # a list may be in itself
    if isinstance(owner, dict):
        _settle_keys(owner)
    places = owner.items() if isinstance(owner, dict) else enumerate(owner)
    for key, value in list(places):
        settled = plain(value, seen)
        if settled is not value:
            owner[key] = settled


def _settle_keys(owner: dict[Any, Any]) -> None:
    """Keep the order: a cache may throw out what it has had for longest."""
    keys = [plain(key) for key in owner]
    if any(a is not b for a, b in zip(keys, owner, strict=True)):
        values = list(owner.values())
        owner.clear()
        owner.update(zip(keys, values, strict=True))
