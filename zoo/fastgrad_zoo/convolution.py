"""Convolution of images by windows."""

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
)

PROBLEMS = (ConvNet,)
