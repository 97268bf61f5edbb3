"""Initialisers: reproducible everywhere, of the right size, strict in their input."""

import dataclasses
import inspect
import math
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fastgrad import initializers as init
from fastgrad.initializers.distributions import _normal
from fastgrad.initializers.draw import SCHEMES as REGISTERED

# All that are registered; what keeps lengths makes whole tensors, and one of them only
# convolutions.
ISOMETRIES = {"orthogonal", "identity"}
SCHEMES = [scheme for name, scheme in REGISTERED.items() if name != "delta_orthogonal"]
BY_ROWS = [scheme for scheme in SCHEMES if scheme.__name__ not in ISOMETRIES]
by_name = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.__name__)

# --- the same everywhere ---


@by_name
def test_the_signature_is_the_same_for_all(scheme):
    """Names and defaults that code may rely on."""
    parameters = inspect.signature(scheme).parameters
    assert next(iter(parameters)) == "shape"
    assert list(parameters)[-1] == "num_threads"
    defaults = {"seed": 0, "name": "", "layout": "OI", "groups": 1}
    defaults |= {"transposed": False, "out": None, "num_threads": None}
    for name, default in defaults.items():
        assert parameters[name].default == default
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@by_name
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_threads_and_memory_layout_leave_the_bits_alone(scheme, dtype):
    """One reference, many ways to get it."""
    shape = (70, 30, 3, 3)
    expected = scheme(shape, seed=9, name="conv", dtype=dtype, num_threads=1)
    assert expected.dtype == dtype
    outs = [
        np.empty(shape, dtype),
        np.empty(shape, dtype, order="F"),
        np.empty((70, 3, 3, 30), dtype).transpose(0, 3, 1, 2),  # channels last
        np.empty((140, 30, 3, 6), dtype)[::-2, :, :, 1::2],
    ]
    for num_threads, out in enumerate(outs, start=1):
        given_back = scheme(
            shape, seed=9, name="conv", out=out, num_threads=num_threads
        )
        assert given_back is out
        assert np.array_equal(out, expected)


def test_every_scheme_is_public():
    """What is registered is a name of the module, documented and exampled."""
    for name, scheme in REGISTERED.items():
        assert getattr(init, name) is scheme
        assert name in init.__all__
        assert ">>> " in scheme.__doc__


def test_growing_a_tensor_keeps_its_beginning():
    """The rows there were, where the fan does not change."""
    small = init.he_normal((50, 64), seed=1, name="W")
    large = init.he_normal((173, 64), seed=1, name="W")
    assert np.array_equal(large[:50], small)


@pytest.mark.parametrize("scheme", BY_ROWS)
def test_rows_are_those_of_the_whole(scheme):
    """A worker that holds rows 1000 to 2000 can make them alone."""
    whole = scheme((3000, 7, 3), seed=4, name="E")
    part = scheme((3000, 7, 3), seed=4, name="E", rows=(1000, 2000))
    assert np.array_equal(part, whole[1000:2000])
    assert scheme((3000, 7, 3), rows=(5, 5)).shape == (0, 7, 3)
    first = scheme([3000, 7, 3], seed=4, name="E", rows=[0, 2])
    assert np.array_equal(first, whole[:2])


@by_name
def test_float32_is_the_float64_value(scheme):
    """To 4 ulp, entry by entry."""
    double = scheme((200, 300), seed=3, name="W")
    single = scheme((200, 300), seed=3, name="W", dtype=np.float32)
    ulp = np.spacing(np.abs(double).astype(np.float32)).astype(np.float64)
    assert np.max(np.abs(single - double) / ulp) < 4


@by_name
def test_narrow_dtypes_are_the_float32_value_rounded(scheme):
    """As NumPy and ml_dtypes round."""
    single = scheme((64, 65), seed=3, name="W", dtype=np.float32)
    half = scheme((64, 65), seed=3, name="W", dtype=np.float16)
    assert np.array_equal(half, single.astype(np.float16))
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in ("bfloat16", ml_dtypes.bfloat16):
        brain = scheme((64, 65), seed=3, name="W", dtype=dtype)
        assert np.array_equal(brain, single.astype(ml_dtypes.bfloat16))


def test_names_and_seeds_give_independent_tensors():
    """Correlations of different streams are those of independent numbers."""
    streams = [
        init.truncated_normal(20_000, seed=seed, name=name).ravel()
        for seed, name in [(0, ""), (0, "W1"), (0, "W2"), (1, "W1"), (2**80, "W1")]
    ]
    table = np.corrcoef(streams)[np.triu_indices(5, 1)]
    assert np.all(np.abs(table) < 5 / np.sqrt(20_000))


def test_seeds_of_every_kind():
    """An integer is its SeedSequence; children differ; the user's stays as it was."""
    sequence = np.random.SeedSequence(12)
    expected = init.he_normal((5, 6), seed=12)
    assert np.array_equal(init.he_normal((5, 6), seed=sequence), expected)
    assert np.array_equal(init.he_normal((5, 6), seed=np.int64(12)), expected)
    assert sequence.n_children_spawned == 0
    child = sequence.spawn(1)[0]
    assert not np.array_equal(init.he_normal((5, 6), seed=child), expected)


def test_a_generator_gives_up_four_words_whatever_the_size():
    """And is the source of a new tensor each time."""
    one, other, twin = (np.random.default_rng(5) for _ in range(3))
    first = init.he_normal((3, 4), seed=one)
    init.he_normal((300, 400), seed=other)
    twin.integers(0, 2**32, size=4, dtype=np.uint32)
    assert one.bit_generator.state == other.bit_generator.state
    assert one.bit_generator.state == twin.bit_generator.state
    assert not np.array_equal(init.he_normal((3, 4), seed=one), first)


def test_generators_give_as_many_tensors_as_there_are_generators():
    first = {
        float(init.normal(1, seed=np.random.default_rng(k))[0]) for k in range(200)
    }
    assert len(first) == 200


def test_numpys_global_state_is_not_touched():
    """Nor read."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    init.he_normal((30, 40))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_distributions_away_from_zero_fill_what_is_given(dtype):
    for scheme, options in [
        (init.uniform, {"low": 1.0, "high": 3.0}),
        (init.normal, {"mean": 2.0, "std": 0.5}),
    ]:
        out = np.zeros((5, 4), dtype)
        assert scheme((5, 4), out=out, seed=3, **options) is out
        assert np.array_equal(out, scheme((5, 4), dtype=dtype, seed=3, **options))
        assert 1.0 < out.mean() < 3.0


def test_a_memory_map_is_filled_in_place(tmp_path):
    """On disk, without a copy."""
    out = np.memmap(tmp_path / "w", np.float32, "w+", shape=(40, 50))
    init.he_normal((40, 50), seed=2, out=out)
    out.flush()
    again = np.fromfile(tmp_path / "w", np.float32).reshape(40, 50)
    assert np.array_equal(again, init.he_normal((40, 50), seed=2, dtype=np.float32))


def test_a_refused_call_leaves_the_output_alone():
    """Arguments are checked before anything is written."""
    out = np.full((3, 4, 3), 7.0)
    for call in (
        lambda: init.he_normal((3, 4, 3), out=out, seed=-1),
        lambda: init.he_normal((3, 4, 3), out=out, num_threads=0),
        lambda: init.orthogonal((3, 4, 3), out=out, gain=math.inf),
        lambda: init.delta_orthogonal((3, 4, 3), out=out),
        lambda: init.delta_orthogonal((3, 4, 3), out=out, transposed=True, seed=-1),
        lambda: init.identity((3, 4, 3), out=out, groups=2),
    ):
        with pytest.raises(ValueError, match="`"):
            call()
    assert np.all(out == 7)


# --- of the right size ---


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((128, 64), {}, (64, 128)),
        ((64, 128), {"layout": "IO"}, (64, 128)),
        ((32, 16, 3, 3), {}, (144, 288)),
        ((32, 16, 3, 3), {"layout": "OI..."}, (144, 288)),
        ((3, 3, 16, 32), {"layout": "HWIO"}, (144, 288)),
        ((32, 3, 3, 16), {"layout": "OHWI"}, (144, 288)),
        ((3, 3, 3, 16, 32), {"layout": "DHWIO"}, (432, 864)),
        # torch.nn.Conv2d(16, 32, 3, groups=4) and a depthwise one
        ((32, 4, 3, 3), {"groups": 4}, (36, 72)),
        ((16, 1, 3, 3), {"groups": 16}, (9, 9)),
        # torch.nn.ConvTranspose2d(16, 32, 3), with stride 2, with 4 groups
        ((16, 32, 3, 3), {"transposed": True}, (144, 288)),
        ((16, 32, 4, 4), {"transposed": True, "stride": 2}, (64, 512)),
        ((16, 8, 3, 3), {"transposed": True, "groups": 4}, (36, 72)),
        ((32, 16, 4, 6), {"stride": (2, 3)}, (384, 128)),
    ],
)
def test_fans(shape, options, expected):
    """Counted by hand."""
    assert init.fans(shape, **options) == expected


@pytest.mark.parametrize(
    ("options", "fan_in"),
    [
        ({}, 512),
        ({"transposed": True}, 256),
        ({"transposed": True, "stride": 2}, 64),
        ({"transposed": True, "groups": 4}, 64),
        ({"layout": "IOHW"}, 256),
    ],
)
def test_options_of_fans_reach_the_schemes(options, fan_in):
    """The same stream, times sqrt(2 / fan_in), counted by hand."""
    shape = (16, 32, 4, 4)
    weight = init.he_normal(shape, seed=1, dtype=np.float64, **options)
    plain = init.he_normal(shape, seed=1, dtype=np.float64)
    np.testing.assert_allclose(weight, plain * (512 / fan_in) ** 0.5, rtol=1e-12)


def test_fans_count_the_connections_of_a_grouped_strided_convolution():
    """Against the matrix of a periodic convolution, built entry by entry."""
    channels_in, channels_out, groups, kernel, stride, size = 4, 6, 2, 3, 2, 12
    matrix = np.zeros((channels_out, size // stride, channels_in, size), int)
    for o in range(channels_out):
        for i in range(channels_in):
            if o // (channels_out // groups) == i // (channels_in // groups):
                for x in range(size // stride):
                    for k in range(kernel):
                        matrix[o, x, i, (x * stride + k) % size] = 1
    weight = (channels_out, channels_in // groups, kernel)
    fans = init.fans(weight, groups=groups, stride=stride)
    assert fans.fan_in == matrix.sum(axis=(2, 3)).mean()
    assert fans.fan_out == matrix.sum(axis=(0, 1)).mean()
    swapped = init.fans(weight, groups=groups, stride=stride, transposed=True)
    assert swapped == (fans.fan_out, fans.fan_in)


def within(sample_std, std, count, kurtosis=3.0):
    """Whether a sample's deviation is within five standard errors."""
    return abs(sample_std / std - 1) < 5 * math.sqrt((kurtosis - 1) / count) / 2


VARIANCES = {
    "xavier_normal": 2 / (144 + 288),
    "xavier_uniform": 2 / (144 + 288),
    "he_normal": 2 / 144,
    "he_uniform": 2 / 144,
    "lecun_normal": 1 / 144,
    "lecun_uniform": 1 / 144,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_named_schemes_have_the_published_variance(name):
    """And uniform ones their bound, sqrt(3 variance)."""
    w = getattr(init, name)((32, 16, 3, 3), seed=8)
    std = VARIANCES[name] ** 0.5
    assert within(w.std(), std, w.size)
    if name.endswith("uniform"):
        assert std * 3**0.5 * 0.99 < abs(w).max() < std * 3**0.5
        assert (
            stats.kstest(w.ravel() / std, "uniform", (-(3**0.5), 12**0.5)).pvalue > 1e-3
        )
    else:
        assert stats.kstest(w.ravel() / std, "norm").pvalue > 1e-3


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize(
    ("mode", "fan"), [("fan_in", 144), ("fan_out", 288), ("fan_geo", 41472**0.5)]
)
def test_named_schemes_take_a_gain_and_a_mode(name, mode, fan):
    """The deviation is gain / sqrt(fan), as torch's kaiming_ and xavier_ have it."""
    scheme = getattr(init, name)
    w = scheme((32, 16, 3, 3), gain=5 / 3, mode=mode, seed=8)
    assert within(w.std(), 5 / 3 / fan**0.5, w.size)
    assert not scheme((4, 3), gain=0).any()
    usual = scheme((32, 16, 3, 3), seed=8)
    assert np.allclose(w * (usual.std() / w.std()), usual, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plain_distributions_are_what_they_say(dtype):
    """Moments and laws, off zero too."""
    x = init.normal(100_000, mean=2.0, std=0.5, seed=2, dtype=dtype)
    assert stats.kstest(x, stats.norm(2.0, 0.5).cdf).pvalue > 1e-3
    x = init.uniform((100, 1000), low=-1.0, high=3.0, seed=2, dtype=dtype).ravel()
    assert stats.kstest(x, stats.uniform(-1.0, 4.0).cdf).pvalue > 1e-3
    assert x.min() >= -1
    assert x.max() <= 3
    assert (init.constant((2, 3), value=0.1, dtype=dtype) == dtype(0.1)).all()


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, 1.0), (-1e308, 1e308), (5.0, 5.0 + 1e-9)]
)
def test_bounds_hold(low, high):
    """Whatever they are."""
    x = init.uniform(1000, low=low, high=high)
    assert ((low <= x) & (x <= high)).all()


@pytest.mark.parametrize(
    ("mode", "fan"),
    [("fan_in", 50), ("fan_out", 200), ("fan_avg", 125), ("fan_geo", 100)],
)
@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_variance_scaling_has_the_variance_it_says(mode, fan, distribution):
    """It is scale / fan, after truncation too."""
    w = init.variance_scaling(
        (200, 50), scale=3.0, mode=mode, distribution=distribution, seed=1
    )
    assert within(w.std(), math.sqrt(3 / fan), w.size)


def test_ten_million_normals_have_the_moments_of_normals():
    """Mean, variance, kurtosis and the tail beyond 5 deviations."""
    n = 10_000_000
    z = init.variance_scaling((n, 1), dtype=np.float32, seed=6).astype(np.float64)
    assert abs(z.mean()) < 5 / math.sqrt(n)
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / n)
    expected = n * 5.733e-7
    assert abs((abs(z) > 5).sum() - expected) < 5 * math.sqrt(expected)


def test_neighbours_are_uncorrelated():
    """At all distances within and just beyond a group of 64."""
    z = init.variance_scaling((1_000_000, 1), seed=6).ravel()
    for lag in [*range(1, 17), 31, 32, 33, 47, 48, 49, 63, 64, 65, 128]:
        assert abs((z[lag:] * z[:-lag]).mean()) < 5 / math.sqrt(z.size)
        assert abs((z[lag:] ** 2 * z[:-lag] ** 2).mean() - 1) < 5 * math.sqrt(
            8 / z.size
        )


@pytest.mark.parametrize("z", [0.1, 0.7, 2.0, 3.0, 5.99, 6.0, 8.5, 20.0, 38.4, 39.5])
def test_probabilities_are_rounded_correctly(z):
    """So that they are the same on every machine; those of libm are not."""
    with mpmath.workdps(60):
        x = mpmath.mpf(z) / mpmath.sqrt(2)
        expected = mpmath.npdf(z), mpmath.erf(x), mpmath.erfc(x) / 2
        assert _normal(z) == tuple(map(float, expected))


@pytest.mark.parametrize(
    ("bound", "std"), [(2.0, 0.87962566103423975041), (3.0, 0.98657839255810862127)]
)
def test_truncated_deviation_is_the_closed_form(bound, std):
    """30 digits from mpmath, rounded; and the sample has it."""
    assert math.isclose(init.truncated_std(bound), std, rel_tol=1e-15)
    x = init.truncated_normal(400_000, std=0.02, bound=bound, seed=3)
    assert within(x.std(), 0.02, x.size)
    assert abs(x).max() <= 0.02 * bound / std
    if bound == 2.0:
        assert abs((x**4).mean() / (x**2).mean() ** 2 - 2.36553671712965) < 0.02
    assert (
        stats.kstest(x / (0.02 / std), stats.truncnorm(-bound, bound).cdf).pvalue > 1e-3
    )


def test_gains_scale_variance():
    """gain² as `scale` is what keeps a network's size."""
    gain = init.gain("gelu").fixed_point
    w = init.variance_scaling((400, 300), scale=gain**2, seed=1)
    assert within(w.std(), gain / 300**0.5, w.size)


# --- isometries ---


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**64))
def test_orthogonal_matrices_are_orthogonal(rows, columns, seed):
    """Orthonormal rows, or columns where there are more rows."""
    w = init.orthogonal((rows, columns), gain=2.0, seed=seed) / 2
    gram = w @ w.T if rows <= columns else w.T @ w
    np.testing.assert_allclose(gram, np.eye(min(rows, columns)), atol=4e-15)


def test_orthogonal_is_the_qr_factorisation_of_a_matrix_of_normals():
    """The twin: LAPACK's Q, signs fixed, of the matrix that has these reflections."""
    from fastgrad._kernels import _householder

    p, q, n = 75, 70, 32
    v = np.random.default_rng(1).standard_normal((3, p, n))
    # H_0 ... H_(k-1) applied to column k gives, from row k on, the normals of v.
    x = np.zeros((p, q))
    product = np.eye(p)
    for k in range(q):
        normals = np.append(np.zeros(k), v[k // n, k:, k % n])
        x[:, k] = product @ normals
        reflector = normals.copy()
        reflector[k] += math.copysign(np.linalg.norm(normals), normals[k])
        unit = reflector / np.linalg.norm(reflector)
        product -= 2 * np.outer(product @ unit, unit)
    expected, r = np.linalg.qr(x)
    expected *= np.sign(np.diag(r))
    for num_threads in (1, 2, 5):
        panels = np.zeros((3, p, n))
        _householder.orthonormal_columns(
            v.copy(), np.empty((3, n, n)), np.empty((3, n)), panels, q, num_threads
        )
        found = panels.transpose(1, 0, 2).reshape(p, -1)[:, :q]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_large_orthogonal_matrices_keep_their_precision():
    """Largest |Q'Q - I| <= 4 eps sqrt(n), and the float32 ones that of float32."""
    n = 600
    w = init.orthogonal((n, n), seed=1)
    assert abs(w.T @ w - np.eye(n)).max() < 4 * np.finfo(float).eps * n**0.5
    single = init.orthogonal((n, n), seed=1, dtype=np.float32).astype(np.float64)
    assert abs(single.T @ single - np.eye(n)).max() < 4 * np.finfo(np.float32).eps


def test_a_hundred_orthogonal_layers_keep_all_singular_values():
    """However deep the network."""
    product = np.eye(40)
    for layer in range(100):
        product = init.orthogonal((40, 40), seed=1, name=f"W{layer}") @ product
    assert abs(np.linalg.svd(product, compute_uv=False) - 1).max() < 1e-13


def test_orthogonal_matrices_are_haar_distributed():
    """Traces and angles of eigenvalues, which a missing sign fix would bias."""
    matrices = np.array([init.orthogonal((6, 6), seed=s) for s in range(2000)])
    trace = matrices.trace(axis1=1, axis2=2)
    assert abs(trace.mean()) < 5 / math.sqrt(2000)
    assert abs((trace**2).mean() - 1) < 5 * math.sqrt(2 / 2000)
    entries = matrices[:, [0, 5, 2], [0, 5, 3]]
    beta = stats.beta(0.5, 2.5)  # an entry's square, for any uniform unit vector
    assert stats.kstest((entries**2).ravel(), beta.cdf).pvalue > 1e-3
    assert abs(np.sign(np.linalg.det(matrices)).mean()) < 5 / math.sqrt(2000)
    two = np.array([init.orthogonal((2, 2), seed=s) for s in range(2000)])
    turns = two[np.linalg.det(two) > 0]
    angle = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    assert stats.kstest(angle, "uniform", (-math.pi, 2 * math.pi)).pvalue > 1e-3


def test_orthogonal_convolutions_have_orthonormal_rows():
    """As (O, -1), in any layout; in each group by itself; transposed by output."""
    w = init.orthogonal((8, 4, 3, 3), seed=1)
    np.testing.assert_allclose(
        w.reshape(8, -1) @ w.reshape(8, -1).T, np.eye(8), atol=1e-14
    )
    last = init.orthogonal((3, 3, 4, 8), seed=1, layout="HWIO")
    assert np.array_equal(last.transpose(3, 2, 0, 1), w)
    grouped = init.orthogonal((8, 2, 3), seed=1, groups=4).reshape(4, 2, 6)
    for block in grouped:
        np.testing.assert_allclose(block @ block.T, np.eye(2), atol=1e-14)
    assert not np.allclose(grouped[0], grouped[1])
    back = init.orthogonal((8, 3, 3), seed=1, transposed=True)  # 8 inputs, 3 outputs
    rows = back.swapaxes(0, 1).reshape(3, -1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-14)


def test_delta_orthogonal_convolutions_keep_every_input_s_length():
    """A periodic convolution of random images, by the Fourier transform."""
    w = init.delta_orthogonal((6, 4, 3, 3), seed=2)
    x = np.random.default_rng(0).standard_normal((4, 10, 10))
    kernel = np.fft.fft2(w, s=(10, 10))
    y = np.fft.ifft2(np.einsum("oihw,ihw->ohw", kernel, np.fft.fft2(x))).real
    assert math.isclose(np.sum(y**2), np.sum(x**2), rel_tol=1e-12)
    tap = init.delta_orthogonal((6, 4, 3), seed=2)[..., 1]
    assert np.array_equal(tap, init.orthogonal((6, 4), seed=2))  # of one stream
    grouped = init.delta_orthogonal((6, 2, 5), seed=2, groups=2)
    assert np.count_nonzero(grouped) == 12
    for block in grouped.reshape(2, 3, 2, 5)[..., 2]:
        np.testing.assert_allclose(block.T @ block, np.eye(2), atol=1e-14)


def test_identity_passes_channels_on():
    """Dense, convolutional, grouped and channels last."""
    assert np.array_equal(init.identity((3, 5), gain=1.5), 1.5 * np.eye(3, 5))
    w = init.identity((4, 2, 3, 3), groups=2)
    x = np.random.default_rng(0).standard_normal(4)
    y = np.concatenate([w[:2, :, 1, 1] @ x[:2], w[2:, :, 1, 1] @ x[2:]])
    assert np.array_equal(x, y)
    assert w.sum() == 4
    last = init.identity((3, 3, 4, 4), layout="HWIO")
    assert np.array_equal(last[1, 1], np.eye(4))


# --- nests ---


class Pair(NamedTuple):
    """A layer."""

    W: object
    b: object


@dataclasses.dataclass
class Block:
    """A layer."""

    W: object
    b: object


def test_a_nest_keeps_its_structure_and_names_its_tensors():
    """Each leaf is the tensor of that name, made alone."""
    shapes = {
        "encoder": [Pair((8, 4), (8,)), Pair((6, 8), (6,))],
        "head": Block((3, 6), 3),
        "scale": (),
    }
    params = init.initialize(shapes, seed=7)
    assert isinstance(params["encoder"][1], Pair)
    assert isinstance(params["head"], Block)
    assert params["scale"].shape == ()
    assert np.array_equal(
        params["encoder"][1].W, init.he_normal((6, 8), seed=7, name="encoder.1.W")
    )
    assert np.array_equal(
        params["head"].W, init.he_normal((3, 6), seed=7, name="head.W")
    )
    assert not params["head"].b.any()
    assert np.array_equal(
        init.initialize((5, 6), seed=7), init.he_normal((5, 6), seed=7, name="params")
    )


def test_a_new_layer_leaves_the_others_alone():
    """Names, not order, decide."""
    before = init.initialize({"W1": (8, 4), "W2": (3, 8)}, seed=1)
    after = init.initialize({"W0": (4, 4), "W1": (8, 4), "W2": (3, 8)}, seed=1)
    assert np.array_equal(before["W1"], after["W1"])
    assert np.array_equal(before["W2"], after["W2"])


def test_schemes_and_biases_by_pattern():
    """The first pattern that fits counts; arrays stand for their shape and dtype."""
    shapes = {
        "W1": np.zeros((6, 4), np.float32),
        "W2": (4, 4),
        "out": (2, 4),
        "gamma": (4,),
    }

    def zeros(shape, **options):
        return np.zeros(shape)

    params = init.initialize(
        shapes,
        {"W1": "xavier_uniform", "out": zeros, "*": init.orthogonal},
        bias={"gamma": 1.0},
        seed=3,
    )
    assert params["W1"].dtype == np.float32
    expected = init.xavier_uniform((6, 4), seed=3, name="W1", dtype=np.float32)
    assert np.array_equal(params["W1"], expected)
    np.testing.assert_allclose(params["W2"] @ params["W2"].T, np.eye(4), atol=1e-14)
    assert not params["out"].any()
    assert np.array_equal(params["gamma"], np.ones(4))
    assert not shapes["W1"].any()


def test_biases_kept_as_columns_are_biases():
    """By name, since a weight may be a column too."""
    shapes = {"W1": (8, 1), "b1": (8, 1), "head": {"bias": (1, 8), "back": (8, 8)}}
    params = init.initialize(shapes, bias=0.5)
    assert np.all(params["b1"] == 0.5)
    assert np.all(params["head"]["bias"] == 0.5)
    assert np.all(params["W1"] != 0.5)
    assert np.all(params["head"]["back"] != 0.5)


def test_a_generator_seeds_a_whole_nest_once():
    """Four words in all, and a different network each time."""
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    first = init.initialize({"W1": (3, 4), "W2": (4, 4)}, seed=rng)
    twin.integers(0, 2**32, size=4, dtype=np.uint32)
    assert rng.bit_generator.state == twin.bit_generator.state
    assert not np.array_equal(
        first["W1"], init.initialize({"W1": (3, 4)}, seed=rng)["W1"]
    )


# --- refused ---

READ_ONLY = np.zeros((4, 3))
READ_ONLY.flags.writeable = False
OVERLAPPING = np.lib.stride_tricks.as_strided(np.zeros(6), (4, 3), (8, 8))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shape": (4,)}, ValueError, "`shape` must have at least two axes"),
        ({"shape": ()}, ValueError, "`shape` must have at least two axes"),
        ({"shape": (4, -3)}, ValueError, "`shape` must not have negative lengths"),
        ({"shape": (4, 2.5)}, TypeError, "`shape` must be a tuple of integers"),
        ({"shape": None}, TypeError, "`shape` must be a tuple of integers"),
        ({"seed": -1}, ValueError, "`seed` must be a non-negative integer, .* got -1"),
        ({"seed": None}, TypeError, "`seed` must be a non-negative integer, a SeedSeq"),
        ({"seed": 1.5}, TypeError, "`seed` must be a non-negative integer"),
        ({"layout": "BOI"}, ValueError, "`layout` must have one O, one I"),
        ({"layout": "OIHH"}, ValueError, "`layout` must have one O, one I"),
        ({"seed": True}, TypeError, "`seed` must be a non-negative integer"),
        ({"name": 3}, TypeError, "`name` must be a string, got int"),
        ({"layout": "IO..O"}, ValueError, "`layout` must have one O, one I"),
        ({"layout": "HWIO"}, ValueError, "`layout` must have one O, one I"),
        ({"layout": None}, TypeError, "`layout` must be a string"),
        ({"groups": 3}, ValueError, "`groups` must divide the 4 output channels"),
        ({"groups": 0}, ValueError, "`groups` must be positive"),
        ({"stride": (2, 2)}, ValueError, "`stride` must be a positive integer"),
        ({"stride": 0}, ValueError, "`stride` must be a positive integer"),
        ({"dtype": np.int32}, ValueError, "`dtype` must be float16, bfloat16"),
        ({"dtype": ">f4"}, ValueError, "`dtype` must be .* in native byte order"),
        ({"out": [1.0]}, TypeError, "`out` must be a NumPy array, got list"),
        ({"out": np.zeros((3, 4))}, ValueError, r"`out` must have shape \(4, 3\)"),
        ({"out": np.zeros((4, 3), int)}, ValueError, "`out` must be float16"),
        (
            {"out": np.zeros((4, 3)), "dtype": np.float32},
            ValueError,
            "`out` must have dtype float32, got float64",
        ),
        ({"out": READ_ONLY}, ValueError, "`out` must be writeable"),
        ({"out": OVERLAPPING}, ValueError, "`out` must not overlap itself"),
        ({"rows": (2, 5)}, ValueError, r"`rows` must be \(start, stop\) within"),
        ({"num_threads": 0}, ValueError, "`num_threads` must be positive"),
        ({"scale": -1.0}, ValueError, "`scale` must be finite and not negative"),
        ({"scale": math.nan}, ValueError, "`scale` must be finite"),
        ({"mode": "fan"}, ValueError, '`mode` must be one of "fan_in", "fan_out"'),
        ({"distribution": "cauchy"}, ValueError, '`distribution` must be "normal'),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, error, message):
    """The message names the argument and what it must be."""
    with pytest.raises(error, match=message):
        init.variance_scaling(**{"shape": (4, 3), **options})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.truncated_std(0.05), "`bound` must be .* 0.1, got 0.05"),
        (lambda: init.critical_init("tanh", q=0), "`q` must be positive .*, got 0"),
        (lambda: init.critical_init("tanh", q=-1), "`q` must be positive .*, got -1"),
        (lambda: init.critical_init("tanh", sigma_b=-1), "`sigma_b` must .* got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_steps_may_be_a_list():
    """As a tuple, of one step for each axis."""
    shape = (4, 3, 5, 5)
    assert init.fans(shape, stride=[2, 1]) == init.fans(shape, stride=(2, 1))
    assert init.fans(shape, stride=[2, 1]) != init.fans(shape, stride=1)


def test_the_least_bound_is_taken():
    weights = init.truncated_normal((50, 50), std=1.0, bound=0.1)
    assert np.abs(weights).max() <= 0.1 / init.truncated_std(0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.truncated_normal(3, bound=0.0), "`bound` must be finite"),
        (lambda: init.truncated_normal(3, bound=math.inf), "`bound` must be finite"),
        (
            lambda: init.truncated_normal(3, bound=0.09),
            "`bound` must be .* at least 0.1",
        ),
        (lambda: init.truncated_normal(3, std=-1.0), "`std` must be finite"),
        (lambda: init.initialize((4, -3)), "`shapes` must not have negative lengths"),
        (
            lambda: init.initialize({"W": (4, -3)}),
            r'`shapes\["W"\]` must not have negative lengths',
        ),
        (
            lambda: init.initialize({"b": (4,)}, num_threads=0),
            "`num_threads` must be positive",
        ),
        (lambda: init.orthogonal((3, 3), gain=math.nan), "`gain` must be finite"),
        (lambda: init.delta_orthogonal((3, 3)), "`shape` must have a spatial axis"),
        (
            lambda: init.delta_orthogonal((3, 4, 3)),
            "`shape` must not have fewer outputs",
        ),
        (
            lambda: init.initialize({"W": (3, 3)}, "he"),
            "`scheme` must be callable or one",
        ),
        (
            lambda: init.initialize({"W": (3, 3)}, {"V": "he_normal"}),
            "`scheme` must have a pattern that fits 'W'",
        ),
    ],
)
def test_other_calls_that_make_no_sense(call, message):
    """Of the other functions."""
    with pytest.raises(ValueError, match=message):
        call()


@by_name
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0, 3)])
def test_empty_tensors_are_fine(scheme, shape):
    """Layers without units."""
    assert scheme(shape).shape == shape


@pytest.mark.parametrize("layout", ["BOI", "NOI", "OIB", "OIHH", "OIh", "O?I"])
def test_a_batch_axis_has_no_fan(layout):
    """Letters that are no axes of a convolution are refused, not counted as space."""
    shape = (2, 4, 3, 3)[: len(layout)]
    with pytest.raises(ValueError, match="`layout` must have one O, one I"):
        init.fans(shape, layout=layout)


def test_shapes_in_nested_tuples():
    """A tuple of shapes is a nest, a tuple of integers is a shape."""
    made = init.initialize({"a": ((3, 4), ((2, 3), (5,)))}, seed=1)
    shapes = [made["a"][0].shape, *(w.shape for w in made["a"][1])]
    assert isinstance(made["a"], tuple)
    assert shapes == [(3, 4), (2, 3), (5,)]


def test_groups_are_what_counts_as_an_integer():
    """Of whatever size: products of two may not fit."""

    class Two:
        def __index__(self):
            return 2

    for two in (Two(), np.int8(2), np.uint64(2)):
        given = init.he_normal((400, 3, 3, 3), layout="OIHW", groups=two)
        assert (given == init.he_normal((400, 3, 3, 3), layout="OIHW", groups=2)).all()
    many = init.he_normal((200, 3, 3, 3), groups=np.int8(100), layout="OIHW")
    assert (many == init.he_normal((200, 3, 3, 3), groups=100, layout="OIHW")).all()
