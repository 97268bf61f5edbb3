"""What a diagnosis of signals measures of each layer, and the faults it names."""

import math
from dataclasses import dataclass


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
