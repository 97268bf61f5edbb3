"""No false alarm where checks cry wolf, no wrong entry called correct."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

PATH = Path(__file__).parents[3] / "benchmarks" / "hostile.py"


def _hostile():
    spec = importlib.util.spec_from_file_location("fastgrad_hostile", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


hostile = _hostile()
CONDITIONS = {c.name: c for c in hostile.conditions(seed=7)}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CONDITIONS)
def test_correct_gradients_raise_no_alarm(name):
    """Not one wrong entry, whatever the units, kinks, noise and precision."""
    c = CONDITIONS[name]
    options = dict(c.options)
    if name == "float32 loss value":  # each entry takes a hundred evaluations
        options["coverage"] = 100
    report = fg.check_gradient(c.loss, c.params, c.grads, **options)
    assert len(report.wrong) == 0
    assert report.verdict in (("correct", "undecided") if c.coarse else ("correct",))


SMALL = [
    "recurrent, 30 steps",
    "batch normalisation",
    "layer normalisation",
    "hinge loss",
    "max over units",
    "Huber loss",
    "sin(1000 x)",
    "log near 0",
    "parameters far from 0",
    "gradient over 10 decades",
    "Rosenbrock",
]


@every_second
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", SMALL)
def test_planted_errors_are_found(name, engine):
    """Entries 1 % off are called wrong, and no others."""
    c = CONDITIONS[name]
    rng = np.random.default_rng(0)
    right = c.grads(c.params)
    grads = {k: np.array(v, dtype=np.float64) for k, v in right.items()}
    first = fg.check_gradient(c.loss, c.params, right, engine=engine, **c.options)
    planted = set()
    for k, g in grads.items():
        # Where the noise leaves 1 % to be seen, which is nearly everywhere.
        seen = np.asarray(first.error[k]) < 0.004 * np.abs(g)
        assert seen.mean() > 0.6 or not g.any() or k == "b"
        for i in np.argwhere(seen & (rng.random(g.shape) < 0.1)):
            g[tuple(i)] *= 1.01
            planted.add((k, tuple(i.tolist())))
    report = fg.check_gradient(c.loss, c.params, grads, engine=engine, **c.options)
    assert {(e.block, e.index) for e in report.wrong} == planted


def test_a_tiny_entry_with_the_wrong_sign_is_not_called_correct():
    """1e-10 of its block: found in float64."""
    c = CONDITIONS["gradient over 10 decades"]
    right = c.grads(c.params)["x"]
    order = np.argsort(np.abs(right))
    for i in order[[0, 3, 10]]:
        grads = right.copy()
        grads[i] = -grads[i]
        report = fg.check_gradient(c.loss, c.params, {"x": grads})
        assert report.verdict in ("wrong", "undecided")
        assert [e.index for e in report.wrong] in ([(i,)], [])


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_a_tiny_parameter_with_the_wrong_sign_is_not_called_correct(engine):
    """The gradient 2 x of the entry x = 1e-10 of a block, as large as that, is seen."""
    x = np.random.default_rng(0).permutation(10.0 ** np.linspace(-10, 0, 41))
    smallest = int(np.argmin(x))
    wrong = 2 * x
    wrong[smallest] *= -1
    right, report = (
        fg.check_gradient(lambda x: np.sum(x**2), x, g, engine=engine)
        for g in (2 * x, wrong)
    )
    assert right.verdict in ("correct", "undecided")
    assert report.verdict == ("wrong" if engine == "compiled" else "undecided")
    assert right.blocks[0].unobservable == report.blocks[0].unobservable == 0
    if engine == "compiled":
        assert right.ok
        assert [e.index for e in report.wrong] == [(smallest,)]


def test_entries_the_loss_ignores_are_unobservable():
    """Counted apart; a gradient that is zero everywhere verifies nothing."""
    params = {"a": np.ones(3), "b": np.ones(2)}
    grads = {"a": 2 * np.ones(3), "b": np.zeros(2)}
    report = fg.check_gradient(lambda p: np.sum(p["a"] ** 2), params, grads)
    assert report.verdict == "correct"
    assert [b.unobservable for b in report.blocks] == [0, 2]
    assert report.blocks[1].verdict == "undecided"
    assert any("b" in note for note in report.notes)


def test_a_dead_entry_with_a_gradient_is_wrong():
    """A slope where the loss does not respond."""
    params = {"a": np.ones(3), "b": np.ones(2)}
    grads = {"a": 2 * np.ones(3), "b": np.array([0.0, 1e-3])}
    report = fg.check_gradient(lambda p: np.sum(p["a"] ** 2), params, grads)
    assert [(e.block, e.index) for e in report.wrong] == [("b", (1,))]


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize(
    ("slope", "verdict"),
    [(-1.0, "correct"), (0.0, "correct"), (0.7, "correct"), (1.0, "correct")]
    + [(1.01, "wrong"), (-1.5, "wrong")],
)
def test_any_subgradient_is_accepted_at_a_kink(slope, verdict, engine):
    """|w| at 0: everything in [-1, 1], counted as at a kink, and nothing else."""
    w = np.array([0.0, 1.0, -2.0])
    grads = np.array([slope, 1.0, -1.0])
    report = fg.check_gradient(lambda w: np.sum(np.abs(w)), w, grads, engine=engine)
    assert report.verdict == verdict
    if verdict == "correct":
        assert report.blocks[0].at_kink == 1


def test_a_wrong_block_is_judged_without_trying_every_entry():
    """A sign error throughout costs little more than a correct gradient."""
    loss, params, grads = hostile.network([40, 60, 10], 8, "tanh")
    wrong = {k: -g for k, g in grads(params).items()}
    report = fg.check_gradient(loss, params, wrong)
    assert len(report.wrong) == report.checked
    assert report.evaluations < 6 * report.checked


def test_a_wrong_block_with_kinks_accuses_no_correct_entry():
    """Half the block wrong, the rest near kinks: only the wrong half is accused."""
    loss, params, grads = hostile.network([30, 40, 10], 256, "relu")
    g = grads(params)
    g["W1"][:, ::2] *= -1
    report = fg.check_gradient(loss, params, g, engine="python")
    assert {e.index[1] % 2 for e in report.wrong} == {0}
    assert report.blocks[0].wrong == np.count_nonzero(g["W1"][:, ::2])


def test_undecided_where_noise_hides_the_gradient():
    """A loss too coarse to be differentiated is not called wrong, nor correct."""
    x = np.random.default_rng(0).normal(size=20)

    def loss(p):
        return float(np.round(np.sum(np.sin(p))))

    report = fg.check_gradient(loss, x, np.cos(x), engine="python")
    assert report.verdict == "undecided"
    assert not report.wrong


def test_undecided_where_the_loss_is_finite_only_at_the_point():
    """Perturbed points outside the domain leave the entry open."""
    x = np.array([1.0, 2.0])

    def loss(p):
        return float(p[1] ** 2) if p[0] == 1.0 else np.inf

    report = fg.check_gradient(loss, x, np.array([0.0, 4.0]), engine="python")
    assert report.verdict == "undecided"
    assert report.blocks[0].undecided == 1


def test_the_detection_limit_is_true():
    """An error at twice the limit is caught in any entry; one far below is not."""
    loss, params, grads = hostile.network([10, 8, 4], 8, "tanh")
    right = grads(params)
    limit = fg.check_gradient(loss, params, right).blocks[0].detection_limit
    for i in range(0, right["W1"].size, 23):
        for factor, caught in ((2.0, True), (0.001, False)):
            g = {k: v.copy() for k, v in right.items()}
            g["W1"].flat[i] += factor * limit
            assert (len(fg.check_gradient(loss, params, g).wrong) == 1) == caught


def test_the_control_is_reported():
    """One planted error per block, all caught."""
    loss, params, grads = hostile.network([10, 8, 4], 8, "tanh")
    notes = fg.check_gradient(loss, params, grads).notes
    assert any("4 of 4 planted errors" in note for note in notes)


def test_the_same_seed_gives_the_same_report():
    """And NumPy's global state stays as it was."""
    loss, params, grads = hostile.network([10, 8, 4], 64, "relu")
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    given = (loss, params, grads)  # "auto" goes by how long calls take
    a, b = (
        fg.check_gradient(*given, seed=5, engine="compiled").to_dict() for _ in range(2)
    )
    a.pop("seconds"), b.pop("seconds")
    assert str(a) == str(b)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_cost_of_a_correct_gradient():
    """At most 2.2 evaluations per entry, all included."""
    loss, params, grads = hostile.network([100, 80, 10], 16, "tanh")
    report = fg.check_gradient(loss, params, grads)
    assert report.evaluations <= 2.2 * report.checked


TOKENS = np.array([[0, 2, 2], [5, 0, 3]])


def _rows(p):
    return np.sum(np.tanh(p["E"][TOKENS]).mean(axis=1) ** 2)


@pytest.mark.parametrize("step", [None, 1e-6])
@pytest.mark.parametrize("bounds", [None, (-9.0, 9.0)])
def test_entries_that_nothing_reads(step, bounds):
    """Their derivative is exactly zero, and a gradient that is not is wrong."""
    E = np.random.default_rng(0).normal(size=(7, 4))
    read = np.isin(np.arange(7), TOKENS)
    grads = np.zeros_like(E)
    tanh = np.tanh(E)
    for row in TOKENS:
        for token in row:
            grads[token] += 2 * tanh[row].mean(axis=0) * (1 - tanh[token] ** 2) / 3
    given = {"step": step, "bounds": bounds}
    report = fg.check_gradient(_rows, {"E": E}, {"E": grads}, **given)
    assert report.verdict == "correct"
    assert report.blocks["E"].unobservable == np.count_nonzero(~read) * 4
    assert np.all(report.numerical["E"][~read] == 0)
    grads[6, 2] = 1e-3
    report = fg.check_gradient(_rows, {"E": E}, {"E": grads}, **given)
    assert [entry.index for entry in report.wrong] == [(6, 2)]
    assert report.blocks["E"].checked == E.size
