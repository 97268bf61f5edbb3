"""Fans: how many inputs an output has, and how many outputs an input has."""

import math
from typing import NamedTuple

from fastgrad._arguments import flag, integer, refusal, text
from fastgrad.initializers.streams import as_shape

_SPATIAL = "DHWLTKXYZ0123456789"  # letters of spatial axes


class Fans(NamedTuple):
    """The number of inputs of each output and of outputs of each input."""

    fan_in: float
    fan_out: float


class Axes(NamedTuple):
    """Where a weight keeps its output, input and spatial axes."""

    output: int
    input: int
    spatial: tuple[int, ...]


def fans(
    shape: tuple[int, ...],
    *,
    layout: str = "OI",
    groups: int = 1,
    transposed: bool = False,
    stride: int | tuple[int, ...] = 1,
) -> Fans:
    """Return the fans of a weight.

    Parameters
    ----------
    shape : tuple of int
        Shape of the weight, at least two axes.
    layout : str
        One letter an axis: ``O`` output channels, ``I`` input channels (of one group),
        a spatial axis one of D, H, W, L, T, K, X, Y, Z or a digit. ``"OI"`` and
        ``"IO"`` (or ``"OI..."``, ``"IO..."``) take all further axes as spatial.
    groups : int
        Number of groups of a grouped convolution. A depthwise one has as many groups
        as channels.
    transposed : bool
        A transposed convolution stores the weight of the convolution it transposes
        (in torch and Keras): what `layout` calls ``O`` is its input. Its fans are those
        of that convolution, swapped.
    stride : int or tuple of int
        Stride of the convolution, one number or one for each spatial axis: an input
        reaches only one in `stride` outputs along that axis.

    Raises
    ------
    ValueError
        If `shape` has fewer than two axes, `layout` does not fit it, or `groups` does
        not divide the output channels.

    Examples
    --------
    >>> fans((128, 64))
    Fans(fan_in=64.0, fan_out=128.0)
    >>> fans((32, 4, 3, 3), groups=4)
    Fans(fan_in=36.0, fan_out=72.0)
    >>> fans((3, 3, 1, 16), layout="HWIO", groups=16)  # depthwise
    Fans(fan_in=9.0, fan_out=9.0)
    >>> fans((16, 32, 3, 3), transposed=True)
    Fans(fan_in=144.0, fan_out=288.0)
    """
    shape = as_shape(shape)
    axes = weight_axes(shape, layout, groups)
    kernel = math.prod(shape[axis] for axis in axes.spatial)
    steps = _steps(stride, len(axes.spatial))
    fan_in = float(shape[axes.input] * kernel)
    fan_out = shape[axes.output] / groups * kernel / math.prod(steps)
    return (
        Fans(fan_out, fan_in)
        if flag("transposed", transposed)
        else Fans(fan_in, fan_out)
    )


def weight_axes(shape: tuple[int, ...], layout: str, groups: int) -> Axes:
    """Return the axes of a weight, having checked that it is one."""
    if not isinstance(shape, tuple | list) or len(shape) < 2:
        must = "have at least two axes for its fans"
        raise refusal(ValueError, "shape", must, shape)
    letters = text("layout", layout).removesuffix("...")
    if letters in ("OI", "IO"):
        letters += "." * (len(shape) - 2)
    named = letters.replace(".", "")
    known = {"O", "I"} <= set(named) <= {"O", "I", *_SPATIAL}
    if not known or len(set(named)) < len(named) or len(letters) != len(shape):
        others = f"for each other axis of {shape}, one of the letters {_SPATIAL}"
        raise refusal(ValueError, "layout", f"have one O, one I and, {others}", layout)
    axes = Axes(
        letters.index("O"),
        letters.index("I"),
        tuple(axis for axis, letter in enumerate(letters) if letter not in "OI"),
    )
    if shape[axes.output] % integer("groups", groups, least=1):
        raise ValueError(
            f"`groups` must divide the {shape[axes.output]} output channels, "
            f"got {groups}."
        )
    return axes


def _steps(stride: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return the stride along each of `count` spatial axes."""
    given = stride if isinstance(stride, tuple | list) else (stride,) * max(count, 1)
    must = f"be a positive integer, or one for each of the {count} spatial axes"
    try:
        steps = tuple(integer("stride", step, least=1) for step in given)
    except (TypeError, ValueError) as error:
        raise refusal(type(error), "stride", must, stride) from None
    if isinstance(stride, tuple | list) and len(steps) != count:
        raise refusal(ValueError, "stride", must, stride)
    return steps[:count]
