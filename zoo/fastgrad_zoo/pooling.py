"""Convolution of images by loops, and max-pooling."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import log_softmax, one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


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


BUGS = (
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
        "pool_windows_are_rows",
        MaxPoolNet,
        "geometry",
        ("K",),
        "Four entries in a row are taken for a window of two by two.",
        operation="max",
        also=("layout", "mask"),
    ),
)

PROBLEMS = (MaxPoolNet,)
