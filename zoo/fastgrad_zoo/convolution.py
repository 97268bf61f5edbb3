"""Convolution and pooling, with windows or with loops over the kernel's places."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class ConvNet(Problem):
    """Two padded 3 x 3 convolutions by windows, the second with stride 2."""

    name = "conv_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 3,
        size: int = 6,
        channels: int = 3,
        classes: int = 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, 2, size, size))
        self.y = one_hot(rng.integers(classes, size=batch), classes)
        pixels = ((size - 1) // 2 + 1) ** 2
        self.params = {
            "K1": rng.normal(size=(channels, 2, 3, 3)) / 18**0.5,
            "b1": rng.normal(size=channels) * 0.3,
            "K2": rng.normal(size=(channels, channels, 3, 3)) / (9 * channels) ** 0.5,
            "b2": rng.normal(size=channels) * 0.3,
            "V": rng.normal(size=(channels * pixels, classes)) / pixels**0.5,
        }

    @staticmethod
    def windows(x: Array, stride: int) -> Array:
        """Return the 3 x 3 windows of the padded images, (N, C, H, W, 3, 3)."""
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return sliding_window_view(padded, (3, 3), axis=(2, 3))[
            :, :, ::stride, ::stride
        ]

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return the windows and the output of each layer, and log-probabilities."""
        b1, b2 = params["b1"].reshape(-1, 1, 1), params["b2"].reshape(-1, 1, 1)
        w1 = self.windows(self.x, 1)
        a1 = np.tanh(np.einsum("nchwij,fcij->nfhw", w1, params["K1"]) + b1)
        w2 = self.windows(a1, 2)
        a2 = np.maximum(np.einsum("nchwij,fcij->nfhw", w2, params["K2"]) + b2, 0)
        scores = a2.reshape(len(self.x), -1) @ params["V"]
        return w1, a1, w2, a2, log_softmax(scores, axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy."""
        return -np.sum(self.y * self.forward(params)[-1]) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        w1, a1, w2, a2, log_p = self.forward(params)
        dscores = (np.exp(log_p) - self.y) / len(self.x)
        dz2 = (dscores @ params["V"].T).reshape(a2.shape) * (a2 > 0)
        if bug == "relu_mask_without_bias":
            on = np.einsum("nchwij,fcij->nfhw", w2, params["K2"]) > 0
            dz2 = (dscores @ params["V"].T).reshape(a2.shape) * on
        if bug == "flattened_with_channels_last":
            n, channels, rows, columns = a2.shape
            last = (dscores @ params["V"].T).reshape(n, rows, columns, channels)
            dz2 = last.transpose(0, 3, 1, 2) * (a2 > 0)
        dk2 = np.einsum("nchwij,nfhw->fcij", w2, dz2)
        if bug == "conv_kernel_flipped":
            dk2 = dk2[:, :, ::-1, ::-1]
        if bug == "conv_weight_averaged":
            dk2 = dk2 / dz2[:, 0].size
        if bug == "conv_first_patch_only":
            dk2 = np.einsum("ncij,nf->fcij", w2[:, :, 0, 0], dz2[:, :, 0, 0])
        db2 = np.sum(dz2, axis=(0, 2, 3))
        if bug == "conv_bias_averaged_over_positions":
            db2 = np.sum(np.mean(dz2, axis=(2, 3)), axis=0)
        if bug == "conv_last_row_skipped":
            dk2 = np.einsum("nchwij,nfhw->fcij", w2[:, :, :-1], dz2[:, :, :-1])
            db2 = np.sum(dz2[:, :, :-1], axis=(0, 2, 3))

        da1 = self.input_gradient(dz2, params["K2"], a1.shape, bug)
        dz1 = da1 * (1 - a1**2)
        if bug == "padding_on_one_side":
            padded = np.pad(self.x, ((0, 0), (0, 0), (2, 0), (2, 0)))
            w1 = sliding_window_view(padded, (3, 3), axis=(2, 3))
        return {
            "K1": np.einsum("nchwij,nfhw->fcij", w1, dz1),
            "b1": np.sum(dz1, axis=(0, 2, 3)),
            "K2": dk2,
            "b2": db2,
            "V": a2.reshape(len(self.x), -1).T @ dscores,
        }

    @staticmethod
    def input_gradient(
        dz: Array, kernel: Array, shape: tuple[int, ...], bug: str | None
    ) -> Array:
        """Return the gradient of the second convolution's input, (N, C, H, W)."""
        n, c, height, width = shape
        rows, columns = dz.shape[2:]
        padded = np.zeros((n, c, height + 2, width + 2))
        stride = 1 if bug == "conv_stride_forgotten" else 2
        for i in range(3):
            for j in range(3):
                tap = kernel[:, :, i, j]
                if bug == "conv_kernel_rotated_in_backward":
                    tap = kernel[:, :, 2 - i, 2 - j]
                if bug == "conv_channel_planes_swapped":
                    tap = tap.T
                places = (
                    slice(i, i + stride * rows, stride),
                    slice(j, j + stride * columns, stride),
                )
                padded[:, :, *places] += np.einsum("nfhw,fc->nchw", dz, tap)
        if bug == "conv_padding_not_removed":
            return padded[:, :, :height, :width]
        inner = padded[:, :, 1:-1, 1:-1]
        if bug == "conv_remainder_of_stride":
            inner[:, :, -1, :] = 0  # a transposed convolution that ends too early
            inner[:, :, :, -1] = 0
        return inner


class MaxPoolNet(Problem):
    """A convolution by loops over the kernel's places, 2 x 2 max-pooling, softmax."""

    name = "max_pool_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 4, filters: int = 4, classes: int = 3
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, 2, 6, 6))
        self.y = rng.integers(classes, size=batch)
        self.params = {
            "K": rng.normal(size=(filters, 2, 3, 3)) / 18**0.5,
            "b": rng.normal(size=filters) * 0.3,
            "V": rng.normal(size=(filters * 4, classes)) / filters**0.5,
            "c": rng.normal(size=classes) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the convolved images, the pooled ones and the log-probabilities."""
        z = params["b"].reshape(1, -1, 1, 1)
        for i in range(3):
            for j in range(3):
                patch = self.x[:, :, i : i + 4, j : j + 4].transpose(0, 2, 3, 1)
                z = z + (patch @ params["K"][:, :, i, j].T).transpose(0, 3, 1, 2)
        n, filters = len(self.x), len(params["b"])
        pooled = z.reshape(n, filters, 2, 2, 2, 2).max(axis=(3, 5))
        scores = pooled.reshape(n, -1) @ params["V"] + params["c"]
        return z, pooled, log_softmax(scores, axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy."""
        log_p = self.forward(params)[-1]
        return -log_p[np.arange(len(self.y)), self.y].mean()

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n = len(self.x)
        z, pooled, log_p = self.forward(params)
        dscores = (np.exp(log_p) - one_hot(self.y, log_p.shape[1])) / n
        dpooled = (dscores @ params["V"].T).reshape(pooled.shape)

        tiles = z.reshape(*pooled.shape[:2], 2, 2, 2, 2)
        spread = pooled[:, :, :, None, :, None]
        winner = (tiles == spread).astype(float)
        if bug == "pool_winners_within_tolerance":
            winner = (tiles > spread - 0.3).astype(float)
        if bug == "pool_gradient_to_all":
            winner = np.full_like(winner, 0.25)
        if bug == "pool_gradient_to_first":
            winner = np.zeros_like(winner)
            winner[:, :, :, 0, :, 0] = 1
        if bug == "pool_winner_row_and_column_swapped":
            winner = winner.transpose(0, 1, 2, 5, 4, 3)
        if bug == "pool_winner_divided_by_window":
            winner = winner / 4
        dz = (winner * dpooled[:, :, :, None, :, None]).reshape(z.shape)

        if bug == "pool_windows_are_rows":
            rows = z.reshape(*pooled.shape[:2], 4, 4)
            best = rows == np.max(rows, axis=3, keepdims=True)
            dz = best * dpooled.reshape(*pooled.shape[:2], 4, 1)
        dk = np.zeros_like(params["K"])
        for i in range(3):
            for j in range(3):
                patch = self.x[:, :, i : i + 4, j : j + 4]
                if bug == "conv_last_column_skipped":
                    patch = patch * (np.arange(4) < 3)
                if bug == "conv_patch_row_and_column_swapped":
                    patch = self.x[:, :, j : j + 4, i : i + 4]
                dk[:, :, i, j] = np.tensordot(dz, patch, axes=((0, 2, 3), (0, 2, 3)))
        db = np.sum(dz, axis=(0, 2, 3))
        if bug == "conv_bias_of_one_position":
            db = np.sum(dz[:, :, 0, 0], axis=0)
        return {
            "K": dk,
            "b": db,
            "V": pooled.reshape(n, -1).T @ dscores,
            "c": np.sum(dscores, axis=0),
        }


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
        "conv_kernel_flipped",
        ConvNet,
        "layout",
        ("K2",),
        "The kernel's gradient is that of a convolution, the layer is a correlation.",
        operation="einsum",
        also=("geometry",),
    ),
    Bug(
        "conv_weight_averaged",
        ConvNet,
        "scale",
        ("K2",),
        "The kernel's gradient is divided by the number of images times positions.",
        operation="einsum",
        link="https://github.com/sebgao/cTensor/issues/3",
    ),
    Bug(
        "conv_first_patch_only",
        ConvNet,
        "partial",
        ("K2",),
        "The function returns from inside the loop, after the first patch.",
        operation="einsum",
        link="https://github.com/riccardoandreoni0/CNN-from-scratch/issues/1",
    ),
    Bug(
        "conv_bias_averaged_over_positions",
        ConvNet,
        "reduction",
        ("b2",),
        "The bias gradient is averaged over rows and columns, not summed.",
        operation="add",
        also=("scale",),
    ),
    Bug(
        "conv_last_row_skipped",
        ConvNet,
        "geometry",
        ("K2", "b2"),
        "The loop over output rows ends one row too early.",
        operation="einsum",
        also=("partial",),
    ),
    Bug(
        "conv_stride_forgotten",
        ConvNet,
        "geometry",
        ("K1", "b1"),
        "The input's gradient is spread with stride 1 where the forward pass has 2.",
        operation="sliding_window_view",
        link="https://github.com/Kulbear/deep-learning-coursera/pull/34",
    ),
    Bug(
        "conv_kernel_rotated_in_backward",
        ConvNet,
        "geometry",
        ("K1", "b1"),
        "The kernel is rotated by half a turn on the way back, once too often.",
        operation="einsum",
        also=("layout",),
    ),
    Bug(
        "conv_channel_planes_swapped",
        ConvNet,
        "layout",
        ("K1", "b1"),
        "The input's gradient is written to the output's channel, not the input's.",
        operation="einsum",
        also=("geometry",),
        link="https://github.com/NervanaSystems/neon/issues/111",
    ),
    Bug(
        "conv_padding_not_removed",
        ConvNet,
        "geometry",
        ("K1", "b1"),
        "The padded input's gradient is cut at its corner, that is, shifted by one.",
        operation="pad",
    ),
    Bug(
        "conv_remainder_of_stride",
        ConvNet,
        "geometry",
        ("K1", "b1"),
        "Where the stride leaves a remainder, the last row and column get no gradient.",
        operation="sliding_window_view",
        link="https://github.com/f-dangel/backpack/issues/30",
    ),
    Bug(
        "pool_winners_within_tolerance",
        MaxPoolNet,
        "mask",
        ("K", "b"),
        "All entries within a tolerance of the largest receive its gradient.",
        operation="max",
        link="https://github.com/mni-ml/framework/pull/22",
    ),
    Bug(
        "pool_gradient_to_all",
        MaxPoolNet,
        "mask",
        ("K",),
        "The gradient is shared by the whole window, as for average pooling.",
        operation="max",
        also=("local_derivative",),
    ),
    Bug(
        "pool_gradient_to_first",
        MaxPoolNet,
        "mask",
        ("K",),
        "The gradient goes to the first entry of the window, not to the largest.",
        operation="max",
    ),
    Bug(
        "pool_winner_row_and_column_swapped",
        MaxPoolNet,
        "mask",
        ("K",),
        "The winner's row and column inside its window are exchanged.",
        operation="max",
        also=("geometry", "layout"),
    ),
    Bug(
        "pool_winner_divided_by_window",
        MaxPoolNet,
        "scale",
        ("K", "b"),
        "The winner's gradient is divided by the size of the window.",
        operation="max",
        also=("local_derivative",),
    ),
    Bug(
        "conv_last_column_skipped",
        MaxPoolNet,
        "geometry",
        ("K",),
        "The loop over output columns ends one column too early.",
        operation="matmul",
        also=("partial",),
    ),
    Bug(
        "conv_patch_row_and_column_swapped",
        MaxPoolNet,
        "geometry",
        ("K",),
        "The kernel's row and column are exchanged when the input is cut.",
        operation="getitem",
        also=("layout",),
    ),
    Bug(
        "conv_bias_of_one_position",
        MaxPoolNet,
        "reduction",
        ("b",),
        "The bias gradient is summed over the images at one position only.",
        operation="add",
        also=("partial",),
    ),
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
        "relu_mask_without_bias",
        ConvNet,
        "mask",
        ("K1", "b1", "K2", "b2"),
        "The side of relu is read from the convolution before its bias is added.",
        operation="maximum",
        also=("local_derivative",),
    ),
    Bug(
        "flattened_with_channels_last",
        ConvNet,
        "layout",
        ("K1", "b1", "K2", "b2"),
        "The gradient is unflattened with channels last, the images have them first.",
        operation="reshape",
        also=("geometry",),
    ),
    Bug(
        "padding_on_one_side",
        ConvNet,
        "geometry",
        ("K1",),
        "The kernel's gradient pads the images at the top and left side only.",
        operation="pad",
    ),
    Bug(
        "pool_windows_are_rows",
        MaxPoolNet,
        "geometry",
        ("K",),
        "Four entries in a row are taken for a window of two by two.",
        operation="max",
        also=("layout", "mask"),
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

PROBLEMS = (ConvNet, MaxPoolNet, DilatedConvNet, CausalConvNet)
