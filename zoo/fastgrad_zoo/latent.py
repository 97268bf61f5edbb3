"""Sums over what is not observed: states of a chain, components of a mixture."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


def _log_sum_exp(x: Array, axis: int) -> Array:
    """Return log sum exp along `axis`, shifted by the largest entry."""
    top = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return np.sum(total, axis=axis)


class ChainCRF(Problem):
    """A linear-chain conditional random field over label sequences."""

    name = "chain_crf"

    def __init__(
        self,
        *,
        seed: int = 0,
        batch: int = 4,
        steps: int = 5,
        features: int = 3,
        labels: int = 4,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, steps, features))
        self.y = rng.integers(labels, size=(batch, steps))
        self.y[:, 2] = self.y[:, 1] = self.y[:, 0]  # a transition that occurs twice
        self.params = {
            "W": rng.normal(size=(features, labels)),
            "transition": rng.normal(size=(labels, labels)),
            "start": rng.normal(size=labels) * 0.5,
            "end": rng.normal(size=labels) * 0.5,
        }

    def forward(self, params: Params) -> tuple[Array, list[Array], Array]:
        """Return the emissions, the forward messages and the log normaliser."""
        emission = self.x @ params["W"]
        alpha = params["start"] + emission[:, 0]
        messages = [alpha]
        for t in range(1, self.x.shape[1]):
            paths = alpha[:, :, None] + params["transition"]
            alpha = _log_sum_exp(paths, axis=1) + emission[:, t]
            messages.append(alpha)
        return emission, messages, _log_sum_exp(alpha + params["end"], axis=1)

    def loss(self, params: Params) -> Any:
        """Return the mean negative log-probability of the labels."""
        emission, _, log_z = self.forward(params)
        labels = params["start"].size
        score = np.sum(emission * one_hot(self.y, labels), axis=(1, 2))
        score = score + np.sum(params["transition"][self.y[:, :-1], self.y[:, 1:]], 1)
        score = score + params["start"][self.y[:, 0]] + params["end"][self.y[:, -1]]
        return np.mean(log_z - score)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient, expected counts minus those of the labels."""
        emission, messages, log_z = self.forward(params)
        n, steps, labels = emission.shape
        back = self.transition_for_backward(params, bug)
        beta = np.zeros((n, labels)) + params["end"]
        if bug == "end_scores_missing_in_backward":
            beta = np.zeros((n, labels))
        unary = np.zeros_like(emission)
        dtransition = np.zeros_like(params["transition"])
        for t in reversed(range(steps)):
            unary[:, t] = np.exp(messages[t] + beta - log_z[:, None])
            if bug == "filtered_for_smoothed":
                unary[:, t] = np.exp(log_softmax(messages[t], axis=1))
            if t == 0:
                break
            ahead = emission[:, t] + beta
            if bug == "emission_missing_in_backward":
                ahead = beta
            before = messages[t - 1][:, :, None] - log_z[:, None, None]
            pair = np.exp(before + params["transition"] + ahead[:, None, :])
            dtransition += np.sum(pair, axis=0)
            beta = _log_sum_exp(back + ahead[:, None, :], axis=2)
        previous, following = self.y[:, :-1], self.y[:, 1:]
        if bug == "label_transitions_exchanged":
            previous, following = following, previous
        if bug == "label_transitions_counted_once":
            dtransition[previous, following] -= 1
        elif bug != "label_transitions_missing":
            np.subtract.at(dtransition, (previous, following), 1)
        demission = (unary - one_hot(self.y, labels)) / n
        dw = np.tensordot(self.x, demission, axes=((0, 1), (0, 1)))
        if bug == "first_emission_skipped":
            inner = self.x[:, 1:], demission[:, 1:]
            dw = np.tensordot(*inner, axes=((0, 1), (0, 1)))
        return {
            "W": dw,
            "transition": dtransition / n,
            "start": np.sum(demission[:, 0], axis=0),
            "end": np.sum(demission[:, -1], axis=0),
        }

    @staticmethod
    def transition_for_backward(params: Params, bug: str | None) -> Array:
        """Return the transition scores, from rows to columns."""
        if bug == "backward_messages_transposed":
            return params["transition"].T
        return params["transition"]


class GaussianMixture(Problem):
    """A mixture of Gaussians with diagonal covariances."""

    name = "gaussian_mixture"

    def __init__(
        self, *, seed: int = 0, batch: int = 15, features: int = 3, components: int = 4
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features)) * 1.5
        shape = (components, features)
        self.params = {
            "logits": rng.normal(size=components),
            "mean": rng.normal(size=shape),
            "log_sigma": rng.normal(size=shape) * 0.3,
        }

    def joint(self, params: Params) -> tuple[Array, Array]:
        """Return the standardised deviations, (N, K, D), and joint log-densities."""
        deviation = self.x[:, None, :] - params["mean"]
        z = deviation / np.exp(params["log_sigma"])
        density = -np.sum(z**2 / 2 + params["log_sigma"], axis=2)
        return z, density + log_softmax(params["logits"], axis=0)

    def loss(self, params: Params) -> Any:
        """Return the mean negative log-likelihood up to a constant."""
        return -np.mean(_log_sum_exp(self.joint(params)[-1], axis=1))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        n = len(self.x)
        z, joint = self.joint(params)
        weight = np.exp(log_softmax(params["logits"], axis=0))
        if bug == "responsibilities_without_weights":
            joint = joint - np.log(weight)
        share = np.exp(log_softmax(joint, axis=1))
        if bug == "responsibilities_over_samples":
            share = np.exp(log_softmax(joint, axis=0))
        if bug == "hard_assignment":
            share = one_hot(np.argmax(joint, axis=1), joint.shape[1])
        dlogits = weight - np.mean(share, axis=0)
        if bug == "weights_not_subtracted":
            dlogits = -np.mean(share, axis=0)
        if bug == "uniform_weights_subtracted":
            dlogits = 1 / weight.size - np.mean(share, axis=0)
        sigma = np.exp(params["log_sigma"])
        dmean = -np.sum(share[:, :, None] * z, axis=0) / sigma / n
        if bug == "step_of_em_for_gradient":
            total = np.sum(share, axis=0)[:, None]
            dmean = -np.sum(share[:, :, None] * z, axis=0) * sigma / total
        dlog = np.sum(share[:, :, None] * (1 - z**2), axis=0) / n
        if bug == "log_variance_for_log_deviation":
            dlog = dlog / 2
        if bug == "scales_shared_by_features":
            dlog = np.repeat(dlog.mean(axis=1, keepdims=True), dlog.shape[1], axis=1)
        return {"logits": dlogits, "mean": dmean, "log_sigma": dlog}


BUGS = (
    Bug(
        "end_scores_missing_in_backward",
        ChainCRF,
        "accumulation",
        ("W", "transition", "start", "end"),
        "The backward messages start from zeros, not from the scores of the end.",
        operation="add",
        also=("local_derivative", "stale"),
    ),
    Bug(
        "filtered_for_smoothed",
        ChainCRF,
        "accumulation",
        ("W", "start", "end"),
        "The probabilities of a step's labels ignore all that comes later.",
        also=("partial", "local_derivative"),
    ),
    Bug(
        "emission_missing_in_backward",
        ChainCRF,
        "local_derivative",
        ("W", "transition", "start"),
        "The backward messages leave out the emission of the step they come from.",
        operation="add",
        also=("accumulation",),
    ),
    Bug(
        "label_transitions_exchanged",
        ChainCRF,
        "layout",
        ("transition",),
        "The labels' transitions are counted from the later to the earlier one.",
        operation="getitem",
        also=("geometry",),
    ),
    Bug(
        "label_transitions_counted_once",
        ChainCRF,
        "duplicate_index",
        ("transition",),
        "`counts[i, j] -= 1` counts a transition that occurs twice only once.",
        operation="getitem",
    ),
    Bug(
        "label_transitions_missing",
        ChainCRF,
        "accumulation",
        ("transition",),
        "The expected transitions are there, those of the labels are not.",
        operation="getitem",
    ),
    Bug(
        "first_emission_skipped",
        ChainCRF,
        "partial",
        ("W",),
        "The loop over the emissions begins at the second step.",
        operation="getitem",
        also=("geometry", "accumulation"),
    ),
    Bug(
        "backward_messages_transposed",
        ChainCRF,
        "layout",
        ("W", "transition", "start"),
        "The backward messages use the transition scores transposed.",
        operation="add",
    ),
    Bug(
        "responsibilities_without_weights",
        GaussianMixture,
        "local_derivative",
        ("logits", "mean", "log_sigma"),
        "The responsibilities leave out the mixture weights.",
        operation="add",
        also=("cross_term", "accumulation"),
    ),
    Bug(
        "responsibilities_over_samples",
        GaussianMixture,
        "reduction",
        ("logits", "mean", "log_sigma"),
        "The responsibilities are normalised over samples, not over components.",
        operation="sum",
        also=("cross_term", "local_derivative"),
    ),
    Bug(
        "hard_assignment",
        GaussianMixture,
        "local_derivative",
        ("logits", "mean", "log_sigma"),
        "Each sample counts for its likeliest component only.",
        also=("mask", "cross_term"),
    ),
    Bug(
        "weights_not_subtracted",
        GaussianMixture,
        "cross_term",
        ("logits",),
        "The log-softmax of the weights passes its gradient through.",
        operation="log_softmax",
        also=("accumulation",),
    ),
    Bug(
        "uniform_weights_subtracted",
        GaussianMixture,
        "cross_term",
        ("logits",),
        "The log-softmax Jacobian has equal weights where the softmax is due.",
        operation="log_softmax",
        also=("local_derivative",),
    ),
    Bug(
        "step_of_em_for_gradient",
        GaussianMixture,
        "local_derivative",
        ("mean",),
        "The update of the EM algorithm is returned in place of the gradient.",
        also=("scale", "reduction", "reparametrized"),
    ),
    Bug(
        "log_variance_for_log_deviation",
        GaussianMixture,
        "scale",
        ("log_sigma",),
        "The derivative is that in the log of the variance, not of the deviation.",
        operation="exp",
        also=("reparametrized",),
    ),
    Bug(
        "scales_shared_by_features",
        GaussianMixture,
        "reduction",
        ("log_sigma",),
        "The scales' gradient is averaged over features, as for spherical components.",
    ),
)

PROBLEMS = (ChainCRF, GaussianMixture)
