"""What the rules for faults look at, and how they speak."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import Node
from fastgrad.reports import SignalLayer
from fastgrad.signal.layers import Layer
from fastgrad.signal.measure import Growth
from fastgrad.signal.scaled import Scaled
from fastgrad.signal.theory import Weights, moments_at, units

LN2 = math.log(2)


@dataclass(frozen=True, repr=False)
class Evidence:
    """Everything that the rules look at."""

    nodes: Sequence[Node]
    values: Mapping[Node, Scaled]
    structure: Sequence[Layer]
    layers: Sequence[SignalLayer]
    weights: Sequence[Weights]
    forward: Growth
    backward: Growth
    dtypes: Mapping[str, str]  # of each block
    reached: frozenset[str]  # blocks with a gradient that is not 0

    @cached_property
    def gains(self) -> NDArray[np.float64]:
        """Log2 of (pre-activation / what the weight multiplies), by layer."""
        return np.array(
            [
                layer.forward_log2 - w.log_signal / (2 * LN2)
                for layer, w in zip(self.layers, self.weights, strict=True)
            ]
        )

    @cached_property
    def odd_gains(self) -> dict[int, float]:
        """Log2 of the gain relative to its peers', of layers where that is unusual."""
        gains = self.gains
        use = [
            i
            for i, layer in enumerate(self.structure)
            if math.isfinite(gains[i]) and not (layer.normalized or layer.residual)
        ]
        if len(use) < 4:
            return {}
        scale = np.array([w.log_square / (2 * LN2) for w in self.weights])
        away, own = gains - np.median(gains[use]), scale - np.median(scale[use])
        spread = 1.4826 * float(np.median(np.abs(away[use])))
        odd = {}
        for i in use:
            least = max(1, 6 * max(spread, units(self.structure[i]) ** -0.5))
            # Weights of the usual scale can have an unusual input.
            if abs(away[i]) >= least and own[i] * away[i] > away[i] ** 2 / 2:
                odd[i] = float(away[i])
        return odd

    @property
    def span(self) -> int:
        """Number of layers that growth acts over."""
        depths = [x.depth for x in self.layers if math.isfinite(x.forward_log2)]
        return max(depths) - min(depths) if depths else 0

    def share(self, flags: Sequence[bool]) -> float:
        """Return how many of the layers but the last a flag is set for."""
        hidden = flags[:-1] or flags
        return sum(hidden) / len(hidden)


def critical(layer: Layer) -> float:
    """Return the sigma_w that keeps gradients at the activation that was measured."""
    m = moments_at(layer.incoming, 0.0)
    if layer.previous is None or m is None or not m.slope_square:
        return 1.0
    return float(m.slope_square**-0.5)


def source_line(node: Node) -> str:
    """Return the user's line that made a node, with its text."""
    code = node.source.quoted
    return f"{node.source}: {code}" if code else str(node.source)


def exp2(x: float) -> float:
    """Return 2**x, infinite where float64 does not hold it."""
    return 2.0**x if x < 1023 else math.inf


def number(x: float, log2: float | None = None) -> str:
    """Return a factor, as a power of two if it is long."""
    if log2 is not None and abs(log2) > 20:
        return f"2^{log2:.4g}"
    return f"{x:.4g}"
