"""Pools of threads: while traced, what they are given is done at once."""

from __future__ import annotations

from typing import Any

from fastgrad.program.primitives.meanings.registry import means


@means("concurrent.futures.Executor.map")
def map_(self, fn, *iterables, **options):
    return iter([fn(*values) for values in zip(*iterables, strict=False)])


@means("concurrent.futures.ThreadPoolExecutor.submit")
def submit(self, fn, /, *args, **kwargs):
    from concurrent.futures import Future

    done: Future[Any] = Future()
    done.set_result(fn(*args, **kwargs))
    return done
