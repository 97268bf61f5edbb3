"""Vanishing and exploding signals and gradients: which layer, why, what to do."""

from fastgrad.signal.diagnose import (
    Fault,
    Jacobian,
    SignalLayer,
    SignalReport,
    Theory,
    diagnose_signal,
    theory,
)

__all__ = [
    "Fault",
    "Jacobian",
    "SignalLayer",
    "SignalReport",
    "Theory",
    "diagnose_signal",
    "theory",
]
