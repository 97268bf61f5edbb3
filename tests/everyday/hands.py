"""Losses in many hands, from coursework to econometrics: (loss, params) each."""

import functools
import math
from collections import deque
from dataclasses import dataclass

import numpy as np


def course_two_layer_dict_cache():
    R = np.random.default_rng(7)
    X = R.normal(size=(4, 20))
    Y = (R.random((1, 20)) > 0.5).astype(float)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def forward(X, p):
        Z1 = np.dot(p["W1"], X) + p["b1"]
        A1 = np.tanh(Z1)
        Z2 = np.dot(p["W2"], A1) + p["b2"]
        A2 = sigmoid(Z2)
        cache = {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}
        return A2, cache

    def loss(p):
        A2, cache = forward(X, p)
        m = Y.shape[1]
        logprobs = np.multiply(np.log(A2), Y) + np.multiply(np.log(1 - A2), 1 - Y)
        cost = -np.sum(logprobs) / m
        cost = float(np.squeeze(cost))
        return cost

    return loss, {
        "W1": R.normal(size=(5, 4)) * 0.3,
        "b1": np.zeros((5, 1)),
        "W2": R.normal(size=(1, 5)) * 0.3,
        "b2": np.zeros((1, 1)),
    }


def course_deep_L_layers_loop():
    R = np.random.default_rng(7)
    X = R.normal(size=(6, 15))
    Y = np.eye(3)[:, R.integers(0, 3, 15)]

    def loss(p):
        A = X
        L = len(p) // 2
        caches = []
        for l in range(1, L):
            A_prev = A
            Z = p["W" + str(l)] @ A_prev + p["b" + str(l)]
            A = np.maximum(0, Z)
            caches.append((A_prev, Z))
        ZL = p[f"W{L}"] @ A + p[f"b{L}"]
        e = np.exp(ZL - np.max(ZL, axis=0, keepdims=True))
        P = e / e.sum(axis=0, keepdims=True)
        cost = 0.0
        for i in range(Y.shape[1]):
            cost -= np.log(P[np.argmax(Y[:, i]), i])
        return cost / Y.shape[1]

    d = [6, 7, 5, 3]
    p = {}
    for l in range(1, 4):
        p[f"W{l}"] = R.normal(size=(d[l], d[l - 1])) * 0.5
        p[f"b{l}"] = R.normal(size=(d[l], 1)) * 0.1
    return loss, p


def cs231n_svm_loops():
    R = np.random.default_rng(7)
    X = R.normal(size=(8, 5))
    y = R.integers(0, 3, 8)

    def loss(W):
        loss = 0.0
        num_train = X.shape[0]
        num_classes = W.shape[1]
        for i in range(num_train):
            scores = X[i].dot(W)
            correct = scores[y[i]]
            for j in range(num_classes):
                if j == y[i]:
                    continue
                margin = scores[j] - correct + 1
                if margin > 0:
                    loss += margin
        loss /= num_train
        loss += 0.5 * 1e-2 * np.sum(W * W)
        return loss

    return loss, R.normal(size=(5, 3)) * 0.5


def cs231n_conv_naive():
    R = np.random.default_rng(7)
    x = R.normal(size=(2, 3, 5, 5))
    T = R.normal(size=(2, 2, 3, 3))

    def loss(p):
        w, b = p["w"], p["b"]
        N, C, H, W = x.shape
        F, _, HH, WW = w.shape
        stride, pad = 2, 1
        xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "constant")
        Ho = 1 + (H + 2 * pad - HH) // stride
        Wo = 1 + (W + 2 * pad - WW) // stride
        out = np.zeros((N, F, Ho, Wo))
        for n in range(N):
            for f in range(F):
                for i in range(Ho):
                    for j in range(Wo):
                        out[n, f, i, j] = (
                            np.sum(
                                xp[
                                    n,
                                    :,
                                    i * stride : i * stride + HH,
                                    j * stride : j * stride + WW,
                                ]
                                * w[f]
                            )
                            + b[f]
                        )
        return ((out - T) ** 2).mean()

    return loss, {"w": R.normal(size=(2, 3, 3, 3)), "b": R.normal(size=2)}


def maxpool_loops():
    R = np.random.default_rng(7)
    x = R.normal(size=(2, 2, 6, 6))

    def loss(p):
        a = x * p["s"][None, :, None, None]
        N, C, H, W = a.shape
        out = np.empty((N, C, H // 2, W // 2))
        for n in range(N):
            for c in range(C):
                for i in range(H // 2):
                    for j in range(W // 2):
                        out[n, c, i, j] = a[
                            n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2
                        ].max()
        return np.sqrt((out**2).sum())

    return loss, {"s": R.normal(size=2)}


def lstm_class_time_dict():
    R = np.random.default_rng(7)
    T, D, H = 5, 3, 4
    xs = R.normal(size=(T, D))
    ts = R.normal(size=(T, H))

    class LSTM:
        def __init__(self):
            self.Wf, self.Wi, self.Wo, self.Wc = [
                R.normal(size=(H, D + H)) * 0.4 for _ in range(4)
            ]
            self.bf = np.ones(H)
            self.bi = np.zeros(H)
            self.bo = np.zeros(H)
            self.bc = np.zeros(H)

        @property
        def params(self):
            return {k: v for k, v in self.__dict__.items() if k[0] in "Wb"}

        def sig(self, x):
            return 1 / (1 + np.exp(-x))

        def forward(self):
            h, c = {}, {}
            h[-1] = np.zeros(H)
            c[-1] = np.zeros(H)
            loss = 0
            self.cache = {}
            for t in range(T):
                z = np.hstack((h[t - 1], xs[t]))
                f = self.sig(self.Wf @ z + self.bf)
                i = self.sig(self.Wi @ z + self.bi)
                o = self.sig(self.Wo @ z + self.bo)
                g = np.tanh(self.Wc @ z + self.bc)
                c[t] = f * c[t - 1] + i * g
                h[t] = o * np.tanh(c[t])
                self.cache[t] = (z, f, i, o, g)
                loss += 0.5 * np.sum((h[t] - ts[t]) ** 2)
            return loss

    m = LSTM()
    return (lambda p: m.forward()), m.params


def karpathy_char_rnn():
    R = np.random.default_rng(7)
    V, H = 5, 6
    inputs = [0, 2, 1, 4]
    targets = [2, 1, 4, 3]

    def lossFun(p):
        Wxh, Whh, Why, bh, by = p
        xs, hs, ys, ps = {}, {}, {}, {}
        hs[-1] = np.copy(np.zeros((H, 1)))
        loss = 0
        for t in range(len(inputs)):
            xs[t] = np.zeros((V, 1))
            xs[t][inputs[t]] = 1
            hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
            ys[t] = np.dot(Why, hs[t]) + by
            ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
            loss += -np.log(ps[t][targets[t], 0])
        return loss

    return lossFun, [
        R.normal(size=(H, V)) * 0.3,
        R.normal(size=(H, H)) * 0.3,
        R.normal(size=(V, H)) * 0.3,
        np.zeros((H, 1)),
        np.zeros((V, 1)),
    ]


def hmm_forward_scalar_loops():
    R = np.random.default_rng(7)
    obs = [0, 1, 2, 1, 0, 2]
    K = 3

    def loss(p):
        A = np.exp(p["A"])
        A = A / A.sum(1, keepdims=True)
        B = np.exp(p["B"])
        B /= B.sum(axis=1, keepdims=True)
        pi = np.ones(K) / K
        alpha = np.zeros((len(obs), K))
        for k in range(K):
            alpha[0, k] = pi[k] * B[k, obs[0]]
        ll = 0.0
        for t in range(1, len(obs)):
            for j in range(K):
                s = 0.0
                for i in range(K):
                    s += alpha[t - 1, i] * A[i, j]
                alpha[t, j] = s * B[j, obs[t]]
            c = alpha[t].sum()
            alpha[t] /= c
            ll += math.log(c)
        return -ll

    return loss, {"A": R.normal(size=(K, K)), "B": R.normal(size=(K, 3))}


def crf_logsumexp_helper():
    R = np.random.default_rng(7)
    from scipy.special import logsumexp

    T, K = 6, 4
    E = R.normal(size=(T, K))
    tags = R.integers(0, K, T)

    def loss(p):
        e = E * p["w"]
        tr = p["trans"]
        a = e[0]
        for t in range(1, T):
            a = logsumexp(a[:, None] + tr, axis=0) + e[t]
        Z = logsumexp(a)
        score = e[0, tags[0]] + sum(
            tr[tags[t - 1], tags[t]] + e[t, tags[t]] for t in range(1, T)
        )
        return Z - score

    return loss, {"w": R.normal(size=K), "trans": R.normal(size=(K, K))}


def soft_dtw():
    R = np.random.default_rng(7)
    x = R.normal(size=7)
    y = R.normal(size=6)

    def softmin(a, b, c, g):
        m = min(a, b, c)
        return m - g * math.log(
            math.exp(-(a - m) / g) + math.exp(-(b - m) / g) + math.exp(-(c - m) / g)
        )

    def loss(p):
        z = p[0] * x + p[1]
        n, m = len(z), len(y)
        D = np.full((n + 1, m + 1), 1e8)
        D[0, 0] = 0
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                D[i, j] = (z[i - 1] - y[j - 1]) ** 2 + softmin(
                    D[i - 1, j], D[i, j - 1], D[i - 1, j - 1], 0.5
                )
        return D[n, m]

    return loss, np.array([0.8, 0.1])


def kalman_filter_loglik():
    R = np.random.default_rng(7)
    ys = R.normal(size=(12, 1)).cumsum(0)

    def loss(p):
        F = np.array([[1.0, p["dt"][0]], [0.0, 1.0]])
        H = np.array([[1.0, 0.0]])
        Q = np.diag(np.exp(p["logq"]))
        Rm = np.exp(p["logr"]) * np.eye(1)
        x = np.zeros(2)
        P = np.eye(2)
        ll = 0.0
        for y in ys:
            x = F @ x
            P = F @ P @ F.T + Q
            v = y - H @ x
            S = H @ P @ H.T + Rm
            K = P @ H.T @ np.linalg.inv(S)
            x = x + K @ v
            P = (np.eye(2) - K @ H) @ P
            ll += -0.5 * (
                np.log(np.linalg.det(2 * np.pi * S)) + v @ np.linalg.solve(S, v)
            )
        return -ll

    return loss, {
        "dt": np.array([0.5]),
        "logq": np.array([-1.0, -2.0]),
        "logr": np.array([-0.5]),
    }


def fem_assembly_1d():
    R = np.random.default_rng(7)
    n = 8
    xs = np.linspace(0, 1, n + 1)
    u_obs = np.sin(np.pi * xs)

    def loss(k):
        K = np.zeros((n + 1, n + 1))
        f = np.zeros(n + 1)
        for e in range(n):
            h = xs[e + 1] - xs[e]
            ke = np.exp(k[e]) / h * np.array([[1, -1], [-1, 1]])
            dofs = [e, e + 1]
            for a in range(2):
                for b in range(2):
                    K[dofs[a], dofs[b]] += ke[a, b]
            f[e] += h / 2
            f[e + 1] += h / 2
        free = np.arange(1, n)
        u = np.zeros(n + 1)
        u[free] = np.linalg.solve(K[np.ix_(free, free)], f[free])
        return 0.5 * np.sum((u - u_obs) ** 2)

    return loss, R.normal(size=n) * 0.2


def rk4_lotka_volterra():
    R = np.random.default_rng(7)
    t = np.linspace(0, 1, 6)
    obs = np.abs(R.normal(size=(6, 2))) + 0.5

    def rhs(s, th):
        a, b, c, d = th
        x, y = s
        return np.array([a * x - b * x * y, -c * y + d * x * y])

    def loss(th):
        s = np.array([1.0, 0.8])
        out = [s]
        for i in range(len(t) - 1):
            h = t[i + 1] - t[i]
            k1 = rhs(s, th)
            k2 = rhs(s + h / 2 * k1, th)
            k3 = rhs(s + h / 2 * k2, th)
            k4 = rhs(s + h * k3, th)
            s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            out.append(s)
        return np.mean((np.array(out) - obs) ** 2)

    return loss, np.array([1.1, 0.4, 0.9, 0.3])


def newton_inner_while():
    R = np.random.default_rng(7)
    b = R.normal(size=5)

    def loss(p):
        x = np.zeros(5)
        it = 0
        while True:
            f = x + p * np.tanh(x) - b
            J = 1 + p * (1 - np.tanh(x) ** 2)
            dx = -f / J
            x = x + dx
            it += 1
            if np.max(np.abs(dx)) < 1e-13 or it > 50:
                break
        return np.sum(x**2)

    return loss, np.abs(R.normal(size=5)) + 0.2


def gp_cho_solve():
    R = np.random.default_rng(7)
    from scipy.linalg import cho_solve, cholesky

    X = R.normal(size=(10, 2))
    y = R.normal(size=10)

    def loss(th):
        ls, sf, sn = np.exp(th)
        d2 = ((X[:, None, :] - X[None, :, :]) ** 2).sum(-1)
        K = sf**2 * np.exp(-0.5 * d2 / ls**2) + sn**2 * np.eye(len(X))
        L = cholesky(K, lower=True)
        al = cho_solve((L, True), y)
        return (
            0.5 * y @ al + np.log(np.diag(L)).sum() + 0.5 * len(y) * np.log(2 * np.pi)
        )

    return loss, np.array([0.1, 0.2, -0.5])


def sparse_laplacian():
    R = np.random.default_rng(7)
    import scipy.sparse as sp

    n = 20
    L = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n)).tocsr()
    y = R.normal(size=n)

    def loss(u):
        return 0.5 * np.sum((u - y) ** 2) + 0.7 * (u @ (L @ u))

    return loss, R.normal(size=n)


def elo_updates_dict():
    R = np.random.default_rng(7)
    games = [("a", "b", 1), ("b", "c", 0), ("a", "c", 1), ("c", "a", 0), ("b", "a", 1)]

    def loss(p):
        r = {k: v for k, v in zip("abc", p["r"])}
        K = p["K"][0]
        nll = 0.0
        for i, j, w in games:
            e = 1 / (1 + 10 ** ((r[j] - r[i]) / 4.0))
            nll -= w * math.log(e) + (1 - w) * math.log(1 - e)
            r[i] += K * (w - e)
            r[j] -= K * (w - e)
        return nll

    return loss, {"r": R.normal(size=3), "K": np.array([0.3])}


def bilinear_sampling():
    R = np.random.default_rng(7)
    img = R.normal(size=(9, 9))
    pts = R.random((6, 2)) * 6 + 1
    tgt = R.normal(size=6)

    def loss(t):
        s = 0.0
        for (px, py), g in zip(pts, tgt):
            x, y = px + t[0], py + t[1]
            x0 = int(np.floor(x))
            y0 = int(np.floor(y))
            dx, dy = x - x0, y - y0
            v = (
                img[y0, x0] * (1 - dx) * (1 - dy)
                + img[y0, x0 + 1] * dx * (1 - dy)
                + img[y0 + 1, x0] * (1 - dx) * dy
                + img[y0 + 1, x0 + 1] * dx * dy
            )
            s += (v - g) ** 2
        return s

    return loss, np.array([0.21, -0.13])


def layernorm_helper_called_twice():
    R = np.random.default_rng(7)
    X = R.normal(size=(7, 5))

    def ln(x, g, b, eps=1e-5):
        mu = x.mean(-1, keepdims=True)
        var = x.var(axis=-1, keepdims=True)
        return g * (x - mu) / np.sqrt(var + eps) + b

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def loss(p):
        h = ln(X, p["g1"], p["b1"]) @ p["W"]
        h = gelu(h)
        h = ln(h, p["g2"], p["b2"])
        return np.square(h).sum() + h.std()

    return loss, {
        "g1": R.normal(size=5),
        "b1": R.normal(size=5),
        "W": R.normal(size=(5, 6)),
        "g2": R.normal(size=6),
        "b2": R.normal(size=6),
    }


def attention_multihead_reshape():
    R = np.random.default_rng(7)
    B, T, D, Hh = 2, 4, 6, 2
    X = R.normal(size=(B, T, D))
    mask = np.triu(np.ones((T, T), bool), 1)

    def softmax(x, axis=-1):
        x = x - np.max(x, axis=axis, keepdims=True)
        e = np.exp(x)
        return e / np.sum(e, axis=axis, keepdims=True)

    def split(x):
        return x.reshape(B, T, Hh, D // Hh).transpose(0, 2, 1, 3)

    def loss(p):
        q, k, v = [split(X @ p[n]) for n in ("Wq", "Wk", "Wv")]
        s = q @ k.swapaxes(-1, -2) / math.sqrt(D // Hh)
        s = np.where(mask, -1e9, s)
        a = softmax(s)
        o = (a @ v).transpose(0, 2, 1, 3).reshape(B, T, D) @ p["Wo"]
        return (o**2).mean()

    return loss, {n: R.normal(size=(D, D)) * 0.4 for n in ("Wq", "Wk", "Wv", "Wo")}


def embedding_mask_loss():
    R = np.random.default_rng(7)
    ids = np.array([[1, 2, 0], [3, 1, 1]])
    tgt = np.array([[2, 0, -1], [1, 3, -1]])

    def loss(p):
        h = p["E"][ids]
        h = h.cumsum(1)
        logits = h @ p["W"]
        lp = logits - logits.max(-1, keepdims=True)
        lp = lp - np.log(np.exp(lp).sum(-1, keepdims=True))
        m = tgt != -1
        rows = lp[m]
        return -rows[np.arange(len(rows)), tgt[m]].mean()

    return loss, {"E": R.normal(size=(4, 3)), "W": R.normal(size=(3, 4))}


def logreg_scipy_expit():
    R = np.random.default_rng(7)
    from scipy.special import expit, xlogy

    X = R.normal(size=(20, 3))
    y = R.integers(0, 2, 20)

    def loss(w):
        p = expit(X @ w[:-1] + w[-1])
        return -(xlogy(y, p) + xlogy(1 - y, 1 - p)).sum() + 0.5 * w[:-1] @ w[:-1]

    return loss, R.normal(size=4)


def poisson_gammaln():
    R = np.random.default_rng(7)
    from scipy.special import gammaln

    X = R.normal(size=(15, 3))
    y = R.poisson(2, 15)

    def loss(b):
        eta = X.dot(b)
        return -np.sum(y * eta - np.exp(eta) - gammaln(y + 1))

    return loss, R.normal(size=3) * 0.3


def negbin_gammaln_param():
    R = np.random.default_rng(7)
    from scipy.special import gammaln

    y = R.poisson(3, 15)

    def loss(th):
        mu = np.exp(th[0])
        r = np.exp(th[1])
        return -np.sum(
            gammaln(y + r)
            - gammaln(r)
            - gammaln(y + 1)
            + r * np.log(r / (r + mu))
            + y * np.log(mu / (r + mu))
        )

    return loss, np.array([1.0, 0.3])


def scipy_stats_norm_logpdf():
    R = np.random.default_rng(7)
    from scipy import stats

    x = R.normal(size=20) * 2 + 1

    def loss(p):
        return -stats.norm.logpdf(
            x, loc=p[0], scale=np.exp(p[1])
        ).sum() - stats.norm.logpdf(p[0], 0, 10)

    return loss, np.array([0.5, 0.2])


def gmm_list_comprehension():
    R = np.random.default_rng(7)
    x = R.normal(size=30)

    def normal_pdf(x, m, s):
        return np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))

    def loss(p):
        w = np.exp(p["w"]) / np.exp(p["w"]).sum()
        return -np.log(
            sum(
                wk * normal_pdf(x, mk, np.exp(sk))
                for wk, mk, sk in zip(w, p["mu"], p["ls"])
            )
        ).sum()

    return loss, {
        "w": R.normal(size=3),
        "mu": R.normal(size=3),
        "ls": R.normal(size=3) * 0.2,
    }


def matrix_factorization_loop():
    R = np.random.default_rng(7)
    ratings = [(0, 1, 3.0), (1, 2, 4.0), (2, 0, 1.0), (3, 3, 5.0), (0, 3, 2.0)]

    def loss(p):
        U, V = p["U"], p["V"]
        e = 0
        for u, i, r in ratings:
            e += (r - np.dot(U[u], V[i]) - p["user"][u]) ** 2
        return e + 0.1 * (np.linalg.norm(U) ** 2 + np.linalg.norm(V) ** 2)

    return loss, {
        "U": R.normal(size=(4, 2)),
        "V": R.normal(size=(4, 2)),
        "user": np.zeros(4),
    }


def word2vec_negative():
    R = np.random.default_rng(7)
    pairs = [(0, 1), (2, 3), (1, 4)]
    negs = [[2, 3], [0, 1], [0, 2]]

    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    def loss(p):
        J = 0
        for (c, o), ng in zip(pairs, negs):
            vc = p["V"][c]
            J -= np.log(sigmoid(p["U"][o] @ vc))
            for k in ng:
                J -= np.log(sigmoid(-p["U"][k].dot(vc)))
        return J

    return loss, {"V": R.normal(size=(5, 3)), "U": R.normal(size=(5, 3))}


def vae_reparam():
    R = np.random.default_rng(7)
    X = R.random((6, 5))
    eps = R.normal(size=(6, 2))

    def loss(p):
        h = np.tanh(X @ p["We"])
        mu, lv = h @ p["Wm"], h @ p["Wv"]
        z = mu + np.exp(lv / 2) * eps
        xr = 1 / (1 + np.exp(-(z @ p["Wd"])))
        xr = np.clip(xr, 1e-7, 1 - 1e-7)
        bce = -(X * np.log(xr) + (1 - X) * np.log(1 - xr)).sum(1)
        kl = -0.5 * np.sum(1 + lv - mu**2 - np.exp(lv), axis=1)
        return np.mean(bce + kl)

    return loss, {
        "We": R.normal(size=(5, 4)) * 0.5,
        "Wm": R.normal(size=(4, 2)),
        "Wv": R.normal(size=(4, 2)) * 0.3,
        "Wd": R.normal(size=(2, 5)),
    }


def nbody_energy_loops():
    R = np.random.default_rng(7)
    m = np.array([1.0, 2.0, 0.5])

    def loss(q):
        E = 0.0
        for i in range(3):
            for j in range(i + 1, 3):
                d = q[i] - q[j]
                E -= m[i] * m[j] / np.sqrt(np.dot(d, d) + 0.01)
        return E

    return loss, R.normal(size=(3, 2)) * 2


def lennard_jones_min_image():
    L = 4.0

    def loss(x):
        n = len(x)
        e = 0.0
        for i in range(n - 1):
            for j in range(i + 1, n):
                d = x[i] - x[j]
                d -= L * np.round(d / L)
                r2 = (d**2).sum()
                if r2 < 3.9:
                    s = 1 / r2**3
                    e += 4 * (s * s - s)
        return e

    return loss, np.array(
        [[0.0, 0, 0], [1.2, 0.1, 0], [0.2, 1.3, 0.3], [1.1, 1.2, 1.0]]
    )


def leapfrog_hmc():
    R = np.random.default_rng(7)
    y = R.normal(size=4)

    def U(q):
        return 0.5 * np.sum((q - y) ** 2) + 0.1 * np.sum(q**4)

    def gU(q):
        return (q - y) + 0.4 * q**3

    def loss(p):
        q, v = p["q"].copy(), p["v"].copy()
        eps = 0.1
        v -= eps / 2 * gU(q)
        for i in range(5):
            q += eps * v
            if i != 4:
                v -= eps * gU(q)
        v -= eps / 2 * gU(q)
        v = -v
        return U(q) + 0.5 * v @ v

    return loss, {"q": R.normal(size=4), "v": R.normal(size=4)}


def heat_equation_slices():
    R = np.random.default_rng(7)
    u0 = np.sin(np.linspace(0, np.pi, 12))
    tgt = u0 * 0.7

    def loss(a):
        u = u0.copy()
        D = np.exp(a)
        for _ in range(6):
            un = u.copy()
            un[1:-1] = u[1:-1] + 0.1 * D[1:-1] * (u[2:] - 2 * u[1:-1] + u[:-2])
            u = un
        return np.sum((u - tgt) ** 2)

    return loss, R.normal(size=12) * 0.1


def total_variation_roll_diff():
    R = np.random.default_rng(7)
    y = R.normal(size=(6, 6))

    def loss(u):
        dx = np.roll(u, -1, axis=1) - u
        dy = np.diff(u, axis=0, append=u[-1:])
        return ((u - y) ** 2).sum() + np.sqrt(dx**2 + dy**2 + 1e-3).sum()

    return loss, R.normal(size=(6, 6))


def dataclass_params():
    R = np.random.default_rng(7)
    X = R.normal(size=(9, 3))
    y = R.normal(size=9)

    @dataclass
    class P:
        w: np.ndarray
        b: np.ndarray

    def loss(p):
        return np.mean((X @ p.w + p.b - y) ** 2) + np.abs(p.w).sum() * 0.01

    return loss, P(R.normal(size=3), np.array([0.2]))


def float_item_math():
    R = np.random.default_rng(7)
    X = R.normal(size=(9, 3))
    y = R.integers(0, 2, 9)

    def loss(w):
        tot = 0.0
        for xi, yi in zip(X, y):
            z = float(np.dot(w, xi))
            p = 1 / (1 + math.exp(-z))
            tot += -(math.log(p) if yi == 1 else math.log(1 - p))
        return tot / len(y)

    return loss, R.normal(size=3)


def item_and_builtin():
    def loss(w):
        return (
            max(abs(v.item()) for v in w)
            + sum(v**2 for v in w)
            + pow(w[0], 3)
            + abs(w[1])
        )

    return loss, np.array([0.3, -1.7, 0.9])


def huber_branches():
    R = np.random.default_rng(7)
    X = R.normal(size=(20, 2))
    y = X @ [1, 2] + R.standard_t(2, 20)

    def huber(r, d=1.0):
        if abs(r) <= d:
            return 0.5 * r * r
        return d * (abs(r) - 0.5 * d)

    def loss(w):
        return sum(huber(ri) for ri in y - X @ w) / len(y)

    return loss, R.normal(size=2)


def quantile_pinball_where():
    R = np.random.default_rng(7)
    X = R.normal(size=(20, 2))
    y = R.normal(size=20)

    def loss(w):
        r = y - X @ w
        return np.where(r >= 0, 0.9 * r, -0.1 * r).mean()

    return loss, R.normal(size=2)


def focal_loss_take_along():
    R = np.random.default_rng(7)
    X = R.normal(size=(8, 4))
    y = R.integers(0, 3, 8)

    def loss(W):
        z = X @ W
        p = np.exp(z) / np.exp(z).sum(1)[:, np.newaxis]
        pt = np.take_along_axis(p, y[:, None], 1).ravel()
        return -np.mean((1 - pt) ** 2 * np.log(pt))

    return loss, R.normal(size=(4, 3))


def triplet_hinge_max():
    R = np.random.default_rng(7)
    X = R.normal(size=(9, 5))

    def loss(W):
        e = X @ W
        e = e / np.linalg.norm(e, axis=1, keepdims=True)
        tot = 0
        for k in range(0, 9, 3):
            a, p, n = e[k : k + 3]
            tot += max(0.0, np.sum((a - p) ** 2) - np.sum((a - n) ** 2) + 0.5)
        return tot

    return loss, R.normal(size=(5, 3))


def contrastive_infonce():
    R = np.random.default_rng(7)
    A = R.normal(size=(6, 4))
    B = R.normal(size=(6, 4))

    def loss(p):
        a = A @ p["W"]
        b = B @ p["W"]
        a /= np.linalg.norm(a, axis=1, keepdims=True)
        b /= np.linalg.norm(b, axis=1, keepdims=True)
        s = a @ b.T * np.exp(p["t"])
        from_ = s - s.max(axis=1, keepdims=True)
        return -np.mean(np.diag(from_) - np.log(np.exp(from_).sum(axis=1)))

    return loss, {"W": R.normal(size=(4, 3)), "t": np.array(0.3)}


def ode_euler_generator():
    def euler(f, x, h, n):
        for _ in range(n):
            x = x + h * f(x)
            yield x

    def loss(th):
        f = lambda x: np.array(
            [
                x[1],
                -th[0] * math.sin(x[0])
                if not isinstance(x, np.ndarray)
                else -th[0] * np.sin(x[0]) - th[1] * x[1],
            ]
        )
        return sum(np.sum(x**2) for x in euler(f, np.array([0.5, 0.0]), 0.05, 10))

    return loss, np.array([9.8, 0.3])


def partial_reduce_lambda():
    R = np.random.default_rng(7)
    X = R.normal(size=(5, 4))
    acts = [np.tanh, np.sin, lambda z: z / (1 + np.abs(z))]

    def step(x, wa):
        w, a = wa
        return a(x @ w)

    def loss(ws):
        return np.sum(functools.reduce(step, zip(ws, acts), X) ** 2)

    return loss, [R.normal(size=(4, 4)) * 0.5 for _ in range(3)]


def match_walrus():
    R = np.random.default_rng(7)
    X = R.normal(size=(5, 4))
    specs = [("dense", "W0"), ("act", "tanh"), ("dense", "W1"), ("act", "softplus")]

    def loss(p):
        h = X
        for s in specs:
            match s:
                case ("dense", n):
                    h = h @ p[n]
                case ("act", "tanh"):
                    h = np.tanh(h)
                case ("act", _):
                    h = np.log1p(np.exp(h))
        if (n := np.sum(h * h)) > 0:
            return n / 2
        return n

    return loss, {"W0": R.normal(size=(4, 3)), "W1": R.normal(size=(3, 2))}


def tree_recursion():
    R = np.random.default_rng(7)
    tree = ((0, 1), (2, (3, 4)))

    def loss(p):
        def enc(t):
            if isinstance(t, int):
                return p["E"][t]
            l, r = map(enc, t)
            return np.tanh(p["W"] @ np.concatenate([l, r]) + p["b"])

        return np.sum(enc(tree) ** 2)

    return loss, {
        "E": R.normal(size=(5, 3)),
        "W": R.normal(size=(3, 6)) * 0.5,
        "b": np.zeros(3),
    }


def gru_vectorized_stack():
    R = np.random.default_rng(7)
    X = R.normal(size=(4, 6, 3))

    def sg(x):
        return 1 / (1 + np.exp(-x))

    def loss(p):
        h = np.zeros((4, 5))
        H = []
        for t in range(X.shape[1]):
            z, r = np.split(sg(X[:, t] @ p["Wx"] + h @ p["Wh"]), 2, axis=1)
            n = np.tanh(X[:, t] @ p["Wn"] + r * (h @ p["Un"]))
            h = (1 - z) * n + z * h
            H.append(h)
        return np.stack(H, axis=1).var()

    return loss, {
        "Wx": R.normal(size=(3, 10)),
        "Wh": R.normal(size=(5, 10)) * 0.4,
        "Wn": R.normal(size=(3, 5)),
        "Un": R.normal(size=(5, 5)) * 0.4,
    }


def im2col_strided():
    R = np.random.default_rng(7)
    from numpy.lib.stride_tricks import sliding_window_view

    x = R.normal(size=(2, 3, 6, 6))

    def loss(p):
        c = sliding_window_view(x, (3, 3), axis=(2, 3))
        o = np.einsum("nchwij,fcij->nfhw", c, p["w"]) + p["b"].reshape(1, -1, 1, 1)
        return np.maximum(o, 0).sum() / o.size

    return loss, {"w": R.normal(size=(4, 3, 3, 3)), "b": R.normal(size=4)}


def pca_reconstruction_svd():
    R = np.random.default_rng(7)
    X = R.normal(size=(8, 4))

    def loss(W):
        Y = X @ W
        U, s, Vt = np.linalg.svd(Y, full_matrices=False)
        return s[1:].sum()

    return loss, R.normal(size=(4, 3))


def eigvalsh_gap():
    R = np.random.default_rng(7)

    def loss(a):
        A = np.zeros((4, 4))
        iu = np.triu_indices(4)
        A[iu] = a
        A = A + A.T
        w = np.linalg.eigvalsh(A)
        return w[-1] - w[0]

    return loss, R.normal(size=10)


def solve_ivp_loss():
    from scipy.integrate import solve_ivp

    def loss(th):
        s = solve_ivp(
            lambda t, y: [-th[0] * y[0], th[0] * y[0] - th[1] * y[1]],
            (0, 0.4),
            [1.0, 0.0],
            t_eval=[0.1, 0.2, 0.4],
            rtol=1e-9,
            atol=1e-11,
        )
        return np.sum((s.y - 0.3) ** 2)

    return loss, np.array([1.2, 0.5])


def interp_spline_opaque():
    R = np.random.default_rng(7)
    from scipy.interpolate import CubicSpline

    xk = np.linspace(0, 1, 6)
    q = np.array([0.1, 0.33, 0.72])

    def loss(yk):
        return np.sum(CubicSpline(xk, yk)(q) ** 2) + np.interp(0.4, xk, yk)

    return loss, R.normal(size=6)


def self_params_read_global():
    R = np.random.default_rng(7)

    class Net:
        def __init__(s):
            s.params = {
                "W1": R.normal(size=(3, 4)) * 0.5,
                "W2": R.normal(size=(4, 2)) * 0.5,
            }
            s.reg = 0.1

        def predict(s, X):
            s.h = np.maximum(X.dot(s.params["W1"]), 0)
            return s.h.dot(s.params["W2"])

        def loss(s, X, y):
            d = s.predict(X) - y
            return 0.5 * np.sum(d**2) / len(X) + 0.5 * s.reg * sum(
                np.sum(w * w) for w in s.params.values()
            )

    X = R.normal(size=(6, 3))
    y = R.normal(size=(6, 2))
    n = Net()
    return (lambda _: n.loss(X, y)), n.params


def loss_and_grads_tuple():
    R = np.random.default_rng(7)
    X = R.normal(size=(6, 3))
    y = R.normal(size=6)

    def lg(w):
        r = X @ w - y
        grad = np.zeros_like(w)
        for i in range(len(y)):
            grad += r[i] * X[i]
        return 0.5 * np.sum(r**2), grad

    return lg, R.normal(size=3)


def kde_apply_vectorize():
    R = np.random.default_rng(7)
    d = R.normal(size=12)
    q = np.linspace(-1, 1, 5)

    def loss(h):
        f = np.vectorize(lambda x: np.mean(np.exp(-0.5 * ((x - d) / h[0]) ** 2) / h[0]))
        return -np.sum(np.log(f(q)))

    return loss, np.array([0.6])


def simplex_softmax_entropy_nan_guard():
    R = np.random.default_rng(7)

    def loss(z):
        p = np.exp(z) / np.sum(np.exp(z))
        if np.isnan(p).any():
            raise ValueError
        assert p.min() > 0
        return -np.sum(p * np.log(p + 1e-12))

    return loss, R.normal(size=6)


def bayes_opt_ei():
    R = np.random.default_rng(7)
    from scipy.stats import norm

    def loss(x):
        mu = np.sin(3 * x).sum()
        s = np.sqrt(1 + np.sum(x**2))
        z = (mu - 0.2) / s
        return -((mu - 0.2) * norm.cdf(z) + s * norm.pdf(z))

    return loss, R.normal(size=3)


def cox_partial_likelihood():
    R = np.random.default_rng(7)
    X = R.normal(size=(12, 2))
    t = R.random(12)
    e = R.integers(0, 2, 12)
    o = np.argsort(-t)
    X, e = X[o], e[o]

    def loss(b):
        eta = X @ b
        ls = np.log(np.cumsum(np.exp(eta)))
        return -np.sum((eta - ls)[e == 1])

    return loss, R.normal(size=2)


def arma_css():
    R = np.random.default_rng(7)
    y = R.normal(size=25)

    def loss(p):
        phi, th, c = p
        e = np.zeros(len(y))
        for t in range(1, len(y)):
            e[t] = y[t] - c - phi * y[t - 1] - th * e[t - 1]
        return np.sum(e[1:] ** 2)

    return loss, np.array([0.4, 0.3, 0.1])


def garch():
    R = np.random.default_rng(7)
    r = R.normal(size=25)

    def loss(p):
        w, a, b = np.exp(p)
        s2 = [np.var(r)]
        for t in range(1, len(r)):
            s2.append(w + a * r[t - 1] ** 2 + b * s2[-1])
        s2 = np.array(s2)
        return 0.5 * np.sum(np.log(s2) + r**2 / s2)

    return loss, np.array([-2.0, -1.5, -0.3])


def pytree_nested_lists_graph_conv():
    R = np.random.default_rng(7)
    A = (R.random((6, 6)) > 0.5).astype(float)
    A = A + A.T + np.eye(6)
    D = np.diag(A.sum(1) ** -0.5)
    N = D @ A @ D
    X = R.normal(size=(6, 3))
    y = [0, 2, 1]

    def loss(p):
        H = X
        for l in p["layers"]:
            H = np.maximum(N @ H @ l["W"] + l["b"], 0.01 * (N @ H @ l["W"] + l["b"]))
        z = H[[0, 2, 5]]
        z = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
        return -sum(z[i][c] for i, c in enumerate(y)) / 3

    return loss, {
        "layers": [
            {"W": R.normal(size=(3, 4)), "b": np.zeros(4)},
            {"W": R.normal(size=(4, 3)), "b": np.zeros(3)},
        ]
    }


def ctc_like_nested_helper_cache():
    R = np.random.default_rng(7)

    @functools.lru_cache(None)
    def idx(n):
        return np.arange(n)

    def loss(W):
        z = W - W.max(1, keepdims=True)
        lp = z - np.log(np.exp(z).sum(1, keepdims=True))
        lab = [0, 1, 0, 2, 0]
        S = len(lab)
        T = len(lp)
        a = np.full((T, S), -np.inf)
        a[0, 0] = lp[0, 0]
        a[0, 1] = lp[0, 1]
        for t in range(1, T):
            for s in range(S):
                c = [a[t - 1, s]]
                if s > 0:
                    c.append(a[t - 1, s - 1])
                if s > 1 and lab[s] != 0 and lab[s] != lab[s - 2]:
                    c.append(a[t - 1, s - 2])
                m = max(c)
                a[t, s] = (
                    -np.inf
                    if m == -np.inf
                    else m + math.log(sum(math.exp(v - m) for v in c)) + lp[t, lab[s]]
                )
        return -np.logaddexp(a[-1, -1], a[-1, -2])

    return loss, R.normal(size=(6, 3))


def fft_deconvolution():
    R = np.random.default_rng(7)
    k = np.exp(-(np.linspace(-2, 2, 16) ** 2))
    y = R.normal(size=16)

    def loss(x):
        return np.sum((np.real(np.fft.ifft(np.fft.fft(k) * np.fft.fft(x))) - y) ** 2)

    return loss, R.normal(size=16)


def np_convolve_fir():
    R = np.random.default_rng(7)
    s = R.normal(size=20)
    d = R.normal(size=20)

    def loss(h):
        return np.mean((np.convolve(s, h, mode="same") - d) ** 2)

    return loss, R.normal(size=5)


def polyval_horner():
    R = np.random.default_rng(7)
    x = np.linspace(-1, 1, 15)
    y = np.cos(3 * x)

    def loss(c):
        return np.sum((np.polyval(c, x) - y) ** 2) + 1e-3 * np.sum(np.polyder(c) ** 2)

    return loss, R.normal(size=5)


def rotation_cross_kron():
    R = np.random.default_rng(7)
    pts = R.normal(size=(5, 3))
    tg = R.normal(size=(5, 3))

    def loss(w):
        th = np.sqrt(w @ w)
        k = w / th
        K = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
        Rm = np.eye(3) + np.sin(th) * K + (1 - np.cos(th)) * K @ K
        return np.sum((pts @ Rm.T - tg) ** 2) + np.sum(np.cross(w, pts) ** 2) * 0.01

    return loss, R.normal(size=3)


def quaternion_class_operators():
    R = np.random.default_rng(7)

    class Q:
        def __init__(s, w, x, y, z):
            s.v = (w, x, y, z)

        def __mul__(a, b):
            w1, x1, y1, z1 = a.v
            w2, x2, y2, z2 = b.v
            return Q(
                w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
                w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
                w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
                w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
            )

        def __add__(a, b):
            return Q(*(i + j for i, j in zip(a.v, b.v)))

        @property
        def norm2(s):
            return sum(i * i for i in s.v)

    def loss(p):
        q = Q(*p[:4])
        r = Q(*p[4:])
        return (q * r + Q(1, 0, 0, 0)).norm2

    return loss, R.normal(size=8)


def deque_moving_window():
    R = np.random.default_rng(7)
    y = R.normal(size=12)

    def loss(p):
        buf = deque([0.0] * 3, maxlen=3)
        e = 0.0
        for v in y:
            pred = sum(a * b for a, b in zip(p, buf))
            e += (v - pred) ** 2
            buf.append(v + 0.1 * pred)
        return e

    return loss, R.normal(size=3)


def np_random_seeded_inside():
    R = np.random.default_rng(7)

    def loss(w):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(10, 3))
        return np.log(1 + np.exp(-X @ w)).mean()

    return loss, R.normal(size=3)


def bincount_addat_scatter():
    R = np.random.default_rng(7)
    seg = np.array([0, 1, 1, 2, 0, 3])

    def loss(w):
        s = np.zeros(4)
        np.add.at(s, seg, np.exp(w))
        return np.sum(np.sqrt(s)) + np.bincount(seg, weights=w, minlength=4)[1] ** 2

    return loss, R.normal(size=6)


def broadcasting_atleast_newaxis_out():
    R = np.random.default_rng(7)
    X = R.normal(size=(5, 3))

    def loss(c):
        d = np.empty((5, 2))
        np.sum((X[:, np.newaxis] - c[np.newaxis]) ** 2, axis=-1, out=d)
        return np.min(d, axis=1).sum()

    return loss, R.normal(size=(2, 3))


def float32_inside():
    R = np.random.default_rng(7)
    X = R.normal(size=(5, 3)).astype(np.float32)

    def loss(w):
        return np.mean(np.tanh(X @ w) ** 2)

    return loss, R.normal(size=3)


def try_except_context():
    R = np.random.default_rng(7)

    def loss(w):
        with np.errstate(divide="ignore"):
            try:
                z = np.log(w**2)
            except FloatingPointError:
                z = 0
            finally:
                k = 1
        return np.sum(z) * k

    return loss, R.normal(size=4) + 2


def star_args_kwargs_closure():
    R = np.random.default_rng(7)

    def mlp(x, *ws, act=np.tanh, **kw):
        for w in ws[:-1]:
            x = act(x @ w)
        return kw.get("scale", 1.0) * (x @ ws[-1])

    X = R.normal(size=(4, 3))

    def loss(p):
        return np.sum(mlp(X, *p.values(), scale=0.5) ** 2)

    return loss, {"a": R.normal(size=(3, 4)), "b": R.normal(size=(4, 2))}


def isotonic_sort_rank():
    R = np.random.default_rng(7)
    y = R.normal(size=8)

    def loss(x):
        s = np.sort(x)
        return np.sum((s - np.sort(y)) ** 2) + np.median(x) + np.percentile(x, 30)

    return loss, R.normal(size=8)


def static_method_enum_global_cfg():
    R = np.random.default_rng(7)

    class Act:
        @staticmethod
        def relu(z):
            return z * (z > 0)

        @classmethod
        def get(cls, n):
            return getattr(cls, n)

    cfg = {"act": "relu", "l1": 1e-2}
    X = R.normal(size=(5, 3))

    def loss(W):
        return np.mean(Act.get(cfg["act"])(X @ W)) + cfg["l1"] * np.sum(np.fabs(W))

    return loss, R.normal(size=(3, 2))


def cumulative_list_append_concat():
    R = np.random.default_rng(7)

    def loss(w):
        out = []
        for i, v in enumerate(w):
            out.append(v * i)
            if i % 2:
                out[-1] = out[-1] ** 2
        return (
            np.concatenate([np.atleast_1d(o) for o in out]).sum() + np.array(out).prod()
        )

    return loss, R.normal(size=5) + 2


def cg_solver_inner():
    R = np.random.default_rng(7)
    b = R.normal(size=6)
    M = R.normal(size=(6, 6))
    M = M @ M.T + np.eye(6)

    def loss(d):
        A = M + np.diag(np.exp(d))
        x = np.zeros(6)
        r = b - A @ x
        p = r.copy()
        rs = r @ r
        for _ in range(20):
            Ap = A @ p
            al = rs / (p @ Ap)
            x = x + al * p
            r = r - al * Ap
            rn = r @ r
            if rn < 1e-24:
                break
            p = r + rn / rs * p
            rs = rn
        return x @ x

    return loss, R.normal(size=6)


def dropout_fixed_mask_bn_class():
    R = np.random.default_rng(7)
    X = R.normal(size=(10, 4))
    y = R.integers(0, 2, 10)
    keep = (R.random((10, 6)) < 0.8) / 0.8

    class Layer:
        def __call__(self, x):
            return self.forward(x)

    class Linear(Layer):
        def __init__(self, i, o):
            self.W = R.normal(size=(i, o)) * 0.5
            self.b = np.zeros(o)

        def forward(self, x):
            self.x = x
            return x.dot(self.W) + self.b

    class BN(Layer):
        def __init__(self, d):
            self.gamma, self.beta = np.ones(d), np.zeros(d)
            self.rm, self.rv = np.zeros(d), np.ones(d)

        def forward(self, x):
            mu = np.mean(x, axis=0)
            var = np.var(x, axis=0)
            self.rm = 0.9 * self.rm + 0.1 * mu
            self.rv = 0.9 * self.rv + 0.1 * var
            self.xhat = (x - mu) / np.sqrt(var + 1e-5)
            return self.gamma * self.xhat + self.beta

    class ReLU(Layer):
        def forward(self, x):
            self.mask = x <= 0
            out = x.copy()
            out[self.mask] = 0
            return out

    class Dropout(Layer):
        def forward(self, x):
            return x * keep

    class Seq:
        def __init__(self, *ls):
            self.ls = ls

        def forward(self, x):
            for l in self.ls:
                x = l(x)
            return x

    lin1, bn, lin2 = Linear(4, 6), BN(6), Linear(6, 2)
    net = Seq(lin1, bn, ReLU(), Dropout(), lin2)

    def loss(_):
        s = net.forward(X)
        s = s - s.max(1, keepdims=True)
        return -np.mean(s[range(10), y] - np.log(np.exp(s).sum(1)))

    return loss, {
        "W1": lin1.W,
        "b1": lin1.b,
        "g": bn.gamma,
        "be": bn.beta,
        "W2": lin2.W,
        "b2": lin2.b,
    }
