"""What a problem is, what a bug is, and how bugs are held out."""

import abc
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Params = dict[str, NDArray[np.float64]]
# In a loss, an array is a float64 array or whatever stands for one while it is traced.
Array = Any


class Case(NamedTuple):
    """The three arguments of ``check_gradient``."""

    loss: Callable[[Params], Any]
    params: Params
    grads: Callable[[Params], Params]


class Problem(abc.ABC):
    """A loss in plain NumPy with its gradient, written once, and ways to break it.

    Subclasses draw their data and `params` from a seed in the constructor. All take
    ``seed``; those with `batched` true also take ``batch``, the number of samples.

    Attributes
    ----------
    params : dict of float64 arrays
        The point at which the gradient is asked for; a fresh one for each instance.
    """

    name: ClassVar[str]
    batched: ClassVar[bool] = True
    params: Params

    @abc.abstractmethod
    def __init__(self, *, seed: int = 0, **sizes: Any) -> None: ...

    @abc.abstractmethod
    def loss(self, params: Params) -> Any:
        """Return the loss, a scalar."""

    @abc.abstractmethod
    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient, with the structure of `params`; wrong if `bug` says."""

    def case(self) -> Case:
        """Return ``(loss, params, grads)`` with the right gradient."""
        return Case(self.loss, self.params, self.grads)


@dataclass(frozen=True)
class Bug:
    """One way in which the gradient of one problem is wrong.

    Attributes
    ----------
    name : str
        Unique in the zoo; what ``Problem.grads`` takes as `bug`.
    problem : subclass of Problem
        Whose gradient it breaks.
    cause : str
        The cause code a report should name first.
    blocks : tuple of str
        The blocks of the gradient that are wrong; all others are right.
    description : str
        What the code does wrong, in one sentence.
    operation : str or None
        The operation of the loss whose derivative is wrong, where there is one: a NumPy
        function's name, ``getitem``, or ``sigmoid``, ``softmax``, ``log_softmax`` for
        what the loss writes out.
    link : str or None
        A public report of such a bug.
    also : tuple of str
        Other cause codes that describe the same numbers equally well.
    settings : dict
        Arguments of the problem without which the bug does not show.
    subtle : bool
        Whether the error may be below 1e-3 of every block's norm.
    wrong_from_call : int
        The first call of the gradient that is wrong: 2 if it needs an earlier one.
    """

    name: str
    problem: type[Problem]
    cause: str
    blocks: tuple[str, ...]
    description: str
    operation: str | None = None
    link: str | None = None
    also: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    subtle: bool = False
    wrong_from_call: int = 1

    @property
    def held_out(self) -> bool:
        """Whether rules that name causes must not be written with this bug in view.

        Decided by the name alone: one name in three, whatever else is added.
        """
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % 3 == 0

    def make(self, **arguments: Any) -> Problem:
        """Return the problem with `arguments`, this bug's `settings` going before."""
        return self.problem(**{**arguments, **self.settings})

    def case(self, **arguments: Any) -> Case:
        """Return ``(loss, params, grads)`` with this bug in `grads`."""
        problem = self.make(**arguments)

        def grads(params: Params) -> Params:
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                return problem.grads(params, bug=self.name)

        return Case(problem.loss, problem.params, grads)
