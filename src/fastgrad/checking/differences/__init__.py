"""How steep a loss is along each entry, and how well that is known.

- `pairs`: the loss on both sides of a point; `ladders` of them at ten steps.
- `scales`: how far each entry is moved.
- `noise`: how much the loss rounds (by `tables` of differences) and bends, and the step
  that suits it; `stairs` that rounding makes.
- `imaginary`: the complex step, where real differences bear it out.
- `curvatures`: second differences.
- `exact`: one evaluation where a program knows differences to the last digits;
  `extrapolation` of four steps; `fits` of many large ones where noise hides the slope
  at small ones.
- `slopes`: of all entries, by one of these.
"""

from fastgrad.checking.differences.curvatures import Curvatures
from fastgrad.checking.differences.exact import (
    INVERTING,
    exact_slopes,
    has_one_course,
    sharpened,
)
from fastgrad.checking.differences.fits import fit_slopes
from fastgrad.checking.differences.imaginary import (
    REACH,
    STEP,
    random_directions,
    size_along,
    slopes_along,
    without_warnings,
)
from fastgrad.checking.differences.ladders import UNLIKE, ladder
from fastgrad.checking.differences.noise import Calibration, calibrate, noise_along
from fastgrad.checking.differences.pairs import (
    CLOSER,
    DIRECTIONS,
    EPS,
    FAR,
    KAPPA,
    RATIO,
    RUNGS,
    SHRUNK,
    SURE,
    Pairs,
    Slopes,
    direction_pairs,
    entry_pairs,
)
from fastgrad.checking.differences.scales import (
    PIECE,
    WITHIN,
    Every,
    Given,
    Owner,
    Scale,
    Step,
    binary,
    keeping_sign,
    places,
    typical,
)
from fastgrad.checking.differences.slopes import (
    CHUNK,
    FEW,
    SEVERAL,
    check_method,
    engine_for,
    evaluations_of,
    plain,
    refuse_lost_step,
    slopes_by,
    slopes_of,
)
from fastgrad.checking.differences.stairs import noise_of_stairs
from fastgrad.checking.differences.tables import ecnoise

__all__ = [
    "CHUNK",
    "CLOSER",
    "DIRECTIONS",
    "EPS",
    "FAR",
    "FEW",
    "INVERTING",
    "KAPPA",
    "PIECE",
    "RATIO",
    "REACH",
    "RUNGS",
    "SEVERAL",
    "SHRUNK",
    "STEP",
    "SURE",
    "UNLIKE",
    "WITHIN",
    "Calibration",
    "Curvatures",
    "Every",
    "Given",
    "Owner",
    "Pairs",
    "Scale",
    "Slopes",
    "Step",
    "binary",
    "calibrate",
    "check_method",
    "direction_pairs",
    "ecnoise",
    "engine_for",
    "entry_pairs",
    "evaluations_of",
    "exact_slopes",
    "fit_slopes",
    "has_one_course",
    "keeping_sign",
    "ladder",
    "noise_along",
    "noise_of_stairs",
    "places",
    "plain",
    "random_directions",
    "refuse_lost_step",
    "sharpened",
    "size_along",
    "slopes_along",
    "slopes_by",
    "slopes_of",
    "typical",
    "without_warnings",
]
