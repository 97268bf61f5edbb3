"""The Philox kernel against its published answers and a plain NumPy twin."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from fastgrad._kernels import _philox
from fastgrad.initializers.initialize import philox4x32

KEY = np.array([11, 22, 33, 44], np.uint32)

# The known-answer tests of the Random123 distribution.
KNOWN = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text):
    return np.array([int(word, 16) for word in text.split()], np.uint32)


def fill(out, law, *, scale=1.0, inside=0.0, outside=0.0, offset=0, num_threads=1):
    code = {4: _philox.FLOAT32, 8: _philox.FLOAT64, 2: _philox.FLOAT16}[out.itemsize]
    _philox.fill(
        out, KEY, law, scale, inside, outside, code, offset, 0, out.size, num_threads
    )
    return out


def twin_words(count, first=0):
    """Return the words of elements `first` and on, one counter at a time."""
    i = np.arange(first, first + count, dtype=object)
    group, place = i // 64, (i % 64).astype(int)
    block = group * 16 + place % 16
    counter = np.empty((count, 4), np.uint32)
    counter[:, 0] = [int(b) & 0xFFFFFFFF for b in block]
    counter[:, 1] = [int(b) >> 32 for b in block]
    counter[:, 2:] = KEY[2:]
    return philox4x32(counter, KEY[:2]), place // 16


def twin_uniform(count, first=0):
    four, which = twin_words(count, first)
    word = four[np.arange(count), which]
    return (word.view(np.int32) + 0.5) / 2**31


def twin_normal(count, first=0):
    four, which = twin_words(count, first)
    pair = which // 2 * 2
    rows = np.arange(count)
    u = ((four[rows, pair] >> np.uint32(1)) + 0.5) / 2**31
    angle = (four[rows, pair + 1].astype(np.float64) + 0.5) / 2**32
    r = np.sqrt(-2 * np.log(u))
    turn = 2 * np.pi * angle
    return np.where(which % 2, r * np.sin(turn), r * np.cos(turn))


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    """Random123's own answers."""
    assert np.array_equal(philox4x32(words(counter), words(key)), words(expected))


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4),
    st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2),
)
def test_philox_is_its_definition_in_python_integers(counter, key):
    """Ten rounds, in exact arithmetic."""
    x, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [
            (p1 >> 32) ^ x[1] ^ k[0],
            p1 & 0xFFFFFFFF,
            (p0 >> 32) ^ x[3] ^ k[1],
            p0 & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    assert philox4x32(counter, key).tolist() == x


def test_keys_and_counters_broadcast():
    """Leading axes are those of both."""
    counter = np.arange(24, dtype=np.uint32).reshape(2, 3, 4)
    key = np.array([[[1, 2]], [[3, 4]]], np.uint32)
    out = philox4x32(counter, key)
    assert out.shape == (2, 3, 4)
    assert np.array_equal(out[1, 2], philox4x32(counter[1, 2], key[1, 0]))


def test_uniforms_are_the_words_of_the_documented_counters():
    """Exactly, for elements across several groups."""
    assert np.array_equal(fill(np.empty(1000), _philox.UNIFORM), twin_uniform(1000))


# 2^37 - 128: where the low counter word runs over.
@pytest.mark.parametrize("first", [0, 1, 63, 1000, 2**37 - 128, 2**60 + 5])
def test_element_counters_have_64_bits(first):
    """Any start, the counter's carry included."""
    out = fill(np.empty(300), _philox.UNIFORM, offset=first)
    assert np.array_equal(out, twin_uniform(300, first))
    normals = fill(np.empty(300), _philox.NORMAL, offset=first)
    np.testing.assert_allclose(normals, twin_normal(300, first), rtol=1e-12)


def test_normals_are_box_muller_to_a_few_ulp():
    """Against libm, near its zeros and poles too."""
    count = 20_000
    out = fill(np.empty(count), _philox.NORMAL)
    expected = twin_normal(count)
    # 2 pi times the angle is rounded in the twin: an ulp of the angle, not of its sine
    np.testing.assert_allclose(out, expected, rtol=4e-16, atol=3e-15)


def test_the_smallest_radius_and_angle_are_right():
    """The logarithm next to 1 and the sine next to 0 keep their relative precision."""
    from mpmath import cos, log, mp, mpf, pi, sin, sqrt

    count = 200_000
    out = fill(np.empty(count), _philox.NORMAL)
    four, which = twin_words(count)
    for i in np.argsort(abs(out))[:20]:
        with mp.workdps(40):
            pair = which[i] // 2 * 2
            u = (mpf(int(four[i, pair]) >> 1) + mpf(1) / 2) / 2**31
            angle = 2 * pi * (mpf(int(four[i, pair + 1])) + mpf(1) / 2) / 2**32
            exact = sqrt(-2 * log(u)) * (sin if which[i] % 2 else cos)(angle)
            assert abs(out[i] / exact - 1) < 5e-16


@pytest.mark.parametrize("law", [_philox.NORMAL, _philox.UNIFORM, _philox.TRUNCATED])
@pytest.mark.parametrize("scale", [1.0, 0.0123, 3e-25, 7e25])
def test_float32_is_float64_to_four_ulp(law, scale):
    """For every law, and for scales whose square is not a float32."""
    tail = {"inside": math.erf(2**0.5), "outside": math.erfc(2**0.5) / 2}
    count = 1_000_000
    single = fill(np.empty(count, np.float32), law, scale=scale, **tail)
    double = fill(np.empty(count), law, scale=scale, **tail)
    ulp = np.spacing(np.abs(double).astype(np.float32)).astype(np.float64)
    assert np.max(np.abs(single - double) / ulp) < 4


@pytest.mark.parametrize("bound", [0.1, 0.5, 2.0, 3.0, 6.0])
def test_truncated_normals_are_the_inverse_distribution(bound):
    """Against scipy's quantiles, in the tails too."""
    inside, outside = special.erf(bound / 2**0.5), special.ndtr(-bound)
    count = 100_000
    out = fill(np.empty(count), _philox.TRUNCATED, inside=inside, outside=outside)
    s = twin_uniform(4096)
    # from the lower tail for both signs, where probabilities are precise
    p = outside + inside / 2 * (1 - np.abs(s))
    expected = np.copysign(special.ndtri(p), s)
    np.testing.assert_allclose(out[:4096], expected, rtol=2e-13, atol=1e-15)
    assert np.all(np.abs(out) < bound)


def test_float16_is_float32_rounded():
    """As NumPy rounds, subnormal and overflowing values included."""
    for scale in (1.0, 1e-6, 3e-8, 3e4):
        half = fill(np.empty(50_000, np.float16), _philox.NORMAL, scale=scale)
        single = fill(np.empty(50_000, np.float32), _philox.NORMAL, scale=scale)
        with np.errstate(over="ignore"):
            expected = single.astype(np.float16)
        assert np.array_equal(half.view(np.uint16), expected.view(np.uint16))


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.permutations(range(4)),
    st.lists(st.sampled_from([1, 2, 3, -1, -2]), min_size=4, max_size=4),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_any_strides_take_the_values_of_c_order(shape, order, steps, dtype):
    """Transposed, stepped and reversed outputs; gaps between elements stay."""
    order = [axis for axis in order if axis < len(shape)]
    wide = [shape[axis] * abs(steps[axis]) for axis in order]
    base = np.full(wide, 99, dtype)
    out = base.transpose(np.argsort(order))[
        tuple(slice(None, None, step) for step in steps[: len(shape)])
    ]
    assert out.shape == tuple(shape)
    fill(out, _philox.NORMAL)
    flat = fill(np.empty(out.size, dtype), _philox.NORMAL)
    assert np.array_equal(out.ravel(order="C"), flat)
    assert np.sum(base == 99) == base.size - out.size


def test_threads_leave_the_bits_alone():
    """Chunks are cut by size only."""
    one = fill(np.empty(100_003, np.float32), _philox.NORMAL)
    strided = np.empty((100_003, 2), np.float32)[:, 1]
    for num_threads in (2, 3, 8):
        many = fill(np.empty_like(one), _philox.NORMAL, num_threads=num_threads)
        fill(strided, _philox.NORMAL, num_threads=num_threads)
        assert np.array_equal(one, many)
        assert np.array_equal(one, strided)


DIGEST = """
import hashlib, numpy as np
from fastgrad import initializers as init
digest = hashlib.sha256()
for dtype in (np.float16, np.float32, np.float64):
    for scheme in (init.he_normal, init.he_uniform, init.truncated_normal):
        digest.update(scheme((97, 31), seed=5, name="W", dtype=dtype).tobytes())
digest.update(init.orthogonal((97, 131), seed=5).tobytes())
print(digest.hexdigest())
"""
# A change here is a change of everybody's seeds.
GOLDEN = "94617079e66927ce80289eb70d9376f613845641a2b286ab49370859575e77ea"


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_the_bits_are_the_same_at_every_simd_level_and_for_ever(level):
    """One digest of all laws, dtypes and an orthogonal matrix."""
    run = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "FASTGRAD_SIMD": level},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == GOLDEN


@pytest.mark.parametrize(
    ("counter", "key", "error", "message"),
    [
        ([1, 2, 3], [1, 2], ValueError, r"`counter` must have shape \(..., 4\)"),
        ([1, 2, 3, 4], 5, ValueError, r"`key` must have shape \(..., 2\)"),
        ([1.0, 2, 3, 4], [1, 2], TypeError, "`counter` must be of 32-bit integers"),
        ([1, 2, 3, 2**32], [1, 2], ValueError, "`counter` must hold words"),
        ([1, 2, 3, 4], [-1, 2], ValueError, "`key` must hold words"),
    ],
)
def test_philox_refuses(counter, key, error, message):
    """Words only."""
    with pytest.raises(error, match=message):
        philox4x32(counter, key)
