"""Convolution along one axis: dilated, and causal."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Array, Bug, Params, Problem


class DilatedConvNet(Problem):
    """A one-dimensional convolution with stride and dilation, averaged over time."""

    name = "dilated_conv_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 5, length: int = 14, filters: int = 4
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, length, 3))
        self.y = rng.normal(size=batch)
        self.stride, self.dilation = 3, 2
        self.steps = (length - 2 * self.dilation - 1) // self.stride + 1
        self.params = {
            "K": rng.normal(size=(3, 3, filters)) / 3,
            "b": rng.normal(size=filters) * 0.3,
            "v": rng.normal(size=filters) / filters**0.5,
        }

    def patch(self, tap: int, stride: int, dilation: int) -> Array:
        """Return the inputs which the kernel's place `tap` meets, (N, T, C)."""
        return self.x[:, tap * dilation + stride * np.arange(self.steps)]

    def forward(self, params: Params) -> tuple[Array, Array]:
        """Return the activations and their average over time."""
        z = params["b"]
        for tap in range(3):
            z = z + self.patch(tap, self.stride, self.dilation) @ params["K"][tap]
        a = np.tanh(z)
        return a, a.mean(axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean squared error."""
        return np.mean((self.forward(params)[-1] @ params["v"] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        a, average = self.forward(params)
        dprediction = 2 * (average @ params["v"] - self.y) / len(self.y)
        daverage = np.outer(dprediction, params["v"])
        da = daverage[:, None, :] / a.shape[1]
        if bug == "average_pool_not_divided":
            da = daverage[:, None, :]
        if bug == "average_pool_gradient_to_first_step":
            da = daverage[:, None, :] * (np.arange(a.shape[1]) == 0)[:, None]
        dz = da * (1 - a**2)
        stride, dilation = self.stride, self.dilation
        if bug == "stride_and_dilation_swapped":
            stride, dilation = dilation, stride
        if bug == "dilation_ignored":
            dilation = 1
        patches = [self.patch(tap, stride, dilation) for tap in range(3)]
        if bug == "kernel_centered_in_backward":
            patches = [self.patch(tap - 1, stride, dilation) for tap in range(3)]
        if bug == "output_length_without_plus_one":
            patches, dz = [p[:, :-1] for p in patches], dz[:, :-1]
        return {
            "K": np.array(
                [np.tensordot(p, dz, axes=((0, 1), (0, 1))) for p in patches]
            ),
            "b": np.sum(dz, axis=(0, 1)),
            "v": average.T @ dprediction,
        }


class CausalConvNet(Problem):
    """A short convolution along time, one kernel for each channel, nothing ahead."""

    name = "causal_conv_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 4, length: int = 7, channels: int = 5
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, length, 3))
        self.weight = rng.normal(size=(batch, length, channels))
        self.width = 4
        self.params = {
            "W": rng.normal(size=(3, channels)),
            "K": rng.normal(size=(self.width, channels)) / 2,
        }

    def forward(self, params: Params) -> tuple[Array, Array]:
        """Return the channels' signals and the output."""
        u = self.x @ params["W"]
        padded = np.concatenate(
            [np.zeros_like(u[:, :1])] * (self.width - 1) + [u], axis=1
        )
        length = self.x.shape[1]
        z = sum(padded[:, w : w + length] * params["K"][w] for w in range(self.width))
        return padded, np.tanh(z)

    def loss(self, params: Params) -> Any:
        """Return a fixed random linear function of the outputs."""
        return np.sum(self.weight * self.forward(params)[-1]) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        padded, a = self.forward(params)
        length = self.x.shape[1]
        da = self.weight / len(self.x)
        if bug == "causal_upstream_taken_as_ones":
            da = np.ones_like(a)
        dz = da * (1 - a**2)
        dpadded = np.zeros_like(padded)
        dk = np.zeros_like(params["K"])
        for w in range(self.width):
            dk[w] = np.sum(padded[:, w : w + length] * dz, axis=(0, 1))
            if bug == "channels_summed_in_kernel":
                dk[w] = np.sum(padded[:, w : w + length] * dz)
            start = w
            if bug == "causal_shift":
                start = min(w + 1, self.width - 1)
            dpadded[:, start : start + length] += dz * params["K"][w]
        if bug == "short_sequence_clamped":
            # The index of the first input that counts, clamped at 0.
            missing = max(0, self.width - 1 - length)
            dk = np.concatenate([dk[missing:], np.zeros_like(dk[:missing])])
        if bug == "causal_kernel_reversed":
            dk = dk[::-1].copy()
        du = dpadded[:, self.width - 1 :]
        if bug == "padding_cut_at_the_end":
            du = dpadded[:, :length]
        return {"W": np.tensordot(self.x, du, axes=((0, 1), (0, 1))), "K": dk}


BUGS = (
    Bug(
        "average_pool_not_divided",
        DilatedConvNet,
        "scale",
        ("K", "b"),
        "The gradient of the average over time is not divided by the number of steps.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "average_pool_gradient_to_first_step",
        DilatedConvNet,
        "partial",
        ("K", "b"),
        "The gradient of the average over time reaches the first step only.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "stride_and_dilation_swapped",
        DilatedConvNet,
        "geometry",
        ("K",),
        "Stride and dilation are exchanged in the kernel's gradient.",
        operation="getitem",
        link="https://github.com/iree-org/iree-turbine/pull/1223",
    ),
    Bug(
        "dilation_ignored",
        DilatedConvNet,
        "geometry",
        ("K",),
        "The kernel's gradient is computed as if its places were next to each other.",
        operation="getitem",
    ),
    Bug(
        "causal_shift",
        CausalConvNet,
        "geometry",
        ("W",),
        "The gradient is passed back one step late.",
        operation="getitem",
    ),
    Bug(
        "short_sequence_clamped",
        CausalConvNet,
        "geometry",
        ("K",),
        "A start index clamped at 0 shifts the kernel's gradient of short sequences.",
        operation="getitem",
        also=("layout",),
        link="https://github.com/fla-org/flash-linear-attention/issues/1140",
        settings={"length": 2},
    ),
    Bug(
        "causal_kernel_reversed",
        CausalConvNet,
        "layout",
        ("K",),
        "The kernel's gradient runs backwards in time.",
        operation="getitem",
        also=("geometry",),
    ),
    Bug(
        "causal_upstream_taken_as_ones",
        CausalConvNet,
        "upstream",
        ("W", "K"),
        "The layer's backward pass takes the gradient of its output to be ones.",
        operation="multiply",
        also=("local_derivative",),
        link="https://github.com/SciSharp/TensorFlow.NET/issues/787",
    ),
    Bug(
        "kernel_centered_in_backward",
        DilatedConvNet,
        "geometry",
        ("K",),
        "The backward pass takes the kernel to be centred, the forward pass does not.",
        operation="getitem",
        also=("layout",),
    ),
    Bug(
        "output_length_without_plus_one",
        DilatedConvNet,
        "geometry",
        ("K", "b"),
        "The number of outputs lacks its + 1, so the last one is left out.",
        operation="getitem",
        also=("partial",),
    ),
    Bug(
        "padding_cut_at_the_end",
        CausalConvNet,
        "geometry",
        ("W",),
        "The padding, which is in front, is cut off at the end of the gradient.",
        operation="concatenate",
    ),
    Bug(
        "channels_summed_in_kernel",
        CausalConvNet,
        "reduction",
        ("K",),
        "The kernels' gradient is summed over channels, and the sum given to each.",
        operation="multiply",
    ),
)

PROBLEMS = (DilatedConvNet, CausalConvNet)
