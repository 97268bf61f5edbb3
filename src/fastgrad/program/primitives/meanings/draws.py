"""Random numbers whose place or scale is traced, and traced elements picked at random.

Standard draws are moved and stretched, and places are drawn in place of elements.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import Meaning, means

_NUMPYS = ("numpy.random.Generator", "numpy.random.RandomState")


def _by_numpy(name: str) -> Callable[[Meaning], Meaning]:
    return means(*(f"{generator}.{name}" for generator in _NUMPYS))


def _shape(size, *parameters):
    """What is drawn: of this size, or one for each element of the parameters."""
    if size is not None:
        return size
    shape = np.broadcast_shapes(*map(np.shape, parameters))
    return shape or None


def _moved(generator, draw, loc, scale, size):
    standard = getattr(generator, draw)(size=_shape(size, loc, scale))
    return asarray(loc) + asarray(scale) * standard


@_by_numpy("normal")
def normal(self, loc=0.0, scale=1.0, size=None):
    return _moved(self, "standard_normal", loc, scale, size)


@_by_numpy("lognormal")
def lognormal(self, mean=0.0, sigma=1.0, size=None):
    return np.exp(normal(self, mean, sigma, size))


@_by_numpy("uniform")
def uniform(self, low=0.0, high=1.0, size=None):
    return _moved(self, "uniform", low, asarray(high) - asarray(low), size)


@_by_numpy("exponential")
def exponential(self, scale=1.0, size=None):
    return _moved(self, "standard_exponential", 0.0, scale, size)


@_by_numpy("rayleigh")
def rayleigh(self, scale=1.0, size=None):
    return _moved(self, "rayleigh", 0.0, scale, size)


@_by_numpy("gamma")
def gamma(self, shape, scale=1.0, size=None):
    """How many numbers are drawn depends on the shape: only of constant ones."""
    if is_traced(shape):
        return NotImplemented
    size = _shape(size, shape, scale)
    return asarray(scale) * self.standard_gamma(shape, size=size)


def _of_place_and_scale(name):
    def draw(self, loc=0.0, scale=1.0, size=None):
        return _moved(self, name, loc, scale, size)

    _by_numpy(name)(draw)


for _name in ("laplace", "gumbel", "logistic"):
    _of_place_and_scale(_name)


@_by_numpy("multivariate_normal")
def multivariate_normal(self, mean, cov, size=None, *rest, **options):
    if is_traced(cov):
        return NotImplemented
    centred = functools.partial(self.multivariate_normal, np.zeros(np.shape(mean)))
    return asarray(mean) + centred(cov, size, *rest, **options)


# ---- Python's own --------------------------------------------------------------------


@means("random.Random.gauss")
def gauss(self, mu=0.0, sigma=1.0):
    return mu + self.gauss(0.0, 1.0) * sigma


@means("random.Random.normalvariate")
def normalvariate(self, mu=0.0, sigma=1.0):
    return mu + self.normalvariate(0.0, 1.0) * sigma


@means("random.Random.uniform")
def between(self, a, b):
    return a + (b - a) * self.random()


@means("random.Random.expovariate")
def expovariate(self, lambd=1.0):
    return self.expovariate(1.0) / lambd


# ---- elements picked at random -------------------------------------------------------


@_by_numpy("choice")
def choice(self, a, size=None, replace=True, p=None, axis: int = 0, shuffle=True):
    if is_traced(p) or not np.ndim(a):
        return NotImplemented
    options = {} if shuffle is True else {"shuffle": shuffle}
    picked = self.choice(np.shape(a)[axis], size, replace, p, **options)
    return np.take(asarray(a), picked, axis)


@_by_numpy("permutation")
def permutation(self, x, axis: int = 0):
    if not np.ndim(x):
        return NotImplemented
    return np.take(asarray(x), self.permutation(np.shape(x)[axis]), axis)


@means("random.Random.choice")
def one_of(self, seq):
    return seq[self.choice(range(len(seq)))]


@means("random.Random.choices")
def some_of(self, population, weights=None, *, cum_weights=None, k=1):
    if is_traced(weights) or is_traced(cum_weights):
        return NotImplemented
    numbers = range(len(population))
    picked = self.choices(numbers, weights, cum_weights=cum_weights, k=k)
    return [population[i] for i in picked]


@means("random.Random.sample")
def sample(self, population, k):
    return [population[i] for i in self.sample(range(len(population)), k)]
