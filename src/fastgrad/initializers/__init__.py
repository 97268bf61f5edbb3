"""Initial weights: the same values on every machine, from (seed, name, index)."""

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
    truncated_normal,
    truncated_std,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

__all__ = [
    "Fans",
    "Gain",
    "ResidualScale",
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
    "orthogonal",
    "philox4x32",
    "residual_scale",
    "truncated_normal",
    "truncated_std",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
]
