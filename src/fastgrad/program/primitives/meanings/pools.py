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


@means("concurrent.futures.as_completed")
def as_completed(fs, timeout=None):
    return iter(list(fs))


@means("multiprocessing.pool.Pool.map")
def pool_map(self, func, iterable, chunksize=None):
    return [func(x) for x in iterable]


@means("multiprocessing.pool.Pool.imap")
def imap(self, func, iterable, chunksize=1):
    return iter([func(x) for x in iterable])


@means("multiprocessing.pool.Pool.starmap")
def starmap(self, func, iterable, chunksize=None):
    return [func(*x) for x in iterable]


@means("multiprocessing.pool.Pool.apply")
def apply(self, func, args=(), kwds=None):
    return func(*args, **(kwds or {}))
