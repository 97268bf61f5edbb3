"""Losses that lean on the corners of NumPy and SciPy: (loss, params) each."""

import math

import numpy as np
from scipy import (
    integrate,
    interpolate,
    linalg,
    ndimage,
    optimize,
    signal,
    sparse,
    spatial,
    special,
    stats,
)

# ---- NumPy's corners -----------------------------------------------------------------


def ogrid_mgrid_meshgrid_psf():
    y, x = np.ogrid[-3:4, -3:4]
    gy, gx = np.mgrid[0:7, 0:7]
    image = np.exp(-((gx - 3.2) ** 2 + (gy - 2.7) ** 2) / 4)

    def loss(p):
        r2 = ((x - p["x0"]) / p["sx"]) ** 2 + ((y - p["y0"]) / p["sy"]) ** 2
        u, v = np.meshgrid(np.arange(7.0) * p["tilt"], np.arange(7.0), indexing="ij")
        model = p["amp"] * np.exp(-0.5 * r2) + 0.01 * (u + v)
        return np.sum((model - image) ** 2)

    return loss, {
        "x0": 0.2 * np.ones(()),
        "y0": np.array(-0.2),
        "sx": np.array(1.4),
        "sy": np.array(1.6),
        "amp": np.array(0.9),
        "tilt": np.array(0.1),
    }


def masked_array_of_missing_data():
    R = np.random.default_rng(0)
    data = R.normal(size=(6, 4))
    mask = R.random((6, 4)) < 0.3
    observed = np.ma.masked_array(data, mask)

    def loss(p):
        residual = observed - (p["row"][:, None] + p["col"])
        return (residual**2).mean() + 0.1 * np.ma.sum(np.ma.abs(residual))

    return loss, {"row": R.normal(size=6), "col": R.normal(size=4)}


def masked_array_of_parameters():
    R = np.random.default_rng(1)
    mask = R.random(8) < 0.4

    def loss(p):
        kept = np.ma.masked_where(mask, p)
        return float((kept**2).sum() + kept.mean())

    return loss, R.normal(size=8)


def structured_array_of_particles():
    R = np.random.default_rng(2)
    particles = np.zeros(5, dtype=[("pos", float, 2), ("mass", float), ("id", int)])
    particles["pos"] = R.normal(size=(5, 2))
    particles["mass"] = R.random(5) + 0.5

    def loss(p):
        d = particles["pos"] - p["centre"]
        r2 = (d**2).sum(-1) + p["soft"] ** 2
        return -np.sum(particles["mass"] / np.sqrt(r2))

    return loss, {"centre": np.array([0.1, 0.2]), "soft": np.array(0.5)}


def structured_array_written():
    def loss(p):
        state = np.zeros(4, dtype=[("x", float), ("v", float)])
        state["x"][0], state["v"][0] = p[0], p[1]
        for k in range(3):
            state["v"][k + 1] = state["v"][k] - 0.1 * p[2] * state["x"][k]
            state["x"][k + 1] = state["x"][k] + 0.1 * state["v"][k + 1]
        return np.sum(state["x"] ** 2)

    return loss, np.array([1.0, 0.2, 0.7])


def record_array_columns():
    R = np.random.default_rng(3)
    rows = np.rec.fromarrays([R.normal(size=9), R.normal(size=9)], names="x,y")
    return lambda p: np.mean((p[0] * rows.x + p[1] - rows.y) ** 2), np.array([0.4, 0.1])


def complex_buffer_filled():
    t = np.linspace(0, 1, 9)

    def loss(p):
        H = np.zeros(9, dtype=complex)
        for k, f in enumerate(t):
            H[k] = p[0] / (1 + 1j * f * p[1])
        H[3:5] *= np.exp(1j * p[2])
        return np.sum(np.abs(H - 0.5) ** 2)

    return loss, np.array([0.9, 2.0, 0.3])


def complex_matrix_of_a_circuit():
    omegas = [1.0, 2.5]

    def loss(p):
        R, L, C = np.exp(p)
        total = 0.0
        for w in omegas:
            Y = np.empty((2, 2), dtype=np.complex128)
            Y[0, 0] = 1 / R + 1j * w * C
            Y[0, 1] = Y[1, 0] = -1j * w * C
            Y[1, 1] = 1j * w * C + 1 / (1j * w * L)
            z = Y[0, 0] * Y[1, 1] - Y[0, 1] * Y[1, 0]
            total += abs(z) ** 2 + Y[1, 1].imag ** 2
        return total

    return loss, np.array([0.1, -0.3, 0.2])


def quantum_gates_kron():
    X = np.array([[0, 1], [1, 0]], dtype=complex)
    Z = np.diag([1, -1]).astype(complex)

    def loss(theta):
        state = np.zeros(4, dtype=complex)
        state[0] = 1.0
        for a, b in theta:
            U = np.cos(a / 2) * np.eye(2) - 1j * np.sin(a / 2) * X
            V = np.cos(b / 2) * np.eye(2) - 1j * np.sin(b / 2) * Z
            state = np.kron(U, V) @ state
            state = state * np.array([1, 1, 1, -1])
        H = np.kron(Z, Z) + 0.5 * np.kron(X, np.eye(2))
        return np.real(np.vdot(state, H @ state))

    return loss, np.random.default_rng(4).normal(size=(3, 2))


def einsum_attention_paths():
    R = np.random.default_rng(5)
    x = R.normal(size=(2, 5, 6))

    def loss(p):
        q, k, v = (np.einsum("btd,dhe->bhte", x, p[n]) for n in "qkv")
        s = np.einsum("bhte,bhse->bhts", q, k, optimize=True) / math.sqrt(3)
        s = np.where(np.tril(np.ones((5, 5), bool)), s, -1e9)
        a = special.softmax(s, axis=-1)
        return np.einsum("bhts,bhse->", a, v) ** 2

    return loss, {n: R.normal(size=(6, 2, 3)) for n in "qkv"}


def sliding_strides_and_nditer():
    R = np.random.default_rng(6)
    x = R.normal(size=10)

    def loss(w):
        windows = np.lib.stride_tricks.as_strided(x, (8, 3), (x.itemsize, x.itemsize))
        out = windows @ w
        total = 0.0
        for v in np.nditer(np.array([1.0, 2.0])):
            total += float(v) * out.sum()
        for (i,), v in np.ndenumerate(out):
            total += i * v**2
        return total

    return loss, R.normal(size=3)


def select_piecewise_choose():
    x = np.linspace(-2, 2, 11)

    def loss(p):
        u = p[0] * x + p[1]
        a = np.select([u < -1, u < 1], [-u - 0.5, 0.5 * u**2], default=u - 0.5)
        b = np.piecewise(u, [u < 0, u >= 0], [lambda v: v * p[2], lambda v: v**2])
        c = np.choose([0, 1, 2], [u[:3], u[3:6], u[6:9]])
        return a.sum() + b.sum() + np.prod(c + 3)

    return loss, np.array([0.9, 0.13, 0.5])


def polynomial_classes():
    x = np.linspace(-1, 1, 9)

    def loss(c):
        p = np.polynomial.Polynomial(c)
        q = np.poly1d(c[::-1])
        cheb = np.polynomial.chebyshev.chebval(x, c)
        return (
            np.sum((p(x) - np.exp(x)) ** 2)
            + q(0.3) ** 2
            + p.deriv()(0.5)
            + np.sum(cheb**2)
        )

    return loss, np.array([0.9, 1.1, 0.4])


def ufunc_methods_and_out():
    R = np.random.default_rng(7)
    idx = np.array([0, 2, 2, 1])

    def loss(p):
        acc = np.zeros(3)
        np.add.at(acc, idx, p)
        out = np.empty((4, 4))
        np.multiply.outer(p, np.sin(p), out=out)
        seg = np.add.reduceat(p, [0, 2])
        hist = np.bincount(idx, weights=p**2, minlength=3)
        np.exp(out, out=out)
        return np.sum(acc**2) + np.log(out).trace() + seg @ seg + hist.max()

    return loss, R.normal(size=4)


def logical_masks_and_compress():
    R = np.random.default_rng(8)

    def loss(p):
        keep = (p > -0.5) & ~(p > 1.5) | np.isclose(p, 5.0)
        z = p.copy()
        z[~keep] = 0.1 * z[~keep]
        z[keep] **= 2
        where = np.flatnonzero(keep)
        top = np.partition(p, -3)[-3:].sum()
        return z.sum() + np.take(p, where).mean() + top

    return loss, R.normal(size=9)


def quantile_and_histogram_losses():
    R = np.random.default_rng(9)
    y = R.normal(size=15)

    def loss(p):
        r = y - p[0] - p[1] * np.arange(15)
        pin = np.maximum(0.8 * r, -0.2 * r).mean()
        return (
            pin
            + np.median(np.abs(r))
            + np.quantile(r, 0.3)
            + np.ptp(r)
            + np.nanmean(np.where(r > 2, np.nan, r))
        )

    return loss, np.array([0.13, 0.021])


def block_matrices_and_toeplitz():
    def loss(p):
        T = linalg.toeplitz([2 + p[0] ** 2, p[1], 0.1])
        B = np.block(
            [
                [T, np.eye(3)],
                [np.zeros((3, 3)), linalg.block_diag(p[2], np.diag(p[:2] + 2))],
            ]
        )
        sign, logdet = np.linalg.slogdet(B)
        return (
            logdet + np.trace(np.linalg.matrix_power(T, 3)) + np.linalg.cond(T, "fro")
        )

    return loss, np.array([0.4, 0.3, 1.2])


def datetimes_and_strings_around():
    dates = np.array(["2020-01-01", "2020-01-03", "2020-01-10"], dtype="datetime64[D]")
    names = np.array(["a", "b", "a"])

    def loss(p):
        days = (dates - dates[0]) / np.timedelta64(1, "D")
        group = (names == "a").astype(float)
        return (
            np.sum(np.exp(-p[0] * days) * (1 + p[1] * group))
            + len(set(names.tolist())) * p[0] ** 2
        )

    return loss, np.array([0.2, 0.5])


def float32_and_integer_mixture():
    X = np.arange(12, dtype=np.int64).reshape(4, 3)

    def loss(w):
        half = X.astype(np.float32) / np.float32(11)
        z = half @ w
        count = np.sum(X > 3)
        return np.float64((z * z).sum()) / count + np.int64(2) * w[0]

    return loss, np.array([0.3, -0.1, 0.8])


# ---- SciPy ---------------------------------------------------------------------------


def solve_ivp_with_events():
    def loss(p):
        f = lambda t, y: [y[1], -p[0] * np.sin(y[0]) - p[1] * y[1]]
        sol = integrate.solve_ivp(
            f, (0, 1), [p[2], 0.0], t_eval=np.linspace(0, 1, 5), rtol=1e-8, atol=1e-8
        )
        return float(np.sum(sol.y[0] ** 2))

    return loss, np.array([1.5, 0.2, 0.8])


def odeint_of_a_method():
    class Model:
        def __init__(self, theta):
            self.a, self.b = theta

        def rhs(self, y, t):
            return [self.a * y[0] * (1 - y[0]), self.b * y[0] - y[1]]

        def run(self, t):
            return integrate.odeint(self.rhs, [0.1, 0.0], t, rtol=1e-9, atol=1e-9)

    t = np.linspace(0, 2, 6)
    return lambda p: np.sum((Model(p).run(t) - 0.3) ** 2), np.array([1.1, 0.7])


def quad_of_a_closure():
    return (
        lambda p: (
            integrate.quad(lambda x: math.exp(-p[0] * x**2) * math.cos(p[1] * x), 0, 2)[
                0
            ]
            ** 2
        ),
        np.array([0.8, 1.3]),
    )


def root_scalar_implicit():
    def loss(p):
        x = optimize.brentq(
            lambda x: x**3 + p[0] * x - p[1], -3, 3, xtol=1e-14, rtol=1e-14
        )
        y = optimize.fsolve(lambda y: y - 0.3 * np.sin(y) - x, x, xtol=1e-13)[0]
        return x**2 + y

    return loss, np.array([1.2, 0.9])


def splines_in_use():
    knots = np.linspace(0, 1, 6)
    x = np.linspace(0.05, 0.95, 9)

    def loss(y):
        s = interpolate.CubicSpline(knots, y)
        area = s.integrate(0.1, 0.9)
        slope = s.derivative()(x)
        return np.sum((s(x) - x**2) ** 2) + area + 0.01 * np.sum(slope**2)

    return loss, np.sin(knots)


def spline_antiderivative_and_roots():
    t = np.linspace(0, 2, 7)

    def loss(y):
        s = interpolate.make_interp_spline(t, y, k=3)
        return float(s.integrate(0, 2)) + s(1.3) ** 2 + np.interp(0.7, t, y)

    return loss, np.cos(t)


def butterworth_filter():
    R = np.random.default_rng(11)
    x = R.normal(size=20)
    b, a = signal.butter(2, 0.3)

    def loss(p):
        y = signal.lfilter(b * p[0], a, x)
        z = signal.lfilter([p[1]], [1.0, -p[2]], y)
        return np.mean(z**2)

    return loss, np.array([0.9, 0.5, 0.4])


def convolutions_of_ndimage_and_signal():
    R = np.random.default_rng(12)
    img = R.normal(size=(7, 7))

    def loss(k):
        a = signal.convolve2d(img, k, mode="valid")
        b = ndimage.correlate(img, k, mode="reflect")
        c = signal.fftconvolve(img, k, mode="same")
        g = ndimage.gaussian_filter(b, 1.0)
        return np.mean(a**2) + np.mean(b * c) + np.sum(g) ** 2 / 100

    return loss, R.normal(size=(3, 3))


def sparse_laplacian_solve():
    n = 8
    L = sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n), format="csr")

    def loss(p):
        A = L + sparse.diags(np.exp(p["k"]))
        u = sparse.linalg.spsolve(A.tocsc(), p["f"])
        return 0.5 * u @ (L @ u) - p["f"] @ u

    R = np.random.default_rng(13)
    return loss, {"k": R.normal(size=n) * 0.3, "f": R.normal(size=n)}


def sparse_coo_assembled():
    R = np.random.default_rng(14)
    rows, cols = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 2])
    v = R.normal(size=3)

    def loss(w):
        A = sparse.coo_matrix((w, (rows, cols)), shape=(3, 3)).tocsr()
        return np.sum((A @ v) ** 2) + A.sum() + (A.T @ v)[1]

    return loss, R.normal(size=5)


def sparse_features_constant():
    R = np.random.default_rng(15)
    X = sparse.random(12, 6, density=0.4, random_state=0, format="csr")
    y = np.sign(R.normal(size=12))

    def loss(w):
        margin = y * (X @ w)
        return np.logaddexp(0, -margin).mean() + 0.01 * w @ w + X[0].multiply(w).sum()

    return loss, R.normal(size=6)


def stats_mixture_frozen():
    x = np.random.default_rng(16).normal(size=20)

    def loss(p):
        w = special.softmax(p["logit"])
        parts = [
            stats.norm(m, np.exp(s)) for m, s in zip(p["mean"], p["log_s"], strict=True)
        ]
        dens = np.stack([d.pdf(x) for d in parts])
        tail = stats.expon(scale=np.exp(p["log_s"][0])).sf(2.0)
        return (
            -np.log(w @ dens).sum()
            + tail
            + stats.gamma.logpdf(np.exp(p["mean"][1]), 2.0)
        )

    return loss, {
        "logit": np.array([0.1, -0.2]),
        "mean": np.array([-0.5, 0.6]),
        "log_s": np.array([0.0, 0.2]),
    }


def copula_of_normal_quantiles():
    U = np.random.default_rng(17).random((10, 2)) * 0.9 + 0.05

    def loss(p):
        rho = math.tanh(p[0])
        z = stats.norm.ppf(U)
        S = np.array([[1, rho], [rho, 1]])
        quad = np.einsum("ni,ij,nj->n", z, np.linalg.inv(S) - np.eye(2), z)
        t = stats.t(df=3 + math.exp(p[1])).logpdf(z).sum()
        return 0.5 * quad.sum() + 5 * np.log(np.linalg.det(S)) - 0.01 * t

    return loss, np.array([0.3, 0.4])


def distances_and_kernels():
    R = np.random.default_rng(18)
    A = R.normal(size=(5, 2))

    def loss(p):
        D = spatial.distance.cdist(A, p["B"], "sqeuclidean")
        own = spatial.distance.pdist(p["B"])
        K = np.exp(-D / 2)
        M = spatial.distance.squareform(own)
        return -np.log(K.sum(1)).sum() + own.mean() + M.max()

    return loss, {"B": R.normal(size=(4, 2))}


def matrix_functions():
    R = np.random.default_rng(19)

    def loss(p):
        S = p - p.T
        Q = linalg.expm(S)
        root = linalg.sqrtm(p @ p.T + 3 * np.eye(3)).real
        lyap = linalg.solve_continuous_lyapunov(-np.eye(3) * 3 + 0.1 * p, -np.eye(3))
        w, V = np.linalg.eigh(p @ p.T)
        U, s, Vt = np.linalg.svd(p)
        return (
            Q[0, 1]
            + np.trace(root)
            + np.trace(lyap)
            + (w * np.arange(3)).sum()
            + s[0]
            - np.log(s).sum()
        )

    return loss, R.normal(size=(3, 3)) * 0.5


def linear_algebra_of_control():
    def loss(p):
        A, B = np.array([[0.9, 0.2], [0, 0.7]]), np.array([[0.0], [1.0]])
        P = linalg.solve_discrete_are(
            A, B, np.diag(np.exp(p[:2])), np.array([[math.exp(p[2])]])
        )
        lu = linalg.lu_factor(P)
        x = linalg.lu_solve(lu, np.array([1.0, 0.5]))
        q, r = np.linalg.qr(P)
        return np.trace(P) + x @ x + np.abs(np.diag(r)).sum()

    return loss, np.array([0.1, 0.2, -0.1])


def special_functions_medley():
    def loss(p):
        a, b = np.exp(p)
        return (
            special.betaln(a, b)
            + special.digamma(a)
            + special.gammainc(a, b)
            + special.jv(0, b)
            + special.erfcinv(0.3 * a / (1 + a))
            + special.iv(1, a)
            + special.hyp2f1(1, a, 3, 0.2)
        )

    return loss, np.array([0.2, 0.4])
