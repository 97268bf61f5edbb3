"""Self-attention over short sequences."""

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
)

PROBLEMS = (AttentionNet,)
