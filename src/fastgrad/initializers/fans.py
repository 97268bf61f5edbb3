"""Fans: how many inputs an output has, and how many outputs an input has."""

import math
from typing import NamedTuple


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
        any other letter a spatial axis. ``"OI"`` and ``"IO"`` (or ``"OI..."``,
        ``"IO..."``) take all further axes as spatial.
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
    axes = weight_axes(shape, layout, groups)
    kernel = math.prod(shape[axis] for axis in axes.spatial)
    steps = stride if isinstance(stride, tuple) else (stride,) * len(axes.spatial)
    if len(steps) != len(axes.spatial) or not _positive(stride):
        raise ValueError(
            "`stride` must be a positive integer or one for each of the "
            f"{len(axes.spatial)} spatial axes, got {stride}."
        )
    fan_in = float(shape[axes.input] * kernel)
    fan_out = shape[axes.output] / groups * kernel / math.prod(steps)
    return Fans(fan_out, fan_in) if transposed else Fans(fan_in, fan_out)


def weight_axes(shape: tuple[int, ...], layout: str, groups: int) -> Axes:
    """Return the axes of a weight, having checked that it is one."""
    if len(shape) < 2:
        raise ValueError(
            f"`shape` must have at least two axes for its fans, got {shape}."
        )
    if not isinstance(layout, str):
        raise TypeError(f"`layout` must be a string, got {type(layout).__name__}.")
    letters = layout.removesuffix("...")
    if letters in ("OI", "IO"):
        letters += "." * (len(shape) - 2)
    if letters.count("O") != 1 or letters.count("I") != 1 or len(letters) != len(shape):
        raise ValueError(
            "`layout` must have one O, one I and a letter for each other axis of "
            f"{shape}, got {layout!r}."
        )
    axes = Axes(
        letters.index("O"),
        letters.index("I"),
        tuple(axis for axis, letter in enumerate(letters) if letter not in "OI"),
    )
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1:
        raise ValueError(f"`groups` must be a positive integer, got {groups!r}.")
    if shape[axes.output] % groups:
        raise ValueError(
            f"`groups` must divide the {shape[axes.output]} output channels, "
            f"got {groups}."
        )
    return axes


def _positive(stride: int | tuple[int, ...]) -> bool:
    return min(stride if isinstance(stride, tuple) else (stride,), default=1) >= 1
