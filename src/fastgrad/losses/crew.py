"""The workers of an executor: what they need is sent once, and each task is small.

An executor says neither which worker takes a task nor what that worker knows. So what
all tasks need, the parameters and the function, is a `Parcel` with a key. The first
tasks bring it along, all later ones name the key only. A worker without the parcel (it
came late, or replaced one that died) says so, and is given the task again with it.
"""

import os
import pickle
import threading
import time
import uuid
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from fastgrad.losses.interface import add_note

if TYPE_CHECKING:
    from concurrent.futures import Future

_WORTH = 5e-3  # seconds that a task has to take: sending one costs up to a few ms
_MOST = 10.0  # seconds that a task may take: so much is lost where a worker dies
_BYTES_PER_SECOND = 1e8  # of a network, modestly
_PER_WORKER = 4  # tasks, so that all end at about the same time
_DEATHS = 3  # of workers that one task may outlive
_PARCELS = 2  # that a process keeps

Work = Callable[..., Any]


class Parcel:
    """Something that is made once in each thread that works with it.

    Parameters
    ----------
    make : callable
        ``make()`` returns it; it is what travels.
    dumps : callable
        Pickles it, once.
    """

    def __init__(
        self, make: Callable[[], Any], dumps: Callable[[Any], bytes] = pickle.dumps
    ) -> None:
        self.key = uuid.uuid4().hex
        self.make, self._dumps = make, dumps
        self._home: int | None = os.getpid()
        self._made = threading.local()
        _AT_HOME[self.key] = self

    @classmethod
    def received(cls, key: str, payload: bytes) -> "Parcel":
        """Return one that was sent; it is unpacked where it is used, once."""
        parcel = cls.__new__(cls)
        parcel.key, parcel.payload, parcel._home = key, payload, None
        parcel._made = threading.local()
        return parcel

    @property
    def away(self) -> bool:
        """Whether this is another process than the one that sent it."""
        return self._home != os.getpid()

    @cached_property
    def payload(self) -> bytes:
        """What is sent."""
        return self._dumps(self.make)

    @cached_property
    def make(self) -> Callable[[], Any]:
        """Makes it."""
        make: Callable[[], Any] = pickle.loads(self.payload)
        return make

    def content(self) -> Any:
        """Return it, of this thread alone."""
        if not hasattr(self._made, "content"):
            with _UNPACKING:
                make = self.make
            self._made.content = make()
        return self._made.content

    def __reduce__(self) -> Any:
        return _arrived, (self.key, self.payload)


# By key: those of this process, and the last that it received.
_AT_HOME: "WeakValueDictionary[str, Parcel]" = WeakValueDictionary()
_RECEIVED: "OrderedDict[str, Parcel]" = OrderedDict()
_RECEIVING, _UNPACKING = threading.Lock(), threading.Lock()


def _arrived(key: str, payload: bytes) -> Parcel:
    with _RECEIVING:
        if key not in _RECEIVED:  # two tasks may have brought it
            _RECEIVED[key] = Parcel.received(key, payload)
            while len(_RECEIVED) > _PARCELS:
                _RECEIVED.popitem(last=False)
        return _RECEIVED[key]


class Crew:
    """The workers of an executor, and what they were sent.

    Parameters
    ----------
    workers : concurrent.futures.Executor
        Or anything with its `submit`. It is left open.
    make : callable
        What the workers have to have: ``make()`` makes it, once in each of them.
    seconds : float
        That a unit of their work takes, about; measured from the first tasks on.

    Attributes
    ----------
    size : int
        How many there are.
    """

    def __init__(
        self, workers: Any, make: Callable[[], Any], seconds: float = 1e-3
    ) -> None:
        self._workers, self._seconds = workers, seconds
        self._parcel = Parcel(make, _pickler_of(workers))
        self.size = _number_of(workers)
        self._to_bring = self.size  # tasks that bring the parcel

    def chunks(self, count: int, ballast: float = 0.0) -> list[slice]:
        """Cut so many units of work into tasks worth sending.

        Parameters
        ----------
        count : int
            Units of work.
        ballast : float
            Bytes that each task carries beside them.
        """
        worth = _WORTH + ballast / _BYTES_PER_SECOND
        share = -(-count // (self.size * _PER_WORKER))
        size = min(max(share, worth / self._seconds), _MOST / self._seconds)
        size = max(1, int(size))
        return [slice(i, min(i + size, count)) for i in range(0, count, size)]

    def run(
        self, work: Work, tasks: Iterable[tuple[int, tuple[Any, ...]]]
    ) -> Iterator[Any]:
        """Yield what the tasks give, in their order, whoever was first.

        Parameters
        ----------
        work : callable
            ``work(content, *arguments)``, a function of a module.
        tasks : iterable of (int, tuple)
            Units of work, and the arguments.

        Raises
        ------
        Exception
            What the work raises.
        concurrent.futures.BrokenExecutor
            If workers have died over the same task again and again.
        """
        ahead: deque[_Task] = deque()
        waiting = iter(tasks)
        try:
            while True:
                for units, arguments in waiting:
                    ahead.append(self._submitted(_Task(work, units, arguments)))
                    if len(ahead) >= _PER_WORKER * self.size:
                        break
                if not ahead:
                    return
                yield self._result(ahead)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            if "pickle" in str(error):
                error.add_note("fastgrad: processes need a loss that can be pickled.")
            raise
        finally:
            for task in ahead:
                task.future.cancel()

    def _submitted(self, task: "_Task", *, bring: bool = False) -> "_Task":
        self._to_bring -= 1
        parcel = self._parcel if bring or self._to_bring >= 0 else self._parcel.key
        with warnings.catch_warnings():
            # Dask's, of a parcel that is as large as the parameters are.
            warnings.filterwarnings("ignore", "Sending large graph")
            try:
                submit = self._workers.submit
                task.future = submit(_carried_out, parcel, task.work, task.arguments)
            except BrokenExecutor as error:  # told when the result is asked for
                task.future = _Failed(error)
        return task

    def _result(self, ahead: "deque[_Task]") -> Any:
        """Return the result of the first task, and take it off."""
        for deaths in range(_DEATHS + 1):
            try:
                outcome = ahead[0].future.result()
                if outcome is None:
                    outcome = self._submitted(ahead[0], bring=True).future.result()
                break
            except BrokenExecutor as error:
                if deaths == _DEATHS or not self._replaced():
                    add_note(error, "in a worker, which died")
                    raise
                for task in ahead:
                    self._submitted(task)
        result, seconds = outcome
        units = ahead.popleft().units
        self._seconds = max(seconds / max(units, 1), 1e-8)
        return result

    def _replaced(self) -> bool:
        """Have new processes in place of a pool that broke when one of them died."""
        broken = self._workers
        if not isinstance(broken, ProcessPoolExecutor):
            return False
        self._workers = ProcessPoolExecutor(
            self.size,
            broken._mp_context,
            broken._initializer,
            broken._initargs,
        )
        weakref.finalize(self, self._workers.shutdown, wait=False)
        self._to_bring = self.size
        return True


class _Task:
    future: "Future[Any] | _Failed"

    def __init__(self, work: Work, units: int, arguments: tuple[Any, ...]) -> None:
        self.work, self.units, self.arguments = work, units, arguments


class _Failed:
    """The future of a task that was not taken."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def result(self) -> Any:
        raise self._error

    def cancel(self) -> None:
        pass


def _is_of_dask(workers: Any) -> bool:
    return type(workers).__module__.partition(".")[0] == "distributed"


def _pickler_of(workers: Any) -> Callable[[Any], bytes]:
    """Return what pickles for these workers: Dask sends lambdas, too."""
    if _is_of_dask(workers):
        from distributed.protocol.pickle import dumps

        return dumps
    return pickle.dumps


def _number_of(workers: Any) -> int:
    """Return how many workers an executor has."""
    for name in ("_max_workers", "num_workers"):  # concurrent.futures, mpi4py
        count = getattr(workers, name, None)
        if isinstance(count, int) and count > 0:
            return count
    if _is_of_dask(workers):
        cores = getattr(workers, "_client", workers).ncores()
        return sum(cores.values()) or 1
    return os.cpu_count() or 1


# ---- in the workers


def _carried_out(
    parcel: Parcel | str, work: Work, arguments: tuple[Any, ...]
) -> tuple[Any, float] | None:
    """Return the result and the seconds it took; None without the parcel."""
    if isinstance(parcel, str):
        there = _RECEIVED.get(parcel) or _AT_HOME.get(parcel)
        if there is None:
            return None
        parcel = there
    try:
        content = parcel.content()
        began = time.perf_counter()
        return work(content, *arguments), time.perf_counter() - began
    except Exception as error:
        if not parcel.away or _travels(error):
            raise
        told = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told from None


def _travels(error: Exception) -> bool:
    """Whether an exception can be sent: not if its class asks for more arguments."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False
