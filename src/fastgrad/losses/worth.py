"""Whether a program is the cheaper way: before it is made, and once it is there."""

import time

import numpy as np

from fastgrad.losses.interface import Losses
from fastgrad.losses.program import CompiledLosses

#: Evaluations of a check besides two for every entry, about.
_OTHERS = 60
#: What making a program takes, in traces: two, merging, packing, the proof.
_TRACES = 4
#: By how much making it may take longer than the whole check by the function: so many
#: times, and seconds. Where it is close, exact differences are worth more.
_TIMES, _MARGIN = 2, 0.25

#: Seconds that a whole check may lose with a program.
_TRIFLE = 3e-3
_TRIED = 16


def patience(losses: Losses) -> float:
    """Return the seconds that one trace may take before the function is cheaper."""
    whole = (2 * losses.nest.size + _OTHERS) * losses.seconds
    return (_TIMES * whole + _MARGIN) / _TRACES


def pays(compiled: CompiledLosses) -> bool:
    """Whether checking every entry by the program is the cheaper way.

    A program of many small operations, or one that leaves most entries to the function,
    can take longer than the function does. Calls of Python that do are left to it.
    """
    size, function = compiled.nest.size, compiled.seconds_of_function
    bundle, kept = _measured(compiled)
    if compiled.program.opaque and bundle > function:
        compiled.program = compiled.replay = compiled.program.leaving_calls()
        bundle, kept = _measured(compiled)
    bundles = sum(order.bundles for order in compiled.program.orders)
    return bundles * bundle - 2 * size * kept * function <= _TRIFLE


def _measured(compiled: CompiledLosses) -> tuple[float, float]:
    """Seconds of a bundle of one entry; the share of entries that the program keeps."""
    theta, size = compiled.theta, compiled.nest.size
    entry = np.random.default_rng(2).integers(size, size=min(size, _TRIED))
    delta = 1e-4 * (np.abs(theta[entry]) + 1)
    began = time.thread_time()
    difference, _ = compiled.program.at_entries(entry, delta, num_threads=1)
    seconds = time.thread_time() - began
    return seconds / len(entry), float(np.mean(np.isfinite(difference)))
