"""Losses as scientific code and papers' scripts write them: (loss, params) each."""

import math
from collections import defaultdict, deque, namedtuple
from contextlib import contextmanager
from functools import lru_cache, singledispatch

import numpy as np
from scipy import integrate, interpolate, linalg, optimize, sparse, special, stats
from scipy.spatial.distance import cdist


def rng(seed=0):
    return np.random.default_rng(seed)


def hmm_scalar_loops():
    """The forward algorithm, state by state."""
    r = rng(1)
    obs = [0, 1, 1, 0, 2]
    n = 3

    def loss(p):
        A = np.exp(p["A"]) / np.exp(p["A"]).sum(axis=1, keepdims=True)
        B = np.exp(p["B"]) / np.exp(p["B"]).sum(axis=1, keepdims=True)
        pi = np.exp(p["pi"]) / np.exp(p["pi"]).sum()
        T = len(obs)
        alpha = np.zeros((T, n))
        scale = np.zeros(T)
        for i in range(n):
            alpha[0, i] = pi[i] * B[i, obs[0]]
            scale[0] += alpha[0, i]
        alpha[0] /= scale[0]
        for t in range(1, T):
            for j in range(n):
                s = 0.0
                for i in range(n):
                    s += alpha[t - 1, i] * A[i, j]
                alpha[t, j] = s * B[j, obs[t]]
                scale[t] += alpha[t, j]
            for j in range(n):
                alpha[t, j] /= scale[t]
        return -np.sum(np.log(scale))

    return loss, {
        "A": r.standard_normal((n, n)),
        "B": r.standard_normal((n, 3)),
        "pi": r.standard_normal(n),
    }


def crf_log_partition():
    r = rng(2)
    tags = [0, 2, 1, 1]

    def logsumexp(x):
        m = x.max()
        return m + math.log(np.exp(x - m).sum())

    def loss(p):
        emissions, transitions = p["E"], p["T"]
        score = emissions[0][tags[0]]
        for t in range(1, len(tags)):
            score += transitions[tags[t - 1], tags[t]] + emissions[t][tags[t]]
        alpha = [emissions[0][j] for j in range(3)]
        for t in range(1, len(tags)):
            alpha = [
                logsumexp(np.array([alpha[i] + transitions[i, j] for i in range(3)]))
                + emissions[t, j]
                for j in range(3)
            ]
        return logsumexp(np.asarray(alpha)) - score

    return loss, {"E": r.standard_normal((4, 3)), "T": r.standard_normal((3, 3))}


def soft_dtw():
    r = rng(3)
    y = r.standard_normal(5)

    def softmin(a, b, c, gamma=0.5):
        z = [-a / gamma, -b / gamma, -c / gamma]
        m = max(z)
        return -gamma * (m + math.log(sum(math.exp(v - m) for v in z)))

    def loss(x):
        n, m = len(x), len(y)
        R = np.full((n + 1, m + 1), 1e8)
        R[0, 0] = 0.0
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                cost = (x[i - 1] - y[j - 1]) ** 2
                R[i, j] = cost + softmin(R[i - 1, j], R[i, j - 1], R[i - 1, j - 1])
        return R[n, m]

    return loss, r.standard_normal(4)


def dtw_hard_minimum():
    r = rng(4)
    y = r.standard_normal(4)

    def loss(x):
        D = np.zeros((len(x) + 1, len(y) + 1))
        D[0, 1:] = np.inf
        D[1:, 0] = np.inf
        for i in range(len(x)):
            for j in range(len(y)):
                D[i + 1, j + 1] = abs(x[i] - y[j]) + min(
                    D[i, j + 1], D[i + 1, j], D[i, j]
                )
        return D[-1, -1]

    return loss, r.standard_normal(4)


def viterbi_backtrace():
    r = rng(5)

    def loss(p):
        E, T = p["E"], p["T"]
        n, k = E.shape
        V = np.zeros((n, k))
        back = np.zeros((n, k), dtype=int)
        V[0] = E[0]
        for t in range(1, n):
            for j in range(k):
                scores = V[t - 1] + T[:, j]
                back[t, j] = np.argmax(scores)
                V[t, j] = scores[back[t, j]] + E[t, j]
        best = int(np.argmax(V[-1]))
        path = [best]
        for t in range(n - 1, 0, -1):
            path.append(back[t, path[-1]])
        path.reverse()
        return -sum(E[t, j] for t, j in enumerate(path)) + 0.1 * np.sum(T**2)

    return loss, {"E": r.standard_normal((5, 3)), "T": r.standard_normal((3, 3))}


def kalman_filter():
    r = rng(6)
    ys = np.cumsum(r.standard_normal(8))

    def loss(theta):
        q, s = np.exp(theta[0]), np.exp(theta[1])
        F, H = np.array([[1.0, 1.0], [0.0, theta[2]]]), np.array([[1.0, 0.0]])
        x, P = np.zeros((2, 1)), np.eye(2)
        nll = 0.0
        for y in ys:
            x = F @ x
            P = F @ P @ F.T + q * np.eye(2)
            v = y - (H @ x)[0, 0]
            S = (H @ P @ H.T)[0, 0] + s
            K = P @ H.T / S
            x = x + K * v
            P = (np.eye(2) - K @ H) @ P
            nll += 0.5 * (np.log(2 * np.pi * S) + v**2 / S)
        return float(nll)

    return loss, np.array([-0.5, 0.2, 0.9])


def finite_elements():
    """Assembled element by element, boundary conditions by rows."""
    n = 6
    f = np.sin(np.linspace(0, 3, n))

    def assemble(k):
        K = np.zeros((n, n))
        h = 1.0 / (n - 1)
        for e in range(n - 1):
            ke = k[e] / h * np.array([[1.0, -1.0], [-1.0, 1.0]])
            for a in range(2):
                for b in range(2):
                    K[e + a, e + b] += ke[a, b]
        K[0, :] = 0.0
        K[0, 0] = 1.0
        return K

    def loss(log_k):
        u = np.linalg.solve(assemble(np.exp(log_k)), f)
        return 0.5 * np.sum((u - 1.0) ** 2)

    return loss, 0.3 * rng(7).standard_normal(n - 1)


def truss_ix():
    edges = [(0, 1), (1, 2), (0, 2), (2, 3)]

    def loss(areas):
        K = np.zeros((4, 4))
        for a, (i, j) in zip(areas, edges):
            K[np.ix_([i, j], [i, j])] += a * np.array([[1.0, -1.0], [-1.0, 1.0]])
        free = [1, 2, 3]
        load = np.array([0.0, 0.0, 1.0])
        return load @ np.linalg.solve(K[np.ix_(free, free)], load)

    return loss, np.array([1.0, 2.0, 1.5, 0.7])


def rk4_pendulum():
    target = np.array([0.1, -0.2])

    def f(t, y, p):
        theta, omega = y
        return np.array(
            [omega, -p[0] * np.sin(theta) - p[1] * omega + 0.1 * math.cos(t)]
        )

    def rk4(y, p, h=0.1, steps=10):
        t = 0.0
        for _ in range(steps):
            k1 = f(t, y, p)
            k2 = f(t + h / 2, y + h / 2 * k1, p)
            k3 = f(t + h / 2, y + h / 2 * k2, p)
            k4 = f(t + h, y + h * k3, p)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            t += h
        return y

    return lambda p: np.sum((rk4(np.array([p[2], 0.0]), p) - target) ** 2), np.array(
        [1.2, 0.3, 0.5]
    )


def lotka_volterra_euler():
    data = np.array([[1.0, 0.5], [1.1, 0.6], [1.2, 0.7]])

    def loss(p):
        a, b, c, d = p
        x, y = 1.0, 0.5
        total = 0.0
        for row in data:
            for _ in range(5):
                x, y = x + 0.02 * (a * x - b * x * y), y + 0.02 * (c * x * y - d * y)
            total += (x - row[0]) ** 2 + (y - row[1]) ** 2
        return total

    return loss, np.array([1.0, 0.4, 0.3, 0.8])


def newton_inside():
    """An implicit equation solved by Newton's method to a tolerance."""

    def solve(a, b):
        x = 1.0
        for _ in range(50):
            step = (x**3 + a * x - b) / (3 * x**2 + a)
            x = x - step
            if abs(step) < 1e-12:
                break
        return x

    return lambda p: solve(p[0], p[1]) ** 2 + solve(p[1], p[0]), np.array([0.8, 1.7])


def fixed_point_while():
    def loss(p):
        x, err = 0.5, 1.0
        while err > 1e-13:
            new = math.tanh(p[0] * x + p[1])
            err = abs(new - x)
            x = new
        return (x - 0.3) ** 2

    return loss, np.array([0.4, 0.3])


def gaussian_process_scipy():
    X = np.linspace(0, 1, 7)[:, None]
    y = np.sin(6 * X[:, 0])

    def nll(theta):
        ell, sf, sn = np.exp(theta)
        K = sf**2 * np.exp(-0.5 * cdist(X, X, "sqeuclidean") / ell**2) + sn**2 * np.eye(
            len(X)
        )
        L = linalg.cholesky(K, lower=True)
        alpha = linalg.cho_solve((L, True), y)
        return (
            0.5 * y.dot(alpha)
            + np.sum(np.log(np.diagonal(L)))
            + 0.5 * len(X) * np.log(2 * np.pi)
        )

    return nll, np.array([-1.0, 0.1, -1.5])


def gp_solve_triangular():
    x = np.linspace(0, 2, 6)
    y = np.cos(3 * x)

    def loss(t):
        K = np.exp(t[0] - (x[:, None] - x) ** 2 * np.exp(t[1])) + 0.1 * np.eye(6)
        L = np.linalg.cholesky(K)
        z = linalg.solve_triangular(L, y, lower=True)
        return 0.5 * z @ z + np.log(np.diag(L)).sum()

    return loss, np.array([0.2, 0.5])


def sparse_laplacian():
    n = 8
    L = sparse.diags(
        [-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], [-1, 0, 1]
    ).tocsr()
    d = np.sin(np.arange(n))

    def loss(u):
        return 0.5 * np.sum((u - d) ** 2) + 0.3 * u @ (L @ u) + np.sum(L.dot(u) ** 2)

    return loss, rng(8).standard_normal(n)


def graph_convolution_sparse():
    r = rng(9)
    A = sparse.random(6, 6, 0.4, random_state=0).tocsr()
    A_hat = A + A.T + sparse.eye(6)
    X = r.standard_normal((6, 3))

    def loss(p):
        h = np.maximum(A_hat @ (X @ p["W1"]), 0)
        z = A_hat @ (h @ p["W2"])
        return -np.mean(special.log_softmax(z, axis=1)[:, 0])

    return loss, {"W1": r.standard_normal((3, 4)), "W2": r.standard_normal((4, 2))}


def elo_updates():
    games = [(0, 1, 1.0), (1, 2, 0.5), (2, 0, 0.0), (0, 2, 1.0)]

    def loss(p):
        ratings = defaultdict(float)
        for i, r0 in enumerate(p["start"]):
            ratings[i] = r0
        nll = 0.0
        for a, b, score in games:
            expected = 1 / (1 + 10 ** ((ratings[b] - ratings[a]) / 4))
            nll -= score * np.log(expected) + (1 - score) * np.log(1 - expected)
            delta = p["k"] * (score - expected)
            ratings[a] += delta
            ratings[b] -= delta
        return nll

    return loss, {"start": np.array([0.1, -0.2, 0.3]), "k": 0.4}


def bilinear_sampling():
    image = rng(10).standard_normal((6, 6))

    def sample(u, v):
        x0, y0 = int(np.floor(u)), int(np.floor(v))
        dx, dy = u - x0, v - y0
        return (
            image[y0, x0] * (1 - dx) * (1 - dy)
            + image[y0, x0 + 1] * dx * (1 - dy)
            + image[y0 + 1, x0] * (1 - dx) * dy
            + image[y0 + 1, x0 + 1] * dx * dy
        )

    def loss(p):
        c, s = math.cos(p[0]), math.sin(p[0])
        total = 0.0
        for x in (-1.0, 0.3, 1.2):
            for y in (-0.7, 0.9):
                total += (
                    sample(c * x - s * y + 2.5 + p[1], s * x + c * y + 2.5 + p[2]) ** 2
                )
        return total

    return loss, np.array([0.2, 0.1, -0.15])


def spatial_transformer_arrays():
    image = rng(11).standard_normal((5, 5))

    def loss(theta):
        ys, xs = np.meshgrid(
            np.linspace(-0.7, 0.7, 4), np.linspace(-0.7, 0.7, 4), indexing="ij"
        )
        grid = np.stack([xs.ravel(), ys.ravel(), np.ones(16)])
        x, y = (theta.reshape(2, 3) @ grid + 1) * 2
        x0 = np.floor(x).astype(int)
        y0 = np.floor(y).astype(int)
        x0, y0 = np.clip(x0, 0, 3), np.clip(y0, 0, 3)
        wx, wy = x - x0, y - y0
        out = (1 - wx) * (1 - wy) * image[y0, x0] + wx * wy * image[y0 + 1, x0 + 1]
        out = (
            out + wx * (1 - wy) * image[y0, x0 + 1] + (1 - wx) * wy * image[y0 + 1, x0]
        )
        return (out**2).mean()

    return loss, np.array([0.9, 0.1, 0.05, -0.1, 0.8, 0.02])


def kmeans_assignments():
    X = rng(12).standard_normal((12, 2))

    def loss(centers):
        total = 0.0
        for x in X:
            distances = [np.sum((x - c) ** 2) for c in centers]
            total += distances[int(np.argmin(distances))]
        return total / len(X)

    return loss, rng(13).standard_normal((3, 2))


def gaussian_mixture():
    X = rng(14).standard_normal((10, 2))

    def loss(p):
        log_pi = p["a"] - special.logsumexp(p["a"])
        terms = []
        for k in range(2):
            diff = X - p["mu"][k]
            var = np.exp(p["s"][k])
            terms.append(
                log_pi[k]
                - 0.5 * np.sum(diff**2, axis=1) / var
                - np.log(2 * np.pi * var)
            )
        return -special.logsumexp(np.vstack(terms), axis=0).sum()

    return loss, {
        "a": np.array([0.1, -0.3]),
        "mu": rng(15).standard_normal((2, 2)),
        "s": np.array([0.2, -0.1]),
    }


def poisson_regression_stats():
    r = rng(16)
    X, y = r.standard_normal((9, 3)), r.integers(0, 5, 9)

    def nll(beta):
        mu = np.exp(X @ beta)
        return -np.sum(y * np.log(mu) - mu - special.gammaln(y + 1))

    return nll, 0.3 * r.standard_normal(3)


def normal_logpdf():
    data = rng(17).standard_normal(11)

    def nll(t):
        return -np.sum(
            stats.norm.logpdf(data, loc=t[0], scale=np.exp(t[1]))
        ) - stats.norm.logpdf(t[0])

    return nll, np.array([0.2, 0.3])


def gamma_likelihood():
    x = rng(18).gamma(2.0, size=8)

    def nll(t):
        k, theta = np.exp(t)
        return -np.sum(
            (k - 1) * np.log(x) - x / theta - k * np.log(theta) - special.gammaln(k)
        )

    return nll, np.array([0.5, -0.1])


def cox_partial_likelihood():
    r = rng(19)
    X, time, event = (
        r.standard_normal((7, 2)),
        r.random(7),
        np.array([1, 1, 0, 1, 0, 1, 1]),
    )

    def loss(beta):
        eta = X @ beta
        total = 0.0
        for i in range(len(time)):
            if event[i] == 1:
                at_risk = time >= time[i]
                total -= eta[i] - np.log(np.sum(np.exp(eta[at_risk])))
        return total

    return loss, r.standard_normal(2)


def ordinal_cutpoints():
    r = rng(20)
    X, y = r.standard_normal((8, 2)), np.array([0, 1, 2, 2, 1, 0, 1, 2])

    def loss(p):
        cuts = np.concatenate(
            [[-np.inf], p["c"][:1], p["c"][:1] + np.exp(p["c"][1:]), [np.inf]]
        )
        eta = X @ p["w"]
        upper, lower = special.expit(cuts[y + 1] - eta), special.expit(cuts[y] - eta)
        return -np.log(upper - lower).sum()

    return loss, {"c": np.array([-0.4, 0.1]), "w": r.standard_normal(2)}


def garch():
    returns = 0.1 * rng(21).standard_normal(12)

    def nll(t):
        omega, alpha, beta = (
            0.01 * np.exp(t[0]),
            special.expit(t[1]),
            special.expit(t[2]),
        )
        sigma2 = np.empty(len(returns))
        sigma2[0] = returns.var()
        for i in range(1, len(returns)):
            sigma2[i] = omega + alpha * returns[i - 1] ** 2 + beta * sigma2[i - 1]
        return 0.5 * np.sum(np.log(sigma2) + returns**2 / sigma2)

    return nll, np.array([0.1, -1.5, 0.3])


def ar_deque():
    x = np.sin(np.arange(12.0))

    def loss(phi):
        window = deque(x[:3].tolist(), maxlen=3)
        total = 0.0
        for value in x[3:]:
            prediction = sum(a * b for a, b in zip(phi, window))
            total += (value - prediction) ** 2
            window.append(prediction)
        return total

    return loss, np.array([0.2, -0.3, 0.6])


def lennard_jones():
    def energy(positions):
        n = len(positions)
        e = 0.0
        for i in range(n):
            for j in range(i + 1, n):
                d = positions[i] - positions[j]
                r2 = d @ d
                if r2 < 9.0:
                    s6 = 1.0 / r2**3
                    e += 4 * (s6 * s6 - s6)
        return e

    return energy, np.array(
        [[0.0, 0, 0], [1.2, 0, 0], [0.5, 1.1, 0.2], [4.0, 0.3, 0.1]]
    )


def bonded_energy_cross():
    def dihedral(p):
        b0, b1, b2 = p[0] - p[1], p[2] - p[1], p[3] - p[2]
        n1, n2 = np.cross(b0, b1), np.cross(b1, b2)
        m = np.cross(n1, b1 / np.linalg.norm(b1))
        return math.atan2(m.dot(n2), n1.dot(n2))

    return lambda p: 1 + math.cos(3 * dihedral(p) - 0.4), rng(22).standard_normal(
        (4, 3)
    )


def robot_arm():
    def rotation(a):
        return np.array(
            [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
        )

    def translation(l):
        T = np.eye(3)
        T[0, 2] = l
        return T

    def loss(q):
        T = np.eye(3)
        for angle, length in zip(q, (1.0, 0.7, 0.4)):
            T = T @ rotation(angle) @ translation(length)
        return np.hypot(T[0, 2] - 1.1, T[1, 2] - 0.6)

    return loss, np.array([0.3, 0.5, -0.2])


def bundle_adjustment():
    r = rng(23)
    points, seen = r.standard_normal((5, 3)) + [0, 0, 5], r.standard_normal((5, 2))

    def rodrigues(w):
        theta = np.linalg.norm(w)
        k = w / theta
        K = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
        return np.eye(3) + np.sin(theta) * K + (1 - np.cos(theta)) * (K @ K)

    Camera = namedtuple("Camera", "w t f")

    def project(camera, X):
        P = X @ rodrigues(camera.w).T + camera.t
        return camera.f * P[:, :2] / P[:, 2:]

    def loss(p):
        camera = Camera(p[:3], p[3:6], p[6])
        residual = project(camera, points) - seen
        s = (residual**2).sum(axis=1)
        return np.where(s < 1, s, 2 * np.sqrt(s) - 1).sum()

    return loss, np.array([0.1, -0.2, 0.15, 0.2, 0.1, 0.3, 1.1])


def svd_low_rank():
    M = rng(24).standard_normal((4, 3))

    def loss(p):
        U, s, Vt = np.linalg.svd(p["A"] + M, full_matrices=False)
        return s[0] + 0.1 * np.sum(s**2) + np.sum((p["A"] @ p["x"]) ** 2)

    return loss, {"A": rng(25).standard_normal((4, 3)), "x": rng(26).standard_normal(3)}


def eigenvalue_design():
    def loss(k):
        K = np.diag(k) + np.diag(k[:-1] * 0.3, 1) + np.diag(k[:-1] * 0.3, -1)
        w, v = np.linalg.eigh(K)
        return w[0] ** 2 + np.log(w).sum()

    return loss, np.array([1.0, 1.7, 2.9])


def ode_solve_ivp():
    t = np.linspace(0, 0.4, 3)

    def loss(p):
        sol = integrate.solve_ivp(
            lambda s, y: [-p[0] * y[0] + p[1]],
            (0, 0.4),
            [1.0],
            t_eval=t,
            rtol=1e-10,
            atol=1e-12,
        )
        return np.sum((sol.y[0] - np.exp(-t)) ** 2) + 0.1 * p[2] ** 2

    return loss, np.array([0.7, 0.3, 0.5])


def quadrature():
    def loss(p):
        value, _ = integrate.quad(lambda x: np.exp(-p[0] * x**2), 0, 1)
        return value * p[1] ** 2

    return loss, np.array([0.8, 1.3])


def spline_of_values():
    x = np.linspace(0, 1, 5)
    xs = np.linspace(0.05, 0.95, 9)

    def loss(y):
        return np.sum(np.interp(xs, x, y) ** 2) + np.trapezoid(y**2, x)

    return loss, rng(27).standard_normal(5)


def brent_root():
    def loss(p):
        root = optimize.brentq(lambda x: x**3 + p[0] * x - p[1], 0, 2, xtol=1e-14)
        return (root - 0.5) ** 2 + p[2] ** 2

    return loss, np.array([0.8, 1.1, 0.2])


def wave_equation_stencil():
    n = 8

    def loss(c):
        u_prev = np.exp(-(np.linspace(-2, 2, n) ** 2))
        u = u_prev.copy()
        for _ in range(6):
            u_next = np.zeros(n)
            for i in range(1, n - 1):
                u_next[i] = (
                    2 * u[i]
                    - u_prev[i]
                    + 0.1 * c[i] ** 2 * (u[i + 1] - 2 * u[i] + u[i - 1])
                )
            u_prev, u = u, u_next
        return np.sum(u**2)

    return loss, 1 + 0.2 * rng(28).standard_normal(n)


def heat_slices():
    def loss(u0):
        u = u0.copy()
        for _ in range(5):
            u[1:-1] += 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
            u[0] = u[1]
            u[-1] = u[-2]
        return np.sum((u - 0.5) ** 2)

    return loss, rng(29).standard_normal(7)


def game_of_beliefs():
    """Loopy belief propagation with messages in a dictionary."""
    edges = [(0, 1), (1, 2), (2, 0)]

    def loss(p):
        psi = np.exp(p["pair"])
        phi = np.exp(p["unary"])
        messages = {
            (i, j): np.ones(2) / 2 for a, b in edges for i, j in ((a, b), (b, a))
        }
        for _ in range(3):
            new = {}
            for i, j in messages:
                incoming = phi[i].copy()
                for k, l in messages:
                    if l == i and k != j:
                        incoming *= messages[k, l]
                m = psi @ incoming
                new[i, j] = m / m.sum()
            messages = new
        beliefs = [
            phi[i] * np.prod([messages[k, l] for k, l in messages if l == i], axis=0)
            for i in range(3)
        ]
        return -sum(np.log(b[0] / b.sum()) for b in beliefs)

    return loss, {
        "pair": rng(30).standard_normal((2, 2)),
        "unary": rng(31).standard_normal((3, 2)),
    }


def context_and_dispatch():
    @contextmanager
    def scaled(x, by):
        yield x * by

    class Timer:
        def __init__(self, w):
            self.w = w

        def __enter__(self):
            self.inside = np.exp(self.w)
            return self.inside

        def __exit__(self, *error):
            self.inside = None

    @singledispatch
    def penalty(x):
        return abs(x)

    @penalty.register
    def _(x: np.ndarray):
        return np.sum(x**2)

    @lru_cache(maxsize=None)
    def coefficient(n):
        return 1.0 / math.factorial(n)

    def loss(w):
        with scaled(w, 2.0) as z, Timer(w) as e:
            total = np.sum(z * e)
        return total + penalty(w) + sum(coefficient(n) * w[0] ** n for n in range(4))

    return loss, np.array([0.3, -0.5])


def decorated():
    import functools

    calls = []

    def counted(f):
        @functools.wraps(f)
        def wrapper(*args, **kwargs):
            calls.append(f.__name__)
            return f(*args, **kwargs)

        return wrapper

    @counted
    def term(x, power=2):
        return x**power

    return lambda w: sum(term(x, power=3) for x in w) + term(w).sum(), np.array(
        [0.5, -0.7]
    )


def numba_kernel():
    import numba

    @numba.njit
    def pairwise(x):
        total = 0.0
        for i in range(len(x)):
            for j in range(i):
                total += math.exp(-((x[i] - x[j]) ** 2))
        return total

    return lambda x: pairwise(x), rng(32).standard_normal(5)


def vectorized_function():
    f = np.vectorize(lambda x: x * x if x > 0 else -0.1 * x)
    return (
        lambda w: (
            np.sum(f(w))
            + np.sum(np.apply_along_axis(lambda r: r / np.linalg.norm(r), 1, w))
        ),
        rng(33).standard_normal((3, 2)),
    )


def complex_impedance():
    w = 2 * np.pi * np.array([1.0, 5.0, 20.0])
    measured = np.array([1.0 - 0.5j, 0.7 - 0.3j, 0.4 - 0.1j])

    def loss(p):
        R, C = np.exp(p[0]), np.exp(p[1])
        Z = R / (1 + 1j * w * R * C) + p[2]
        return np.sum(np.abs(Z - measured) ** 2)

    return loss, np.array([0.1, -2.0, 0.2])


def quantum_gates():
    def ry(t):
        c, s = np.cos(t / 2), np.sin(t / 2)
        return np.array([[c, -s], [s, c]])

    CNOT = np.array(
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=float
    )

    def loss(t):
        state = np.zeros(4)
        state[0] = 1.0
        state = np.kron(ry(t[0]), ry(t[1])) @ state
        state = CNOT @ state
        state = np.kron(np.eye(2), ry(t[2])) @ state
        probabilities = state**2
        return probabilities @ np.array([1.0, -1.0, -1.0, 1.0])

    return loss, np.array([0.3, 1.1, -0.4])


def portfolio():
    r = rng(34)
    returns = 0.05 * r.standard_normal((20, 4))
    mu, Sigma = returns.mean(axis=0), np.cov(returns.T)

    def loss(z):
        w = np.exp(z) / np.exp(z).sum()
        return (
            0.5 * w @ Sigma @ w
            - 0.1 * mu @ w
            + 1e-3 * np.sum(np.maximum(w - 0.4, 0) ** 2)
        )

    return loss, r.standard_normal(4)


def policy_gradient_returns():
    r = rng(35)
    states, actions, rewards = (
        r.standard_normal((6, 3)),
        [0, 1, 1, 0, 2, 1],
        [0.0, 1.0, 0.5, 0.0, 1.0, 2.0],
    )

    def loss(W):
        G, returns = 0.0, []
        for reward in reversed(rewards):
            G = reward + 0.9 * G
            returns.insert(0, G)
        returns = (np.array(returns) - np.mean(returns)) / (np.std(returns) + 1e-8)
        log_probs = []
        for s, a in zip(states, actions):
            logits = s @ W
            log_probs.append(logits[a] - np.log(np.exp(logits).sum()))
        return -np.dot(log_probs, returns)

    return loss, r.standard_normal((3, 3))


def decision_forest_soft():
    r = rng(36)
    X, y = r.standard_normal((7, 3)), r.standard_normal(7)

    class Node:
        def __init__(self, depth, params, path="r"):
            self.leaf = depth == 0
            self.path, self.params = path, params
            if not self.leaf:
                self.left = Node(depth - 1, params, path + "l")
                self.right = Node(depth - 1, params, path + "r")

        def predict(self, x):
            if self.leaf:
                return self.params[self.path]["v"]
            gate = special.expit(x @ self.params[self.path]["w"])
            return gate * self.left.predict(x) + (1 - gate) * self.right.predict(x)

    params = {}
    for path in ("r", "rl", "rr"):
        params[path] = {"w": r.standard_normal(3)}
    for path in ("rll", "rlr", "rrl", "rrr"):
        params[path] = {"v": float(r.standard_normal())}

    def loss(p):
        tree = Node(2, p)
        return sum((tree.predict(x) - t) ** 2 for x, t in zip(X, y)) / len(X)

    return loss, params


def convolution_1d():
    signal = np.sin(np.linspace(0, 6, 12))

    def loss(k):
        blurred = np.convolve(signal, k, mode="same")
        return np.sum((blurred - np.roll(signal, 1)) ** 2)

    return loss, np.array([0.2, 0.5, 0.3])


def polynomial_fit():
    x = np.linspace(-1, 1, 9)

    def loss(c):
        return (
            np.sum((np.polyval(c, x) - np.exp(x)) ** 2)
            + 1e-2 * np.polyval(np.polyder(c), 0.3) ** 2
        )

    return loss, rng(37).standard_normal(4)


def histogram_soft_and_bincount():
    labels = np.array([0, 2, 1, 2, 2, 0])

    def loss(w):
        sums = np.bincount(labels, weights=w, minlength=3)
        counts = np.bincount(labels, minlength=3)
        total = np.zeros(3)
        np.add.at(total, labels, w**2)
        return np.sum((sums / counts) ** 2) + total.max()

    return loss, rng(38).standard_normal(6)


def sorted_quantiles():
    y = np.sort(rng(39).standard_normal(6))

    def loss(x):
        ordered = np.array(sorted(x))
        return np.sum(np.abs(ordered - y)) + np.median(x) + np.percentile(x, 80)

    return loss, rng(40).standard_normal(6)


def recursion():
    def tree_sum(nodes):
        if len(nodes) == 1:
            return nodes[0]
        half = len(nodes) // 2
        return np.tanh(tree_sum(nodes[:half]) + 0.5 * tree_sum(nodes[half:]))

    return lambda w: tree_sum(list(w)) ** 2, rng(41).standard_normal(7)


def interpolator_object():
    x = np.linspace(0, 1, 6)
    table = interpolate.CubicSpline(x, np.sin(5 * x))

    def loss(p):
        return np.sum(table(1 / (1 + np.exp(-p["z"]))) ** 2) + np.sum(p["a"] ** 2)

    return loss, {"z": rng(42).standard_normal(3), "a": rng(43).standard_normal(2)}
