"""Memory: how much there is, before work begins that cannot fit; what shares it."""

import os
from typing import Any

from numpy.typing import NDArray


def refuse_too_large(size: float, what: str, instead: str) -> None:
    """Raise MemoryError if something takes more bytes than there are.

    Parameters
    ----------
    size : float
        In bytes.
    what : str
        Takes so many, as in "a Jacobian of 10 x 20 entries".
    instead : str
        What to do.
    """
    there = available()
    if there is not None and size > there:
        raise MemoryError(
            f"{what} takes {size / 1e9:.3g} GB, and {there / 1e9:.3g} GB are free: "
            f"{instead}"
        )


def available() -> float | None:
    """Return the bytes that may be had, None where nobody says."""
    limits = [_free(), _limit_of_container()]
    return min((limit for limit in limits if limit is not None), default=None)


def _free() -> float | None:
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024.0 * int(line.split()[1])
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError, AttributeError):
        return None


def _limit_of_container() -> float | None:
    """Return the container's quota; None where there is none."""
    try:
        with open("/sys/fs/cgroup/memory.max") as file:
            most = file.read().strip()
    except OSError:
        return None
    return None if most == "max" else float(most)


def overlaps_itself(array: NDArray[Any]) -> bool:
    """Whether elements share memory, as those of a broadcast array do.

    Exact for what slicing can make.
    """
    reach = array.itemsize
    axes = zip(array.strides, array.shape, strict=True)
    for stride, length in sorted((abs(s), n) for s, n in axes if n > 1):
        if stride < reach:
            return True
        reach += stride * (length - 1)
    return False
