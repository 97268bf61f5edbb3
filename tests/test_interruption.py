"""Ctrl-C while kernels and callbacks work, which Python cannot interrupt."""

import _thread
import ctypes
import signal
import threading

import numpy as np
import pytest
from scipy import LowLevelCallable

import fastgrad as fg
from fastgrad import initializers
from fastgrad._kernels import _batchnorm, _householder, _moments
from fastgrad._threads import interruptibly
from fastgrad.initializers import streams
from fastgrad.statistics import affine


@pytest.fixture(autouse=True)
def _interrupts_arrive():
    """Jobs in the background are started with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Stuck:
    """Work that is interrupted once it has begun, and goes on until it is let go."""

    def __init__(self):
        self.free, self.ended = threading.Event(), threading.Event()

    def __call__(self, *_, **__):
        _thread.interrupt_main()
        self.free.wait(60)
        self.ended.set()

    def let_go(self):
        """Return whether the work was still going on."""
        going = not self.ended.is_set()
        self.free.set()
        self.ended.wait(60)
        return going


def test_work_is_left_behind():
    stuck = Stuck()
    with pytest.raises(KeyboardInterrupt):
        interruptibly(stuck, np.inf)
    assert stuck.let_go()


@pytest.mark.parametrize("seconds", [0.0, np.inf])
def test_what_work_returns_and_raises(seconds):
    assert interruptibly(lambda: 3, seconds) == 3
    with pytest.raises(ZeroDivisionError):
        interruptibly(lambda: 1 // 0, seconds)


@pytest.mark.parametrize("method", ["run", "run_along"])
def test_a_program(method, monkeypatch):
    """Whatever one forward pass costs; the parameters are as they were."""
    stuck, X = Stuck(), np.ones((300, 400))
    w = np.full((400, 30), 0.1)
    program = fg.trace(lambda w: np.sum(np.tanh(X @ w)), w)

    class Kernels:
        num_threads = 64
        spread = program.replayer(1).spread
        full_cost = program.replayer(1).full_cost
        show = program.replayer(1).show

    setattr(Kernels, method, staticmethod(stuck))
    assert program.orders
    monkeypatch.setattr(program, "_replayer", Kernels)
    monkeypatch.setattr(program, "_rate", 1e5)  # a slow machine
    calls = {
        "run": lambda: program.at_entries(np.arange(w.size), np.ones(w.size)),
        "run_along": lambda: program.along(np.ones(w.size), np.ones(3)),
    }
    with pytest.raises(KeyboardInterrupt):
        calls[method]()
    assert stuck.let_go()
    assert (w == 0.1).all()


X = np.random.default_rng(0).normal(size=(4000, 6))
CACHE = fg.batch_norm(X, np.ones(6), np.zeros(6))[1]
PASSES = {
    "moments": (_moments, "accumulate", lambda: fg.moments(X)),
    "fit": (_moments, "accumulate", lambda: fg.StandardScaler().fit(X)),
    "BatchNorm": (_moments, "accumulate", lambda: fg.BatchNorm(6)(X)),
    "sums": (_batchnorm, "backward_sums", lambda: fg.batch_norm_backward(X, CACHE)),
    "backward": (_batchnorm, "backward", lambda: fg.batch_norm_backward(X, CACHE)),
    "orthogonal": (
        _householder,
        "orthonormal_columns",
        lambda: initializers.orthogonal((8, 8)),
    ),
}


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_over_an_array(name, monkeypatch):
    """However large the array."""
    module, kernel, call = PASSES[name]
    stuck = Stuck()
    monkeypatch.setattr("fastgrad._threads._SECONDS_PER_ELEMENT", 1.0)
    call()
    monkeypatch.setattr(module, kernel, stuck)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert stuck.let_go()


PIECES = {
    "rows": lambda out: fg.StandardScaler(copy=False).fit(X).transform(out),
    "columns": lambda out: fg.StandardScaler(copy=False).fit(X).transform(out.T),
    "drawn": lambda out: initializers.he_normal(out.shape, out=out),
}


@pytest.mark.parametrize("name", PIECES)
def test_what_writes_to_arrays_of_others_leaves_nothing_behind(name, monkeypatch):
    """It works piece by piece, stops between two, and gives the same bits."""
    call, whole, pieces = PIECES[name], X[:, :6].copy(), X.copy()
    if name == "columns":
        whole, pieces = (np.asfortranarray(a).T for a in (whole, pieces))
    call(whole)
    monkeypatch.setattr(affine, "_PIECE", 3000)
    monkeypatch.setattr(streams, "_STEP", 1 << 14)
    call(pieces)
    assert pieces.tobytes() == whole.tobytes()
    calls = []

    def interrupted(*_, **__):
        calls.append(1)
        _thread.interrupt_main()

    module = streams._philox if name == "drawn" else affine.kernel
    monkeypatch.setattr(module, "fill" if name == "drawn" else "affine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(X.copy() if name != "columns" else np.asfortranarray(X).T)
    assert calls == [1]


def test_a_callback():
    """A compiled callback, which nothing else could stop."""
    stuck, calls = Stuck(), []

    @ctypes.CFUNCTYPE(
        ctypes.c_double, ctypes.POINTER(ctypes.c_double), ctypes.c_ssize_t
    )
    def loss(theta, size):
        calls.append(1)
        if len(calls) == 9:
            stuck()
        return theta[0] ** 2

    w = np.ones(1)
    with pytest.raises(KeyboardInterrupt):
        fg.check_gradient(LowLevelCallable(loss), w, 2 * w, num_threads=1)
    assert stuck.let_go()
    assert w == 1.0
    del loss


def test_a_python_loss():
    """Between two instructions of Python, with every array as it was."""
    w = {"W": np.ones((3, 4)), "b": np.zeros(3, np.float32)}
    before = [leaf.tobytes() for leaf in w.values()]
    calls = []

    def loss(p):
        calls.append(1)
        if len(calls) == 40:
            _thread.interrupt_main()
        return float(np.sum(p["W"] ** 2) + np.sum(p["b"]))

    with pytest.raises(KeyboardInterrupt):
        fg.check_gradient(loss, w, lambda p: w, engine="python")
    assert [leaf.tobytes() for leaf in w.values()] == before
