"""Products and maxima that come back."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


class ProductOfFactors(Problem):
    """Survival curves: cumulative products of factors, one of which is zero."""

    name = "product_of_factors"

    def __init__(self, *, seed: int = 0, batch: int = 5, steps: int = 6) -> None:
        rng = np.random.default_rng(seed)
        self.target = rng.uniform(size=(batch, steps))
        factors = rng.uniform(0.5, 1.5, size=(batch, steps))
        factors[0, 3] = 0.0
        self.params = {"factors": factors}

    def loss(self, params: Params) -> Any:
        """Return the squared error of the cumulative products."""
        curve = np.cumprod(params["factors"], axis=1)
        return np.sum((curve - self.target) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        factors = params["factors"]
        curve = np.cumprod(factors, axis=1)
        dcurve = 2 * (curve - self.target)
        if bug == "product_divided_by_factor":
            return {"factors": _sum_from(dcurve * curve) / factors}
        if bug == "product_divided_where_not_zero":
            safe = np.where(factors == 0, np.inf, factors)
            return {"factors": _sum_from(dcurve * curve) / safe}
        before = np.ones_like(factors)
        before[:, 1:] = curve[:, :-1]
        if bug == "product_includes_own_factor":
            before[:] = curve
        later = dcurve.copy()
        for k in reversed(range(factors.shape[1] - 1)):
            later[:, k] += later[:, k + 1] * factors[:, k + 1]
        if bug == "own_step_only":
            later = dcurve
        if bug == "later_factors_left_out":
            later = _sum_from(dcurve)
        return {"factors": before * later}


def _sum_from(x: Array) -> Array:
    """Sum each row from each column to its end."""
    return np.cumsum(x[:, ::-1], axis=1)[:, ::-1]


class BroadcastMax(Problem):
    """Each row's maximum is added back to the whole row."""

    name = "broadcast_max"

    def __init__(self, *, seed: int = 0, batch: int = 6, size: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.weight = rng.normal(size=(batch, size))
        self.params = {
            "x": rng.normal(size=(batch, size)),
            "temperature": rng.uniform(1, 2, size=1),
        }

    def loss(self, params: Params) -> Any:
        """Return a weighted sum of tanh((x + max x) / temperature)."""
        x = params["x"]
        total = (x + np.max(x, axis=1, keepdims=True)) / params["temperature"]
        return np.sum(self.weight * np.tanh(total))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        x, temperature = params["x"], params["temperature"]
        top = np.max(x, axis=1, keepdims=True)
        total = (x + top) / temperature
        dtotal = self.weight * (1 - np.tanh(total) ** 2)
        if bug == "output_weights_ignored":
            dtotal = 1 - np.tanh(total) ** 2
        dtemperature = np.sum(dtotal * -total / temperature, keepdims=True).reshape(1)
        if bug == "temperature_of_one_row":
            dtemperature = np.sum(dtotal * -total / temperature, axis=1)[:1]
        dsum = dtotal / temperature
        dtop = np.sum(dsum, axis=1, keepdims=True)
        if bug == "temperature_missing_for_max":
            dtop = np.sum(dtotal, axis=1, keepdims=True)
        if bug == "max_upstream_not_reduced":
            dtop = dsum
        if bug == "max_detached":
            dtop = np.zeros_like(dtop)
        winner = x == top
        if bug == "winner_of_whole_array":
            winner = x == np.max(x)
        return {"x": dsum + winner * dtop, "temperature": dtemperature}


BUGS = (
    Bug(
        "product_divided_by_factor",
        ProductOfFactors,
        "nonfinite",
        ("factors",),
        "The product is divided by each factor, and one of them is zero.",
        operation="cumprod",
        link="https://github.com/tensorflow/tensorflow/issues/3862",
    ),
    Bug(
        "product_divided_where_not_zero",
        ProductOfFactors,
        "partial",
        ("factors",),
        "The division by a factor of zero is avoided by returning zero.",
        operation="cumprod",
        also=("zero",),
        link="https://github.com/tensorflow/tensorflow/issues/119430",
    ),
    Bug(
        "own_step_only",
        ProductOfFactors,
        "accumulation",
        ("factors",),
        "A factor's later uses in the cumulative product are left out.",
        operation="cumprod",
    ),
    Bug(
        "max_upstream_not_reduced",
        BroadcastMax,
        "reduction",
        ("x",),
        "The maximum's gradient is not summed over the row it was broadcast to.",
        operation="max",
        link="https://github.com/NervanaSystems/neon/issues/170",
    ),
    Bug(
        "max_detached",
        BroadcastMax,
        "accumulation",
        ("x",),
        "The maximum passes nothing back.",
        operation="max",
    ),
    Bug(
        "winner_of_whole_array",
        BroadcastMax,
        "mask",
        ("x",),
        "Only the row with the largest maximum passes its gradient back.",
        operation="max",
        also=("reduction",),
    ),
    Bug(
        "temperature_of_one_row",
        BroadcastMax,
        "reduction",
        ("temperature",),
        "The scalar's gradient is that of the first row.",
        operation="divide",
        also=("partial",),
    ),
    Bug(
        "product_includes_own_factor",
        ProductOfFactors,
        "local_derivative",
        ("factors",),
        "The product of the factors before each one includes that one.",
        operation="cumprod",
        also=("reparametrized", "geometry"),
    ),
    Bug(
        "later_factors_left_out",
        ProductOfFactors,
        "local_derivative",
        ("factors",),
        "The later errors are summed without the factors in between.",
        operation="cumprod",
        also=("accumulation",),
    ),
    Bug(
        "output_weights_ignored",
        BroadcastMax,
        "upstream",
        ("x", "temperature"),
        "The weights of the sum of outputs are left out.",
        operation="multiply",
        also=("local_derivative",),
    ),
    Bug(
        "temperature_missing_for_max",
        BroadcastMax,
        "local_derivative",
        ("x",),
        "The maximum's gradient is not divided by the temperature, that of x is.",
        operation="divide",
        also=("scale",),
    ),
)

PROBLEMS = (ProductOfFactors, BroadcastMax)
