"""The table of meanings: which function is what, in plain NumPy."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program import sources

Meaning = Callable[..., Any]

#: Public dotted name -> meaning, as "scipy.special.logsumexp".
MEANINGS: dict[str, Meaning] = {}
#: The last part of a name -> the names that end in it.
_ENDING: dict[str, list[str]] = {}


class StandIn:
    """What stands for an object of a library, and does some of what that does.

    Attributes
    ----------
    made : (callable, tuple, dict)
        What makes the object itself, and of what; given by the trace.
    """

    made: tuple[Any, Any, Any]


def means(*names: str) -> Callable[[Meaning], Meaning]:
    """Declare that a function of traced arrays is what these functions mean.

    Parameters
    ----------
    *names : str
        Public dotted names, of functions, ufuncs and bound methods. The modules need
        not be there: they are looked for among those that are imported.

    Notes
    -----
    The meaning takes the function's own arguments and is written in plain NumPy, in
    terms of functions that are traced. It returns `NotImplemented` for arguments that
    it does not cover. It never changes or returns an argument, unless the function
    does.

    Examples
    --------
    >>> from fastgrad.program.primitives.meanings.registry import means, meaning_of
    >>> @means("math.fsum")
    ... def fsum(seq):
    ...     return sum(seq)
    >>> import math
    >>> meaning_of(math.fsum)([1.0, 2.0])
    3.0
    """

    def declare(meaning: Meaning) -> Meaning:
        for name in names:
            MEANINGS[name] = _spoken(name, meaning)
            _ENDING.setdefault(name.rpartition(".")[2], []).append(name)
        return meaning

    return declare


def _spoken(name: str, meaning: Meaning) -> Meaning:
    """The meaning, whose operations are labelled with the function's public name."""
    label = "np" + name.removeprefix("numpy") if name.startswith("numpy.") else name
    if "._" in name:  # which calls the meaning of a public one
        return meaning

    sums_in = None if name in _CONVERTING else _place_of_dtype(meaning)

    @functools.wraps(meaning)
    def speak(*args: Any, **kwargs: Any) -> Any:
        if sums_in is not None and not _is_floating(sums_in, args, kwargs):
            return NotImplemented
        with sources.spoken(label):
            try:
                return meaning(*args, **kwargs)
            except TypeError:
                if _takes(meaning, args, kwargs):
                    raise
                return NotImplemented

    return speak


#: What converts to the `dtype` it is given; others add up in it, which programs do in
#: double precision.
_CONVERTING = frozenset(
    [f"numpy.{to}array" for to in ("", "as", "asany", "ascontiguous", "asfortran")]
    + ["numpy.asarray_chkfinite", "numpy.astype", "numpy.full", "numpy.fromiter"]
    + ["numpy.fromfunction"]
)


def _place_of_dtype(meaning: Meaning) -> int | None:
    """The position of the argument of this name; None where there is none."""
    names = list(inspect.signature(meaning).parameters)
    return names.index("dtype") if "dtype" in names else None


def _is_floating(place: int, args: Any, kwargs: Any) -> bool:
    dtype = args[place] if place < len(args) else kwargs.get("dtype")
    return dtype in (None, np._NoValue) or np.dtype(dtype).kind == "f"


def _takes(meaning: Meaning, args: Any, kwargs: Any) -> bool:
    try:
        inspect.signature(meaning).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def meaning_of(function: Any) -> Meaning | None:
    """Return what a function means in terms of traced NumPy, or None.

    Functions are found by name among the modules that are imported, so nothing is
    imported here, and are told from others of that name by what the name stands for.

    Parameters
    ----------
    function : callable
        What is about to be called with traced arguments: a function, a ufunc, a bound
        method (``np.add.at``, ``stats.norm.logpdf``, ``sparse_matrix.dot``), an object
        that is called (``stats.norm``), ``np.c_.__getitem__`` for ``np.c_[...]``,
        ``operator.matmul`` for ``a @ b`` where one of them is neither a number nor an
        array (a sparse matrix).

    Returns
    -------
    callable or None
        Takes the same arguments, traced or not, and returns a traced result; it
        returns `NotImplemented` where it does not cover these arguments (the caller
        then has to call the function itself, as an opaque operation). Callables among
        the arguments are called as they are given. What the function changes in place
        (the first argument of ``np.fill_diagonal``, ``np.copyto``, ``np.add.at``) has
        to be an array of the trace.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> kron = meaning_of(np.kron)
    >>> fg.trace(lambda x: kron(x, np.ones(2)).sum(), np.arange(3.0)).value
    6.0
    >>> meaning_of(print)
    """
    if type(function) in _LASTING:
        return _meaning_of_lasting(function)
    return _meaning_of(function)


def _meaning_of(function: Any) -> Meaning | None:
    if not hasattr(function, "__name__"):
        function = getattr(function, "__call__", None)  # noqa: B004
    unbound = getattr(function, "__func__", None)
    for name in _ENDING.get(getattr(function, "__name__", ""), ()):
        found = _resolve(name)
        if found == function:
            return MEANINGS[name]
        if found is not None and found is unbound:
            return functools.partial(MEANINGS[name], function.__self__)
    return None


#: Kinds of functions that are there as long as their modules.
_LASTING = (np.ufunc, type(np.sum))
_meaning_of_lasting = functools.lru_cache(maxsize=None)(_meaning_of)


def _resolve(name: str) -> Any:
    """What a dotted name stands for in the modules that are imported."""
    module, rest = name, ""
    while module and module not in sys.modules:
        module, _, last = module.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    found: Any = sys.modules.get(module)
    for attribute in rest.split("."):
        found = getattr(found, attribute, None)
    return found
