"""A program is handed out only if it is the function."""

import gc
import threading
import weakref

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.losses import proof

RNG = np.random.default_rng(3)


class Net:
    """Reads one of its arrays instead of the argument, too weakly for the losses."""

    def __init__(self):
        self.W, self.b = RNG.normal(size=2000), RNG.normal(size=3)

    def loss(self, p):
        return 1e4 * np.sum(p["W"] ** 2) + np.sum(np.asarray(self.b) ** 2)

    def grads(self, p):
        return {"W": 2e4 * p["W"], "b": 2 * p["b"]}

    @property
    def params(self):
        return {"W": self.W, "b": self.b}


def in_a_thread(p):
    found = []
    thread = threading.Thread(target=lambda: found.append(float(np.sum(p["b"] ** 2))))
    thread.start()
    thread.join()
    return 1e4 * np.sum(p["W"] ** 2) + found[0]


#: Code without source reads the user's array itself.
UNSEEN: dict = {}
exec("def square():\n    return FROZEN['b'][0] ** 2", UNSEEN)


def frozen(p):
    return np.sum(p["W"] ** 2) + UNSEEN["square"]()


FROZEN = {"W": RNG.normal(size=4), "b": RNG.normal(size=1)}
UNSEEN["FROZEN"] = FROZEN


def test_a_right_gradient_that_the_program_would_call_wrong_is_correct():
    net = Net()
    assert fg.check_gradient(net.loss, net.params, net.grads).ok
    wrong = {"W": 2e4 * net.W, "b": 2.02 * net.b}
    report = fg.check_gradient(net.loss, net.params, wrong)
    assert {entry.block for entry in report.wrong} == {"b"}


@pytest.mark.parametrize("weight", [1e4, 1.0])
def test_what_runs_in_a_thread_of_the_loss_is_no_constant(weight):
    net = Net()
    with pytest.raises(fg.TraceError, match=r"test_agreement\.py"):
        fg.trace(in_a_thread, net.params)
    assert fg.check_gradient(in_a_thread, net.params, net.grads).verdict != "wrong"


def test_a_number_that_got_past_the_trace_is_told_with_its_line():
    with pytest.raises(fg.TraceError, match="got past the trace") as caught:
        fg.trace(frozen, FROZEN)
    assert "UNSEEN" in caught.value.source.code


def test_another_program_for_traced_arrays_is_refused():
    kinds = (np.ndarray,)

    def loss(w):
        return np.sum(w) if w.__class__ in kinds else np.sum(w**2)

    with pytest.raises(fg.TraceError, match="the function"):
        fg.trace(loss, np.array([1.0, 2.0]))


def test_a_loss_that_computes_something_else_nearby_is_refused():
    """As many terms as the loss was called times."""
    calls = []

    def loss(w):
        calls.append(1)
        return sum(np.sum(w) for _ in calls)

    with pytest.raises(fg.TraceError, match="next to these"):
        fg.trace(loss, np.array([1.0, 2.0]))


def test_a_refused_trace_keeps_nothing_alive():
    class Array(np.ndarray):
        pass

    data = np.ones(3).view(Array)
    alive = weakref.ref(data)

    def loss(w, data=data):
        return np.frombuffer((w * data).tobytes()).sum()

    with pytest.raises(fg.TraceError):
        fg.trace(loss, np.ones(3))
    del loss, data
    gc.collect()
    assert alive() is None


def test_two_threads_trace_at_once():
    started, programs = threading.Barrier(2), {}

    def work(scale):
        def loss(w):
            started.wait(30)
            return np.sum((scale * w) ** 2)

        w = np.array([1.0, 2.0, scale])
        programs[scale] = fg.trace(loss, w).gradient() / (2 * scale**2 * w)

    threads = [threading.Thread(target=work, args=(scale,)) for scale in (2.0, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for scale in (2.0, 3.0):
        np.testing.assert_allclose(programs[scale], 1.0, rtol=1e-15)


@pytest.mark.parametrize("weight", [10.0**-k for k in range(0, 16, 3)])
def test_the_only_use_of_a_block_that_got_past_the_trace_may_matter_little(weight):
    def loss(p):
        return np.sum(p["W"] ** 2) + weight * UNSEEN["square"]()

    with pytest.raises(fg.TraceError):
        fg.trace(loss, FROZEN)


def test_a_loss_whose_numbers_all_show_is_traced_once(monkeypatch):
    traces, trace = [], proof.trace_graph
    monkeypatch.setattr(
        proof, "trace_graph", lambda *a, **k: traces.append(1) or trace(*a, **k)
    )
    X = RNG.normal(size=(4, 5))

    def loss(p):
        return np.sum(np.tanh(p["W"] @ X) ** 2) + np.sum(np.maximum(p["b"], 0.1))

    fg.trace(loss, {"W": RNG.normal(size=(3, 4)), "b": RNG.normal(size=3)})
    assert len(traces) == 1


class Memo:
    """Keeps what it computed at its last parameters, as for a gradient asked for next.

    And how it knows them again.
    """

    def __init__(self, same):
        self.same, self.last = same, None

    def loss(self, w):
        if self.last is None or not self.same(self.last, w):
            self.last, self.h = w.copy(), np.tanh(w * 2)
        return np.sum(self.h**2) + w[0]


KNOWN_AGAIN = {
    "array_equal": np.array_equal,
    "all": lambda a, b: (a == b).all(),
    "any": lambda a, b: not np.any(a != b),
    "each": lambda a, b: all(x == y for x, y in zip(a, b, strict=True)),
}


@pytest.mark.parametrize("name", KNOWN_AGAIN)
def test_a_loss_that_keeps_its_last_parameters_compiles(name):
    w = np.array([0.4, -0.3, 1.1])
    right = 4 * np.tanh(2 * w) * (1 - np.tanh(2 * w) ** 2) + [1, 0, 0]
    loss = Memo(KNOWN_AGAIN[name]).loss
    report = fg.check_gradient(loss, w, right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    assert fg.check_gradient(loss, w, right * [1, 1, 1.001]).verdict == "wrong"


ASKED = np.array([0.4, -0.3, 1.1])
exec("def largest():\n    return float(ASKED.max())", {"ASKED": ASKED}, UNSEEN)
UNSEEN["largest"].__globals__["ASKED"] = ASKED


def in_a_buffer(w):
    out = np.empty(4)
    out[:3] = w
    out[3] = UNSEEN["largest"]()
    return out


@pytest.mark.parametrize(
    "loss",
    [
        lambda w: np.sum(w**2 * (w == UNSEEN["largest"]())),
        lambda w: np.sum(w**2 * (w != UNSEEN["largest"]())),
        lambda w: np.sum(w**2) * (w[2] >= UNSEEN["largest"]()),
        lambda w: np.sum(w**2) + (w[0] == UNSEEN["largest"]()) + UNSEEN["largest"](),
        lambda w: np.sum(w**2 * (w > UNSEEN["largest"]() - 5)),
        lambda w: np.sum(w**2) + np.floor(0.1 * UNSEEN["largest"]() + w[0] / 100),
        lambda w: np.sum(np.where(w > -9, w**2, UNSEEN["largest"]() * w)),
        lambda w: np.sum(np.maximum(w**2, UNSEEN["largest"]() - 9)),
        lambda w: np.sum(np.maximum(w, [w[0], UNSEEN["largest"]() - 9, w[1]])),
        lambda w: np.sum(in_a_buffer(w) > -9) * np.sum(w**2),
        lambda w: (
            np.sum(w**2) * (1 + ((w > 5) ^ (UNSEEN["largest"]() < ASKED[2] * w))[0])
        ),
    ],
)
def test_what_got_past_the_trace_and_is_compared_is_no_constant(loss):
    with pytest.raises(fg.TraceError):
        fg.trace(loss, ASKED)
