"""Summaries of samples: the functions of `scipy.stats` that are made of means."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means
from fastgrad.program.primitives.meanings.special import entr, rel_entr


@means("scipy.stats.entropy")
def entropy(pk, qk=None, base=None, axis: int = 0, *, keepdims=False):
    """Of weights, divided by their sum."""
    pk = asarray(pk)
    p = pk / np.sum(pk, axis, keepdims=True)
    if qk is None:
        terms = entr(p)
    else:
        qk = asarray(qk)
        terms = rel_entr(p, qk / np.sum(qk, axis, keepdims=True))
    total = np.sum(terms, axis, keepdims=keepdims)
    return total if base is None else total / np.log(base)


@means("scipy.stats.zscore")
def zscore(a, axis=0, ddof: int = 0):
    a = asarray(a)
    centred = a - np.mean(a, axis, keepdims=True)
    return centred / np.std(a, axis, ddof=ddof, keepdims=True)


@means("scipy.stats.gmean")
def gmean(a, axis=0, *, keepdims=False):
    return np.exp(np.mean(np.log(asarray(a)), axis, keepdims=keepdims))


@means("scipy.stats.hmean")
def hmean(a, axis=0, *, keepdims=False):
    return 1.0 / np.mean(1.0 / asarray(a), axis, keepdims=keepdims)


@means("scipy.stats.pmean")
def pmean(a, p, *, axis=0, keepdims=False):
    if is_traced(p) or not p:
        return NotImplemented
    return np.mean(asarray(a) ** p, axis, keepdims=keepdims) ** (1.0 / p)


@means("scipy.stats.moment")
def moment(a, order=1, axis=0, *, center=None):
    if is_traced(order) or np.ndim(order):
        return NotImplemented
    a = asarray(a)
    if center is None:
        center = np.mean(a, axis, keepdims=True)
    return np.mean((a - center) ** order, axis)


@means("scipy.stats.skew")
def skew(a, axis=0, bias=True, *, keepdims=False):
    if not bias:
        return NotImplemented
    return _standardized(asarray(a), 3, axis, keepdims)


@means("scipy.stats.kurtosis")
def kurtosis(a, axis=0, fisher=True, bias=True, *, keepdims=False):
    if not bias:
        return NotImplemented
    return _standardized(asarray(a), 4, axis, keepdims) - (3.0 if fisher else 0.0)


def _standardized(a, order: int, axis, keepdims: bool):
    centred = a - np.mean(a, axis, keepdims=True)
    high, low = (np.mean(centred**k, axis, keepdims=keepdims) for k in (order, 2))
    return high / low ** (order / 2)


@means("scipy.stats.iqr")
def iqr(x, axis=None, rng=(25, 75)):
    low, high = np.percentile(asarray(x), rng, axis=axis)
    return high - low


@means("scipy.stats.trim_mean")
def trim_mean(a, proportiontocut: float, axis: int | None = 0):
    ordered = np.moveaxis(np.sort(asarray(a), axis), axis or 0, 0)
    cut = int(proportiontocut * len(ordered))
    return np.mean(ordered[cut : len(ordered) - cut], axis=0)


class Correlation(NamedTuple):
    """How sure it is, is left open."""

    statistic: Any
    pvalue: float = float("nan")


@means("scipy.stats.pearsonr")
def pearsonr(x, y):
    x, y = (u - np.mean(u) for u in (asarray(x), asarray(y)))
    return Correlation(np.sum(x * y) / np.sqrt(np.sum(x**2) * np.sum(y**2)))


@means("scipy.stats.sem")
def sem(a, axis=0, ddof: int = 1, *, keepdims=False):
    a = asarray(a)
    n = a.size if axis is None else a.shape[axis]
    return np.std(a, axis, ddof=ddof, keepdims=keepdims) / np.sqrt(n)
