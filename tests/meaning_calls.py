"""How to call the functions of the table that take particular arguments."""

import random
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import numpy as np
from scipy import sparse, stats

from fastgrad.program.primitives.meanings.densities import CONTINUOUS, DISCRETE

RNG = np.random.default_rng(23)
POOL = ThreadPoolExecutor(1)
THREADS = ThreadPool(1)
POINTS = np.sort(RNG.normal(size=6))
HEIGHTS = RNG.normal(size=6)
BINS = np.array([0, 3, 1, 3, 2, 0, 3])


def seen(z):
    """A real number that shows both parts of a complex one."""
    return z.real + 2.0 * z.imag


def normal(rng, shape):
    return rng.normal(size=shape)


def share(rng, shape):
    return rng.uniform(0.2, 0.9, size=shape)


def large(rng, shape):
    return rng.uniform(1.2, 3.0, size=shape)


#: Arrays to try, the first of which the function gives finite numbers for.
DRAWS = (normal, share, large)


FAMILIES = [
    ("chebyshev", "cheb"), ("legendre", "leg"), ("hermite", "herm"), ("hermite_e", "herme"),
    ("laguerre", "lag"),
]  # fmt: skip
SPARSE = sparse.random(6, 5, 0.4, random_state=3)
ARROW = sparse.csr_array(np.eye(9) + np.eye(9)[:1] + np.eye(9)[:, :1])


def continuous_call(name, number):
    """With shapes, location and scale, at points within the support."""

    def call(f, x, *parameters):
        shapes = [np.abs(s) + 1.1 for s in parameters[:number]]
        x = np.abs(x) + 1.2 if CONTINUOUS[name].support[0] > -np.inf else x
        x = 0.6 / x if name in ("beta", "uniform") else x
        if name == "truncnorm":
            x, shapes = np.tanh(x), [-shapes[0], shapes[1]]
        scale = np.abs(parameters[number + 1]) + 0.9
        return f(x, *shapes, parameters[number] / 100, scale=scale)

    return call


def discrete_call(name):
    counts = np.array([0, 1, 1, 0]) + (name == "geom")

    def call(f, *parameters):
        if name in ("binom", "nbinom"):
            return f(counts, 7.0, 1.0 / (1.0 + np.exp(parameters[1])))
        if name in ("bernoulli", "geom"):
            return f(counts, 1.0 / (1.0 + np.exp(parameters[0])))
        return f(counts, np.exp(parameters[0]))

    return call


METHODS = {
    f"scipy.stats.{name}.{method}": [
        (continuous_call(name, len(made.shapes)), (4,), *[()] * (len(made.shapes) + 2))
    ]
    for name, made in CONTINUOUS.items()
    for method in ("logpdf", "pdf", "cdf", "sf", "logcdf", "logsf")
    if made.cdf is not None or "pdf" in method
} | {
    f"scipy.stats.{name}.{method}": [(discrete_call(name), *[()] * len(made.shapes))]
    for name, made in DISCRETE.items()
    for method in ("logpmf", "pmf")
}
FROZEN = {
    f"scipy.stats._distn_infrastructure.rv_continuous_frozen.{method}": [
        (lambda f, a: f(stats.norm(0.3, 2.0), a), (4,))
    ]
    for method in ("logpdf", "pdf", "cdf", "sf", "logcdf", "logsf")
} | {
    f"scipy.stats._distn_infrastructure.rv_discrete_frozen.{method}": [
        (
            lambda f, a: (
                f(stats.poisson(1.2), np.array([0.0, 1.0, 4.0])) + 0.0 * np.sum(a)
            ),
            (4,),
        )
    ]
    for method in ("logpmf", "pmf")
}
MVN = [
    (lambda f, a, b, c: f(a, b, regular(c)), (4, 3), (3,), (3, 3)),
    (lambda f, a, b: f(a, mean=b, cov=0.5), (3,), (3,)),
    (lambda f, a, b: f(a, 0.3, np.abs(b) + 1), (4,), ()),
    (lambda f, a, b: f(a, np.zeros(2), np.abs(b) + 1), (5, 2), (2,)),
]


def dense(x):
    return x.toarray() if sparse.issparse(x) else x


def parts(z):
    """Real and imaginary parts."""
    return np.stack([np.real(z) + 0.0 * np.imag(z), np.imag(z)])


def regular(x):
    """Positive definite, from any square matrix."""
    return x @ np.swapaxes(x, -1, -2) + 2.0 * np.eye(x.shape[-1])


def changed(function, x, *args):
    # Also traced where only what is written is.
    x = x + 0.0 * np.sum(args[-1])
    function(x, *args)
    return x


def holes(x):
    """With NaN where no row or column has nothing else."""
    return np.where(np.arange(np.size(x)).reshape(np.shape(x)) % 3 == 1, np.nan, x)


#: Calls beside those that are made up.
MORE = {
    **{
        f"numpy.nan{name}": [
            (lambda f, a, axis=axis: f(holes(a), axis=axis), (4, 5))
            for axis in (None, 0, 1)
        ]
        for name in (
            "sum",
            "prod",
            "mean",
            "var",
            "std",
            "max",
            "min",
            "median",
            "cumsum",
            "cumprod",
        )
    },
    "scipy.special.xlogy": [
        (lambda f, a: f(np.array([0.0, 1.0, 0.0]), np.exp(a)), (3,)),
        (lambda f, a: f(np.zeros(3), 0.0 * a) + a, (3,)),
    ],
    "scipy.special.xlog1py": [(lambda f, a: f(np.zeros(3), 0.0 * a - 1.0) + a, (3,))],
    "scipy.special.logsumexp": [
        (lambda f, a: f(np.where(np.arange(5) == 2, -np.inf, a)), (5,)),
        (lambda f, a: f(a, b=np.array([1.0, 2.0, 0.0, 1.0, 3.0])), (5,)),
        (lambda f, a: f(a + 800.0, axis=0), (5, 2)),
    ],
    "scipy.special.log_ndtr": [(lambda f, a: f(40.0 * a), (9,))],
    "scipy.special.digamma": [(lambda f, a: f(5.0 * a), (9,))],
    "numpy.interp": [(lambda f, a: f(4.0 * a, POINTS, HEIGHTS, right=2.0), (9,))],
    "numpy.linalg.norm": [(lambda f, a: a * f(np.where(a > 0.2, a, 0.0), 0), (6,))],
    "numpy.correlate": [
        (lambda f, a, b, mode=mode: f(a, b, mode), (3,), (6,))
        for mode in ("full", "same", "valid")
    ],
    "numpy.linalg.matrix_power": [(lambda f, a: a + f(a, 0), (1, 2, 3, 3))],
    "numpy.polyval": [(lambda f, a: f([], a), (3,))],
    "scipy.signal.correlate2d": [
        (lambda f, a, b: f(a, b, "same", "wrap"), (4, 5), (3, 3))
    ],
    "numpy.logaddexp.reduce": [(lambda f, a: f(a, 1, keepdims=True), (2, 3))],
    "numpy.isneginf": [(lambda f, a: a * f(np.where(a > 0.0, a, -np.inf)), (6,))],
    "numpy.polynomial.polynomial.polyval": [
        (lambda f, a, b: f(b, a), (3, 2), (4,)),
        (lambda f, a, b: f(b, a, tensor=False), (3, 4), (4,)),
    ],
    "scipy.spatial.distance.cdist": [
        (lambda f, a, b: f(a, b, "canberra"), (4, 3), (2, 3))
    ],
    "scipy.stats.moment": [(lambda f, a: f(a, [1, 2, 3]), (6,))],
    "scipy.special.exprel": [(lambda f, a: f(np.where(a > 0.0, a, 0.0)), (6,))],
    **{
        f"scipy.special.{name}": [
            (lambda f, a: f(np.array([0.0, 1.0, 0.0]), np.exp(a)), (3,)),
            (lambda f, a: f(np.exp(a), np.exp(a[::-1])), (3,)),
        ]
        for name in ("rel_entr", "kl_div")
    },
    "scipy.integrate.simpson": [
        (lambda f, a: f(HEIGHTS, x=np.cumsum(np.exp(a))), (6,)),
        (lambda f, a: f(HEIGHTS, dx=a[0]), (1,)),
    ],
    "scipy.signal.lfilter": [
        (lambda f, a: f([1.0, 0.5], np.append(2.0, a), POINTS), (2,)),
        (lambda f, a: f(a, [2.0, 0.5], POINTS), (2,)),
    ],
}


def drawn_by(seeded):
    """Methods of a generator whose draws are moved and stretched, by name."""
    moved = [
        (lambda f, a, b: f(seeded(4), a, np.exp(b)), (3,), ()),
        (lambda f, a, b: f(seeded(4), a, np.exp(b), size=(2, 3)), (3,), ()),
    ]
    stretched = [
        (lambda f, a: f(seeded(4), np.exp(a)), ()),
        (lambda f, a: f(seeded(4), np.exp(a), (2, 3)), (3,)),
    ]
    return {
        **dict.fromkeys(
            ("normal", "laplace", "gumbel", "logistic", "lognormal"), moved
        ),
        **dict.fromkeys(("exponential", "rayleigh"), stretched),
        "uniform": [(lambda f, a, b: f(seeded(4), a, np.exp(b) + 9), (3,), (2, 3))],
        "gamma": [(lambda f, a: f(seeded(4), 2.0, np.exp(a)), (3,))],
        "choice": [
            (lambda f, a: f(seeded(4), a, 6), (4,)),
            (lambda f, a: f(seeded(4), a, (2, 2), False), (4,)),
            (lambda f, a: f(seeded(4), a, p=[0.1, 0.2, 0.3, 0.4]), (4,)),
        ],
        "permutation": [
            (lambda f, a: f(seeded(4), a), (4,)),
            (lambda f, a: f(seeded(4), a), (4, 3)),
        ],
        "multivariate_normal": [
            (lambda f, a: f(seeded(4), a, np.eye(2) + 0.3, size=3), (2,))
        ],
    }


#: name -> (call(function, *arrays), shape of each array), ...
CALLS = {
    **{
        f"numpy.random.{seeded}.{name}": calls
        for seeded, make in (
            ("Generator", np.random.default_rng),
            ("RandomState", np.random.RandomState),
        )
        for name, calls in drawn_by(make).items()
    },
    "random.Random.gauss": [(lambda f, a, b: f(random.Random(4), a, b), (), ())],
    "random.Random.normalvariate": [
        (lambda f, a, b: f(random.Random(4), a, np.exp(b)), (), ())
    ],
    "random.Random.choice": [(lambda f, a: f(random.Random(4), list(a)), (4,))],
    "random.Random.choices": [
        (lambda f, a: f(random.Random(4), list(a), k=6), (4,)),
        (lambda f, a: f(random.Random(4), list(a), [1, 2, 3, 4], k=5), (4,)),
    ],
    "random.Random.sample": [(lambda f, a: f(random.Random(4), list(a), 3), (4,))],
    "random.Random.uniform": [(lambda f, a, b: f(random.Random(4), a, b), (), ())],
    "random.Random.expovariate": [(lambda f, a: f(random.Random(4), np.exp(a)), ())],
    "numpy.full": [(lambda f, a: f((2, 3), a), ()), (lambda f, a: f((2, 3), a), (3,))],
    "numpy.block": [
        (lambda f, a, b: f([[a, b], [b, a]]), (2, 2), (2, 2)),
        (lambda f, a, b: f([a, 1.0, b]), (3,), ()),
        (lambda f, a, b: f([[a], [b]]), (3,), (2, 3)),
    ],
    "numpy.r_.__getitem__": [
        (lambda f, a, b: f((a, 1.0, b, slice(0, 3))), (3,), ()),
        (lambda f, a: f(a), (3,)),
    ],
    "numpy.c_.__getitem__": [
        (lambda f, a, b: f((a, b)), (3,), (3, 2)),
        (lambda f, a: f(a), (3,)),
    ],
    "numpy.dstack": [(lambda f, a, b: f((a, b)), (3,), (3,))],
    "numpy.insert": [
        (lambda f, a, b: f(a, 1, b), (3,), ()),
        (lambda f, a, b: f(a, [0, 2], b, axis=1), (2, 3), (2, 1)),
    ],
    "numpy.delete": [
        (lambda f, a: f(a, 1), (3,)),
        (lambda f, a: f(a, [0, 2], axis=1), (2, 3)),
    ],
    "numpy.resize": [(lambda f, a: f(a, (3, 3)), (2, 2))],
    "numpy.fill_diagonal": [
        (lambda f, a, b: changed(f, a, b), (3, 4), ()),
        (lambda f, a, b: changed(f, a, b), (3, 3), (3,)),
    ],
    "numpy.copyto": [(lambda f, a, b: changed(f, a, b), (3, 4), (4,))],
    "numpy.add.at": [
        (lambda f, a, b: changed(f, a, BINS, b), (4,), (7,)),
        (lambda f, a, b: changed(f, a, BINS, b), (4, 2), (7, 2)),
        (lambda f, a, b: changed(f, a, (BINS, BINS), b), (4, 4), ()),
    ],
    **{
        f"numpy.{name}.at": [(lambda f, a, b: changed(f, a, BINS, b), (5,), (7,))]
        for name in ("subtract", "multiply", "divide", "maximum", "minimum")
    },
    "numpy.nanquantile": [
        (lambda f, a: f(holes(a), 0.3), (4, 5)),
        (lambda f, a: f(holes(a), [0.0, 0.6, 1.0], axis=1), (4, 5)),
    ],
    "numpy.nanpercentile": [(lambda f, a: f(holes(a), 70, axis=0), (4, 5))],
    "numpy.poly1d": [
        (lambda f, a, b: f(a)(b), (4,), (3,)),
        (lambda f, a: f(a).deriv()(POINTS), (4,)),
        (lambda f, a: f(a).integ(2)(POINTS), (4,)),
    ],
    "numpy.polynomial.Polynomial": [
        (lambda f, a, b: f(a)(b), (4,), (3,)),
        (lambda f, a: f(a).deriv()(POINTS), (4,)),
    ],
    "numpy.iterable": [(lambda f, a: a * f(a), (4,)), (lambda f, a: a * f(a), ())],
    "numpy.result_type": [(lambda f, a: a * f(a, np.float32).itemsize, (4,))],
    "scipy.sparse.issparse": [(lambda f, a: a * f(a), (4,))],
    "scipy.sparse.isspmatrix": [(lambda f, a: a * f(a), (4,))],
    "numpy.fromfunction": [
        (lambda f, a: f(lambda i, j: i * a[0] + j * a[1], (2, 3)), (2,))
    ],
    "numpy.fromiter": [(lambda f, a: f((x**2 for x in a), float), (4,))],
    "numpy.ndenumerate": [(lambda f, a: np.stack([i[0] * v for i, v in f(a)]), (3, 2))],
    "numpy.nditer": [
        (lambda f, a, b: np.stack([x * y for x, y in f([a, b])]), (3, 2), (2,)),
        (lambda f, a: np.stack([x * x for x in f(a)]), (3,)),
    ],
    "scipy.spatial.distance.squareform": [
        (lambda f, a: f(a), (6,)),
        (lambda f, a: f(a + a.T - 2 * np.diag(np.diag(a))), (4, 4)),
    ],
    "scipy.stats.iqr": [(lambda f, a: f(a), (7,)), (lambda f, a: f(a, axis=0), (5, 2))],
    "scipy.stats.pmean": [
        (lambda f, a: f(a**2 + 0.5, 3, axis=0), (3, 4)),
        (lambda f, a: f(a**2 + 0.5, -0.5, axis=1, keepdims=True), (3, 4)),
    ],
    "scipy.stats.trim_mean": [
        (lambda f, a: f(a, 0.2), (6, 2)),
        (lambda f, a: f(a, 0.25, axis=1), (2, 9)),
        (lambda f, a: f(a, 0.1, axis=None), (4, 5)),
    ],
    "scipy.stats.pearsonr": [(lambda f, a, b: f(a, b)[0], (5,), (5,))],
    **{
        f"scipy.interpolate.{name}": [
            (lambda f, a: f(POINTS, a)(POINTS[1:-1] + 0.05), (6,)),
            *(
                []
                if name == "interp1d"
                else [
                    (lambda f, a: f(POINTS, a).integrate(POINTS[0], POINTS[3]), (6,)),
                    (lambda f, a: f(POINTS, a).derivative(2)(POINTS[1:-1]), (6,)),
                    (lambda f, a: f(POINTS, a).antiderivative()(POINTS[2]), (6,)),
                ]
            ),
        ]
        for name in ("CubicSpline", "interp1d", "make_interp_spline")
    },
    "scipy.sparse.linalg.spsolve": [
        (lambda f, a: f(ARROW.tocsc(), a), (9,)),
        (lambda f, a: f(ARROW.tocsc(), a), (9, 1)),
        (lambda f, a: f(ARROW.tocsc(), a), (9, 2)),
    ],
    **{
        f"cmath.{name}": [
            (lambda f, a: seen(f(a[0] + 1j * a[1])), (2,)),
            (lambda f, a: seen(f(a[0] * a[1] - 2.0)), (2,)),
        ]
        for name in (
            *("exp", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "log"),
            *("log10", "phase"),
        )
    },
    **{
        f"numpy.{name}.reduceat": [
            (lambda f, a: f(a, [0, 3, 1, 4]), (6,)),
            (lambda f, a: f(a, np.array([1, 3]), axis=1), (2, 5)),
        ]
        for name in ("add", "multiply", "maximum", "minimum")
    },
    "builtins.complex": [(lambda f, a: seen(f(a[0], a[1])), (2,))],
    "cmath.polar": [(lambda f, a: sum(f(a[0] + 1j * a[1])), (2,))],
    "cmath.rect": [(lambda f, a: seen(f(a[0], a[1])), (2,))],
    "concurrent.futures.Executor.map": [
        (lambda f, a, b: sum(f(POOL, np.multiply, a, b)), (4,), (4,))
    ],
    "concurrent.futures.ThreadPoolExecutor.submit": [
        (lambda f, a: f(POOL, np.sum, a, axis=0).result(), (4, 2))
    ],
    "concurrent.futures.as_completed": [
        (lambda f, a: sum(x.result() for x in f([POOL.submit(np.sin, a)])), (4,))
    ],
    "multiprocessing.pool.Pool.map": [(lambda f, a: sum(f(THREADS, np.sin, a)), (4,))],
    "multiprocessing.pool.Pool.imap": [(lambda f, a: sum(f(THREADS, np.sin, a)), (4,))],
    "multiprocessing.pool.Pool.starmap": [
        (lambda f, a, b: sum(f(THREADS, np.multiply, [(a, b), (b, b)])), (4,), (4,))
    ],
    "multiprocessing.pool.Pool.apply": [
        (lambda f, a: f(THREADS, np.sum, (a,), {"axis": 0}), (4, 2))
    ],
    **{
        f"scipy.sparse.{kind}_array.multiply": [
            (
                lambda f, a, kind=kind: dense(
                    f(getattr(sparse, f"{kind}_array")(SPARSE), a)
                ),
                (5,),
            ),
        ]
        for kind in ("csr", "coo", "dia", "lil", "dok")
    },
    **{
        f"scipy.sparse.{name}": [
            (lambda f, a: dense(f(a)), (4,)),
            (lambda f, a, b: dense(f([a, b], offsets=[0, -1])), (4,), (3,)),
            (lambda f, a, b: dense(f([a, b], offsets=[0, 2], shape=(4, 5))), (4,), ()),
        ]
        for name in ("diags", "diags_array")
    },
    "numpy.bincount": [
        (lambda f, a: f(BINS, a), (7,)),
        (lambda f, a: f(BINS, weights=a, minlength=6), (7,)),
        (lambda f, a: f(np.zeros(9, int) + 2, a), (9,)),
    ],
    "numpy.histogram": [
        (lambda f, a: f(BINS, 3, weights=a)[0], (7,)),
        (lambda f, a: f(BINS, [0, 1, 3], weights=a, density=True)[0], (7,)),
    ],
    "numpy.interp": [
        (lambda f, a: f(a, POINTS, HEIGHTS), (3, 4)),
        (lambda f, a, b: f(a, POINTS, b, left=0.5), (8,), (6,)),
    ],
    "numpy.vander": [
        (lambda f, a: f(a), (4,)),
        (lambda f, a: f(a, 3, increasing=True), (4,)),
    ],
    "numpy.where": [
        (lambda f, a, b: f(a > 0, a, b), (3, 4), (4,)),
        (lambda f, a, b: f(a > 0, b, 1.0), (3,), (3,)),
    ],
    "numpy.dot": [
        (lambda f, a, b: f(a, b), *shapes)
        for shapes in [
            ((5,), (5,)),
            ((3, 4), (4,)),
            ((4,), (2, 4, 3)),
            ((2, 3, 4), (2, 4, 3)),
            ((), (3,)),
            ((3, 0), (0, 2)),
            ((1, 1), (1, 1)),
            ((), ()),
        ]
    ],
    "numpy.einsum_path": [
        (lambda f, x, y: f("ij,jk->ik", x, y)[0][1][0] + np.sum(x) * y, (3, 3), (3, 3)),
    ],
    "numpy.einsum": [
        *(
            (lambda f, *xs, text=text: f(text, *xs), *shapes)
            for text, *shapes in [
                ("ij,jk->ik", (3, 4), (4, 2)),
                ("ij,jk", (3, 4), (4, 2)),
                ("ii", (3, 3)),
                ("ii->i", (3, 3)),
                ("iij->ji", (3, 3, 2)),
                ("ij->", (3, 4)),
                ("i,j,k->kji", (2,), (3,), (4,)),
                ("...ij,...jk->...ik", (2, 3, 4), (4, 2)),
                ("ij,ij,jk->k", (3, 4), (3, 4), (4, 2)),
                ("b...,b...->...", (3, 4), (3, 4)),
                ("ij,kj", (3, 4), (2, 4)),
                ("i,", (3,), ()),
                ("ij,jk->ik", (3, 0), (0, 2)),
                ("ij,jk->ik", (1, 4), (4, 1)),
                (" i j -> j i ", (2, 3)),
                ("ii,i->", (3, 3), (3,)),
            ]
        ),
        (lambda f, a, b: f(a, [0, 1], b, [1, 2]), (3, 4), (4, 2)),
        (lambda f, a, b: f(a, [0, 1], b, [1, 2], [2, 0]), (3, 4), (4, 2)),
        (lambda f, a, b: f(a, [..., 0, 1], b, [1, 2], [..., 0, 2]), (2, 3, 4), (4, 2)),
        (lambda f, a, b: f("ij,jk->ik", a, b, optimize=True), (3, 4), (4, 2)),
    ],
    "numpy.linalg.multi_dot": [
        (lambda f, a, b, c: f([a, b, c]), (3, 4), (4, 2), (2,)),
    ],
    "numpy.linalg.cholesky": [
        (lambda f, a: f(regular(a)), (2, 3, 3)),
        (lambda f, a: f(regular(a), upper=True), (3, 3)),
    ],
    "numpy.take_along_axis": [
        (lambda f, a: f(a, np.array([[0, -1]] * 4), 1), (4, 3)),
        (lambda f, a: f(a, np.array([2, 0]), None), (2, 3)),
    ],
    "numpy.broadcast_to": [
        (lambda f, a: f(a, (2, 3, 4)), (3, 1)),
        (lambda f, a: f(a, (3,)), ()),
        (lambda f, a: f(a, (0, 3)), (3,)),
    ],
    "numpy.reshape": [
        (lambda f, a: f(a, (6, -1)), (3, 4)),
        (lambda f, a: f(a, -1, order="F"), (3, 4)),
        (lambda f, a: f(a, ()), (1, 1)),
        (lambda f, a: f(a, (0, 5)), (0,)),
    ],
    "numpy.hsplit": [
        (lambda f, a: f(a, 2)[1], (3, 4)),
        (lambda f, a: f(a, [1])[0], (5,)),
    ],
    "numpy.vsplit": [(lambda f, a: f(a, 2)[1], (4, 3))],
    "numpy.split": [
        (lambda f, a: f(a, 2, axis=1)[1], (3, 4)),
        (lambda f, a: f(a, [1, 1])[1], (5,)),
    ],
    "numpy.array_split": [(lambda f, a: f(a, 3)[1], (5, 2))],
    **{
        f"numpy.atleast_{n}d": [
            (lambda f, a: f(a), shape) for shape in ((), (3,), (2, 3, 1, 2))
        ]
        for n in (1, 2, 3)
    },
    **{
        f"numpy.bitwise_{name}": [(lambda f, a, b: f(a > 0, b > 0), (5,), (5,))]
        for name in ("and", "or", "xor")
    },
    "numpy.invert": [(lambda f, a: f(a > 0), (5,))],
    **{
        f"numpy.{name}": [
            (lambda f, a, b: f([a, b]), (3, 2), (3, 2)),
            (lambda f, a: f([a, a, np.ones(3)]), (3,)),
            (lambda f, a: f(a), (2, 3, 4)),
            (lambda f, a, b: f((a, b)), (0, 2), (0, 2)),
        ]
        for name in ("concatenate", "stack", "vstack", "hstack", "column_stack")
    },
    "numpy.putmask": [
        (lambda f, a, b: changed(f, a, np.arange(4) % 2 > 0, b), (4,), (2,)),
    ],
    "numpy.put": [(lambda f, a, b: changed(f, a, [1, -1, 2], b), (2, 3), (2,))],
    "numpy.place": [
        (lambda f, a, b: changed(f, a, np.eye(3) > 0, b), (3, 3), (2,)),
    ],
    "numpy.put_along_axis": [
        (
            lambda f, a, b: changed(
                lambda x, v: f(x, np.array([[0], [2]]), v, 1), a, b
            ),
            (2, 3),
            (2, 1),
        ),
    ],
    "numpy.partition": [(lambda f, a: f(a, (0, 1, 2, 3)), (3, 4))],
    "numpy.astype": [(lambda f, a: f(a, float), (3,))],
    "numpy.lib.stride_tricks.sliding_window_view": [
        (lambda f, a: f(a, 2, axis=0), (3, 4)),
        (lambda f, a: f(a, (2, 2)), (3, 4)),
    ],
    "numpy.dsplit": [(lambda f, a: f(a, 2)[1], (2, 3, 4))],
    "numpy.around": [(lambda f, a: f(a, 1), (3,))],
    "numpy.add.reduceat": [
        (lambda f, a: f(a, [0, 2, 1, 4]), (6,)),
        (lambda f, a: f(a, [1, 3], axis=1), (2, 5)),
    ],
    "numpy.cumulative_sum": [
        (lambda f, a: f(a), (4,)),
        (lambda f, a: f(a, axis=1, include_initial=True), (3, 4)),
    ],
    "numpy.cumulative_prod": [
        (lambda f, a: f(a, axis=0, include_initial=True), (3, 4))
    ],
    "numpy.polyfit": [
        (lambda f, a: f(POINTS, a, 2), (6,)),
        (lambda f, a: f(POINTS, a, 1), (6, 3)),
    ],
    "numpy.linalg.lstsq": [
        (lambda f, a: f(HEIGHTS.reshape(3, 2), a), (3,)),
        (lambda f, a: f(HEIGHTS.reshape(3, 2), a)[1], (3, 2)),
    ],
    **{
        f"scipy.fft.{name}": [
            (lambda f, a: f(a), (3, 5)),
            (lambda f, a: f(a, 3, 4, 0, "ortho"), (5, 2)),
        ]
        for name in ("dct", "idct", "dst", "idst")
    },
    **{
        f"{module}.fft.{name}": [
            (lambda f, a: parts(f(a)), (3, 4)),
            (
                lambda f, a, b: parts(
                    f(a + 1j * b, axes=(0, 2), s=(3, 4), norm="ortho")
                ),
                (3, 2, 5),
                (3, 2, 5),
            ),
        ][: 1 + (name in ("fftn", "ifftn", "irfftn"))]
        for module, names in {
            "scipy": (
                "fft2",
                "ifft2",
                "fftn",
                "ifftn",
                "rfftn",
                "irfftn",
                "rfft2",
                "irfft2",
            ),
            "numpy": ("rfftn", "irfftn", "rfft2", "irfft2"),
        }.items()
        for name in names
    },
    **{
        f"scipy.fft.{name}": [
            (lambda f, a: parts(f(a)), (3, 5)),
            (lambda f, a: parts(f(a, 4, 0, "ortho")), (5, 2)),
        ]
        for name in ("fft", "ifft", "rfft", "irfft")
    },
    **{
        f"scipy.signal.{name}": [
            (lambda f, a, b, m=m: f(a, b, m), *shapes)
            for m in ("full", "same", "valid")
            for shapes in [
                ((6, 5), (3, 2)),
                *([((7,), (4,))] if name[-2:] != "2d" else []),
            ]
        ]
        for name in (
            "convolve",
            "correlate",
            "fftconvolve",
            "convolve2d",
            "correlate2d",
        )
    },
    "scipy.ndimage.convolve": [
        (lambda f, a: f(a, np.arange(9.0).reshape(3, 3)), (4, 5)),
        (
            lambda f, a: f(a, np.arange(4.0).reshape(2, 2), mode="constant", cval=2.0),
            (4, 5),
        ),
    ],
    **{
        f"scipy.ndimage.{name}": [(lambda f, a: f(a, 1.5), (6, 4))]
        for name in (
            "gaussian_filter",
            "gaussian_filter1d",
            "gaussian_laplace",
            "zoom",
            "shift",
            "rotate",
        )
    },
    **{
        f"scipy.ndimage.{name}": [(lambda f, a: f(a, [1.0, 2.0, -1.0], axis=0), (6, 4))]
        for name in ("convolve1d", "correlate1d")
    },
    **{
        f"scipy.ndimage.{name}": [(lambda f, a: f(a, 3), (6, 4))]
        for name in ("uniform_filter", "uniform_filter1d")
    },
    **{
        f"scipy.ndimage.{name}": [(lambda f, a: f(a), (6, 4))]
        for name in ("sobel", "prewitt", "laplace")
    },
    "scipy.ndimage.correlate": [
        (lambda f, a: f(a, np.arange(6.0).reshape(2, 3)), (4, 5))
    ],
    "scipy.signal.savgol_filter": [(lambda f, a: f(a, 5, 2), (9,))],
    "scipy.signal.resample": [(lambda f, a: f(a, 6), (9,))],
    "scipy.signal.filtfilt": [(lambda f, a: f([0.5, 0.5], [1.0], a), (12,))],
    "scipy.signal.lfilter": [(lambda f, a: f([1, 0.5], [1, -0.3, 0.1], a), (3, 6))],
    "scipy.signal.detrend": [(lambda f, a: f(a, axis=0), (6, 2))],
    "scipy.integrate.simpson": [
        (lambda f, a: f(a), (3, 5)),
        (lambda f, a: f(a, x=POINTS, axis=0), (6, 2)),
    ],
    "scipy.special.polygamma": [
        (lambda f, a, n=n: f(n, np.exp(a)), (5,)) for n in (0, 1, 2, 4)
    ],
    "scipy.special.perm": [(lambda f, a: f(5.5 + a, 2.0), (4,))],
    "scipy.special.loggamma": [(lambda f, a: f(np.exp(a)), (4,))],
    "scipy.special.boxcox": [
        (lambda f, a, b: f(np.exp(a), b), (4,), ()),
        (lambda f, a: f(np.exp(a), 0.0), (4,)),
    ],
    "scipy.special.inv_boxcox1p": [
        (lambda f, a, b: f(np.exp(a), b), (4,), ()),
        (lambda f, a: f(a, 0.0), (4,)),
    ],
    "numpy.percentile": [
        (lambda f, a: f(a, 30), (3, 4)),
        (lambda f, a: f(a, [5, 50, 99], axis=1, keepdims=True), (3, 4)),
        (lambda f, a: f(a, 40, axis=(0, 2), method="midpoint"), (2, 3, 4)),
    ],
    "numpy.quantile": [
        (lambda f, a: f(a, [0.0, 0.21, 1.0]), (3, 4)),
        (lambda f, a: f(a, 0.3, axis=0, method="median_unbiased"), (7, 4)),
    ],
    "numpy.apply_along_axis": [
        (lambda f, a: f(lambda r: r * r[0], 0, a), (3, 4)),
        (lambda f, a: f(np.sum, 1, a), (2, 3, 4)),
    ],
    "numpy.apply_over_axes": [(lambda f, a: f(np.sum, a, [0, 2]), (2, 3, 4))],
    "numpy.select": [
        (lambda f, a, b: f([a > 0.5, a > 0], [a, b], a * b), (3, 4), (4,)),
        (lambda f, a, b: f([a > 0.5], [b]), (5,), (5,)),
    ],
    "numpy.choose": [(lambda f, a, b: f(np.array([0, 1, 1]), [a, b]), (3,), (3,))],
    "numpy.piecewise": [
        (lambda f, a: f(a, [a < 0, a > 0.5], [np.exp, np.square, np.sin]), (7,)),
        (lambda f, a: f(a, [a < 0], [1.0]), (7,)),
    ],
    "numpy.compress": [(lambda f, a: f([True, False, True], a, axis=0), (3, 2))],
    "numpy.extract": [(lambda f, a: f(np.array([True, False, True]), a), (3,))],
    "numpy.gradient": [
        (lambda f, a: f(a), (5,)),
        (lambda f, a: f(a, 0.5, POINTS, edge_order=2), (4, 6)),
        (lambda f, a: f(a, axis=1), (3, 6)),
        (lambda f, a, b: f(a, b), (5,), ()),
    ],
    "numpy.cov": [
        (lambda f, a: f(a), (3, 5)),
        (lambda f, a, b: f(a, b, rowvar=False, bias=True), (5, 2), (5, 1)),
        (lambda f, a, b: f(a, aweights=np.abs(b) + 1), (3, 5), (5,)),
        (lambda f, a: f(a, fweights=[1, 2, 3, 1, 2], ddof=0), (3, 5)),
    ],
    "numpy.polynomial.polynomial.polyval": [(lambda f, a, b: f(a, b), (5,), (4,))],
    **{
        f"numpy.polynomial.{module}.{name}val": [
            (lambda f, a, b: f(a, b), (5,), (4,)),
            (lambda f, a, b: f(a, b), (2, 3), (1,)),
        ]
        for module, name in FAMILIES
    },
    **{
        f"numpy.polynomial.{module}.{name}vander": [(lambda f, a: f(a, 3), (4,))]
        for module, name in [*FAMILIES, ("polynomial", "poly")]
    },
    "scipy.stats.entropy": [
        (lambda f, a: f(np.exp(a)), (5,)),
        (lambda f, a, b: f(np.exp(a), np.exp(b), base=2, axis=1), (3, 4), (3, 4)),
    ],
    "scipy.stats.moment": [
        (lambda f, a: f(a, 3), (5, 2)),
        (lambda f, a: f(a, 2, axis=None), (3, 4)),
    ],
    **{
        f"scipy.stats.{name}": [
            (lambda f, a: f(np.exp(a)), (5,)),
            (lambda f, a: f(np.exp(a), axis=1), (3, 4)),
            (lambda f, a: f(np.exp(a), axis=None), (3, 4)),
        ]
        for name in ("zscore", "gmean", "hmean", "skew", "kurtosis", "sem")
    },
    "scipy.special.multigammaln": [(lambda f, a: f(np.abs(a) + 3, 3), ())],
    "scipy.integrate.trapezoid": [
        (lambda f, a, b: f(a, b, axis=0), (5, 2), (5,)),
        (lambda f, a, b: f(a, dx=b), (3, 5), ()),
    ],
    "scipy.linalg.solve": [
        (lambda f, a, b: f(regular(a), b), (4, 4), (4,)),
        (lambda f, a, b: f(a, b, transposed=True), (4, 4), (4, 2)),
        (lambda f, a, b: f(regular(a), b, assume_a="pos"), (4, 4), (4,)),
        (lambda f, a, b: f(a, b, assume_a="sym", lower=True), (4, 4), (4, 2)),
    ],
    "scipy.linalg.inv": [(lambda f, a: f(regular(a)), (4, 4))],
    "scipy.linalg.cholesky": [
        (lambda f, a: f(regular(a)), (4, 4)),
        (lambda f, a: f(regular(a), lower=True), (4, 4)),
    ],
    "scipy.linalg.cho_factor": [
        (lambda f, a: f(regular(a))[0], (4, 4)),
        (lambda f, a: f(regular(a), lower=True)[0], (4, 4)),
    ],
    "scipy.linalg.cho_solve": [
        (lambda f, a, b: f((a, False), b), (4, 4), (4,)),
        (lambda f, a, b: f((a, True), b), (4, 4), (4, 2)),
    ],
    "scipy.linalg.solve_triangular": [
        (lambda f, a, b: f(a, b), (4, 4), (4,)),
        (lambda f, a, b: f(a, b, trans="T", lower=True), (4, 4), (4, 2)),
        (lambda f, a, b: f(a, b, unit_diagonal=True), (4, 4), (4,)),
    ],
    "scipy.linalg.solve_toeplitz": [
        (lambda f, a, b: f(np.concatenate([np.ones(1) * 5, a]), b), (3,), (4,)),
        (lambda f, a, b: f((a, b), np.ones(4)), (4,), (4,)),
    ],
    "scipy.linalg.solve_banded": [
        (lambda f, a, b: f((1, 1), a + np.array([[0], [4], [0]]), b), (3, 5), (5,)),
        (lambda f, a, b: f((0, 2), a + np.array([[0], [0], [4]]), b), (3, 5), (5,)),
    ],
    "numpy.linalg.tensorsolve": [(lambda f, a, b: f(a, b), (2, 3, 6), (2, 3))],
    "numpy.linalg.tensorinv": [
        (lambda f, a: f(a), (2, 3, 6)),
        (lambda f, a: f(a, ind=1), (6, 2, 3)),
    ],
    **{
        f"scipy.spatial.distance.{name}": [
            (lambda f, *xs, m=metric: f(*xs, m), *shapes)
            for metric in ("euclidean", "sqeuclidean", "cityblock", "chebyshev")
        ]
        for name, shapes in {"cdist": [(4, 3), (2, 3)], "pdist": [(4, 3)]}.items()
    },
    "operator.matmul": [
        (lambda f, a: f(SPARSE, a), (5,)),
        (lambda f, a: f(SPARSE, a), (5, 3)),
        (lambda f, a: f(a, SPARSE), (6,)),
        (lambda f, a: f(a, SPARSE.tocsr()), (3, 6)),
        (lambda f, a: f(ARROW, a), (9,)),
        (lambda f, a, b: f(a, b), (2, 3), (3,)),
    ],
    "operator.mul": [
        (lambda f, a: f(sparse.csr_matrix(SPARSE), a), (5,)),
        (lambda f, a: f(a, sparse.csc_matrix(SPARSE)), (6,)),
        (lambda f, a, b: f(a, b), (2, 3), (3,)),
    ],
    "scipy.sparse.csr_array.dot": [(lambda f, a: f(ARROW, a), (9,))],
    "scipy.sparse.csr_matrix.dot": [
        (lambda f, a: f(sparse.csr_matrix(ARROW), a), (9,))
    ],
    "scipy.stats.multivariate_normal.logpdf": MVN,
    "scipy.stats.multivariate_normal.pdf": MVN,
    "scipy.stats.multivariate_normal.__call__": [
        (lambda f, a, b, c: f(b, regular(c)).logpdf(a), (4, 3), (3,), (3, 3)),
        (lambda f, a, b: f(b, cov=2.0).pdf(a), (4, 3), (3,)),
    ],
    **{
        f"scipy.stats._multivariate.multivariate_normal_frozen.{method}": [
            (
                lambda f, a: f(
                    stats.multivariate_normal([0.1, 0.2], [[2.0, 0.3], [0.3, 1.0]]), a
                ),
                (4, 2),
            ),
        ]
        for method in ("logpdf", "pdf")
    },
    "scipy.stats.dirichlet.logpdf": [
        (lambda f, a: f([0.2, 0.3, 0.5], np.abs(a) + 0.5), (3,)),
        (lambda f, a: f([0.2, 0.3], np.abs(a) + 0.5), (3,)),
    ],
    "scipy.stats.rv_continuous.__call__": [
        (lambda f, a, b, c: f(stats.norm, b, scale=np.exp(c)).logpdf(a), (4,), (), ()),
        (lambda f, a, b: f(stats.gamma, np.exp(b)).pdf(np.exp(a)), (4,), ()),
    ],
    "scipy.stats.rv_discrete.__call__": [
        (lambda f, a: f(stats.poisson, np.exp(a)).logpmf([0, 2, 5, 1]), (4,)),
    ],
    **METHODS,
    **FROZEN,
    "math.prod": [(lambda f, a: f(list(a)), (4,))],
    "math.fsum": [(lambda f, a: f(list(a)), (4,))],
    "builtins.max": [(lambda f, a, b: f(a, 0.1, b), (), ()), (lambda f, a: f(a), (4,))],
    "builtins.min": [(lambda f, a, b: f(a, 0.1, b), (), ()), (lambda f, a: f(a), (4,))],
    "builtins.round": [(lambda f, a: f(a[()], 1), ())],
    "numpy.unwrap": [
        (lambda f, a: f(5 * a), (6,)),
        (lambda f, a: f(4 * a, axis=0), (6, 2)),
    ],
    "numpy.ldexp": [(lambda f, a: f(a, 3), (4,))],
    "math.ldexp": [(lambda f, a: f(a, 3), ())],
    "scipy.special.binom": [(lambda f, a, b: f(a, b), (4,), (4,))],
    "scipy.special.comb": [(lambda f, a: f(5 + a, 2), (4,))],
    **{
        f"scipy.special.eval_{name}": [
            (lambda f, a, n=n: f(n, a), (5,)) for n in (0, 1, 4)
        ]
        for name in (
            "chebyt",
            "chebyu",
            "legendre",
            "hermite",
            "hermitenorm",
            "laguerre",
        )
    },
}
