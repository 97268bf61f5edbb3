"""Whether a program is the cheaper way: while it is made, and once it is there.

A check by the function takes as long as its calls. A program takes few of them, but has
to be made, which takes longer the more operations it has. Where both take about as
long, exact differences are worth more.
"""

import math
import time

import numpy as np

from fastgrad.losses.interface import Losses
from fastgrad.losses.program import CompiledLosses
from fastgrad.program import Graph, call_of, leave_calls, seen_by, topological

#: Evaluations of a check besides two for every entry, about: once, and of each block.
_OTHERS = 30
#: Calls of the function by which a program is proved, and by which it is checked.
_OWN = 10.0
#: Seconds that a whole check may lose with a program, which tells more.
_TRIFLE = 1e-2
#: Seconds that may be lost with a trace, or a share of what its program can save.
_UNKNOWN, _SHARE = 5e-3, 0.2
#: Seconds that packing and comparing takes: a program, and each operation.
_PROGRAM, _MAKING = 1e-3, 10e-6
#: Seconds of an operation of a bundle of few entries, and of a multiply-add, at most.
_OPERATION, _MULTIPLY = 5e-7, 1e-9
#: What calls take of the time of the function, if they take as long; and the seconds
#: that one takes to be called from the program.
_AS_LONG, _CALLING = 0.8, 20e-6
_TRIED = 16


def savings(losses: Losses) -> float:
    """Return the seconds of the function that a program can save in a check."""
    nest = losses.nest
    return (2 * nest.size + _OTHERS * (1 + len(nest.names))) * losses.seconds


def patience(saved: float) -> float:
    """Return the seconds that a trace may take, by what its program can save."""
    return max(_UNKNOWN, saved * _SHARE)


def promises(recorded: Graph, losses: Losses, saved: float) -> bool:
    """Whether a program is worth making of a trace.

    What the trace took is lost either way. To make the program takes as long again,
    and longer the more operations it has; calls that only Python can make take what
    they take in the function, and are proved by others.
    """
    if saved == math.inf:
        return True
    operations = sum(node.active for node in recorded.nodes)
    operations += len(topological(*recorded.guards))  # a program of their own
    own = _OWN
    if recorded.opaque:
        share = _share_of_calls(recorded, losses)
        saved *= 1 - share
        own *= 1 + share
    takes = recorded.seconds + _PROGRAM + _MAKING * operations + own * losses.seconds
    return takes <= saved + max(_TRIFLE - recorded.seconds, 0.0)


def leave_dear_calls(recorded: Graph, losses: Losses) -> None:
    """Leave calls to the function where all entries reach one and none saves time."""
    if recorded.opaque and _share_of_calls(recorded, losses) > _AS_LONG:
        leave_calls(recorded.opaque)


def _share_of_calls(recorded: Graph, losses: Losses) -> float:
    """What calls of Python take of a check by the program, of one by the function."""
    reaching = seen_by(recorded.opaque, recorded.parameters)
    calls = [call_of(node) for node in recorded.opaque]
    seconds = sum(call.seconds + _CALLING for call in calls)
    if any(call.decides for call in calls):
        seconds = losses.seconds
    return float(np.mean(reaching) * min(1.0, seconds / losses.seconds))


def pays(compiled: CompiledLosses) -> bool:
    """Whether checking every entry by the program is the cheaper way.

    A program of many small operations, or one that leaves most entries to the function,
    can take longer than the function does. Calls of Python that do are left to it.
    """
    if not compiled.program.opaque and _at_most(compiled) <= _TRIFLE:
        return True
    size, function = compiled.nest.size, compiled.seconds_of_function
    bundle, kept = _measured(compiled)
    if compiled.program.opaque and bundle > function:
        leave_calls(compiled.program.opaque)
        compiled.program = compiled.replay = compiled.program.again()
        bundle, kept = _measured(compiled)
    if not kept:
        compiled.leave()
        return True
    bundles = sum(order.bundles for order in compiled.program.orders)
    return bundles * bundle - 2 * size * kept * function <= _TRIFLE


def _at_most(compiled: CompiledLosses) -> float:
    """Seconds that moving every entry by the program takes at most."""
    program = compiled.program
    bundles = sum(order.bundles for order in program.orders)
    return bundles * _OPERATION * len(program.operations) + _MULTIPLY * program.work


def _measured(compiled: CompiledLosses) -> tuple[float, float]:
    """Seconds of a bundle of one entry; the share of entries that the program keeps."""
    theta, size = compiled.theta, compiled.nest.size
    entry = np.random.default_rng(2).integers(size, size=min(size, _TRIED))
    delta = 1e-4 * (np.abs(theta[entry]) + 1)
    began = time.thread_time()
    difference, _ = compiled.program.at_entries(entry, delta, num_threads=1)
    seconds = time.thread_time() - began
    return seconds / len(entry), float(np.mean(np.isfinite(difference)))
