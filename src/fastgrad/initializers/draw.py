"""One tensor to be drawn: the arguments that all schemes share, checked once."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self, TypedDict, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgrad._arguments import Seed, flag, integer, refusal, seed, text
from fastgrad._arrays import AnyArray
from fastgrad._public import short_signature, with_advice
from fastgrad._threads import resolve_num_threads
from fastgrad.initializers.fans import Axes, Fans, fans, weight_axes
from fastgrad.initializers.streams import as_shape, destination, draw, stream_key, write


class Options(TypedDict, total=False):
    """The keyword arguments of every scheme; `variance_scaling` describes them."""

    seed: Seed
    name: str
    layout: str
    groups: int
    transposed: bool
    stride: int | tuple[int, ...]
    dtype: DTypeLike | None
    out: AnyArray | None
    rows: tuple[int, int] | None
    num_threads: int | None


@dataclass(frozen=True)
class Draw:
    """A tensor of some shape, with the options of its scheme."""

    shape: tuple[int, ...]
    seed: Seed = 0
    name: str = ""
    layout: str = "OI"
    groups: int = 1
    transposed: bool = False
    stride: int | tuple[int, ...] = 1
    dtype: DTypeLike | None = None
    out: AnyArray | None = None
    rows: tuple[int, int] | None = None
    num_threads: int | None = None

    @classmethod
    def of(cls, shape: Any, options: Options) -> Self:
        """Return what to draw; raise if an option makes no sense."""
        return cls(as_shape(shape), **options)

    def __post_init__(self) -> None:
        seed("seed", self.seed)
        text("name", self.name)
        text("layout", self.layout)
        groups = integer("groups", self.groups, least=1)
        object.__setattr__(self, "groups", groups)
        flag("transposed", self.transposed)
        resolve_num_threads(self.num_threads)

    @property
    def threads(self) -> int:
        """Threads to use."""
        return resolve_num_threads(self.num_threads)

    @property
    def key(self) -> NDArray[np.uint32]:
        """The stream of the tensor; a generator moves on each time it is asked for."""
        return stream_key(self.seed, self.name)

    @property
    def fans(self) -> Fans:
        """Inputs of each output, outputs of each input."""
        return fans(
            self.shape,
            layout=self.layout,
            groups=self.groups,
            transposed=self.transposed,
            stride=self.stride,
        )

    @property
    def axes(self) -> Axes:
        """Where the output, input and spatial axes are."""
        return weight_axes(self.shape, self.layout, self.groups)

    def target(self) -> AnyArray:
        """Return the whole tensor, to be written to."""
        if self.rows is not None:
            must = "be None: this scheme makes whole tensors only"
            raise refusal(ValueError, "rows", must, self.rows)
        return destination(self.shape, self.dtype, self.out)

    def filled(self, law: int, scale: float, **tail: float) -> AnyArray:
        """Return the tensor, or its `rows`, filled from its stream."""
        shape, start = self._part()
        target = destination(shape, self.dtype, self.out)
        return draw(
            target,
            self.key,
            law,
            scale,
            start=start,
            num_threads=self.num_threads,
            **tail,
        )

    def in_double(self, law: int, scale: float) -> NDArray[np.float64]:
        """Return what `filled` does, as a float64 array of its own."""
        double = dataclasses.replace(self, dtype=np.float64, out=None)
        return double.filled(law, scale)

    def written(self, values: NDArray[np.float64] | np.float64) -> AnyArray:
        """Return the tensor, or its `rows`, with these values, rounded."""
        target = destination(self._part()[0], self.dtype, self.out)
        write(target, values)
        return target

    def _part(self) -> tuple[tuple[int, ...], int]:
        """Return the shape of the rows and the place of their first entry."""
        if self.rows is None:
            return self.shape, 0
        must = f"be (start, stop) within the shape {self.shape}"
        try:
            first, last = (integer("rows", row, least=0) for row in self.rows)
        except (TypeError, ValueError) as error:
            raise refusal(type(error), "rows", must, self.rows) from None
        if not self.shape or not first <= last <= self.shape[0]:
            raise refusal(ValueError, "rows", must, self.rows)
        return (last - first, *self.shape[1:]), first * math.prod(self.shape[1:])


_Scheme = TypeVar("_Scheme", bound=Callable[..., AnyArray])


#: All schemes, by name.
SCHEMES: dict[str, Callable[..., AnyArray]] = {}


def scheme(function: _Scheme) -> _Scheme:
    """Register a scheme; have its signature show the options that all share."""
    signature = short_signature(function)
    own = list(signature.parameters.values())[:-1]  # the last is **options
    options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default
        )
        for field in fields(Draw)[1:]
    ]
    shown = signature.replace(parameters=[*own, *options])
    SCHEMES[function.__name__] = told = with_advice(function, shown)
    return told
