"""Networks that normalise each sample or each column of a weight."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


class LayerNormNet(Problem):
    """Layer normalisation of each sample between two linear maps."""

    name = "layer_norm_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 6, features: int = 4, hidden: int = 6
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.normal(size=batch)
        self.eps = 0.02
        self.params = {
            "W": rng.normal(size=(features, hidden)),
            "b": rng.normal(size=hidden) * 0.3,
            "gamma": rng.uniform(0.5, 2.0, size=hidden),
            "beta": rng.normal(size=hidden) * 0.5,
            "v": rng.normal(size=hidden) / hidden**0.5,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the inverse deviation, the normalised values and the output."""
        z = self.x @ params["W"] + params["b"]
        centred = z - z.mean(axis=1, keepdims=True)
        var = np.mean(centred**2, axis=1, keepdims=True)
        inverse = 1 / np.sqrt(var + self.eps)
        normalized = centred * inverse
        return (
            inverse,
            normalized,
            np.tanh(params["gamma"] * normalized + params["beta"]),
        )

    def loss(self, params: Params) -> Any:
        """Return the mean squared error."""
        return np.mean((self.forward(params)[-1] @ params["v"] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        inverse, normalized, a = self.forward(params)
        dprediction = 2 * (a @ params["v"] - self.y) / len(self.y)
        dy = np.outer(dprediction, params["v"]) * (1 - a**2)
        dgamma, dbeta = np.sum(dy * normalized, axis=0), np.sum(dy, axis=0)
        if bug == "gamma_and_beta_swapped":
            dgamma, dbeta = dbeta, dgamma
        if bug == "gamma_and_beta_at_wrong_index":
            dgamma, dbeta = np.roll(dgamma, 1), np.roll(dbeta, 1)
        if bug == "first_block_of_rows_only":
            dgamma = np.sum((dy * normalized)[:4], axis=0)
            dbeta = np.sum(dy[:4], axis=0)
        dn = dy * params["gamma"]
        mean = np.mean(dn, axis=1, keepdims=True)
        slope = np.mean(dn * normalized, axis=1, keepdims=True)
        if bug == "gamma_missing_in_row_sums":
            mean = np.mean(dy, axis=1, keepdims=True)
            slope = np.mean(dy * normalized, axis=1, keepdims=True)
        if bug == "eps_added_to_deviation":
            inverse = 1 / (np.sqrt(1 / inverse**2 - self.eps) + self.eps)
        if bug == "layer_norm_mean_term_dropped":
            mean = np.zeros_like(mean)
        if bug == "layer_norm_variance_term_dropped":
            slope = np.zeros_like(slope)
        if bug == "layer_norm_statistics_constant":
            mean, slope = np.zeros_like(mean), np.zeros_like(slope)
        if bug == "layer_norm_keepdims_forgotten":
            mean, slope = mean.ravel(), slope.ravel()
        if bug == "layer_norm_means_over_batch":
            mean = np.mean(dn, axis=0)
            slope = np.mean(dn * normalized, axis=0)
        dz = inverse * (dn - mean - normalized * slope)
        return {
            "W": self.x.T @ dz,
            "b": np.sum(dz, axis=0),
            "gamma": dgamma,
            "beta": dbeta,
            "v": a.T @ dprediction,
        }


class RMSNormNet(Problem):
    """Each sample divided by its root mean square between two linear maps."""

    name = "rms_norm_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 5, features: int = 4, hidden: int = 7
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features)) * 2
        self.y = rng.normal(size=batch)
        self.params = {
            "W": rng.normal(size=(features, hidden)),
            "scale": rng.uniform(0.5, 2.0, size=hidden),
            "v": rng.normal(size=hidden) / hidden**0.5,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the inverse root mean square, the normalised values, the output."""
        z = self.x @ params["W"]
        inverse = (np.mean(z * z, axis=1, keepdims=True) + 0.01) ** -0.5
        normalized = z * inverse
        return inverse, normalized, np.tanh(params["scale"] * normalized)

    def loss(self, params: Params) -> Any:
        """Return half the sum of squared errors."""
        return 0.5 * np.sum((self.forward(params)[-1] @ params["v"] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        inverse, normalized, a = self.forward(params)
        dprediction = a @ params["v"] - self.y
        dy = np.outer(dprediction, params["v"]) * (1 - a**2)
        dn = dy * params["scale"]
        slope = np.mean(dn * normalized, axis=1, keepdims=True)
        if bug == "rms_term_from_raw_input":
            slope = slope / inverse
        if bug == "rms_treated_as_constant":
            slope = np.zeros_like(slope)
        if bug == "rms_sum_in_place_of_mean":
            slope = np.sum(dn * normalized, axis=1, keepdims=True)
        dz = inverse * (dn - normalized * slope)
        if bug == "row_scale_not_applied":
            dz = dn - normalized * slope
        return {
            "W": self.x.T @ dz,
            "scale": np.sum(dy * normalized, axis=0),
            "v": a.T @ dprediction,
        }


class WeightNormNet(Problem):
    """A layer whose weight is g v / norm(v), column by column."""

    name = "weight_norm_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 8, features: int = 5, hidden: int = 4
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.normal(size=(batch, hidden))
        self.params = {
            "V": rng.normal(size=(features, hidden)),
            "g": rng.uniform(0.5, 2.0, size=hidden),
            "b": rng.normal(size=hidden) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the norms, the unit columns and the output."""
        norm = np.sqrt(np.sum(params["V"] ** 2, axis=0))
        unit = params["V"] / norm
        return norm, unit, np.tanh(self.x @ (params["g"] * unit) + params["b"])

    def loss(self, params: Params) -> Any:
        """Return the mean over samples of the squared error."""
        return np.sum((self.forward(params)[-1] - self.y) ** 2) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        norm, unit, a = self.forward(params)
        da = 2 * (a - self.y) / len(self.x)
        if bug == "error_from_target_to_output":
            da = 2 * (self.y - a) / len(self.x)
        dz = da * (1 - a**2)
        dw = self.x.T @ dz
        dg = np.sum(dw * unit, axis=0)
        if bug == "weight_norm_sums_over_rows":
            dg = np.sum(dw * unit, axis=1)
        dv = params["g"] / norm * (dw - unit * dg)
        if bug == "weight_norm_gain_missing":
            dv = (dw - unit * dg) / norm
        if bug == "weight_norm_projection_dropped":
            dv = params["g"] / norm * dw
        if bug == "weight_norm_division_missing":
            dv = params["g"] * (dw - unit * dg)
        return {"V": dv, "g": dg, "b": np.sum(dz, axis=0)}


BUGS = (
    Bug(
        "gamma_and_beta_swapped",
        LayerNormNet,
        "layout",
        ("gamma", "beta"),
        "The gradients of gamma and beta are returned in the wrong order.",
        link="https://github.com/Oneflow-Inc/oneflow/pull/6149",
    ),
    Bug(
        "gamma_and_beta_at_wrong_index",
        LayerNormNet,
        "layout",
        ("gamma", "beta"),
        "The gradients of gamma and beta are written one place further on.",
        also=("geometry",),
        link="https://github.com/deepspeedai/DeepSpeed/pull/692",
    ),
    Bug(
        "first_block_of_rows_only",
        LayerNormNet,
        "partial",
        ("gamma", "beta"),
        "Only the first block of rows is summed into the gradients of gamma and beta.",
        also=("reduction",),
        link="https://github.com/flagos-ai/FlagGems/pull/59",
    ),
    Bug(
        "layer_norm_mean_term_dropped",
        LayerNormNet,
        "cross_term",
        ("W", "b"),
        "The gradient does not flow through the mean of the sample.",
        operation="mean",
    ),
    Bug(
        "layer_norm_variance_term_dropped",
        LayerNormNet,
        "cross_term",
        ("W", "b"),
        "The gradient does not flow through the variance of the sample.",
        operation="sqrt",
        link="https://github.com/pjreddie/darknet/issues/1723",
    ),
    Bug(
        "layer_norm_statistics_constant",
        LayerNormNet,
        "cross_term",
        ("W", "b"),
        "The gradient ignores that mean and variance depend on the sample.",
    ),
    Bug(
        "layer_norm_keepdims_forgotten",
        LayerNormNet,
        "reduction",
        ("W", "b"),
        "The sums over a row are subtracted along the columns of a square array.",
        operation="mean",
        also=("cross_term",),
        link="https://github.com/pytorch/pytorch/issues/1813",
        settings={"batch": 6, "hidden": 6},
    ),
    Bug(
        "layer_norm_means_over_batch",
        LayerNormNet,
        "reduction",
        ("W", "b"),
        "The backward pass averages over samples where the forward pass uses features.",
        operation="mean",
        also=("cross_term",),
    ),
    Bug(
        "rms_treated_as_constant",
        RMSNormNet,
        "cross_term",
        ("W",),
        "The gradient does not flow through the root mean square.",
        operation="power",
    ),
    Bug(
        "rms_sum_in_place_of_mean",
        RMSNormNet,
        "reduction",
        ("W",),
        "The root mean square's term is summed over features, not averaged.",
        operation="mean",
        also=("cross_term",),
    ),
    Bug(
        "row_scale_not_applied",
        RMSNormNet,
        "local_derivative",
        ("W",),
        "The gradient of the input is not divided by the row's root mean square.",
        operation="multiply",
        link="https://github.com/state-spaces/mamba/pull/1023",
    ),
    Bug(
        "weight_norm_projection_dropped",
        WeightNormNet,
        "cross_term",
        ("V",),
        "The gradient does not flow through the norm of the weight.",
        operation="divide",
    ),
    Bug(
        "weight_norm_division_missing",
        WeightNormNet,
        "local_derivative",
        ("V",),
        "The gradient of the direction is not divided by the weight's norm.",
        operation="divide",
    ),
    Bug(
        "error_from_target_to_output",
        WeightNormNet,
        "sign",
        ("V", "g", "b"),
        "The error is target minus output.",
        operation="subtract",
    ),
    Bug(
        "gamma_missing_in_row_sums",
        LayerNormNet,
        "cross_term",
        ("W", "b"),
        "The sums over a row are those of the gradient before its factor gamma.",
        operation="multiply",
        also=("local_derivative",),
    ),
    Bug(
        "eps_added_to_deviation",
        LayerNormNet,
        "local_derivative",
        ("W", "b"),
        "The backward pass adds eps to the deviation, where the variance has it.",
        operation="sqrt",
        also=("cross_term",),
    ),
    Bug(
        "rms_term_from_raw_input",
        RMSNormNet,
        "cross_term",
        ("W",),
        "The root mean square's term uses the input, not the normalised input.",
        operation="multiply",
        also=("local_derivative",),
    ),
    Bug(
        "weight_norm_sums_over_rows",
        WeightNormNet,
        "reduction",
        ("V", "g"),
        "The products with the unit columns are summed over the wrong axis.",
        operation="multiply",
        also=("cross_term",),
        settings={"features": 4},
    ),
    Bug(
        "weight_norm_gain_missing",
        WeightNormNet,
        "local_derivative",
        ("V",),
        "The gradient of the direction lacks the factor g.",
        operation="multiply",
    ),
)

PROBLEMS = (
    LayerNormNet,
    RMSNormNet,
    WeightNormNet,
)
