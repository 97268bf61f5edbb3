"""Losses of a vector of eight that call the functions of the table as people do."""

import math

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.special
import scipy.stats as st
from numpy import linalg as la
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.special import (
    betaln,
    digamma,
    erf,
    expit,
    gammaln,
    log_ndtr,
    log_softmax,
    logsumexp,
    ndtr,
    softmax,
    xlogy,
)
from scipy.stats import multivariate_normal, norm

R = np.random.default_rng(0)
X = R.normal(size=(6, 3))
y = R.normal(size=6)
yb = (y > 0) * 1.0
L = sp.diags([[-1.0] * 7, [2.0] * 8, [-1.0] * 7], [-1, 0, 1]).tocsr()
XP = np.linspace(-3, 3, 7)
FP = np.sin(XP)
IDX = np.array([0, 1, 1, 2, 0, 2, 2, 1])


def full(w):
    return np.sum(np.full((2, 3), w[0]) * np.full(3, w[1]))


def arr(w):
    return np.sum(np.array([w[0], w[1] ** 2, 3.0]) ** 2)


def asarr(w):
    return np.sum(np.asarray(w) ** 2) + np.sum(np.asanyarray([w[0], w[1]]))


def block(w):
    return np.sum(
        np.block([[np.outer(w, w), w[:, None]], [w[None], np.ones((1, 1))]]) ** 3
    )


def c_(w):
    return np.sum((np.c_[w, w**2] @ np.array([1.0, 2.0])) ** 2)


def r_(w):
    return np.sum(np.r_[w, 1.0, w[::-1]] * np.arange(17))


def ix(w):
    return np.sum(np.outer(w, w)[np.ix_([0, 2], [1, 3])] ** 2)


def diagonal_filled(w):
    A = np.outer(w, w)
    np.fill_diagonal(A, w)
    return np.sum(A**3)


def zeros_diagonal(w):
    A = np.zeros((8, 8))
    np.fill_diagonal(A, w)
    return np.sum((A @ w) ** 2)


def addat(w):
    out = np.zeros(3)
    np.add.at(out, IDX, w)
    return np.sum(out**2)


def binc(w):
    return np.sum(np.bincount(IDX, weights=w, minlength=4) ** 3)


def conv(w):
    return np.sum(np.convolve(w, [1.0, 2.0, -1.0], mode="same") ** 2)


def conv2(w):
    return np.sum(np.convolve(w, w[:3]) ** 2)


def corr(w):
    return np.sum(np.correlate(w, w[:4], "full") ** 2)


def interp(w):
    return np.sum(np.interp(w, XP, FP) ** 2)


def interp_fp(w):
    return np.sum(np.interp([0.1, 0.5, 2.2], np.arange(8.0), w) ** 2)


def kron(w):
    return np.sum(np.kron(w[:2], w[2:5]) ** 3)


def cross(w):
    return np.sum(np.cross(w[:3], w[3:6]) * [1, 2, 3])


def polyval(w):
    return np.sum(np.polyval(w, X[:, 0]) ** 2)


def perc(w):
    return np.percentile(w, 30) ** 2 + np.quantile(w, [0.2, 0.9]).sum()


def nan(w):
    z = w.copy()
    z[1] = np.nan
    return np.nansum(z**2) + np.nanmean(z) + np.nanmax(z) + np.nanstd(z)


def trap(w):
    return np.trapezoid(w**2, dx=0.1)


def vect(w):
    return np.sum(np.vectorize(lambda t: t * math.exp(-t))(w))


def vect_if(w):
    return np.sum(np.vectorize(lambda t: t * 2 if t > 0 else -t)(w))


def aaa(w):
    return np.sum(
        np.apply_along_axis(lambda r: r / np.sqrt((r**2).sum()), 1, w.reshape(2, 4))
        * np.arange(8).reshape(2, 4)
    )


def avg(w):
    return np.average(w**2, weights=np.exp(w))


def cov(w):
    return np.sum(np.cov(w.reshape(2, 4)) ** 2) + np.corrcoef(w[:4], w[4:])[0, 1]


def sel(w):
    return np.sum(np.select([w > 0.5, w < -0.5], [w**2, w**3], 0.0))


def piece(w):
    return np.sum(np.piecewise(w, [w < 0, w >= 0], [lambda t: -t, lambda t: t**2]))


def choose(w):
    return np.sum(np.choose([0, 1, 0, 1, 1, 0, 0, 1], [w, w**2]))


def ptp(w):
    return np.ptp(w) ** 2


def hist(w):
    return np.sum(np.histogram(XP.repeat(2)[:8], bins=3, weights=w)[0] ** 2)


def einsum(w):
    return np.einsum(w.reshape(2, 4), [0, 1], w.reshape(4, 2), [1, 0])


def mpow(w):
    return np.trace(la.matrix_power(w[:4].reshape(2, 2), 3))


def grad(w):
    return np.sum(np.gradient(w, 0.1) ** 2)


def logsp(w):
    return np.sum(np.logspace(w[0], w[1], 5)) + np.sum(np.linspace(w[0], w[1], 4) ** 2)


def logreg(w):
    p = expit(X @ w[:3])
    return -np.mean(yb * np.log(p) + (1 - yb) * np.log1p(-p))


def lse(w):
    return logsumexp(w) + logsumexp(w.reshape(2, 4), axis=1, keepdims=True).sum()


def smax(w):
    return np.sum(softmax(w.reshape(2, 4), axis=1)[:, 0] ** 2) - log_softmax(w)[2]


def gam(w):
    return (
        np.sum(gammaln(np.exp(w)))
        + np.sum(betaln(np.exp(w), 2.0))
        + np.sum(digamma(np.exp(w)))
    )


def xl(w):
    return (
        np.sum(xlogy(np.exp(w), 2 + w**2))
        + np.sum(ndtr(w))
        + np.sum(log_ndtr(w))
        + erf(w).sum()
    )


def special_attr(w):
    return (
        np.sum(scipy.special.huber(0.5, w))
        + np.sum(scipy.special.kl_div(np.exp(w), 1.0))
        + np.sum(scipy.special.entr(np.exp(w)))
    )


def gp(w):
    D = X[:, None] - X[None]
    K = np.exp(w[0]) * np.exp(-0.5 * np.sum((D / np.exp(w[1:4])) ** 2, -1)) + np.exp(
        w[4]
    ) * np.eye(6)
    c, low = cho_factor(K, lower=True)
    return 0.5 * y @ cho_solve((c, low), y) + np.sum(np.log(np.diag(c)))


def gp2(w):
    K = np.exp(w[0]) * np.exp(-0.5 * np.sum((X[:, None] - X[None]) ** 2, -1)) + np.exp(
        w[4]
    ) * np.eye(6)
    Lc = cholesky(K, lower=True)
    a = solve_triangular(Lc, y, lower=True)
    return 0.5 * a @ a + np.log(np.diag(Lc)).sum()


def slinalg(w):
    A = np.diag(np.exp(w)) + np.outer(w, w)
    return (
        scipy.linalg.solve(A, np.arange(8.0), assume_a="pos").sum()
        + np.log(scipy.linalg.det(A))
        + scipy.linalg.inv(A).sum()
        + scipy.linalg.block_diag(A, w).sum()
        + scipy.linalg.toeplitz(w).sum()
    )


def logpdf(w):
    return (
        -np.sum(st.norm.logpdf(y, X @ w[:3], np.exp(w[3])))
        - st.gamma.logpdf(np.exp(y), np.exp(w[4]), scale=np.exp(w[5])).sum()
    )


def logpdf2(w):
    return (
        -norm(loc=w[0], scale=np.exp(w[1])).logpdf(y).sum()
        - st.t.logpdf(y, np.exp(w[2])).sum()
        - st.poisson.logpmf([0, 1, 3], np.exp(w[3])).sum()
        - norm.logcdf(w).sum()
    )


def mvn(w):
    return -multivariate_normal.logpdf(X, w[:3], np.eye(3) * np.exp(w[3])).sum()


def mvn2(w):
    return (
        -multivariate_normal(w[:3], np.eye(3) + np.outer(w[3:6], w[3:6]))
        .logpdf(X)
        .sum()
    )


def sparse(w):
    return np.sum((L @ w) ** 2) + w @ L @ w + (L.dot(w)).sum() + np.sum(w @ L)


def sparse2(w):
    return np.sum(np.asarray(L * w) ** 2) + (L.T @ w).sum()


def mathf(w):
    return (
        math.exp(w[0])
        + math.log(1 + w[1] ** 2)
        + math.sqrt(math.fabs(w[2]))
        + math.erf(w[3])
        + math.lgamma(2 + w[4] ** 2)
        + math.hypot(w[0], w[1])
        + math.atan2(w[0], w[1])
        + math.tanh(w[5])
    )


def bmax(w):
    return (
        max(w[0], w[1], 0.0)
        + min(w)
        + max(list(w))
        + sum(w)
        + abs(w[3])
        + round(w[2], 1)
        + pow(w[1], 2)
    )


def diffs(w):
    return (
        np.sum(np.diff(w, n=2) ** 2)
        + np.ediff1d(w).sum()
        + np.var(w, ddof=1)
        + np.std(w.reshape(2, 4), axis=0).sum()
    )


def tri(w):
    return (
        np.sum(np.tril(np.outer(w, w)) * np.arange(8))
        + np.sum(np.triu(np.outer(w, w), 1) ** 2)
        + np.diag(w).sum()
        + np.diag(np.outer(w, w), 1).sum()
    )


def moves(w):
    return (
        np.sum(np.roll(w, 1) * w)
        + np.sum(np.flip(w) * np.arange(8))
        + np.sum(np.pad(w, 2, mode="edge") ** 2)
        + np.sum(np.tile(w, 2) ** 3)
        + np.repeat(w, 2).sum()
    )


def lst(w):
    return np.sum(np.linalg.lstsq(X, w[:6], rcond=None)[0] ** 2) + np.sum(
        np.polyfit(X[:, 0], w[:6], 2) ** 2
    )


def lst2(w):
    return np.sum(np.linalg.lstsq(X + w[0], y, rcond=None)[0] ** 2)


def pinv(w):
    return np.sum(np.linalg.pinv(w.reshape(4, 2)) ** 2)


def svd(w):
    return np.sum(np.linalg.svd(w.reshape(4, 2), compute_uv=False))


def eigh(w):
    A = w.reshape(2, 4) @ w.reshape(2, 4).T
    return np.linalg.eigvalsh(A)[0] + np.linalg.eigh(A)[0][1]


def expm(w):
    return np.sum(scipy.linalg.expm(w[:4].reshape(2, 2)))


def clip(w):
    return (
        np.sum(np.clip(w, -0.5, 0.5) ** 2)
        + np.sum(w.clip(0, None))
        + np.sum(np.maximum(w, 0))
        + np.heaviside(w, 0.5).sum()
        + np.logaddexp2(w, 0.3).sum()
    )


def allany(w):
    return (
        np.sum(w**2)
        if np.all(w < 10) and np.any(w > 0) and np.isfinite(w).all()
        else 0.0
    )


def argm(w):
    return (
        w[np.argmax(w)] ** 2
        + w[w.argmin()]
        + np.sort(w)[:3].sum()
        + w[np.argsort(w)][0]
    )


def where1(w):
    return (
        np.sum(w[np.where(w > 0)] ** 2)
        + w[w < 0].sum()
        + np.sum(w[np.flatnonzero(w > 0.3)])
    )


def bins(w):
    return FP[np.searchsorted(XP, w)].sum() + np.sum(w * np.digitize(w, XP))


def unique(w):
    return np.sum(np.unique(w) ** 2) + len(np.unique(w))


def given_by_name(w):
    return (
        np.clip(a=w, a_min=-1, a_max=0.5).sum()
        + np.max(a=w, axis=0)
        + np.moveaxis(a=w.reshape(2, 4), source=0, destination=1)[1, 0]
        + np.percentile(a=w, q=30)
        + np.sum(a=w, axis=None) ** 2
    )


def sequences(w):
    return (
        np.log([np.exp(w[0]), 2.0]).sum()
        + np.concatenate([[w[0]], w[1:3], [3.0]]).sum() ** 2
        + np.dot([1.0, 2.0], [w[0], w[1]])
        + np.mean([w[2], w[3] ** 2])
    )


def some_of_them(w):
    return (
        np.sum(w, where=w > 0) ** 2
        + np.max(w, where=w < 1, initial=-5.0)
        + np.mean(w**2, where=w > -1)
        + np.min(w, where=[True, False] * 4, initial=3.0)
        + np.prod(w, where=True, initial=2.0)
    )


def written_where(w):
    z = np.zeros(8)
    np.log(w, out=z, where=w > 0)
    np.multiply(z, 2.0, out=z)
    return np.sum(z**2)
