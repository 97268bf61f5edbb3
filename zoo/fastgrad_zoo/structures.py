"""Networks whose parameters are used more than once, or skipped."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class TiedAutoencoder(Problem):
    """An autoencoder whose decoder is the transpose of its encoder."""

    name = "tied_autoencoder"

    def __init__(
        self, *, seed: int = 0, batch: int = 8, features: int = 6, hidden: int = 4
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.params = {
            "W": rng.normal(size=(features, hidden)) / features**0.5,
            "b": rng.normal(size=hidden) * 0.3,
            "c": rng.normal(size=features) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array]:
        """Return the code and the reconstruction."""
        h = np.tanh(self.x @ params["W"] + params["b"])
        return h, h @ params["W"].T + params["c"]

    def loss(self, params: Params) -> Any:
        """Return the squared error of a sample, averaged."""
        return np.sum((self.forward(params)[-1] - self.x) ** 2) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        h, output = self.forward(params)
        doutput = 2 * (output - self.x) / len(self.x)
        dz = doutput @ params["W"] * (1 - h**2)
        encoder, decoder = self.x.T @ dz, doutput.T @ h
        dw = encoder + decoder
        if bug == "tied_decoder_not_transposed":
            dw = encoder + decoder.T
        if bug == "tied_decoder_missing":
            dw = encoder
        if bug == "tied_encoder_missing":
            dw = decoder
        if bug == "tied_uses_averaged":
            dw = (encoder + decoder) / 2
        if bug == "tied_block_visited_twice":
            dw = 2 * (encoder + decoder)
        return {"W": dw, "b": np.sum(dz, axis=0), "c": np.sum(doutput, axis=0)}


class ResidualNet(Problem):
    """Two residual blocks, x + tanh(x W) V, between linear maps."""

    name = "residual_net"

    def __init__(
        self, *, seed: int = 0, batch: int = 7, features: int = 4, width: int = 5
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.normal(size=batch)
        square = (width, width)
        self.params = {
            "A": rng.normal(size=(features, width)) / features**0.5,
            "W1": rng.normal(size=square) / width**0.5,
            "V1": rng.normal(size=square) / width**0.5,
            "W2": rng.normal(size=square) / width**0.5,
            "V2": rng.normal(size=square) / width**0.5,
            "v": rng.normal(size=width) / width**0.5,
        }

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return the stream before, between and after the blocks, and inside them."""
        h0 = self.x @ params["A"]
        t1 = np.tanh(h0 @ params["W1"])
        h1 = h0 + t1 @ params["V1"]
        t2 = np.tanh(h1 @ params["W2"])
        h2 = h1 + t2 @ params["V2"]
        return h0, t1, h1, t2, h2

    def loss(self, params: Params) -> Any:
        """Return half the mean squared error."""
        return 0.5 * np.mean((self.forward(params)[-1] @ params["v"] - self.y) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        h0, t1, h1, t2, h2 = self.forward(params)
        dprediction = (h2 @ params["v"] - self.y) / len(self.y)
        dh2 = np.outer(dprediction, params["v"])

        dt2 = dh2 @ params["V2"].T * (1 - t2**2)
        branch = dt2 @ params["W2"].T
        dh1 = dh2 + branch
        if bug == "skip_assigned_over":
            dh1 = branch
        if bug == "branch_detached":
            dh1 = dh2
        if bug == "shared_value_propagated_once_per_path":
            dh1 = dh2 + 2 * branch

        dt1 = dh1 @ params["V1"].T * (1 - t1**2)
        if bug == "block_weight_of_other_block":
            dt1 = dh1 @ params["V2"].T * (1 - t1**2)
        dh0 = dh1 + dt1 @ params["W1"].T
        if bug == "skip_past_both_blocks":
            dh0 = dh2 + dt1 @ params["W1"].T
        if bug == "diamond_counted_twice":
            dh0 = dh1 + dh1 + dt1 @ params["W1"].T
        if bug == "first_layer_detached":
            dh0 = np.zeros_like(h0)
        return {
            "A": self.x.T @ dh0,
            "W1": h0.T @ dt1,
            "V1": t1.T @ dh1,
            "W2": h1.T @ dt2,
            "V2": t2.T @ dh2,
            "v": h2.T @ dprediction,
        }


class DropoutNet(Problem):
    """Inverted dropout with a fixed mask behind a relu layer."""

    name = "dropout_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 9,
        features: int = 5,
        hidden: int = 8,
        classes: int = 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = one_hot(rng.integers(classes, size=batch), classes)
        self.keep = 0.6
        self.mask = (rng.random(size=(batch, hidden)) < self.keep).astype(float)
        self.redrawn = (rng.random(size=(batch, hidden)) < self.keep).astype(float)
        self.params = {
            "W1": rng.normal(size=(features, hidden)) * (2 / features) ** 0.5,
            "b1": rng.normal(size=hidden) * 0.3,
            "W2": rng.normal(size=(hidden, classes)) * (2 / hidden) ** 0.5,
            "b2": rng.normal(size=classes) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the hidden layer before and after dropout, and log-probabilities."""
        h = np.maximum(0, self.x @ params["W1"] + params["b1"])
        dropped = h * self.mask / self.keep
        return h, dropped, log_softmax(dropped @ params["W2"] + params["b2"], axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy."""
        return -np.sum(self.y * self.forward(params)[-1]) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        h, dropped, log_p = self.forward(params)
        dscores = (np.exp(log_p) - self.y) / len(self.x)
        ddropped = dscores @ params["W2"].T
        dh = ddropped * self.mask / self.keep
        if bug == "dropout_divided_by_drop_rate":
            dh = ddropped * self.mask / (1 - self.keep)
        if bug == "dropout_scale_without_mask":
            dh = ddropped / self.keep
        if bug == "dropout_mask_without_scale":
            dh = ddropped * self.mask
        if bug == "dropout_mask_redrawn":
            dh = ddropped * self.redrawn / self.keep
        if bug == "dropout_mask_inverted":
            dh = ddropped * (1 - self.mask) / self.keep
        if bug == "dropout_mask_from_ratio":
            dh = ddropped * (dropped / h)
        if bug == "weight_gradient_before_dropout":
            dropped = h
        dz = dh * (h > 0)
        return {
            "W1": self.x.T @ dz,
            "b1": np.sum(dz, axis=0),
            "W2": dropped.T @ dscores,
            "b2": np.sum(dscores, axis=0),
        }


BUGS = (
    Bug(
        "tied_decoder_missing",
        TiedAutoencoder,
        "accumulation",
        ("W",),
        "The shared weight receives the encoder's gradient but not the decoder's.",
        operation="matmul",
        link="https://github.com/torch/DEPRECEATED-torch7-distro/issues/156",
    ),
    Bug(
        "tied_encoder_missing",
        TiedAutoencoder,
        "accumulation",
        ("W",),
        "The shared weight receives the decoder's gradient but not the encoder's.",
        operation="matmul",
    ),
    Bug(
        "tied_uses_averaged",
        TiedAutoencoder,
        "scale",
        ("W",),
        "The gradients of the shared weight's two uses are averaged, not added.",
        also=("accumulation",),
    ),
    Bug(
        "tied_block_visited_twice",
        TiedAutoencoder,
        "scale",
        ("W",),
        "The shared weight is listed twice, and each visit adds the whole gradient.",
        also=("accumulation",),
        link="https://github.com/tinygrad/tinygrad/issues/9597",
    ),
    Bug(
        "skip_assigned_over",
        ResidualNet,
        "accumulation",
        ("A", "W1", "V1"),
        "The branch's gradient is assigned over the skip connection's, not added.",
        operation="add",
        link="https://github.com/karpathy/nn-zero-to-hero/issues/52",
    ),
    Bug(
        "branch_detached",
        ResidualNet,
        "accumulation",
        ("A", "W1", "V1"),
        "The second block passes back the skip connection's gradient only.",
        operation="matmul",
        link="https://github.com/jax-ml/jax/issues/17496",
    ),
    Bug(
        "shared_value_propagated_once_per_path",
        ResidualNet,
        "accumulation",
        ("A", "W1", "V1"),
        "The branch's gradient is passed back once for each path that leads to it.",
        link="https://github.com/karpathy/micrograd/issues/2",
    ),
    Bug(
        "diamond_counted_twice",
        ResidualNet,
        "accumulation",
        ("A",),
        "Where two paths rejoin, the gradient of one of them is counted twice.",
        operation="add",
        link="https://github.com/sebgao/cTensor/issues/5",
    ),
    Bug(
        "first_layer_detached",
        ResidualNet,
        "zero",
        ("A",),
        "The first block returns no gradient to its input, so A has none.",
        link="https://github.com/FluxML/Zygote.jl/issues/563",
    ),
    Bug(
        "dropout_scale_without_mask",
        DropoutNet,
        "mask",
        ("W1", "b1"),
        "The backward pass divides by the keep probability but leaves the mask out.",
        operation="multiply",
        link="https://github.com/ddbourgin/numpy-ml/issues/94",
    ),
    Bug(
        "dropout_mask_without_scale",
        DropoutNet,
        "scale",
        ("W1", "b1"),
        "The backward pass has the mask but no division by the keep probability.",
        operation="divide",
        also=("local_derivative",),
    ),
    Bug(
        "dropout_mask_redrawn",
        DropoutNet,
        "mask",
        ("W1", "b1"),
        "The backward pass uses a newly drawn mask instead of the forward pass's.",
        operation="multiply",
        link="https://github.com/state-spaces/mamba/pull/1023",
    ),
    Bug(
        "dropout_mask_inverted",
        DropoutNet,
        "mask",
        ("W1", "b1"),
        "Dropped units receive the gradient and kept ones do not.",
        operation="multiply",
    ),
    Bug(
        "dropout_mask_from_ratio",
        DropoutNet,
        "nonfinite",
        ("W1", "b1"),
        "The mask is recovered as output / input, which is 0 / 0 for inactive units.",
        operation="multiply",
        link="https://github.com/kaldi-asr/kaldi/issues/3890",
    ),
    Bug(
        "tied_decoder_not_transposed",
        TiedAutoencoder,
        "layout",
        ("W",),
        "The decoder's share of the weight's gradient is added without transposing it.",
        operation="transpose",
        settings={"features": 4},
    ),
    Bug(
        "block_weight_of_other_block",
        ResidualNet,
        "local_derivative",
        ("A", "W1"),
        "The first block's gradient is passed back by the second block's weight.",
        operation="matmul",
        also=("layout",),
    ),
    Bug(
        "skip_past_both_blocks",
        ResidualNet,
        "accumulation",
        ("A",),
        "The skip connection hands the last gradient down, without the second block's.",
        operation="add",
    ),
    Bug(
        "dropout_divided_by_drop_rate",
        DropoutNet,
        "scale",
        ("W1", "b1"),
        "The backward pass divides by the share that is dropped, not by that kept.",
        operation="divide",
        also=("local_derivative",),
    ),
    Bug(
        "weight_gradient_before_dropout",
        DropoutNet,
        "local_derivative",
        ("W2",),
        "The output weights' gradient uses the hidden layer as it was before dropout.",
        operation="matmul",
        also=("mask",),
    ),
)

PROBLEMS = (TiedAutoencoder, ResidualNet, DropoutNet)
