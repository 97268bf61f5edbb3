"""Is a gradient wrong, and where: from losses at perturbed points to a verdict.

The stories, told in order, one a module: `check` (a gradient), `jacobian`, `hessian`,
`variations` (the same check for other samples, layouts and parameters), `monitor`
(while a model trains), `numerical` (the differences alone), `layers` (a layer as a
loss). What they are told with:

- `audit`: is the loss deterministic (`generators` says what it draws from), does it
  depend on its parameters, does the gradient stay the same from call to call.
- `coverage`: which entries; `explanation`: why they are wrong, as `causes` finds it.
- `noise`: how much the loss rounds (by `ecnoise`) and bends, and the step that suits
  it; `scales` of entries, `steep` and oscillating losses, `stairs` that rounding makes.
- `differences`: slopes from losses at perturbed points, with error bars; `exact` where
  a program knows them to the last digits, `fits` of many large steps where noise hides
  them at small ones, `extrapolation` of few.
- `judgement`, `verdict`: what is known about each entry, and what that makes of it;
  `suspects` are tried again, `ties` of several kinks told from errors, `zeros` from
  what is small.
- `tolerances`, and what widens them: `cancellation`, a `condition` of matrices,
  `solvers` whose loops take other `turns`.
- `locate`: random directions, and bisection to the entries that are wrong.
- `agreement`: of a program with the function, once more: that has the last word.
- `summary`: the judgement as a report, with its `notes`, and planted errors that must
  be caught.
- `samples`, `invariances`, `metamorphic`: what is varied, what holds for a loss without
  any difference taken, and whether the gradient obeys it.
- Jacobians: a `problem` is a function (`flattening` nests), its `outputs`, and
  `entries` as parameters of losses; `sparsity` and what `strays` from it, `products`
  with vectors, and the loss `weighted` outputs make, whose program names causes.
- `complexes`: complex parameters as real ones.

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
