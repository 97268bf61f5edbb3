"""Losses at perturbed points: every way to compute them, and what comes back."""

import ctypes
import multiprocessing
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from fractions import Fraction
from pickle import PicklingError

import numpy as np
import pytest
from scipy import LowLevelCallable

import fastgrad as fg
from fastgrad.losses import make_losses

# Small integers and halves: every loss below is exact in float64.
W = np.arange(-3.0, 3.0).reshape(2, 3)
B = np.array([0.5, -2.0])


def opened(*arguments, **options):
    """Open losses and close them again."""
    with make_losses(*arguments, **options) as losses:
        return losses


def params():
    return {"W": W.copy(), "b": B.copy()}


def cubes(p):
    """Sum of cubes, in samples: one for each row."""
    return np.sum(p["W"] ** 3, axis=-1) + p["b"] ** 3


def loss(p):
    return float(cubes(p).sum())


THETA = [Fraction(x) for x in (*W.ravel(), *B)]
INDEX = [7, 0, 3, 0]
VALUE = [1.5, 4.0, -0.25, -3.0]
DIRECTION = np.array([1.0, 0, 0.5, 0, -1, 0, 0, 2.0])
TIMES = [0.0, 1.0, -0.5]


def exact_at_entries(scale=1):
    """Differences in exact arithmetic."""
    return [
        float((Fraction(v) ** 3 - THETA[i] ** 3) / scale)
        for i, v in zip(INDEX, VALUE, strict=True)
    ]


def exact_along(scale=1):
    moved = [
        [x + Fraction(t) * Fraction(d) for x, d in zip(THETA, DIRECTION, strict=True)]
        for t in TIMES
    ]
    base = sum(x**3 for x in THETA)
    return [float((sum(x**3 for x in point) - base) / scale) for point in moved]


@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.POINTER(ctypes.c_double), ctypes.c_ssize_t)
def c_loss(theta, size):
    return sum(theta[i] ** 3 for i in range(size))


@ctypes.CFUNCTYPE(
    ctypes.c_double, ctypes.POINTER(ctypes.c_double), ctypes.c_ssize_t, ctypes.c_void_p
)
def c_loss_with_data(theta, size, data):
    factor = ctypes.cast(data, ctypes.POINTER(ctypes.c_double))[0]
    return factor * sum(theta[i] ** 3 for i in range(size))


FACTOR = ctypes.c_double(1.0)
CALLBACKS = {
    "plain": LowLevelCallable(c_loss),
    "with data": LowLevelCallable(
        c_loss_with_data, ctypes.cast(ctypes.pointer(FACTOR), ctypes.c_void_p)
    ),
}

WAYS = {
    "python": (loss, {"engine": "python"}),
    "size-1 array": (lambda p: np.full((1, 1), loss(p)), {"engine": "python"}),
    "(loss, grads)": (lambda p: (loss(p), {}), {"engine": "python"}),
    "sum": (cubes, {"engine": "python", "reduction": "sum"}),
    "(samples, grads)": (
        lambda p: (cubes(p), {}),
        {"engine": "python", "reduction": "sum"},
    ),
    "vectorized": (lambda p: cubes(p).sum(axis=1), {"vectorized": True}),
    "vectorized sum": (cubes, {"vectorized": True, "reduction": "sum"}),
    "callback": (CALLBACKS["plain"], {"num_threads": 1}),
    "callback with data": (CALLBACKS["with data"], {"num_threads": 2}),
}


@pytest.mark.parametrize("way", WAYS)
def test_differences_are_exact(way):
    """All ways give the differences of the same loss, and leave the parameters."""
    function, options = WAYS[way]
    own = params()
    with make_losses(function, own, **options) as losses:
        difference, crossed = losses.at_entries(INDEX, VALUE)
        assert difference.tolist() == exact_at_entries()
        assert losses.along(DIRECTION, TIMES).tolist() == exact_along()
        assert losses.base == float(sum(x**3 for x in THETA))
        assert losses.theta.tolist() == [float(x) for x in THETA]
        assert crossed is None
        assert losses.engine == options.get("engine", way.split()[0])
        assert losses.evaluations >= 8
    assert np.array_equal(own["W"], W)
    assert np.array_equal(own["b"], B)


def test_mean_of_samples():
    """The mean over samples divides by their number."""
    with make_losses(cubes, params(), engine="python", reduction="mean") as losses:
        assert losses.at_entries(INDEX, VALUE)[0].tolist() == exact_at_entries(2)
        assert losses.along(DIRECTION, TIMES).tolist() == exact_along(2)


def test_differences_are_taken_before_the_sum():
    """A sample of 1e16 does not swallow the change of another."""
    with make_losses(
        lambda w: np.array([1e16, w[0]]), np.ones(1), engine="python", reduction="sum"
    ) as losses:
        assert losses.at_entries(0, 1 + 2**-30)[0] == 2**-30


@pytest.mark.parametrize(
    "make",
    [
        lambda: ThreadPoolExecutor(2),
        lambda: ProcessPoolExecutor(2, multiprocessing.get_context("spawn")),
    ],
    ids=["threads", "processes"],
)
def test_workers(make):
    """Workers on copies of the parameters give the same differences, in order."""
    own = params()
    with make() as workers:
        with make_losses(loss, own, workers=workers) as losses:
            index = np.tile(INDEX, 5)
            value = np.tile(VALUE, 5)
            difference, _ = losses.at_entries(index, value)
            assert difference.tolist() == exact_at_entries() * 5
            assert losses.along(DIRECTION, TIMES).tolist() == exact_along()
            assert losses.engine == "workers"
            assert losses.evaluations > 23
        assert workers.submit(int, 3).result() == 3  # left open


def test_processes_need_a_loss_that_can_be_pickled():
    """A lambda cannot be sent to a process: the error says what to do."""
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as workers,
        make_losses(lambda p: loss(p), params(), workers=workers) as losses,
        pytest.raises((PicklingError, AttributeError)) as caught,
    ):
        losses.at_entries(INDEX, VALUE)
    assert "loss that can be pickled" in caught.value.__notes__[0]


def test_a_failing_worker():
    """The loss's own exception comes through, with the entry."""

    def fails(p):
        if p["b"][1] != -2:
            raise ZeroDivisionError("mine")
        return loss(p)

    with (
        ThreadPoolExecutor(2) as workers,
        make_losses(fails, params(), workers=workers) as losses,
        pytest.raises(ZeroDivisionError) as caught,
    ):
        losses.at_entries(np.tile(INDEX, 3), np.tile(VALUE, 3))
    assert "b[1] = 1.5" in caught.value.__notes__[0]


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_callbacks_on_any_number_of_threads(num_threads, rng):
    """The bits of a compiled callback do not depend on the number of threads."""
    numba = pytest.importorskip("numba")

    @numba.cfunc("float64(CPointer(float64), intp)")
    def compiled(theta, size):
        total = 0.0
        for i in range(size):
            total += np.tanh(theta[i]) * theta[(i * 7) % size]
        return total

    theta = rng.standard_normal(101)
    index, value = rng.integers(0, 101, 5000), rng.standard_normal(5000)

    def run(threads):
        with make_losses(
            LowLevelCallable(compiled.ctypes), theta, num_threads=threads
        ) as losses:
            assert losses.representable([0], [0.1])[0] == 0.1
            return (
                losses.at_entries(index, value)[0].tobytes(),
                losses.along(theta, value[:9]).tobytes(),
            )

    assert run(num_threads) == run(1)


def test_float32_parameters_take_rounded_values():
    """A float32 parameter can only be moved to float32 numbers, and says which."""
    w = np.ones(2, np.float32)
    value = 1 + 2.0**-25
    with make_losses(lambda p: float(p[0]), w, engine="python") as losses:
        assert losses.representable([0, 1], [value, 1 + 2.0**-22]).tolist() == [
            1.0,
            1 + 2.0**-22,
        ]
        assert losses.at_entries(0, value)[0] == 0.0


@pytest.mark.parametrize(
    "leaf",
    [
        np.ones((3, 4)),
        np.asfortranarray(np.ones((3, 4))),
        np.ones((6, 12))[::2, ::-3],
        np.ones((3, 4), np.float16),
        np.ones((3, 4), ">f8"),
        np.array(1.0),
    ],
    ids=["C", "Fortran", "strided", "float16", "big-endian", "0-d"],
)
def test_any_array_is_moved_in_place(leaf):
    """Entry i is the i-th in C order, however the array is stored."""
    weights = np.arange(1.0, 13.0)[: leaf.size].reshape(leaf.shape)
    model = {"w": leaf, "empty": np.ones((0, 2))}
    with make_losses(
        lambda _: float(np.sum(np.asarray(model["w"]) * weights)),
        model,
        engine="python",
    ) as losses:
        every = np.arange(leaf.size)
        assert losses.at_entries(every, np.full(leaf.size, 2.0))[0].tolist() == list(
            range(1, leaf.size + 1)
        )
        assert losses.along(np.ones(leaf.size), [2.0])[0] == 2 * weights.sum()
    assert np.all(leaf == 1)


def test_tied_weights_move_together():
    """An array that is in the nest twice has one value, whose uses add up."""
    w = np.ones(3)
    with make_losses(
        lambda p: float(p["E"][0] + 2 * p["D"][0]), {"E": w, "D": w}, engine="python"
    ) as losses:
        assert losses.at_entries([0, 3], [2.0, 2.0])[0].tolist() == [3.0, 3.0]
        assert losses.along([1.0, 0, 0, 1, 0, 0], 0.5)[0] == 3.0


@pytest.mark.parametrize("way", ["vectorized", "workers"])
def test_tied_weights_cannot_be_copied(way):
    """Where the loss gets copies, tied weights would come apart: refused."""
    w = np.ones(3)
    with ThreadPoolExecutor(1) as pool:
        options = {"workers": pool} if way == "workers" else {"vectorized": True}
        with pytest.raises(ValueError, match="share memory, but E and D do"):
            opened(lambda p: p["E"][..., 0], {"E": w, "D": w}, **options)


def test_complex_step():
    """The imaginary part of a cube is exactly 3 x² h for tiny h."""
    h = 2.0**-500  # whose cube is zero
    slopes = [3 * float(THETA[i]) ** 2 * h for i in INDEX]
    with make_losses(lambda p: cubes(p).sum(), params(), engine="python") as losses:
        assert losses.imaginary(INDEX, h).tolist() == slopes
    with make_losses(cubes, params(), engine="python", reduction="mean") as losses:
        assert losses.imaginary(INDEX, h).tolist() == [s / 2 for s in slopes]


def test_complex_step_needs_a_complex_loss():
    """A loss that returns a real number for complex parameters is refused."""
    with (
        make_losses(
            lambda p: loss({k: v.real for k, v in p.items()}), params(), engine="python"
        ) as losses,
        pytest.raises(TypeError, match="returns a complex number, got float64"),
    ):
        losses.imaginary([0], 1e-20)
    with (
        make_losses(
            lambda p: cubes(p).sum(axis=1), params(), vectorized=True
        ) as losses,
        pytest.raises(ValueError, match="needs `engine=\"python\"`, got 'vectorized'"),
    ):
        losses.imaginary([0], 1e-20)


def changes_in_place(p):
    p["W"] += 1
    return loss(p)


# NumPy 2.5 deprecates it.
SHAPES = pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")


def reshapes(p):
    p["W"].shape = (-1,)
    return np.sum(p["W"])


def replaces(p):
    p["W"] = p["W"] + 1
    return loss(p)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda p: None, TypeError, "returned None: is its `return` missing"),
        (lambda p: "0.5", TypeError, "must return a number, got str"),
        (lambda p: 1j, TypeError, "must return real numbers, got complex128"),
        (lambda p: {"loss": 1}, TypeError, "must return a number, got dict"),
        (lambda p: (1, 2, 3), TypeError, "got a tuple of 3"),
        (lambda p: np.nan, ValueError, "must be finite at `params`, got nan"),
        (lambda p: -np.inf, ValueError, "must be finite at `params`, got -inf"),
        (lambda p: p["b"], ValueError, r"array of shape \(2,\): pass `reduction="),
        (lambda p: p["b"][:0], ValueError, "empty array"),
        (changes_in_place, ValueError, "must not change its .* it changed W"),
        (reshapes, ValueError, "must not change its .* it changed W"),
        (replaces, ValueError, "must not change its .* other arrays in their place"),
    ],
)
@SHAPES
def test_losses_that_make_no_sense(function, error, message):
    """Each is refused by its own message, and the parameters are as they were."""
    own = params()
    arrays = dict(own)
    with pytest.raises(error, match=message):
        opened(function, own, engine="python")
    assert all(own[name] is arrays[name] for name in arrays)
    assert np.array_equal(own["W"], W)
    assert np.array_equal(own["b"], B)


@SHAPES
@pytest.mark.parametrize("function", [changes_in_place, replaces, reshapes])
def test_a_loss_that_changes_its_parameters_later(function):
    """A change is noticed wherever it happens, and undone."""
    calls = []

    def later(p):
        calls.append(1)
        return function(p) if len(calls) == 3 else loss(p)

    own = params()
    array = own["W"]
    with (
        make_losses(later, own, engine="python") as losses,
        pytest.raises(ValueError, match="must not change its parameters"),
    ):
        losses.at_entries(INDEX, VALUE)
    assert own["W"] is array
    assert np.array_equal(array, W)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("call", ["at_entries", "along", "imaginary"])
def test_parameters_come_back_after_exceptions(error, call):
    """Whatever ends the loss, parameters are restored; errors name the point."""
    calls = []

    def fails(p):
        calls.append(1)
        if len(calls) == 3:
            own["W"][0, 0] = 1e6  # leaves a mess behind, too
            raise error("mine")
        return cubes(p).sum()

    own = params()
    arguments = (DIRECTION, TIMES) if call == "along" else (INDEX, VALUE)
    with make_losses(fails, own, engine="python") as losses:
        with pytest.raises(error, match="mine") as caught:
            getattr(losses, call)(*arguments)
        assert np.array_equal(own["W"], W)
        assert np.array_equal(own["b"], B)
    if call == "along" and error is ZeroDivisionError:
        assert "moved by 1.0 times a direction" in caught.value.__notes__[0]


def test_the_failing_entry_is_named():
    """The note on an exception names the entry and its value."""

    def fails(p):
        if p["W"][1, 0] == -0.25:
            raise ZeroDivisionError
        return loss(p)

    with (
        make_losses(fails, params(), engine="python") as losses,
        pytest.raises(ZeroDivisionError) as caught,
    ):
        losses.at_entries(INDEX, VALUE)
    assert caught.value.__notes__ == [
        "fastgrad: while evaluating `loss` with W[1, 0] = -0.25."
    ]


def test_the_number_of_samples_must_not_change():
    """As many losses at perturbed points as at the parameters."""
    with (
        make_losses(
            lambda w: np.ones(3 if w[0] == 1 else 2),
            np.ones(1),
            engine="python",
            reduction="sum",
        ) as losses,
        pytest.raises(ValueError, match="as many losses as at `params`, 3, got 2"),
    ):
        losses.at_entries(0, 2.0)


def test_losses_that_are_not_finite_elsewhere():
    """Only theta must be finite: elsewhere nan and inf are passed on."""
    with make_losses(
        lambda w: np.inf if w[0] > 1 else np.nan if w[0] < 1 else 0.0,
        np.ones(1),
        engine="python",
    ) as losses:
        difference, _ = losses.at_entries([0, 0], [2.0, 0.0])
    assert difference[0] == np.inf
    assert np.isnan(difference[1])


def test_points_outside_the_domain_are_quiet():
    """The logarithm of a negative number is nan at perturbed points, not a warning."""
    w = np.array([1.0, 2.0])
    with make_losses(lambda w: float(np.log(w).sum()), w, engine="python") as losses:
        assert np.isnan(losses.at_entries(0, -1.0)[0]).all()
        assert np.isnan(losses.along([1.0, 0.0], [-3.0])).all()


def test_random_state_is_restored(monkeypatch):
    """A loss that draws from NumPy's global generator leaves no trace in it."""
    # Other tests may have left threads behind, as Dask does.
    monkeypatch.setattr("threading.active_count", lambda: 1)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002

    def random(w):
        return float(w[0] * np.random.rand())  # noqa: NPY002

    with make_losses(random, np.ones(1), engine="python") as losses:
        first, second = losses.along([0.0], [0.0, 0.0])
        assert first != second
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_gradients_returned_beside_the_loss(engine):
    """It is known that they are returned; they are not kept, nor are those elsewhere."""
    made = []

    def both(p):
        assert not any(one() is not None for one in made)
        gradient = 3 * p["W"] ** 2
        if isinstance(gradient, np.ndarray):  # not while it is traced
            made.append(weakref.ref(gradient))
        return loss(p), {"W": gradient}

    with make_losses(both, params(), engine=engine) as losses:
        assert losses.returns_grads
        losses.at_entries([0, 1, 2], [1.0, 2.0, 3.0])
        losses.along(np.ones(losses.nest.size), [0.1, 0.2])
    assert len(made) > 5
    with make_losses(loss, params(), engine=engine) as losses:
        assert not losses.returns_grads


def test_vectorized_losses_must_be_vectorized():
    """A loss that ignores the leading axis is noticed at once."""
    with pytest.raises(ValueError, match=r"each of the 2 stacked .* got shape \(\)"):
        opened(lambda p: np.float64(1.0), params(), vectorized=True)


def test_callbacks_must_have_the_signature():
    """Another C function is refused before it is called."""
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int)
    other = LowLevelCallable(kind(float))
    with pytest.raises(TypeError, match=r"signature .* got `double \(int\)`"):
        opened(other, params())


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (loss, {"engine": "fast"}, ValueError, "`engine` must be one of"),
        (3.0, {}, TypeError, "`loss` must be callable, got float"),
        (loss, {"workers": 3}, TypeError, "`workers` must be a concurrent.futures"),
        (loss, {"engine": "vectorized"}, ValueError, "needs `vectorized=True`"),
        (loss, {"engine": "workers"}, ValueError, "needs `workers=`"),
        (loss, {"engine": "callback"}, ValueError, "needs `loss` to be a scipy"),
        (
            loss,
            {"engine": "python", "vectorized": True},
            ValueError,
            "contradicts .* vectorized",
        ),
        (loss, {"reduction": "max"}, ValueError, "`reduction` must be None"),
    ],
)
def test_options_that_make_no_sense(function, options, error, message):
    """Unknown or contradicting options are refused."""
    with pytest.raises(error, match=message):
        opened(function, params(), **options)


def test_a_vectorised_loss_that_changes_its_stack():
    """Is refused, as one that changes its parameters is."""

    def changes(w):
        w += 1
        return (w**2).sum(axis=1)

    own = np.ones(3)
    with pytest.raises(ValueError, match="must not change its parameters"):
        opened(changes, own, vectorized=True)
    assert own.tolist() == [1.0, 1.0, 1.0]


def test_workers_of_a_model_that_reads_its_own_arrays():
    """The error says that workers have copies."""
    own = np.ones(3)
    with (
        ThreadPoolExecutor(1) as workers,
        pytest.raises(ValueError, match="cannot be used with workers"),
    ):
        fg.check_gradient(lambda _: (own**2).sum(), own, 2 * own, workers=workers)


def test_a_vectorised_loss_that_raises():
    """Its own exception, with a note on where."""

    def fails(w):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        opened(fails, np.ones(3), vectorized=True)
    assert "2 stacked parameter sets" in caught.value.__notes__[0]


class Planted(Exception):
    """What a loss raises at one of its calls."""


@pytest.mark.parametrize("way", ["auto", "python", "workers"])
def test_a_loss_that_fails_at_any_of_its_calls_changes_nothing(way, monkeypatch):
    """Its parameters and NumPy's generator, from which it draws, are as they were."""
    # Other tests may have left threads behind, as Dask does.
    monkeypatch.setattr("threading.active_count", lambda: 1)

    def attempt(fails_at):
        p = {"W": np.linspace(-1.0, 1.0, 4).reshape(2, 2), "x": np.array([0.5, 0.0])}
        right = {"W": np.cos(p["W"]), "x": 2 * p["x"]}
        kept, calls = {name: a.copy() for name, a in p.items()}, 0

        def loss(p):
            nonlocal calls
            calls += 1
            drawn = 0.0 if way == "workers" else np.random.random()  # noqa: NPY002
            if calls == fails_at:
                raise Planted
            return np.sum(np.sin(p["W"])) + np.sum(p["x"] ** 2) + 0.0 * drawn

        state = np.random.get_state()[2]  # noqa: NPY002
        with ExitStack() as stack:
            options = {} if way == "auto" else {"engine": way}
            if way == "workers":
                options = {"workers": stack.enter_context(ThreadPoolExecutor(1))}
            with suppress(Planted):
                report = fg.check_gradient(loss, p, right, **options)
                assert report.verdict in ("correct", "undecided")
        assert np.random.get_state()[2] == state  # noqa: NPY002
        for name, a in kept.items():
            np.testing.assert_array_equal(p[name], a)
        return calls

    count = attempt(0)
    for fails_at in {1, 2, 3, 5, 8, 13, *range(count - 2, count + 1)}:
        attempt(fails_at)
