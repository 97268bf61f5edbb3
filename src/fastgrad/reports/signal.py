"""What a diagnosis of signals found: frozen results, and how they are handed on."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from fastgrad.reports.gradient import _finite, _plain


@dataclass(frozen=True)
class SignalLayer:
    """Sizes of the signal and of the gradient at one layer.

    Sizes are root mean squares; those called ``log2`` are their logarithms, which hold
    what float64 does not.

    Attributes
    ----------
    name : str
        The block of its weight, ``W1``.
    depth : int
        Weight layers on the longest way from the data, this one included.
    shape : tuple of int
        Of the pre-activation.
    activation : str
        What is applied to it: ``"relu"``, ``"linear"`` (nothing), or NumPy's names.
    source_line : str
        Where the weight is multiplied: ``model.py, line 12: z = W1 @ x``.
    forward_log2 : float
        Size of the pre-activation.
    backward_log2 : float
        Size of the gradient of the loss there; -inf if it is exactly 0.
    mean : float
        Mean of the pre-activation relative to its size.
    kurtosis : float
        Of the pre-activation, 3 if it is normal.
    correlation : float or None
        Mean cosine between the pre-activations of two samples.
    decorrelation : float or None
        1 minus that, with all its digits.
    post_log2, post_mean, post_kurtosis : float
        The same of what comes out of the activation; nan in the last layer.
    dead : float
        Share of units that are 0 in every sample.
    dead_expected : float
        The share to expect of symmetric weights, without biases, for a batch of this
        size and correlation; two samples leave a quarter of all ReLUs dead.
    saturated : float
        Share of entries where a bounded activation has less than 5 % of its slope.
    saturated_units : float
        Share of units where that is so in every sample.
    sigma_w : float
        The weights have mean square ``sigma_w**2 / fan_in``.
    sigma_b : float
        Root mean square of the biases.
    fan_in : int
        Terms of each sum.
    expected_forward_log2, expected_backward_log2 : float or None
        By mean-field theory for these weights and activations: forward from the input,
        backward from the gradient at the last layer; None where the theory has no
        answer (beyond a residual sum or a normalisation it starts again).
    forward_spread, backward_spread : float or None
        Standard deviation of the measured value around that, at this width.
    forward_z, backward_z : float or None
        Measured minus expected, in units of that.
    gradient_ratio_log2 : float
        Log2 of the norm of the weight's gradient relative to the weight's.
    update_ratio : float or None
        Norm of one step of plain gradient descent relative to the weight's, given a
        learning rate; about 1e-3 is usual.
    log2_max : float
        Log2 of the largest absolute pre-activation.
    """

    name: str
    depth: int
    shape: tuple[int, ...]
    activation: str
    source_line: str
    forward_log2: float
    backward_log2: float
    mean: float
    kurtosis: float
    correlation: float | None
    decorrelation: float | None
    post_log2: float
    post_mean: float
    post_kurtosis: float
    dead: float
    dead_expected: float
    saturated: float
    saturated_units: float
    sigma_w: float
    sigma_b: float
    fan_in: int
    expected_forward_log2: float | None
    forward_spread: float | None
    forward_z: float | None
    expected_backward_log2: float | None
    backward_spread: float | None
    backward_z: float | None
    gradient_ratio_log2: float
    update_ratio: float | None
    log2_max: float

    @property
    def norm_log2(self) -> float:
        """Log2 of the norm of the gradient at the pre-activation."""
        return self.backward_log2 + math.log2(max(math.prod(self.shape), 1)) / 2


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a network's signals.

    Attributes
    ----------
    kind : str
        ``"vanishing"``, ``"exploding"``, ``"dead"``, ``"saturated"``, ``"collapsed"``
        or ``"non-finite"``.
    direction : {"forward", "backward"}
        Whether it is the signal or its gradient.
    layer : str
        The first layer at fault.
    cause : str
        ``"weight scale"``, ``"activation"``, ``"depth x width"``,
        ``"input not normalised"``, ``"residual growth"``,
        ``"batch-norm gradient growth"``, ``"dead bias"``, ``"dtype range"``,
        ``"disconnected"``, ``"learning rate"`` or ``"invalid operation"``.
    message : str
        The evidence.
    fix : str
        What to do, in numbers.
    source_line : str
        The user's line.
    """

    kind: str
    direction: str
    layer: str
    cause: str
    message: str
    fix: str
    source_line: str = ""


@dataclass(frozen=True)
class Jacobian:
    """Of the last pre-activation with respect to the input, for the first sample.

    Attributes
    ----------
    log2_largest, log2_smallest : float
        Of its singular values; -inf for 0.
    lyapunov : tuple of float
        Growth of volumes, log2 per layer, largest first: the growth rates that the
        singular values tend to with depth.
    """

    log2_largest: float
    log2_smallest: float
    lyapunov: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class SignalReport:
    """How large signals and gradients are in each layer, and what is wrong with that.

    Attributes
    ----------
    verdict : str
        ``"healthy"``, or the kinds of `faults` with their direction,
        ``"vanishing (forward, backward)"``.
    layers : tuple of SignalLayer
        In order of computation.
    forward_growth, backward_growth : float
        Growth of the size of the signal from layer to layer, log2 per layer, by least
        squares, and of the norm of its gradient *towards the input*.
    forward_growth_error, backward_growth_error : float
        Half-width of the 95 % confidence interval.
    first_layer : str or None
        The first layer at fault, None if the network is healthy.
    cause, fix : str or None
        Why, and what to do, of the first fault.
    faults : tuple of Fault
        All of them, most important first.
    range_depth : dict
        For each of float16, bfloat16, float32 and float64 the depths at which a signal,
        and a gradient, of size 1 leaves its range at the growth measured: ``{"float16":
        {"forward": 28, "backward": None}, ...}``.
    input_log2 : float
        Size of the data that the first layer multiplies.
    jacobian : Jacobian or None
        If asked for.
    notes : tuple of str
        Anything else worth knowing.
    """

    verdict: str
    layers: tuple[SignalLayer, ...]
    forward_growth: float
    backward_growth: float
    forward_growth_error: float
    backward_growth_error: float
    first_layer: str | None = None
    cause: str | None = None
    fix: str | None = None
    faults: tuple[Fault, ...] = ()
    range_depth: dict[str, dict[str, int | None]] = dataclasses.field(
        default_factory=dict
    )
    input_log2: float = 0.0
    jacobian: Jacobian | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the verdict is "healthy"."""
        return self.verdict == "healthy"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        from fastgrad.reports.signal_render import text

        return text(self)

    def __repr__(self) -> str:
        return f"<SignalReport: {self.verdict}, {len(self.layers)} layers>"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers."""
        names = [field.name for field in dataclasses.fields(self)]
        result = {name: _plain(getattr(self, name)) for name in names}
        return {"ok": self.ok, **result}

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON; what is not finite becomes a string, ``"-inf"``."""
        import json

        return json.dumps(_finite(self.to_dict()), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return a page of HTML that needs no other file."""
        from fastgrad.reports.signal_render import page

        return page(self)

    def _repr_html_(self) -> str:
        from fastgrad.reports.signal_render import body

        return body(self)

    def plot(self) -> Any:
        """Return a matplotlib figure: sizes by layer, measured and expected.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from fastgrad.reports.signal_render import plot

        return plot(self)
