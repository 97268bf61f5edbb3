"""Is there anything to check? Before the first difference is taken.

- `calls`: what calls of the loss and of the gradient show: a loss that is random,
  remembers its calls, or ignores its parameters, a gradient that is another each time.
- `generators`: what a random loss draws from.
"""

from fastgrad.checking.audit.calls import (
    ConstantLossError,
    Finding,
    audit_gradients,
    audit_loss,
    concluded,
    random_outputs,
    refuse_random,
    unchecked,
)

__all__ = [
    "ConstantLossError",
    "Finding",
    "audit_gradients",
    "audit_loss",
    "concluded",
    "random_outputs",
    "refuse_random",
    "unchecked",
]
