"""Initial weights: the same values on every machine, from (seed, name, index).

- `initialize`: a nest of parameters from a nest of shapes.
- `schemes`: variance scaling, and its settings that have names; `isometries`: what
  keeps lengths; `distributions`: what needs no fan. A scheme is one declaration,
  `draw.scheme`; `draw` has what they all take, `fans` what shapes mean.
- `streams`: entry i of a tensor as a function of (seed, name, i).
- `gains`: the gain of an activation; `activations` finds its kinks, `gaussian` its
  moments under the normal distribution.
"""

from typing import Any

from fastgrad._arguments import no_attribute
from fastgrad.initializers.distributions import (
    constant,
    normal,
    truncated_normal,
    truncated_std,
    uniform,
)
from fastgrad.initializers.fans import Fans, fans
from fastgrad.initializers.gains import (
    Gain,
    ResidualScale,
    critical_init,
    gain,
    residual_scale,
)
from fastgrad.initializers.initialize import initialize, philox4x32
from fastgrad.initializers.isometries import delta_orthogonal, identity, orthogonal
from fastgrad.initializers.schemes import (
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

#: What other libraries call them.
_ELSEWHERE = {
    "he": "he_normal",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "xavier": "xavier_normal",
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "zeros": "constant",
    "ones": "constant",
    "eye": "identity",
}


def __getattr__(name: str) -> Any:
    raise no_attribute(__name__, name, _ELSEWHERE)


__all__ = [
    "Fans",
    "Gain",
    "ResidualScale",
    "constant",
    "critical_init",
    "delta_orthogonal",
    "fans",
    "gain",
    "he_normal",
    "he_uniform",
    "identity",
    "initialize",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "philox4x32",
    "residual_scale",
    "truncated_normal",
    "truncated_std",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
]
