"""Networks with batch normalisation."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


class BatchNormNet(Problem):
    """A linear map, batch normalisation over the samples, tanh and a linear output."""

    name = "batch_norm_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 10,
        features: int = 4,
        hidden: int = 6,
        eps: float = 0.05,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.normal(size=batch)
        self.eps = eps
        self.running_var = np.ones(hidden)
        self.params = {
            "W": rng.normal(size=(features, hidden)) / features**0.5,
            "gamma": rng.uniform(0.5, 2.0, size=hidden),
            "beta": rng.normal(size=hidden) * 0.5,
            "v": rng.normal(size=hidden) / hidden**0.5,
        }

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return the values before, at and behind the normalisation."""
        z = self.x @ params["W"]
        mean = np.mean(z, axis=0)
        var = np.mean((z - mean) ** 2, axis=0)
        normalized = (z - mean) / np.sqrt(var + self.eps)
        a = np.tanh(params["gamma"] * normalized + params["beta"])
        return z, mean, var, normalized, a

    def loss(self, params: Params) -> Any:
        """Return the mean squared error."""
        return np.mean((self.forward(params)[-1] @ params["v"] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n = len(self.y)
        z, mean, var, normalized, a = self.forward(params)
        dprediction = 2 * (a @ params["v"] - self.y) / n
        dy = np.outer(dprediction, params["v"]) * (1 - a**2)
        dgamma = np.sum(dy * normalized, axis=0)
        if bug == "gamma_gradient_from_raw_input":
            dgamma = np.sum(dy * z, axis=0)
        dbeta = np.sum(dy, axis=0)
        if bug == "beta_summed_in_float16":
            dbeta = np.sum(dy.astype(np.float16), axis=0).astype(float)
        if bug == "beta_gradient_left_zero":
            dbeta = np.zeros_like(dbeta)
        if bug == "gamma_and_beta_averaged":
            dgamma, dbeta = dgamma / n, dbeta / n

        dnormalized = dy * params["gamma"]
        if bug == "gamma_factor_lost":
            dnormalized = dy
        inverse = 1 / np.sqrt(var + self.eps)
        if bug == "running_variance_in_backward":
            inverse = 1 / np.sqrt(self.running_var + self.eps)
        if bug == "eps_missing_in_backward":
            inverse = 1 / np.sqrt(var + 1e-12)
        if bug == "rsqrt_of_inverse_deviation":
            inverse = 1 / np.sqrt(inverse)
        dvar = np.sum(dnormalized * (z - mean), axis=0) * -0.5 * inverse**3
        if bug == "variance_treated_as_constant":
            dvar = np.zeros_like(dvar)
        dmean = -inverse * np.sum(dnormalized, axis=0)
        if bug == "mean_treated_as_constant":
            dmean = np.zeros_like(dmean)
        if bug == "extra_term_in_mean":
            dmean = dmean - 2 * dvar * np.sum(z, axis=0) / n
        if bug == "statistics_treated_as_constants":
            dvar, dmean = np.zeros_like(dvar), np.zeros_like(dmean)
        dz = dnormalized * inverse + dvar * 2 * (z - mean) / n + dmean / n
        if bug == "mean_gradient_not_divided":
            dz = dnormalized * inverse + dvar * 2 * (z - mean) / n + dmean
        if bug == "unbiased_variance_in_backward":
            dz += dvar * 2 * (z - mean) * (1 / max(n - 1, 1) - 1 / n)
        return {
            "W": self.x.T @ dz,
            "gamma": dgamma,
            "beta": dbeta,
            "v": a.T @ dprediction,
        }


class SpatialBatchNormNet(Problem):
    """Channels of images mixed, then normalised over samples, rows and columns."""

    name = "spatial_batch_norm_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 4, inputs: int = 5, channels: int = 3
    ) -> None:
        rng = np.random.default_rng(seed)
        size = channels  # as many rows and columns, so that axes can be mistaken
        self.x = rng.normal(size=(batch, inputs, size, size))
        self.weight = rng.normal(size=(batch, channels, size, size))
        self.eps = 0.01
        self.params = {
            "W": rng.normal(size=(inputs, channels)),
            "gamma": rng.uniform(0.5, 2.0, size=channels),
            "beta": rng.normal(size=channels) * 0.5,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the inverse deviation, the normalised values and the output."""
        z = np.tensordot(self.x, params["W"], axes=(1, 0)).transpose(0, 3, 1, 2)
        mean = np.mean(z, axis=(0, 2, 3), keepdims=True)
        var = np.mean((z - mean) ** 2, axis=(0, 2, 3), keepdims=True)
        inverse = 1 / np.sqrt(var + self.eps)
        normalized = (z - mean) * inverse
        gamma = params["gamma"].reshape(1, -1, 1, 1)
        beta = params["beta"].reshape(1, -1, 1, 1)
        return inverse, normalized, np.tanh(gamma * normalized + beta)

    def loss(self, params: Params) -> Any:
        """Return a fixed random linear function of the outputs."""
        return np.sum(self.weight * self.forward(params)[-1]) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        inverse, normalized, a = self.forward(params)
        da = self.weight / len(self.x)
        if bug == "upstream_taken_as_ones":
            da = np.ones_like(a)
        dy = da * (1 - a**2)
        axes = (0, 2, 3)
        dgamma = np.sum(dy * normalized, axis=axes)
        dbeta = np.sum(dy, axis=axes)
        if bug == "axes_of_reduced_shape":
            dbeta = np.sum(np.sum(dy, axis=0), axis=(0, 1))
        if bug == "spatial_axes_averaged":
            dgamma = np.sum(np.mean(dy * normalized, axis=(2, 3)), axis=0)
            dbeta = np.sum(np.mean(dy, axis=(2, 3)), axis=0)
        if bug == "sums_of_one_image":
            dgamma = np.sum((dy * normalized)[0], axis=(1, 2))
            dbeta = np.sum(dy[0], axis=(1, 2))
        dn = dy * params["gamma"].reshape(1, -1, 1, 1)
        if bug == "gamma_broadcast_over_columns":
            dn = dy * params["gamma"]
        statistics_axes: tuple[int, ...] = axes
        if bug == "statistics_of_each_image":
            statistics_axes = (2, 3)
        centre = np.mean(dn, axis=statistics_axes, keepdims=True)
        slope = np.mean(dn * normalized, axis=statistics_axes, keepdims=True)
        dz = inverse * (dn - centre - normalized * slope)
        if bug == "channels_last_read_as_first":
            dz = np.reshape(dz.transpose(0, 2, 3, 1), dz.shape)
        dw = np.tensordot(self.x, dz, axes=((0, 2, 3), (0, 2, 3)))
        return {"W": dw, "gamma": dgamma, "beta": dbeta}


BUGS = (
    Bug(
        "gamma_gradient_from_raw_input",
        BatchNormNet,
        "local_derivative",
        ("gamma",),
        "The gradient of gamma uses the layer's input, not its normalised input.",
        operation="multiply",
    ),
    Bug(
        "beta_gradient_left_zero",
        BatchNormNet,
        "zero",
        ("beta",),
        "The gradient of beta is never written.",
        link="https://github.com/apache/mxnet/issues/18499",
    ),
    Bug(
        "gamma_and_beta_averaged",
        BatchNormNet,
        "reduction",
        ("gamma", "beta"),
        "The gradients of gamma and beta are averaged over the batch, not summed.",
        also=("scale",),
    ),
    Bug(
        "gamma_factor_lost",
        BatchNormNet,
        "local_derivative",
        ("W",),
        "The gradient of the input lacks the factor gamma, unseen while gamma is 1.",
        operation="multiply",
        also=("cross_term",),
        link="https://github.com/denizyuret/Knet.jl/issues/288",
    ),
    Bug(
        "eps_missing_in_backward",
        BatchNormNet,
        "local_derivative",
        ("W",),
        "The backward pass leaves out the eps which the forward pass adds.",
        operation="sqrt",
        also=("cross_term",),
        link="https://github.com/chainer/chainer/pull/4191",
    ),
    Bug(
        "rsqrt_of_inverse_deviation",
        BatchNormNet,
        "local_derivative",
        ("W",),
        "What is already the inverse deviation is put through 1 / sqrt again.",
        operation="sqrt",
        link="https://github.com/flagos-ai/FlagGems/issues/5222",
    ),
    Bug(
        "variance_treated_as_constant",
        BatchNormNet,
        "cross_term",
        ("W",),
        "The gradient does not flow through the batch variance.",
        operation="sqrt",
    ),
    Bug(
        "mean_treated_as_constant",
        BatchNormNet,
        "cross_term",
        ("W",),
        "The gradient does not flow through the batch mean.",
        operation="mean",
    ),
    Bug(
        "extra_term_in_mean",
        BatchNormNet,
        "cross_term",
        ("W",),
        "The gradient of the batch mean has an extra term from the variance.",
        operation="mean",
        link="https://github.com/apache/mxnet/issues/1053",
    ),
    Bug(
        "statistics_treated_as_constants",
        BatchNormNet,
        "cross_term",
        ("W",),
        "The gradient ignores that mean and variance depend on the batch.",
        link="https://github.com/facebookresearch/CrypTen/pull/143",
    ),
    Bug(
        "unbiased_variance_in_backward",
        BatchNormNet,
        "cross_term",
        ("W",),
        "The variance's term is divided by n - 1 though the forward pass divides by n.",
        operation="mean",
        also=("scale", "reduction"),
    ),
    Bug(
        "axes_of_reduced_shape",
        SpatialBatchNormNet,
        "reduction",
        ("beta",),
        "The axes to sum are counted in a shape that has lost its first axis already.",
        link="https://github.com/HomericIntelligence/Odyssey/pull/2080",
    ),
    Bug(
        "spatial_axes_averaged",
        SpatialBatchNormNet,
        "reduction",
        ("gamma", "beta"),
        "Rows and columns are averaged where they are to be summed.",
        also=("scale",),
    ),
    Bug(
        "sums_of_one_image",
        SpatialBatchNormNet,
        "partial",
        ("gamma", "beta"),
        "Only the first image contributes to the gradients of gamma and beta.",
        also=("reduction",),
    ),
    Bug(
        "statistics_of_each_image",
        SpatialBatchNormNet,
        "reduction",
        ("W",),
        "The backward pass averages over each image, the forward pass over the batch.",
        operation="mean",
        also=("cross_term",),
    ),
    Bug(
        "upstream_taken_as_ones",
        SpatialBatchNormNet,
        "upstream",
        ("W", "gamma", "beta"),
        "The layer's backward pass takes the gradient of its output to be ones.",
        operation="multiply",
        also=("local_derivative",),
        link="https://github.com/sherjilozair/ctc/issues/2",
    ),
    Bug(
        "running_variance_in_backward",
        BatchNormNet,
        "stale",
        ("W",),
        "The backward pass uses the running variance, the forward pass the batch's.",
        operation="sqrt",
        also=("local_derivative", "cross_term"),
    ),
    Bug(
        "mean_gradient_not_divided",
        BatchNormNet,
        "cross_term",
        ("W",),
        "The gradient of the batch mean is not divided by the batch size.",
        operation="mean",
        also=("scale", "reduction"),
    ),
    Bug(
        "beta_summed_in_float16",
        BatchNormNet,
        "precision",
        ("beta",),
        "The gradient of beta is summed in float16.",
        operation="add",
        link="https://github.com/apache/mxnet/issues/17703",
        subtle=True,
    ),
    Bug(
        "gamma_broadcast_over_columns",
        SpatialBatchNormNet,
        "layout",
        ("W",),
        "The factor gamma, not reshaped, is broadcast over columns, not channels.",
        operation="multiply",
        also=("local_derivative", "reduction"),
    ),
    Bug(
        "channels_last_read_as_first",
        SpatialBatchNormNet,
        "layout",
        ("W",),
        "A gradient that lies with its channels last is read as if they were first.",
        operation="transpose",
        also=("geometry",),
        link="https://github.com/pytorch/pytorch/issues/99638",
    ),
)

PROBLEMS = (
    BatchNormNet,
    SpatialBatchNormNet,
)
