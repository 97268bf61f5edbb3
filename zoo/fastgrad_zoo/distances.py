"""Distances between points, and factors whose products are ratings."""

from typing import Any

import numpy as np

from fastgrad_zoo._functions import one_hot
from fastgrad_zoo._registry import Array, Bug, Params, Problem


class CenterLoss(Problem):
    """Features are drawn to the centre of their class."""

    name = "center_loss"

    def __init__(
        self, *, seed: int = 0, batch: int = 12, features: int = 5, width: int = 4
    ) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        self.y = rng.integers(3, size=batch)
        self.params = {
            "W": rng.normal(size=(features, width)) / features**0.5,
            "centers": rng.normal(size=(3, width)) * 0.5,
        }

    def loss(self, params: Params) -> Any:
        """Return half the mean squared distance."""
        f = np.tanh(self.x @ params["W"])
        return np.sum((f - params["centers"][self.y]) ** 2) / (2 * len(self.y))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        f = np.tanh(self.x @ params["W"])
        df = (f - params["centers"][self.y]) / len(self.y)
        if bug == "center_loss_not_averaged":
            df = f - params["centers"][self.y]
        dcenters = -one_hot(self.y, 3).T @ df
        if bug == "center_update_for_gradient":
            times = np.bincount(self.y, minlength=3)[:, None]
            dcenters = dcenters * len(self.y) / (1 + times)
        if bug == "center_gradient_sign":
            dcenters = one_hot(self.y, 3).T @ df
        if bug == "centers_assigned":
            dcenters = np.zeros_like(params["centers"])
            dcenters[self.y] = -df
        return {"W": self.x.T @ (df * (1 - f**2)), "centers": dcenters}


class LargeMargin(Problem):
    """A metric for which neighbours are nearer, by 1, than impostors."""

    name = "large_margin"

    def __init__(self, *, seed: int = 0, batch: int = 15, features: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.near = rng.normal(size=(batch, features))
        self.far = rng.normal(size=(batch, features))
        self.params = {"L": rng.normal(size=(features, features)) * 0.5}

    def hinge(self, params: Params) -> Array:
        """Return 1 plus the squared distance to the neighbour minus the impostor's."""
        near = np.sum((self.near @ params["L"].T) ** 2, axis=1)
        far = np.sum((self.far @ params["L"].T) ** 2, axis=1)
        return 1 + near - far

    def loss(self, params: Params) -> Any:
        """Return the sum of hinges and of squared distances to neighbours."""
        pull = np.sum((self.near @ params["L"].T) ** 2)
        return np.sum(np.maximum(self.hinge(params), 0)) + pull

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        active = (self.hinge(params) > 0).astype(float)[:, None]
        if bug == "all_triplets_active":
            active = np.ones_like(active)
        push = self.near.T @ (active * self.near) - self.far.T @ (active * self.far)
        if bug == "impostors_left_out":
            push = self.near.T @ (active * self.near)
        gradient = push + self.near.T @ self.near
        if bug == "pull_of_active_triplets_only":
            gradient = push + self.near.T @ (active * self.near)
        if bug == "metric_in_place_of_its_factor":
            return {"L": gradient}
        return {"L": 2 * params["L"] @ gradient}


class MultidimensionalScaling(Problem):
    """Points whose distances are to match given ones; their own distance is 0."""

    name = "multidimensional_scaling"
    batched = False

    def __init__(self, *, seed: int = 0, size: int = 10) -> None:
        rng = np.random.default_rng(seed)
        self.target = rng.uniform(1, 3, size=(size, size))
        self.other = 1 - np.eye(size)
        self.params = {"X": rng.normal(size=(size, 2))}

    def distances(self, params: Params) -> tuple[Array, Array]:
        """Return the difference and the distance of each pair."""
        difference = params["X"][:, None, :] - params["X"][None, :, :]
        return difference, np.sqrt(np.sum(difference**2, axis=-1))

    def loss(self, params: Params) -> Any:
        """Return the stress, summed over ordered pairs."""
        _, distance = self.distances(params)
        return np.sum(self.other * (distance - self.target) ** 2)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        difference, distance = self.distances(params)
        force = 2 * self.other * (distance - self.target)
        safe = distance + np.eye(len(distance))
        if bug == "upper_pairs_only":
            force = np.triu(force)
        if bug == "zero_distance_divided":
            safe = distance
        if bug == "distance_not_divided":
            safe = np.ones_like(distance)
        ddifference = (force / safe)[:, :, None] * difference
        dx = np.sum(ddifference, axis=1) - np.sum(ddifference, axis=0)
        if bug == "first_of_pair_only":
            dx = np.sum(ddifference, axis=1)
        if bug == "pair_sign":
            dx = np.sum(ddifference, axis=1) + np.sum(ddifference, axis=0)
        return {"X": dx}


class MatrixFactorization(Problem):
    """Ratings by the product of a user's and an item's factors."""

    name = "matrix_factorization"

    def __init__(self, *, seed: int = 0, batch: int = 40, rank: int = 3) -> None:
        rng = np.random.default_rng(seed)
        users, items = 8, 6
        self.i = rng.integers(users, size=batch)
        self.j = rng.integers(items, size=batch)
        self.rating = rng.normal(size=batch)
        self.lam = 0.1
        self.params = {
            "U": rng.normal(size=(users, rank)),
            "V": rng.normal(size=(items, rank)),
            "bias": rng.normal(size=items) * 0.3,
        }

    def loss(self, params: Params) -> Any:
        """Return the mean squared error plus lambda times the factors' squares."""
        u, v = params["U"][self.i], params["V"][self.j]
        error = np.sum(u * v, axis=1) + params["bias"][self.j] - self.rating
        squares = np.sum(params["U"] ** 2) + np.sum(params["V"] ** 2)
        return np.mean(error**2) + self.lam * squares

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        u, v = params["U"][self.i], params["V"][self.j]
        error = np.sum(u * v, axis=1) + params["bias"][self.j] - self.rating
        derror = 2 * error / len(error)
        if bug == "divided_by_all_pairs":
            derror = 2 * error / (len(params["U"]) * len(params["V"]))
        du, dv = 2 * self.lam * params["U"], 2 * self.lam * params["V"]
        if bug == "decay_of_observed_only":
            du = np.zeros_like(du)
            np.add.at(du, self.i, 2 * self.lam * u)
        np.add.at(du, self.i, derror[:, None] * v)
        if bug == "user_factors_updated_first":
            u = (params["U"] - 0.5 * du)[self.i]
        if bug == "own_factor_for_other":
            np.add.at(dv, self.j, derror[:, None] * v)
        else:
            np.add.at(dv, self.j, derror[:, None] * u)
        dbias = np.zeros_like(params["bias"])
        np.add.at(dbias, self.j, derror)
        if bug == "item_bias_penalized":
            dbias += 2 * self.lam * params["bias"]
        if bug == "fancy_index_increment":
            du = 2 * self.lam * params["U"]
            du[self.i] += derror[:, None] * v
        if bug == "bias_of_last_rating":
            dbias = np.zeros_like(dbias)
            dbias[self.j] = derror
        return {"U": du, "V": dv, "bias": dbias}


BUGS = (
    Bug(
        "center_loss_not_averaged",
        CenterLoss,
        "scale",
        ("W", "centers"),
        "The loss is averaged over the batch, the gradient is not.",
        operation="divide",
        link="https://github.com/jxgu1016/MNIST_center_loss_pytorch/issues/9",
    ),
    Bug(
        "center_gradient_sign",
        CenterLoss,
        "sign",
        ("centers",),
        "The centres' gradient lacks the minus of the difference.",
        operation="subtract",
        also=("local_derivative",),
    ),
    Bug(
        "centers_assigned",
        CenterLoss,
        "duplicate_index",
        ("centers",),
        "Each sample assigns its centre's gradient, so the last of a class wins.",
        operation="getitem",
        also=("accumulation",),
    ),
    Bug(
        "all_triplets_active",
        LargeMargin,
        "mask",
        ("L",),
        "Every triplet counts, not only those that violate the margin.",
        operation="maximum",
        also=("local_derivative",),
    ),
    Bug(
        "impostors_left_out",
        LargeMargin,
        "accumulation",
        ("L",),
        "The impostors' distances contribute nothing.",
        operation="subtract",
    ),
    Bug(
        "metric_in_place_of_its_factor",
        LargeMargin,
        "reparametrized",
        ("L",),
        "The gradient is that of L^T L, not of L: the factor 2 L is missing.",
        operation="matmul",
        also=("local_derivative",),
        link="https://github.com/scikit-learn-contrib/metric-learn/pull/201",
    ),
    Bug(
        "zero_distance_divided",
        MultidimensionalScaling,
        "nonfinite",
        ("X",),
        "A point's distance to itself makes the square root's derivative 0 / 0.",
        operation="sqrt",
        link="https://github.com/pytorch/pytorch/issues/2421",
    ),
    Bug(
        "distance_not_divided",
        MultidimensionalScaling,
        "local_derivative",
        ("X",),
        "The derivative of the square root is left out.",
        operation="sqrt",
    ),
    Bug(
        "first_of_pair_only",
        MultidimensionalScaling,
        "accumulation",
        ("X",),
        "Only the first point of each pair receives the pair's gradient.",
        operation="subtract",
    ),
    Bug(
        "pair_sign",
        MultidimensionalScaling,
        "local_derivative",
        ("X",),
        "The second point of a pair receives the first one's gradient, not its minus.",
        operation="subtract",
        also=("sign", "accumulation"),
    ),
    Bug(
        "divided_by_all_pairs",
        MatrixFactorization,
        "scale",
        ("U", "V", "bias"),
        "The error is averaged over all pairs, the loss over the rated ones.",
        operation="mean",
        also=("reduction",),
    ),
    Bug(
        "decay_of_observed_only",
        MatrixFactorization,
        "regularization",
        ("U",),
        "The penalty is added once a rating, the loss has it once a user.",
    ),
    Bug(
        "own_factor_for_other",
        MatrixFactorization,
        "local_derivative",
        ("V",),
        "The item's own factors are used where the user's are due.",
        operation="multiply",
    ),
    Bug(
        "fancy_index_increment",
        MatrixFactorization,
        "duplicate_index",
        ("U",),
        "`du[i] += rows` adds only one of the rows of a repeated index.",
        operation="getitem",
        link="https://github.com/PaddlePaddle/Paddle/pull/17952",
    ),
    Bug(
        "bias_of_last_rating",
        MatrixFactorization,
        "duplicate_index",
        ("bias",),
        "Each rating assigns its item's bias gradient, so the last one wins.",
        operation="getitem",
    ),
    Bug(
        "center_update_for_gradient",
        CenterLoss,
        "reduction",
        ("centers",),
        "The centres' update, averaged over 1 + the class's size, is returned instead.",
        operation="getitem",
        also=("scale", "duplicate_index"),
    ),
    Bug(
        "pull_of_active_triplets_only",
        LargeMargin,
        "mask",
        ("L",),
        "The pull towards neighbours is counted for violated triplets only.",
        operation="maximum",
        also=("partial", "accumulation"),
    ),
    Bug(
        "upper_pairs_only",
        MultidimensionalScaling,
        "accumulation",
        ("X",),
        "The loop visits each pair once, the loss has it in both orders.",
        operation="sum",
        also=("mask", "partial"),
    ),
    Bug(
        "user_factors_updated_first",
        MatrixFactorization,
        "stale",
        ("V",),
        "The users' factors are updated before the items' gradient is computed.",
        operation="multiply",
        also=("local_derivative",),
    ),
    Bug(
        "item_bias_penalized",
        MatrixFactorization,
        "regularization",
        ("bias",),
        "The gradient penalizes the items' biases, the loss does not.",
    ),
)

PROBLEMS = (
    CenterLoss,
    LargeMargin,
    MultidimensionalScaling,
    MatrixFactorization,
)
