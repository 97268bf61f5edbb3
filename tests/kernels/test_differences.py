"""f(x + d) - f(x) by the lane kernels, against mpmath, for d from 1e-300 to 1e3."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from scipy import special

from fastgrad._kernels._replay import BUNDLE, map_elementwise
from fastgrad.program import ops

RNG = np.random.default_rng(11)


def signed(low, high, n):
    """Numbers of both signs whose exponents are uniform."""
    return RNG.choice([-1, 1], n) * 10.0 ** RNG.uniform(low, high, n)


LINE = np.r_[RNG.normal(size=40), signed(-8, 2.8, 40), [0.0, 1.0, -1.0]]
POSITIVE = np.r_[np.abs(LINE[:80]), 10.0 ** RNG.uniform(-30, 30, 20), [1.0]]
INSIDE = np.r_[RNG.uniform(-1, 1, 40), 1 - 10.0 ** RNG.uniform(-14, 0, 30)]
BELL = np.r_[LINE[:15], signed(-6, 1.4, 15)]

#: Functions of one variable: in mpmath, and where.
ONE = {
    "exp": (mpmath.exp, LINE),
    "expm1": (mpmath.expm1, LINE),
    "exp2": (lambda x: mpmath.power(2, x), LINE),
    "log": (mpmath.log, POSITIVE),
    "log2": (lambda x: mpmath.log(x, 2), POSITIVE),
    "log10": (mpmath.log10, POSITIVE),
    "log1p": (mpmath.log1p, np.r_[POSITIVE, INSIDE]),
    "tanh": (mpmath.tanh, LINE),
    "sqrt": (mpmath.sqrt, POSITIVE),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), LINE),
    "square": (lambda x: x * x, LINE),
    "reciprocal": (lambda x: 1 / x, LINE[:80]),
    "abs": (abs, LINE),
    "negative": (lambda x: -x, LINE),
    "sin": (mpmath.sin, LINE),
    "cos": (mpmath.cos, LINE),
    "tan": (mpmath.tan, LINE),
    "arcsin": (mpmath.asin, INSIDE),
    "arccos": (mpmath.acos, INSIDE),
    "arctan": (mpmath.atan, LINE),
    "sinh": (mpmath.sinh, LINE),
    "cosh": (mpmath.cosh, LINE),
    "arcsinh": (mpmath.asinh, np.r_[LINE, signed(3, 30, 20)]),
    "arccosh": (mpmath.acosh, 1 + np.r_[POSITIVE, 10.0 ** RNG.uniform(-12, 0, 20)]),
    "arctanh": (mpmath.atanh, INSIDE),
    "erf": (mpmath.erf, BELL),
    "erfc": (mpmath.erfc, BELL),
    "ndtr": (mpmath.ncdf, BELL),
    "lgamma": (mpmath.loggamma, np.abs(LINE[:60])),
}


def logaddexp(x, y):
    gap = abs(x - y)  # beyond, the smaller leaves no float64
    return max(x, y) + (mpmath.log1p(mpmath.exp(-gap)) if gap < 3000 else 0)


PAIR = (RNG.normal(size=50), np.r_[RNG.normal(size=30), signed(-6, 2.5, 20)])
#: Functions of two.
TWO = {
    "add": (lambda x, y: x + y, PAIR),
    "subtract": (lambda x, y: x - y, PAIR),
    "multiply": (lambda x, y: x * y, PAIR),
    "divide": (lambda x, y: x / y, PAIR),
    "maximum": (max, PAIR),
    "minimum": (min, PAIR),
    "power": (mpmath.power, (np.abs(PAIR[1]), PAIR[0] * 3)),
    "logaddexp": (logaddexp, PAIR),
    "arctan2": (mpmath.atan2, PAIR),
    "hypot": (mpmath.hypot, PAIR),
}
FUNCTIONS = {name: (f, (x,)) for name, (f, x) in ONE.items()} | TWO


def near(low, high):
    return RNG.uniform(low, high, 40)


#: Where values, or what is left to 1, are hardly numbers any more.
TAILS = {
    "exp": (near(-760, -650),),
    "expm1": (near(-760, -650),),
    "exp2": (near(-1090, -940),),
    "tanh": (near(320, 380) * RNG.choice([-1, 1], 40),),
    "erf": (near(24.5, 28.5)[:16] * RNG.choice([-1, 1], 16),),
    "erfc": (near(24.5, 28.5)[:16] * RNG.choice([-1, 1], 16),),
    "ndtr": (near(5.0, 40.0)[:16] * RNG.choice([-1, 1], 16),),
    "arctan": (signed(100, 160, 40),),
    "power": (10.0 ** near(-107, -95), near(2.9, 3.1)),
    "logaddexp": (near(-400, -300), near(300, 400)),
    "reciprocal": (signed(280, 307, 40),),
    "divide": (signed(-160, -140, 40), signed(140, 165, 40)),
    "multiply": (signed(-160, -140, 40), signed(-165, -140, 40)),
    "square": (signed(-165, -140, 40),),
    "hypot": (signed(-310, -280, 40), signed(-310, -280, 40)),
    "sqrt": (10.0 ** near(-320, -280),),
    "cbrt": (signed(-320, -280, 40),),
}
#: Units in the last place of the difference.
ULP = 8


def changes(x):
    """Changes of every size, BUNDLE to an element: of one operand or of all."""
    found = []
    for a in x:
        shape = (len(a), 2)
        near = a[:, None] * RNG.choice([-1, 1], shape) * RNG.uniform(0, 2.5, shape)
        tiny, small = signed(-300, -8, shape), signed(-8, 0, shape)
        large = signed(0, 3, len(a))
        found.append(np.column_stack([tiny, small, near, large, np.zeros(len(a))]))
    return some_still(found)


def some_still(d):
    """Changes of two operands, of which a third each stays."""
    if len(d) == 1:
        return d
    still = RNG.integers(0, 3, d[0].shape)
    return [np.where(still == k, 0.0, by) for k, by in enumerate(d)]


#: What numbers a function takes, the first of two.
DOMAINS = dict.fromkeys(["log", "log2", "log10", "sqrt", "lgamma"], (0, np.inf))
DOMAINS |= dict.fromkeys(["arcsin", "arccos", "arctanh"], (-1, 1))
DOMAINS |= {"log1p": (-1, np.inf), "arccosh": (1, np.inf), "power": (0, np.inf)}
#: The exponent beyond which nothing is finite, or has all digits.
LIMITS = dict.fromkeys(["exp", "expm1", "exp2", "sinh", "cosh", "power"], 3)
LIMITS |= dict.fromkeys(["sin", "cos", "tan"], 12)  # see the test of those far out
#: Where values are known without rounding, if that is not at zero.
ANCHORS = dict.fromkeys(["log", "log2", "log10", "arccosh", "lgamma"], (1.0,))
ANCHORS |= dict.fromkeys(["divide", "arctan2", "multiply"], (0.0, 1.0))
ANCHORS |= {"reciprocal": (1.0,), "power": (1.0, 1.0)}
#: Elements at the anchor, and anywhere.
ANCHORED, ANYWHERE = 3, 9


def anywhere(name):
    """A function, operands all over float64, and changes as large and as small.

    What it changes by from its anchor is its value.
    """
    function, operands = FUNCTIONS[name]
    x, d = [], []
    for k in range(len(operands)):
        far = LIMITS.get(name, 308)
        a = signed(-280, far, ANYWHERE)
        if k == 0:
            a = within(DOMAINS.get(name, (-np.inf, np.inf)), a)
        near = a[:, None] * signed(-17, 1, (ANYWHERE, 3))
        anchor = ANCHORS.get(name, (0.0, 0.0))[k]
        x.append(np.r_[np.full(ANCHORED, anchor), a])
        d.append(signed(-307.6, far, (len(x[k]), BUNDLE)))
        d[k][ANCHORED:, :3] = near
    if name == "divide":  # x dy / y may leave float64 where the difference does not
        d[1] = x[1][:, None] * signed(-17, 1, d[1].shape)
    return function, tuple(x), some_still(d)


def alike(x):
    """Changes of one size for all lanes of neighbours, as a check makes them."""
    d = []
    for a in x:
        sizes = 10.0 ** np.linspace(-15, -1, len(a))[:, None]
        shape = (len(a), BUNDLE)
        d.append(sizes * RNG.choice([-1, 1], shape) * RNG.uniform(0.5, 1, shape))
    return some_still(d)


def within(domain, a):
    """Numbers, and near its border instead of those outside of a domain."""
    low, high = domain
    border = 10.0 ** RNG.uniform(-15, 0, a.shape)
    inside = high - border if high < np.inf else low + border
    return np.where((low < a) & (a < high), a, inside)


CASES = {name: (f, x, changes(x)) for name, (f, x) in FUNCTIONS.items()}
CASES |= {
    f"{name}, its tail": (FUNCTIONS[name][0], x, changes(x))
    for name, x in TAILS.items()
}
CASES |= {f"{name}, anywhere": anywhere(name) for name in FUNCTIONS}
CASES |= {
    f"{name}, steps alike": (f, x, alike(x))
    for name, (f, x) in FUNCTIONS.items()
    for x in [tuple(a[:24] for a in x)]
}
LARGE_POWERS = (near(0.5, 2.0), signed(1, 2.4, 40))
CASES["power, large"] = mpmath.power, LARGE_POWERS, changes(LARGE_POWERS)


def exact(function, *args):
    try:
        value = function(*args)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if isinstance(value, mpmath.mpf) and mpmath.isfinite(value) else None


def differences(function, x, d, base):
    """Exact f(x + d) - f(x), where that is `base`, and the size to measure errors in, where there are any.

    Where the parts of the change that come from one operand each cancel, that is the size
    of the larger part.
    """
    moved = [a + e for a, e in zip(x, d, strict=True)]
    value = exact(function, *moved)
    if base is None or value is None or max(abs(base), abs(value - base)) > 1e300:
        return None
    parts = [value]
    if len(x) > 1:
        parts = [exact(function, *x[:i], moved[i], *x[i + 1 :]) for i in range(len(x))]
    sizes = [
        abs(value - base),
        *(abs(part - base) for part in parts if part is not None),
    ]
    return value - base, max(sizes)


def worst(function, x, d, results):
    """The largest error in ulp of the exact difference, and where; how many there were."""
    worst, compared = (0.0, None), 0
    span = np.log2([abs(n) for a in (*x, *d) for n in a.flat if n])
    with mpmath.workprec(max(1250, int(np.ptp(span)) + 150)):
        for i in range(len(x[0])):
            at = [mpmath.mpf(float(a[i])) for a in x]
            base = exact(function, *at)
            for lane in range(i % 4, BUNDLE, 4):
                by = [mpmath.mpf(float(e[i, lane])) for e in d]
                found = differences(function, at, by, base)
                if found is None:
                    continue
                ulp = max(mpmath.ldexp(found[1], -52), mpmath.mpf(2) ** -1074)
                compared += 1
                for got in results:
                    error = abs(mpmath.mpf(float(got[i, lane])) - found[0]) / ulp
                    if not error <= worst[0]:
                        where = [float(number) for number in (*at, *by, found[0])]
                        worst = (float(error), where, float(got[i, lane]))
    return worst, compared


def computed(name):
    """What the kernels make of the changes of a function."""
    function, x, d = CASES[name]
    with mpmath.workprec(200):
        values = [
            exact(function, *(mpmath.mpf(float(a)) for a in at))
            for at in zip(*x, strict=True)
        ]
    f0 = np.array([np.nan if value is None else float(value) for value in values])
    return map_elementwise(name.split(",")[0], x, d, f0)


@pytest.fixture(scope="module")
def at_every_level(tmp_path_factory):
    """The results of all functions on kernels of each SIMD level."""
    folder, levels = tmp_path_factory.mktemp("levels"), ["base", "v3", "v4"]
    for level in levels:
        subprocess.run(
            [sys.executable, __file__, folder / level],
            env={**os.environ, "FASTGRAD_SIMD": level},
            check=True,
        )
    return [np.load(folder / f"{level}.npz") for level in levels]


def test_every_elementwise_function_is_held_to_mpmath():
    """But for what tells true from false, of which there is no difference."""
    logic = {"not", "and", "or", "where"}
    logic |= {"greater", "greater_equal", "equal", "not_equal"}
    assert set(ops.ELEMENTWISE) - logic == {*FUNCTIONS, *STEPS}


@pytest.mark.parametrize("name", CASES)
def test_differences_are_right_to_a_few_ulp_of_themselves(name, at_every_level):
    function, x, d = CASES[name]
    results = [level[name] for level in at_every_level]
    (error, *where), compared = worst(function, x, d, results)
    assert compared > len(x[0]) / 2
    assert error <= ULP, (error, where)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_far_out_circular_functions_are_right_to_ulps_of_their_step(name):
    """Where x + d leaves out many turns; their zeros and poles are not found to an ulp."""
    x, d = 10.0 ** RNG.uniform(12, 308, 60), signed(-8, 20, (60, BUNDLE))
    d[:, :4] = x[:, None] * signed(-17, 0, (60, 4))
    f0 = getattr(np, name)(x)
    got = map_elementwise(name, [x], [d], f0)
    with mpmath.workprec(1250):
        for i, lane in np.ndindex(d.shape):
            a, b = mpmath.mpf(float(x[i])), mpmath.mpf(float(d[i, lane]))
            function = ONE[name][0]
            exact = function(a + b) - function(a)
            size = abs(2 * mpmath.sin(b / 2))
            if name == "tan":
                size = abs(exact) * (1 + 1 / abs(mpmath.cos(a + b)))
            assert abs(got[i, lane] - exact) <= ULP * 2.0**-52 * size


NUMPY = {
    "erf": special.erf,
    "erfc": special.erfc,
    "ndtr": special.ndtr,
    "lgamma": special.gammaln,
    "abs": np.abs,
}
STEPS = ("sign", "floor", "ceil", "rint", "trunc")


@pytest.mark.parametrize("name", [*ONE, *STEPS])
def test_what_leaves_the_range_of_numbers_does_as_in_numpy(name):
    """Into overflow, poles, and beyond the domain."""
    function = NUMPY.get(name) or getattr(np, name)
    x = np.array([-800.0, -1.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.0, 3.0, 700.0, 1e300])
    d = np.array([-1e308, -1600.0, -3.0, -1.0, -0.5, 0.5, 1500.0, 1e308])
    d = np.ascontiguousarray(np.broadcast_to(d, (len(x), BUNDLE)))
    with np.errstate(all="ignore"):
        f0 = function(x)
        expected = function(x[:, None] + d) - f0[:, None]
    got = map_elementwise(name, [x], [d], f0)
    left = np.isfinite(f0)[:, None] & ~np.isfinite(expected)
    np.testing.assert_array_equal(got[left], expected[left])


@pytest.mark.parametrize("name", [*FUNCTIONS, *STEPS])
def test_an_unperturbed_lane_does_not_differ(name):
    """Infinite or not, beside a perturbed lane."""
    function = NUMPY.get(name) or getattr(np, name)
    special_values = np.array([np.inf, -np.inf, 0.0, -0.0, 1e308, -800.0, 0.5])
    count = 1 + (name in TWO)
    x = [a.reshape(-1) for a in np.meshgrid(*[special_values] * count)]
    d = [np.zeros((len(a), BUNDLE)) for a in x]
    for a in d:
        a[:, 3] = 0.25
    with np.errstate(all="ignore"):
        got = map_elementwise(name, x, d, function(*x))
    assert not np.delete(got, 3, axis=1).any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_lane_does_not_see_its_neighbours(name):
    """One that is not a number, or far away, leaves the others alone."""
    _, x, d = CASES[name]
    x, d = [a[:24] for a in x], [np.ascontiguousarray(a[:24]) for a in d]
    function = NUMPY.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        f0 = function(*x)
    for value in (np.nan, 1e6, 1e-9):
        changed = [a.copy() for a in d]
        where = RNG.random(d[0].shape) < 0.2
        for a in changed:
            a[where] = value
        expected, got = (map_elementwise(name, x, each, f0) for each in (d, changed))
        rtol = 1e-9 if name in TWO else 4e-15  # parts of two operands may cancel
        np.testing.assert_allclose(got[~where], expected[~where], rtol=rtol, atol=0)


def test_saturation_and_cancellation_keep_their_digits():
    """Closed forms where the two values agree in all or most of their digits."""

    def change(name, x, d):
        lanes = np.full((1, BUNDLE), d)
        f0 = np.array([NUMPY.get(name, getattr(np, name, None))(x)])
        return map_elementwise(name, [np.array([x])], [lanes], f0)[0, 0]

    # tanh x = 1 - 2 e^-2x (1 - e^-2x + ...)
    assert change("tanh", 30.0, 1e-9) == pytest.approx(4e-9 * np.exp(-60), rel=2e-9)
    assert change("tanh", -30.0, 60.0) == 2.0
    assert change("exp", -700.0, 1400.0) == pytest.approx(np.exp(700.0), rel=1e-15)
    assert change("log", 1e30, 1e-30) == pytest.approx(1e-60, rel=1e-15)
    assert change("log1p", -1 + 2.0**-50, 2.0**-50) == pytest.approx(
        np.log(2), rel=1e-15
    )
    assert change("sqrt", 1e16, 1.0) == pytest.approx(0.5e-8 - 1.25e-25, rel=1e-15)
    # erfc x ~ e^-x^2 / (x sqrt(pi)) (1 - 1 / 2x^2)
    assert change("erfc", 20.0, 5.0) == pytest.approx(-special.erfc(20.0), rel=1e-14)


if __name__ == "__main__":
    np.savez(sys.argv[1], **{name: computed(name) for name in CASES})
