"""Layers that treat channels one by one or in groups."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class SeparableConvNet(Problem):
    """Channels mixed, convolved one by one, normalised in groups, relu, averaged."""

    name = "separable_conv_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 4, channels: int = 4, classes: int = 3
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, 2, 5, 5))
        self.y = one_hot(rng.integers(classes, size=batch), classes)
        self.groups, self.eps = 2, 0.01
        self.params = {
            "A": rng.normal(size=(2, channels)),
            "D": rng.normal(size=(channels, 3, 3)) / 3,
            "gamma": rng.uniform(0.5, 2.0, size=channels),
            "beta": rng.normal(size=channels) * 0.5,
            "V": rng.normal(size=(channels, classes)),
        }

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return what each layer gives, and the log-probabilities."""
        mixed = np.tensordot(self.x, params["A"], axes=(1, 0)).transpose(0, 3, 1, 2)
        u = np.tanh(mixed)
        z: Array = 0.0
        for i in range(3):
            for j in range(3):
                tap = params["D"][:, i, j].reshape(-1, 1, 1)
                z = z + u[:, :, i : i + 3, j : j + 3] * tap
        grouped = z.reshape(len(self.x), self.groups, -1)
        centred = grouped - np.mean(grouped, axis=2, keepdims=True)
        var = np.mean(centred**2, axis=2, keepdims=True)
        inverse = 1 / np.sqrt(var + self.eps)
        normalized = np.reshape(centred * inverse, z.shape)
        gamma = params["gamma"].reshape(-1, 1, 1)
        beta = params["beta"].reshape(-1, 1, 1)
        a = np.maximum(gamma * normalized + beta, 0)
        pooled = np.mean(a, axis=(2, 3))
        return u, inverse, normalized, a, pooled, log_softmax(pooled @ params["V"], 1)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy."""
        return -np.sum(self.y * self.forward(params)[-1]) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        u, inverse, normalized, a, pooled, log_p = self.forward(params)
        dscores = (np.exp(log_p) - self.y) / len(self.x)
        dpooled = dscores @ params["V"].T
        da = dpooled[:, :, None, None] * np.full(a.shape, 1 / 9)
        if bug == "global_average_of_one_axis":
            da = dpooled[:, :, None, None] * np.full(a.shape, 1 / 3)
        dy = da * (a > 0)
        dgamma = np.sum(dy * normalized, axis=(0, 2, 3))
        dbeta = np.sum(dy, axis=(0, 2, 3))
        if bug == "affine_gradient_of_whole_group":
            size = dbeta.size // self.groups
            dgamma = np.repeat(dgamma.reshape(-1, size).sum(axis=1), size)
            dbeta = np.repeat(dbeta.reshape(-1, size).sum(axis=1), size)
        dn = dy * params["gamma"].reshape(-1, 1, 1)
        dz = self.normalization_gradient(dn, inverse, normalized, bug)

        dd, du = np.zeros_like(params["D"]), np.zeros_like(u)
        for i in range(3):
            for j in range(3):
                tap = params["D"][:, i, j].reshape(-1, 1, 1)
                place = np.s_[:, :, i : i + 3, j : j + 3]
                dd[:, i, j] = np.sum(dz * u[place], axis=(0, 2, 3))
                if bug == "depthwise_kernel_summed_as_full":
                    total = np.sum(dz, axis=1, keepdims=True)
                    dd[:, i, j] = np.sum(u[place] * total, axis=(0, 2, 3))
                if bug == "depthwise_input_mixes_channels":
                    du[place] += np.sum(dz * tap, axis=1, keepdims=True)
                else:
                    du[place] += dz * tap
        dmixed = du * (1 - u**2)
        return {
            "A": np.tensordot(self.x, dmixed, axes=((0, 2, 3), (0, 2, 3))),
            "D": dd,
            "gamma": dgamma,
            "beta": dbeta,
            "V": pooled.T @ dscores,
        }

    def normalization_gradient(
        self, dn: Array, inverse: Array, normalized: Array, bug: str | None
    ) -> Array:
        """Return the gradient of what is normalised, (N, C, H, W)."""
        shape = dn.shape
        n, channels = shape[:2]
        if bug == "groups_interleaved_in_backward":
            order = np.arange(channels).reshape(-1, self.groups).T.ravel()
            dn, normalized = dn[:, order], normalized[:, order]
        dn = dn.reshape(n, self.groups, -1)
        x = normalized.reshape(dn.shape)
        count = dn.shape[2]
        if bug == "group_count_without_positions":
            count = channels // self.groups
        centre = np.sum(dn, axis=2, keepdims=True) / count
        slope = np.sum(dn * x, axis=2, keepdims=True) / count
        if bug == "group_statistics_of_each_channel":
            each = (n, channels, -1)
            spread = (n, channels, dn.size // n // channels)
            centre = np.broadcast_to(dn.reshape(each).mean(2, keepdims=True), spread)
            slope = np.broadcast_to(
                (dn * x).reshape(each).mean(2, keepdims=True), spread
            )
            centre, slope = centre.reshape(dn.shape), slope.reshape(dn.shape)
        dz = (inverse * (dn - centre - x * slope)).reshape(shape)
        if bug == "groups_interleaved_in_backward":
            dz = dz[:, np.argsort(order)]
        return dz


class UpsamplingNet(Problem):
    """A signal made longer by a transposed convolution, its ends cropped."""

    name = "upsampling_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 4, length: int = 5, channels: int = 3
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, length, 3))
        self.stride, self.width, self.crop = 2, 4, 1
        self.target = rng.normal(size=(batch, self.stride * length, channels))
        self.params = {
            "W": rng.normal(size=(3, channels)),
            "b": rng.normal(size=channels) * 0.3,
            "K": rng.normal(size=(self.width, channels, channels)) / channels**0.5,
            "c": rng.normal(size=channels) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array]:
        """Return the short signal and the long one."""
        u = np.tanh(self.x @ params["W"] + params["b"])
        phases = []
        # Every second output: tap 0 or 1 of one input, tap 2 or 3 of the one before.
        empty = np.zeros((len(self.x), 1, len(params["b"])))
        here = np.concatenate([u, empty], axis=1)
        before = np.concatenate([empty, u], axis=1)
        for phase in range(self.stride):
            late = params["K"][phase + self.stride]
            phases.append(here @ params["K"][phase] + before @ late)
        full = np.stack(phases, axis=2).reshape(len(self.x), -1, len(params["c"]))
        return u, full[:, self.crop : -self.crop] + params["c"]

    def loss(self, params: Params) -> Any:
        """Return the mean over samples of the squared error."""
        return np.sum((self.forward(params)[-1] - self.target) ** 2) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        u, output = self.forward(params)
        n, length, _ = self.x.shape
        doutput = 2 * (output - self.target) / n
        sides = ((0, 0), (self.crop, self.crop), (0, 0))
        if bug == "crop_at_one_end_in_backward":
            sides = ((0, 0), (2 * self.crop, 0), (0, 0))
        dfull = np.pad(doutput, sides)
        dk, du = np.zeros_like(params["K"]), np.zeros_like(u)
        for tap in range(self.width):
            kernel = params["K"][tap]
            if bug == "transposed_kernel_reversed":
                kernel = params["K"][self.width - 1 - tap]
            end = tap + self.stride * length
            if bug == "overlap_of_taps_lost" and tap >= self.stride:
                continue
            part = dfull[:, tap : end : self.stride]
            dk[tap] = np.tensordot(u, part, axes=((0, 1), (0, 1)))
            if bug == "transposed_channels_exchanged":
                dk[tap] = dk[tap].T
                kernel = kernel.T
            du += part @ kernel.T
        dc = np.sum(doutput, axis=(0, 1))
        if bug == "offset_summed_over_short_signal":
            dc = np.sum(doutput[:, :length], axis=(0, 1))
        dz = du * (1 - u**2)
        return {
            "W": np.tensordot(self.x, dz, axes=((0, 1), (0, 1))),
            "b": np.sum(dz, axis=(0, 1)),
            "K": dk,
            "c": dc,
        }


BUGS = (
    Bug(
        "global_average_of_one_axis",
        SeparableConvNet,
        "scale",
        ("A", "D", "gamma", "beta"),
        "The average over rows and columns is undone by dividing by the rows only.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "affine_gradient_of_whole_group",
        SeparableConvNet,
        "reduction",
        ("gamma", "beta"),
        "The gradients of gamma and beta are summed over the channels of a group too.",
    ),
    Bug(
        "depthwise_kernel_summed_as_full",
        SeparableConvNet,
        "reduction",
        ("D",),
        "The kernels' gradient sums over channels, as if each met all of them.",
        operation="multiply",
    ),
    Bug(
        "depthwise_input_mixes_channels",
        SeparableConvNet,
        "reduction",
        ("A",),
        "The input's gradient is summed over channels, as for a full convolution.",
        operation="multiply",
    ),
    Bug(
        "groups_interleaved_in_backward",
        SeparableConvNet,
        "reduction",
        ("A", "D"),
        "The sums are taken over every second channel, the groups are neighbours.",
        operation="reshape",
        also=("layout", "cross_term"),
    ),
    Bug(
        "group_count_without_positions",
        SeparableConvNet,
        "cross_term",
        ("A", "D"),
        "The sums over a group are divided by its channels, not by all its entries.",
        operation="mean",
        also=("reduction", "scale"),
    ),
    Bug(
        "group_statistics_of_each_channel",
        SeparableConvNet,
        "reduction",
        ("A", "D"),
        "The backward pass averages over each channel, the forward pass over groups.",
        operation="mean",
        also=("cross_term",),
    ),
    Bug(
        "crop_at_one_end_in_backward",
        UpsamplingNet,
        "geometry",
        ("W", "b", "K"),
        "What was cropped at both ends is put back at the beginning only.",
        operation="getitem",
    ),
    Bug(
        "transposed_kernel_reversed",
        UpsamplingNet,
        "layout",
        ("W", "b"),
        "The gradient is passed back by the kernel in reversed order.",
        operation="matmul",
        also=("geometry",),
    ),
    Bug(
        "overlap_of_taps_lost",
        UpsamplingNet,
        "accumulation",
        ("W", "b", "K"),
        "Where outputs of two inputs overlap, only the later input gets its gradient.",
        operation="add",
        also=("geometry", "partial", "zero"),
    ),
    Bug(
        "transposed_channels_exchanged",
        UpsamplingNet,
        "layout",
        ("W", "b", "K"),
        "The kernel's input and output channels are exchanged.",
        operation="matmul",
    ),
    Bug(
        "offset_summed_over_short_signal",
        UpsamplingNet,
        "partial",
        ("c",),
        "The offset's gradient is summed over the input's length, not the output's.",
        operation="add",
        also=("reduction", "geometry"),
    ),
)

PROBLEMS = (SeparableConvNet, UpsamplingNet)
