"""Is a gradient wrong, and where: from losses at perturbed points to a verdict.

The stories, told in order, one a module: `check` (a gradient), `jacobian`, `hessian`,
`numerical` (the differences alone), `variations` (the same check for other samples,
layouts and parameters), `monitor` (while a model trains), `layers` (a layer as a loss).
What they are told with has a room each, in the order of a check:

- `audit`: is there anything to check?
- `differences`: how steep the loss is along each entry, and how well that is known.
- `judgement`: what that makes of the gradient, entry by entry.
- `directions`: along random ones, the few wrong entries of many; and whether a program
  agrees with the function, which has the last word.
- `conclusions`: the verdicts as a report, and why the gradient is wrong.
- `jacobians`: functions of many outputs, as losses of as many entries.
- `metamorphic`: what holds for a loss without any difference taken.

Beside these: `coverage` says which entries are checked, `complexes` takes complex
parameters for real ones, and the loss that `weighted` outputs make has the program that
names the causes of a wrong Jacobian.

All are written against `fastgrad.losses.Losses`: none knows how a loss is computed.
"""

from fastgrad.checking.audit import ConstantLossError
from fastgrad.checking.check import check_gradient
from fastgrad.checking.hessian import check_hessian, numerical_hessian
from fastgrad.checking.jacobian import check_jacobian, numerical_jacobian
from fastgrad.checking.layers import layer_loss
from fastgrad.checking.monitor import GradientMonitor
from fastgrad.checking.numerical import numerical_gradient
from fastgrad.checking.variations import check_variations

__all__ = [
    "ConstantLossError",
    "GradientMonitor",
    "check_gradient",
    "check_hessian",
    "check_jacobian",
    "check_variations",
    "layer_loss",
    "numerical_gradient",
    "numerical_hessian",
    "numerical_jacobian",
]
