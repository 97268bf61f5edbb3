"""Words as rows of a matrix: their mean, and the next one."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class EmbeddingNet(Problem):
    """The mean of some words' embeddings, tanh, softmax; index 0 is padding."""

    name = "embedding_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 6,
        words: int = 9,
        length: int = 5,
        width: int = 4,
        classes: int = 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        # The last three words never occur; word 1 occurs twice in each text.
        self.index = rng.integers(words - 3, size=(batch, length))
        self.index[:, :2] = 1
        self.index[:, -1] = 0
        self.y = one_hot(rng.integers(classes, size=batch), classes)
        self.params = {
            "E": rng.normal(size=(words, width)),
            "W": rng.normal(size=(width, classes)),
            "b": rng.normal(size=classes) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return which places hold words, the hidden layer and log-probabilities."""
        present = (self.index > 0)[:, :, None].astype(float)
        total = np.sum(params["E"][self.index] * present, axis=1)
        h = np.tanh(total / np.sum(present, axis=1))
        return present, h, log_softmax(h @ params["W"] + params["b"], axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy."""
        return -np.sum(self.y * self.forward(params)[-1]) / len(self.y)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        present, h, log_p = self.forward(params)
        dscores = (np.exp(log_p) - self.y) / len(self.y)
        dmean = dscores @ params["W"].T * (1 - h**2)
        if bug == "tanh_derivative_at_the_sum":
            total = np.sum(params["E"][self.index] * present, axis=1)
            dmean = dscores @ params["W"].T * (1 - np.tanh(total) ** 2)
        dtotal = dmean / np.sum(present, axis=1)
        if bug == "mean_over_padding_too":
            dtotal = dmean / self.index.shape[1]
        drows = dtotal[:, None, :] * present
        if bug == "padding_not_masked":
            drows = np.repeat(dtotal[:, None, :], self.index.shape[1], axis=1)
        de = np.zeros_like(params["E"])
        np.add.at(de, self.index, drows)
        if bug == "repeated_index_overwrites":
            de[:] = 0
            de[self.index] = drows
        if bug == "repeated_index_added_once":
            de[:] = 0
            for index, rows in zip(self.index, drows, strict=True):
                de[index] += rows
        if bug == "scatter_written_as_gather":
            flat = drows.reshape(-1, de.shape[1])
            de = flat[np.arange(len(de)) % len(flat)]
        if bug == "divided_by_index_count":
            count = np.bincount(self.index.ravel(), minlength=len(de))
            de = de / np.maximum(count, 1)[:, None]
        if bug == "rows_off_by_one":
            de = np.roll(de, 1, axis=0)
        if bug == "wrong_row_frozen_as_padding":
            de[1] = 0
        if bug == "rows_clipped_by_norm":
            norm = np.sqrt(np.sum(de**2, axis=1, keepdims=True))
            de = de * 0.01 / np.maximum(norm, 0.01)
        return {"E": de, "W": h.T @ dscores, "b": np.sum(dscores, axis=0)}


class LanguageModel(Problem):
    """Next-word prediction with tied embeddings; the texts differ in length."""

    name = "language_model"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 4,
        words: int = 7,
        length: int = 5,
        width: int = 4,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.index = rng.integers(words, size=(batch, length))
        self.target = one_hot(rng.integers(words, size=(batch, length)), words)
        lengths = 1 + np.arange(batch) % length
        self.present = (np.arange(length) < lengths[:, None]).astype(float)
        self.params = {
            "E": rng.normal(size=(words, width)),
            "W": rng.normal(size=(width, width)) / width**0.5,
            "b": rng.normal(size=words) * 0.3,
        }

    def forward(self, params: Params) -> tuple[Array, Array, Array]:
        """Return the embedded words, the hidden layer and the log-probabilities."""
        x = params["E"][self.index]
        h = np.tanh(x @ params["W"])
        return x, h, log_softmax(h @ params["E"].T + params["b"], axis=-1)

    def loss(self, params: Params) -> Any:
        """Return the cross-entropy averaged over all words that are there."""
        picked = np.sum(self.target * self.forward(params)[-1], axis=-1)
        return -np.sum(self.present * picked) / np.sum(self.present)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        x, h, log_p = self.forward(params)
        share = self.present / np.sum(self.present)
        if bug == "mean_of_means":
            share = self.present / np.sum(self.present, axis=1, keepdims=True)
            share = share / len(share)
        if bug == "averaged_over_padding_too":
            share = self.present / self.present.size
        dscores = (np.exp(log_p) - self.target) * share[:, :, None]
        if bug == "targets_one_step_late":
            target = np.roll(self.target, 1, axis=1)
            dscores = (np.exp(log_p) - target) * share[:, :, None]
        if bug == "padding_receives_softmax":
            absent = (1 - self.present) / np.sum(self.present)
            dscores = dscores + np.exp(log_p) * absent[:, :, None]
        dh = dscores @ params["E"] * (1 - h**2)
        dx = dh @ params["W"].T
        de = np.zeros_like(params["E"])
        np.add.at(de, self.index, dx)
        output = np.tensordot(dscores, h, axes=((0, 1), (0, 1)))
        if bug != "tied_output_missing":
            de = de + output
        if bug == "tied_embedding_missing":
            de = output
        if bug == "tied_scatter_drops_repeats":
            de = output.copy()
            de[self.index] += dx
        return {
            "E": de,
            "W": np.tensordot(x, dh, axes=((0, 1), (0, 1))),
            "b": np.sum(dscores, axis=(0, 1)),
        }


BUGS = (
    Bug(
        "mean_over_padding_too",
        EmbeddingNet,
        "reduction",
        ("E",),
        "The backward pass divides by the padded length, not by the number of words.",
        operation="divide",
        also=("scale",),
    ),
    Bug(
        "padding_not_masked",
        EmbeddingNet,
        "mask",
        ("E",),
        "Padding, which the forward pass masks, receives a gradient.",
        operation="multiply",
    ),
    Bug(
        "repeated_index_overwrites",
        EmbeddingNet,
        "duplicate_index",
        ("E",),
        "A word that occurs again overwrites the gradient of its earlier places.",
        operation="getitem",
        link="https://github.com/pytorch/pytorch/issues/1631",
    ),
    Bug(
        "repeated_index_added_once",
        EmbeddingNet,
        "duplicate_index",
        ("E",),
        "`de[index] += rows` adds only one of the rows of a repeated index.",
        operation="getitem",
        link="https://github.com/apache/mxnet/issues/9172",
    ),
    Bug(
        "scatter_written_as_gather",
        EmbeddingNet,
        "duplicate_index",
        ("E",),
        "The backward pass gathers rows too, so words that never occur get a gradient.",
        operation="getitem",
        also=("layout", "geometry", "mask"),
        link="https://github.com/ooples/AiDotNet.Tensors/pull/894",
    ),
    Bug(
        "divided_by_index_count",
        EmbeddingNet,
        "duplicate_index",
        ("E",),
        "The gradients of a word's places are averaged, not summed.",
        operation="getitem",
        also=("scale", "reduction"),
    ),
    Bug(
        "rows_off_by_one",
        EmbeddingNet,
        "geometry",
        ("E",),
        "Words are counted from 1 in the backward pass and from 0 in the forward pass.",
        operation="getitem",
        also=("layout",),
    ),
    Bug(
        "mean_of_means",
        LanguageModel,
        "reduction",
        ("E", "W", "b"),
        "Each text's mean is averaged, where the loss is the mean over all words.",
        operation="divide",
        also=("scale",),
        link="https://github.com/huggingface/transformers/pull/34191",
    ),
    Bug(
        "averaged_over_padding_too",
        LanguageModel,
        "scale",
        ("E", "W", "b"),
        "The gradient is divided by the number of places, padding included.",
        operation="divide",
        also=("reduction",),
    ),
    Bug(
        "padding_receives_softmax",
        LanguageModel,
        "mask",
        ("E", "W", "b"),
        "Places the loss leaves out receive the softmax as their gradient.",
        operation="multiply",
        link="https://github.com/rwth-i6/returnn/issues/1835",
    ),
    Bug(
        "tied_output_missing",
        LanguageModel,
        "accumulation",
        ("E",),
        "The embeddings receive no gradient from their use as output weights.",
        operation="matmul",
    ),
    Bug(
        "tied_embedding_missing",
        LanguageModel,
        "accumulation",
        ("E",),
        "The embeddings receive no gradient from their use as input.",
        operation="getitem",
    ),
    Bug(
        "tanh_derivative_at_the_sum",
        EmbeddingNet,
        "local_derivative",
        ("E",),
        "The derivative of tanh is taken at the embeddings' sum, not at their mean.",
        operation="tanh",
    ),
    Bug(
        "wrong_row_frozen_as_padding",
        EmbeddingNet,
        "partial",
        ("E",),
        "The word of index 1 is frozen as if it were the padding.",
        operation="getitem",
        also=("mask", "zero"),
    ),
    Bug(
        "rows_clipped_by_norm",
        EmbeddingNet,
        "clipped",
        ("E",),
        "Each row of the embeddings' gradient is clipped to norm 0.01.",
        also=("scale",),
    ),
    Bug(
        "targets_one_step_late",
        LanguageModel,
        "geometry",
        ("E", "W", "b"),
        "Each prediction is compared with the target of the step before.",
        operation="multiply",
        also=("layout",),
    ),
    Bug(
        "tied_scatter_drops_repeats",
        LanguageModel,
        "duplicate_index",
        ("E",),
        "`de[index] += dx`, with the output's share in it, loses repeated words.",
        operation="getitem",
        also=("accumulation",),
    ),
)

PROBLEMS = (EmbeddingNet, LanguageModel)
