"""Functions every hand-written network has."""

import numpy as np

from fastgrad_zoo._registry import Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def log_softmax(z: Array, axis: int) -> Array:
    """Return log softmax along `axis`, shifted by the largest entry."""
    shifted = z - np.max(z, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def one_hot(labels: Array, num_classes: int) -> Array:
    """Return the rows of the identity that `labels` name, shape (..., num_classes)."""
    return np.eye(num_classes)[labels]
