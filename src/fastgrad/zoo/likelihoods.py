"""Gaussian likelihoods, covariances and distances between points."""

from typing import Any

import numpy as np

from fastgrad.zoo._functions import one_hot
from fastgrad.zoo._registry import Array, Bug, Params, Problem


class HeteroscedasticGaussian(Problem):
    """Mean and log-deviation both linear in the features."""

    name = "heteroscedastic_gaussian"

    def __init__(self, *, seed: int = 0, batch: int = 20, features: int = 12) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features)) / features**0.5
        self.y = rng.normal(size=batch)
        self.params = {
            "mean": rng.normal(size=features),
            "log_sigma": rng.normal(size=features) * 0.5,
            "prior_log_scale": rng.normal(size=1) * 0.2,
        }

    def loss(self, params: Params) -> Any:
        """Return the negative log-posterior under a Gaussian prior on the mean."""
        log_sigma = self.x @ params["log_sigma"]
        z = (self.y - self.x @ params["mean"]) / np.exp(log_sigma)
        log_scale = params["prior_log_scale"]
        prior = np.sum(params["mean"] ** 2) / (2 * np.exp(2 * log_scale))
        count = params["mean"].size
        return np.sum(log_sigma + z**2 / 2) + np.sum(prior + count * log_scale)

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        sigma = np.exp(self.x @ params["log_sigma"])
        z = (self.y - self.x @ params["mean"]) / sigma
        dmean = -self.x.T @ (z / sigma)
        if bug == "variance_for_deviation":
            dmean = -self.x.T @ (z / sigma**2)
        precision = np.exp(-2 * params["prior_log_scale"])
        decay = precision * params["mean"]
        if bug == "prior_missing":
            decay = np.zeros_like(decay)
        if bug == "prior_doubled":
            decay = 2 * decay
        dlog = 1 - z**2
        if bug == "normalizer_missing":
            dlog = -(z**2)
        if bug == "sigma_in_place_of_its_log":
            dlog = (1 - z**2) / sigma
        squares = precision * np.sum(params["mean"] ** 2)
        dscale = params["mean"].size - squares
        if bug == "scale_in_place_of_its_log":
            dscale = dscale * np.exp(-params["prior_log_scale"])
        return {
            "mean": dmean + decay,
            "log_sigma": self.x.T @ dlog,
            "prior_log_scale": dscale,
        }


class PrecisionMatrix(Problem):
    """A Gaussian's mean and precision matrix, all entries of which are free."""

    name = "precision_matrix"

    def __init__(self, *, seed: int = 0, batch: int = 12, features: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        noise = rng.normal(size=(features, features))
        self.params = {
            "mu": rng.normal(size=features) * 0.5,
            "precision": np.eye(features) * features + noise,
        }

    def loss(self, params: Params) -> Any:
        """Return the negative log-likelihood up to a constant."""
        d, p = self.x - params["mu"], params["precision"]
        _, logdet = np.linalg.slogdet(p)
        return 0.5 * np.sum((d @ p) * d) - 0.5 * len(d) * logdet

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        d, p = self.x - params["mu"], params["precision"]
        scatter, inverse = d.T @ d, np.linalg.inv(p)
        dprecision = 0.5 * scatter - 0.5 * len(d) * inverse.T
        if bug == "log_determinant_sign":
            dprecision = 0.5 * scatter + 0.5 * len(d) * inverse.T
        if bug == "inverse_not_transposed":
            dprecision = 0.5 * scatter - 0.5 * len(d) * inverse
        if bug == "off_diagonal_doubled":
            dprecision = dprecision * (2 - np.eye(len(p)))
        if bug == "log_determinant_of_one_sample":
            dprecision = 0.5 * scatter - 0.5 * inverse.T
        dmu = -0.5 * np.sum(d @ (p + p.T), axis=0)
        if bug == "quadratic_form_one_side":
            dmu = -0.5 * np.sum(d @ p, axis=0)
        if bug == "symmetry_assumed":
            dmu = -np.sum(d @ p, axis=0)
        return {"mu": dmu, "precision": dprecision}


class LowerTriangular(Problem):
    """Whitening by a matrix of which only the lower triangle is read."""

    name = "lower_triangular"

    def __init__(self, *, seed: int = 0, batch: int = 10, features: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(batch, features))
        noise = rng.normal(size=(features, features)) * 0.3
        self.params = {"L": np.eye(features) + noise, "b": rng.normal(size=features)}

    def loss(self, params: Params) -> Any:
        """Return the negative log-likelihood of standard normal x L^T + b."""
        lower = np.tril(params["L"])
        z = self.x @ lower.T + params["b"]
        return 0.5 * np.mean(np.sum(z**2, axis=1)) - np.sum(np.log(np.diag(lower) ** 2))

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        lower = np.tril(params["L"])
        dz = (self.x @ lower.T + params["b"]) / len(self.x)
        dl = dz.T @ self.x - np.diag(2 / np.diag(lower))
        if bug == "log_square_halved":
            dl = dz.T @ self.x - np.diag(1 / np.diag(lower))
        if bug == "ignored_triangle_receives_gradient":
            return {"L": dl, "b": np.sum(dz, axis=0)}
        dl = np.tril(dl)
        if bug == "upper_triangle_for_lower":
            dl = dl.T
        if bug == "diagonal_only":
            dl = np.diag(np.diag(dl))
        return {"L": dl, "b": np.sum(dz, axis=0)}


class GaussianProcess(Problem):
    """A marginal likelihood in the logs of length scales, variance and noise."""

    name = "gaussian_process"

    def __init__(self, *, seed: int = 0, batch: int = 10, features: int = 20) -> None:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(batch, features))
        self.squares = (x[:, None, :] - x[None, :, :]) ** 2
        self.y = rng.normal(size=batch)
        self.params = {
            "log_length": np.log(features) / 2 + 0.3 * rng.normal(size=features),
            "log_variance": rng.normal(size=1) * 0.3,
            "log_noise": rng.normal(size=1) * 0.3 - 1,
            "mean": rng.normal(size=1),
        }

    def kernel(self, params: Params) -> tuple[Array, Array]:
        """Return the covariance without and with the noise."""
        distance = np.sum(self.squares * np.exp(-2 * params["log_length"]), axis=-1)
        smooth = np.exp(params["log_variance"] - distance / 2)
        return smooth, smooth + np.exp(params["log_noise"]) * np.eye(len(self.y))

    def loss(self, params: Params) -> Any:
        """Return the negative log marginal likelihood up to a constant."""
        _, k = self.kernel(params)
        r = self.y - params["mean"]
        return 0.5 * r @ np.linalg.solve(k, r) + 0.5 * np.linalg.slogdet(k)[1]

    def grads(self, params: Params, bug: str | None = None) -> Params:
        """Return the gradient."""
        smooth, k = self.kernel(params)
        inverse = np.linalg.inv(k)
        alpha = inverse @ (self.y - params["mean"])
        dk = 0.5 * (inverse - np.outer(alpha, alpha))
        if bug == "log_likelihood_not_negated":
            alpha, dk = -alpha, -dk
        if bug == "determinant_term_missing":
            dk = -0.5 * np.outer(alpha, alpha)
        if bug == "data_term_sign":
            dk = 0.5 * (inverse + np.outer(alpha, alpha))
        scaled = self.squares * np.exp(-2 * params["log_length"])
        dlength = np.sum((dk * smooth)[:, :, None] * scaled, axis=(0, 1))
        if bug == "length_in_place_of_its_log":
            dlength = dlength * np.exp(-params["log_length"])
        if bug == "each_pair_once":
            dlength = dlength / 2
        dnoise = np.exp(params["log_noise"]) * np.trace(dk)
        if bug == "noise_on_every_pair":
            dnoise = np.exp(params["log_noise"]) * np.sum(dk)
        return {
            "log_length": dlength,
            "log_variance": np.sum(dk * smooth, keepdims=True).reshape(1),
            "log_noise": dnoise,
            "mean": -np.sum(alpha, keepdims=True),
        }


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
        if bug == "own_factor_for_other":
            np.add.at(dv, self.j, derror[:, None] * v)
        else:
            np.add.at(dv, self.j, derror[:, None] * u)
        dbias = np.zeros_like(params["bias"])
        np.add.at(dbias, self.j, derror)
        if bug == "fancy_index_increment":
            du = 2 * self.lam * params["U"]
            du[self.i] += derror[:, None] * v
        if bug == "bias_of_last_rating":
            dbias = np.zeros_like(dbias)
            dbias[self.j] = derror
        return {"U": du, "V": dv, "bias": dbias}


BUGS = (
    Bug(
        "variance_for_deviation",
        HeteroscedasticGaussian,
        "local_derivative",
        ("mean",),
        "The residual is divided by the variance once more than it should be.",
        operation="divide",
    ),
    Bug(
        "prior_missing",
        HeteroscedasticGaussian,
        "regularization",
        ("mean",),
        "The prior's gradient is left out.",
    ),
    Bug(
        "prior_doubled",
        HeteroscedasticGaussian,
        "regularization",
        ("mean",),
        "The prior's gradient lacks its factor 1/2.",
    ),
    Bug(
        "normalizer_missing",
        HeteroscedasticGaussian,
        "accumulation",
        ("log_sigma",),
        "The normalizing term, the log of the deviation, is left out.",
        operation="add",
        link="https://github.com/EnzymeAD/Enzyme.jl/issues/2387",
    ),
    Bug(
        "sigma_in_place_of_its_log",
        HeteroscedasticGaussian,
        "local_derivative",
        ("log_sigma",),
        "The derivative is that in the deviation, not in its logarithm.",
        operation="exp",
        also=("reparametrized",),
    ),
    Bug(
        "scale_in_place_of_its_log",
        HeteroscedasticGaussian,
        "reparametrized",
        ("prior_log_scale",),
        "The gradient is that of the prior's scale, not of its logarithm.",
        operation="exp",
        also=("scale", "local_derivative"),
    ),
    Bug(
        "log_determinant_sign",
        PrecisionMatrix,
        "local_derivative",
        ("precision",),
        "The log-determinant's gradient has the wrong sign.",
        operation="slogdet",
        also=("sign",),
        link="https://github.com/HIPS/autograd/pull/412",
    ),
    Bug(
        "inverse_not_transposed",
        PrecisionMatrix,
        "layout",
        ("precision",),
        "The log-determinant's gradient is the inverse, not its transpose.",
        operation="slogdet",
    ),
    Bug(
        "off_diagonal_doubled",
        PrecisionMatrix,
        "accumulation",
        ("precision",),
        "Off-diagonal entries count twice, as if one entry stood for two.",
        also=("layout", "scale"),
        link="https://github.com/pytorch/pytorch/issues/18825",
    ),
    Bug(
        "log_determinant_of_one_sample",
        PrecisionMatrix,
        "reduction",
        ("precision",),
        "The log-determinant is counted once, not once for each sample.",
        operation="multiply",
        also=("scale", "local_derivative"),
    ),
    Bug(
        "quadratic_form_one_side",
        PrecisionMatrix,
        "accumulation",
        ("mu",),
        "Only one of the two uses of the residual in the quadratic form is counted.",
        operation="matmul",
    ),
    Bug(
        "symmetry_assumed",
        PrecisionMatrix,
        "layout",
        ("mu",),
        "The quadratic form's matrix is taken to be symmetric, which it is not.",
        operation="matmul",
        also=("accumulation",),
    ),
    Bug(
        "log_square_halved",
        LowerTriangular,
        "local_derivative",
        ("L",),
        "The derivative of log d^2 is taken as 1 / d.",
        operation="power",
        also=("scale",),
    ),
    Bug(
        "ignored_triangle_receives_gradient",
        LowerTriangular,
        "mask",
        ("L",),
        "Entries above the diagonal, which the loss never reads, receive a gradient.",
        operation="tril",
        link="https://github.com/jax-ml/jax/issues/40421",
    ),
    Bug(
        "upper_triangle_for_lower",
        LowerTriangular,
        "layout",
        ("L",),
        "The triangle's gradient is returned transposed.",
        operation="tril",
        also=("mask",),
    ),
    Bug(
        "diagonal_only",
        LowerTriangular,
        "partial",
        ("L",),
        "Only the diagonal receives a gradient.",
        operation="tril",
        also=("mask",),
    ),
    Bug(
        "determinant_term_missing",
        GaussianProcess,
        "accumulation",
        ("log_length", "log_variance", "log_noise"),
        "The log-determinant's gradient is left out.",
        operation="slogdet",
    ),
    Bug(
        "data_term_sign",
        GaussianProcess,
        "local_derivative",
        ("log_length", "log_variance", "log_noise"),
        "The derivative of the inverse lacks its minus.",
        operation="solve",
        also=("sign",),
    ),
    Bug(
        "length_in_place_of_its_log",
        GaussianProcess,
        "reparametrized",
        ("log_length",),
        "The gradient is that of the length scales, not of their logarithms.",
        operation="exp",
    ),
    Bug(
        "each_pair_once",
        GaussianProcess,
        "scale",
        ("log_length",),
        "Each pair of points is counted once, the sum has it twice.",
        operation="sum",
        also=("accumulation",),
    ),
    Bug(
        "noise_on_every_pair",
        GaussianProcess,
        "mask",
        ("log_noise",),
        "The noise, which is on the diagonal only, gets the gradient of every entry.",
        operation="multiply",
        also=("reduction",),
    ),
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
        "log_likelihood_not_negated",
        GaussianProcess,
        "sign",
        ("log_length", "log_variance", "log_noise", "mean"),
        "The gradient is that of the log-likelihood, the loss is its negative.",
        operation="negative",
    ),
)

PROBLEMS = (
    HeteroscedasticGaussian,
    PrecisionMatrix,
    LowerTriangular,
    GaussianProcess,
    CenterLoss,
    LargeMargin,
    MultidimensionalScaling,
    MatrixFactorization,
)
