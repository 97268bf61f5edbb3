"""Objectives that compare: Gram matrices, averages over perturbations."""

from typing import Any

import numpy as np

from fastgrad_zoo._registry import Bug, Params, Problem


class GramMatching(Problem):
    """A matrix whose Gram matrix is to match a target, which need not be symmetric."""

    name = "gram_matching"
    batched = False

    def __init__(self, *, seed: int = 0, size: int = 6, width: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.target = rng.normal(size=(size, size))
        self.quadratic = rng.normal(size=(size, size))
        self.params = {
            "X": rng.normal(size=(size, width)),
            "y": rng.normal(size=size),
        }

    def loss(self, params: Params) -> Any:
        """Return the squared mismatch plus a quadratic form, not a symmetric one."""
        x, y = params["X"], params["y"]
        mismatch = x @ x.T - self.target
        return np.sum(mismatch * mismatch) + y @ self.quadratic @ y

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        x, y = params["X"], params["y"]
        dgram = 2 * (x @ x.T - self.target)
        if bug == "diagonal_of_gram_ignored":
            dgram = dgram * (1 - np.eye(len(x)))
        dx = dgram @ x + dgram.T @ x
        if bug == "transposed_use_missing":
            dx = dgram @ x
        if bug == "gram_symmetry_assumed":
            dx = 2 * dgram @ x
        dy = self.quadratic @ y + self.quadratic.T @ y
        if bug == "diagonal_of_form_counted_once":
            dy = dy - np.diag(self.quadratic) * y
        if bug == "quadratic_form_half":
            dy = self.quadratic @ y
        if bug == "quadratic_form_of_transpose_twice":
            dy = 2 * self.quadratic.T @ y
        return {"X": dx, "y": dy}


class SmoothedObjective(Problem):
    """A bumpy function averaged over Gaussian perturbations of its argument."""

    name = "smoothed_objective"

    def __init__(self, *, seed: int = 0, batch: int = 16, size: int = 20) -> None:
        rng = np.random.default_rng(seed)
        self.noise = rng.normal(size=(batch, size))
        self.sigma = 0.3
        self.params = {"theta": rng.normal(size=size)}
        self.redrawn = rng.normal(size=(batch, size))

    def loss(self, params: Params) -> Any:
        """Return the average value at the perturbed points."""
        points = params["theta"] + self.sigma * self.noise
        return np.mean(np.sum(points**4 / 4 - np.sin(3 * points), axis=1))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        points = params["theta"] + self.sigma * self.noise
        slopes = points**3 - 3 * np.cos(3 * points)
        if bug == "inner_factor_three_missing":
            slopes = points**3 - np.cos(3 * points)
        if bug == "perturbations_redrawn":
            points = params["theta"] + self.sigma * self.redrawn
            slopes = points**3 - 3 * np.cos(3 * points)
        if bug == "sampled_at_the_centre":
            slopes = params["theta"] ** 3 - 3 * np.cos(3 * params["theta"])
            slopes = slopes * np.ones_like(points)
        g = np.mean(slopes, axis=0)
        if bug == "perturbation_scale_in_gradient":
            g = self.sigma * np.mean(slopes, axis=0)
        if bug == "one_draw_in_gradient":
            g = slopes[0]
        return {"theta": g}


BUGS = (
    Bug(
        "transposed_use_missing",
        GramMatching,
        "accumulation",
        ("X",),
        "Of the two uses of X in X X^T only the first is counted.",
        operation="matmul",
        link="https://github.com/NervanaSystems/neon/issues/169",
    ),
    Bug(
        "gram_symmetry_assumed",
        GramMatching,
        "layout",
        ("X",),
        "The Gram matrix's gradient is taken to be symmetric, which it is not.",
        operation="matmul",
        also=("accumulation",),
    ),
    Bug(
        "quadratic_form_half",
        GramMatching,
        "accumulation",
        ("y",),
        "Of the two uses of y in y^T A y only one is counted.",
        operation="matmul",
    ),
    Bug(
        "quadratic_form_of_transpose_twice",
        GramMatching,
        "layout",
        ("y",),
        "The quadratic form's matrix is taken to be symmetric, which it is not.",
        operation="matmul",
        also=("accumulation",),
    ),
    Bug(
        "sampled_at_the_centre",
        SmoothedObjective,
        "stale",
        ("theta",),
        "The gradient is taken at theta itself, not at the perturbed points.",
        operation="add",
        also=("local_derivative",),
    ),
    Bug(
        "perturbation_scale_in_gradient",
        SmoothedObjective,
        "scale",
        ("theta",),
        "The gradient is multiplied by the size of the perturbations.",
        operation="multiply",
        link="https://github.com/google-deepmind/optax/issues/1308",
    ),
    Bug(
        "one_draw_in_gradient",
        SmoothedObjective,
        "partial",
        ("theta",),
        "The gradient is that of the first perturbation alone.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "diagonal_of_gram_ignored",
        GramMatching,
        "mask",
        ("X",),
        "The Gram matrix's diagonal, though the loss has it, receives no gradient.",
        operation="multiply",
        also=("partial", "accumulation"),
    ),
    Bug(
        "diagonal_of_form_counted_once",
        GramMatching,
        "accumulation",
        ("y",),
        "The form's diagonal counts once, as if it had no square in it.",
        operation="matmul",
        also=("local_derivative", "layout"),
    ),
    Bug(
        "inner_factor_three_missing",
        SmoothedObjective,
        "local_derivative",
        ("theta",),
        "The factor 3 inside the sine is left out.",
        operation="multiply",
    ),
    Bug(
        "perturbations_redrawn",
        SmoothedObjective,
        "stale",
        ("theta",),
        "The gradient is taken at newly drawn perturbations.",
        operation="add",
        also=("local_derivative",),
    ),
)

PROBLEMS = (GramMatching, SmoothedObjective)
