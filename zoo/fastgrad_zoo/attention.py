"""Attention and embeddings: products of activations, and rows taken by index."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class AttentionNet(Problem):
    """One head of self-attention over short sequences, averaged, then a softmax."""

    name = "attention_net"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 3,
        length: int = 4,
        features: int = 5,
        width: int = 6,
        classes: int = 3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, length, features))
        self.y = one_hot(rng.integers(classes, size=batch), classes)
        self.params = {
            name: rng.normal(size=(features, width)) / features**0.5 * 1.5
            for name in ("Wq", "Wk", "Wv")
        }
        self.params["Wo"] = rng.normal(size=(width, classes)) * 1.5

    def forward(self, params: Params) -> tuple[Array, ...]:
        """Return queries, keys, values, weights, average and log-probabilities."""
        q, k, v = (self.x @ params[name] for name in ("Wq", "Wk", "Wv"))
        scores = q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5
        scores = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        weights = scores / np.sum(scores, axis=-1, keepdims=True)
        average = np.mean(weights @ v, axis=1)
        return q, k, v, weights, average, log_softmax(average @ params["Wo"], axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean cross-entropy."""
        return -np.sum(self.y * self.forward(params)[-1]) / len(self.x)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n, length, _ = self.x.shape
        q, k, v, weights, average, log_p = self.forward(params)
        dlogits = (np.exp(log_p) - self.y) / n
        daverage = dlogits @ params["Wo"].T
        doutput = np.repeat(daverage[:, None, :] / length, length, axis=1)
        dv = weights.transpose(0, 2, 1) @ doutput
        if bug == "attention_weights_not_transposed":
            dv = weights @ doutput
        dweights = doutput @ v.transpose(0, 2, 1)
        centre = np.sum(dweights * weights, axis=-1, keepdims=True)
        dscores = weights * (dweights - centre)
        if bug == "softmax_centre_not_weighted":
            dscores = weights * (dweights - np.sum(dweights, axis=-1, keepdims=True))
        if bug == "softmax_diagonal_only":
            dscores = weights * (1 - weights) * dweights
        if bug == "softmax_off_diagonal_missing":
            dscores = weights * dweights
        if bug == "softmax_passed_through":
            dscores = dweights
        if bug == "softmax_upstream_twice":
            dscores = weights * (dweights - centre) * dweights
        if bug == "softmax_over_queries":
            axis = 1
            centre = np.sum(dweights * weights, axis=axis, keepdims=True)
            dscores = weights * (dweights - centre)
        if bug != "attention_scale_missing":
            dscores = dscores / q.shape[-1] ** 0.5
        if bug == "divided_by_width_without_root":
            dscores = dscores / q.shape[-1] ** 0.5
        dq = dscores @ k
        dk = dscores.transpose(0, 2, 1) @ q
        if bug == "attention_scores_not_transposed":
            dk = dscores @ q
        if bug == "query_used_as_key":
            dq = dscores @ q
        if bug == "attention_scale_twice_for_keys":
            dk = dk / q.shape[-1] ** 0.5
        if bug == "keys_detached":
            dk = np.zeros_like(k)
        axes = ((0, 1), (0, 1))
        grads = {
            "Wq": np.tensordot(self.x, dq, axes=axes),
            "Wk": np.tensordot(self.x, dk, axes=axes),
            "Wv": np.tensordot(self.x, dv, axes=axes),
            "Wo": average.T @ dlogits,
        }
        if bug == "query_and_key_swapped":
            grads["Wq"], grads["Wk"] = grads["Wk"], grads["Wq"]
        return grads


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
        "attention_weights_not_transposed",
        AttentionNet,
        "layout",
        ("Wv",),
        "The values' gradient multiplies by the weights, not by their transpose.",
        operation="matmul",
        link="https://github.com/tile-ai/TileOPs/pull/54",
    ),
    Bug(
        "softmax_diagonal_only",
        AttentionNet,
        "cross_term",
        ("Wq", "Wk"),
        "Only the diagonal p (1 - p) of the softmax Jacobian is used.",
        operation="softmax",
        link="https://github.com/Apiquet/DeepLearningFrameworkFromScratchCpp/issues/1",
    ),
    Bug(
        "softmax_off_diagonal_missing",
        AttentionNet,
        "cross_term",
        ("Wq", "Wk"),
        "The softmax Jacobian lacks its term -p p^T.",
        operation="softmax",
        link="https://github.com/HomericIntelligence/Odyssey/issues/2134",
    ),
    Bug(
        "softmax_passed_through",
        AttentionNet,
        "cross_term",
        ("Wq", "Wk"),
        "The softmax passes its gradient through as if it were the identity.",
        operation="softmax",
        also=("local_derivative",),
        link="https://github.com/pjreddie/darknet/pull/96",
    ),
    Bug(
        "softmax_upstream_twice",
        AttentionNet,
        "local_derivative",
        ("Wq", "Wk"),
        "The product with the softmax Jacobian is multiplied by the upstream again.",
        operation="softmax",
        also=("cross_term", "upstream"),
        link="https://github.com/pocketpy/cTensor/pull/31",
    ),
    Bug(
        "softmax_over_queries",
        AttentionNet,
        "reduction",
        ("Wq", "Wk"),
        "The softmax Jacobian sums over the queries instead of the keys.",
        operation="softmax",
        also=("cross_term",),
    ),
    Bug(
        "attention_scale_missing",
        AttentionNet,
        "scale",
        ("Wq", "Wk"),
        "The backward pass leaves out the division by the root of the width.",
        operation="divide",
        also=("local_derivative",),
    ),
    Bug(
        "attention_scores_not_transposed",
        AttentionNet,
        "layout",
        ("Wk",),
        "The keys' gradient multiplies by the scores' gradient without transposing it.",
        operation="matmul",
        link="https://github.com/HomericIntelligence/Odyssey/issues/2136",
    ),
    Bug(
        "query_used_as_key",
        AttentionNet,
        "local_derivative",
        ("Wq",),
        "The queries' gradient multiplies by the queries instead of the keys.",
        operation="matmul",
    ),
    Bug(
        "attention_scale_twice_for_keys",
        AttentionNet,
        "scale",
        ("Wk",),
        "The keys' gradient is divided by the root of the width twice.",
        operation="divide",
    ),
    Bug(
        "keys_detached",
        AttentionNet,
        "zero",
        ("Wk",),
        "The attention scores pass no gradient back to the keys.",
        operation="matmul",
    ),
    Bug(
        "query_and_key_swapped",
        AttentionNet,
        "layout",
        ("Wq", "Wk"),
        "The gradients of the query and key weights are returned in the wrong order.",
    ),
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
        "softmax_centre_not_weighted",
        AttentionNet,
        "cross_term",
        ("Wq", "Wk"),
        "The sum in the softmax Jacobian is not weighted by the probabilities.",
        operation="softmax",
        also=("local_derivative",),
    ),
    Bug(
        "divided_by_width_without_root",
        AttentionNet,
        "scale",
        ("Wq", "Wk"),
        "The scores' gradient is divided by the width, not by its root.",
        operation="divide",
        also=("local_derivative",),
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

PROBLEMS = (AttentionNet, EmbeddingNet, LanguageModel)
