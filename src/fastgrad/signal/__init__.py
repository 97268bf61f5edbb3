"""Vanishing and exploding signals and gradients: which layer, why, what to do.

- `structure` finds the `layers` of a traced program.
- `scaled`: values and gradients as mantissa and exponent, whatever their size.
- `measure`, `evidence`, `growth`: how large they are, layer by layer.
- `meanfield`, `finite_width`, `theory`: how large they should be, for these weights and
  activations, and how much networks of this width differ.
- `verdict`: which faults that shows, the first layer at fault, and the fix in numbers.
- `jacobian`: singular values and Lyapunov exponents, where they are asked for.
- `diagnose` tells the story.
"""

from fastgrad.reports import Fault, Jacobian, SignalLayer, SignalReport
from fastgrad.signal.diagnose import diagnose_signal
from fastgrad.signal.theory import Theory, theory

__all__ = [
    "Fault",
    "Jacobian",
    "SignalLayer",
    "SignalReport",
    "Theory",
    "diagnose_signal",
    "theory",
]
