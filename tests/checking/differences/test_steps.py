"""Steps that are asked for: one, or one for each block or entry."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

PARAMS = {"W": np.linspace(0.5, 2.0, 6).reshape(2, 3), "b": np.array([10.0, 1e-3])}


def loss(p):
    return np.sum(np.exp(p["W"])) + np.sum(p["b"] ** 3)


def gradient(p):
    return {"W": np.exp(p["W"]), "b": 3 * p["b"] ** 2}


STEPS = [
    {"W": 1e-3, "b": 1e-4},
    {"W": [1e-3, 1e-2, 1e-4], "b": np.array([0.5, 1e-4])},
    {"W": 1e-5 * np.abs(PARAMS["W"]), "b": 1e-3 * np.abs(PARAMS["b"])},
]


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("step", STEPS)
def test_each_entry_is_moved_by_its_own_step(step, engine):
    """As the formula says, with the points as they are stored."""
    found = fg.numerical_gradient(loss, PARAMS, step=step, engine=engine)
    for name, x in PARAMS.items():
        f = {"W": np.exp, "b": lambda x: x**3}[name]
        up, down = x + np.broadcast_to(step[name], x.shape), x - step[name]
        np.testing.assert_allclose(
            found[name], (f(up) - f(down)) / (up - down), 1e-6, 3e-8
        )


#: Beside which a step is wrong, and right: curved, with a kink nearer than the step.
BESIDE = {
    "smooth": (lambda x: np.sum(x**3), lambda x: 3 * x**2),
    "steep": (lambda x: np.sum(np.sin(40 * x)), lambda x: 40 * np.cos(40 * x)),
    "kinks": (lambda x: np.sum(np.abs(x - 1.003)), lambda x: np.sign(x - 1.003)),
}


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("method", ["central", "forward", "backward"])
@pytest.mark.parametrize("name", BESIDE)
def test_bars_tell_what_a_step_is_off_by(name, method, engine):
    """The values are those of the formula at that step, whether or not it suits."""
    loss, slope = BESIDE[name]
    x, h = np.array([0.4, 1.0, 1.7]), 2.0**-7
    ahead, behind = {"central": (h, h), "forward": (h, 0), "backward": (0, h)}[method]
    points = x + np.diag(np.full(3, ahead)), x - np.diag(np.full(3, behind))
    up, down = (np.array([loss(row) for row in side]) for side in points)
    found, error = fg.numerical_gradient(
        loss, x, step=h, method=method, engine=engine, return_error=True
    )
    np.testing.assert_allclose(found, (up - down) / (ahead + behind), 1e-11, 1e-12)
    off = np.abs(found - slope(x))
    assert (off <= error).all()
    jump = 2.0 if name == "kinks" else 0.0  # of the slope
    assert (error <= np.fmax(30 * off + 1e-9, 2 * jump)).all()


@pytest.mark.parametrize("kind", [list, tuple])
def test_sequences_of_arrays_have_sequences_of_steps(kind):
    """Of x³ the central difference is 3 x² + h²."""
    x = kind([np.linspace(0.5, 2.0, 6).reshape(2, 3), np.array([10.0, 7.0])])
    step = kind([0.125, [0.25, 0.5]])
    found = fg.numerical_gradient(
        lambda p: np.sum(p[0] ** 3) + np.sum(p[1] ** 3), x, step=step
    )
    for value, h, own in zip(found, step, x, strict=True):
        np.testing.assert_allclose(value, 3 * own**2 + np.square(h), 1e-12)


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("method", ["central", "forward", "complex"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("coverage", ["full", 2])
def test_right_is_correct_and_wrong_is_wrong(step, method, engine, coverage):
    options = {"step": step, "method": method, "coverage": coverage}
    if method != "complex":
        options["engine"] = engine
    report = fg.check_gradient(loss, PARAMS, gradient, **options)
    assert report.verdict == "correct"
    assert "steps as given" in str(report)
    assert report.to_dict()["step"]
    wrong = gradient(PARAMS)
    wrong["b"][0] *= 1.2
    report = fg.check_gradient(loss, PARAMS, wrong, **options)
    assert report.verdict == "wrong"
    assert {entry.name for entry in report.wrong} == {"b[0]"}


@pytest.mark.parametrize("method", ["central", "forward"])
def test_columns_of_a_jacobian_have_steps_of_their_own(method):
    x = np.array([1.0, 100.0, 1e-3])

    def fun(x):
        return np.array([x[0] ** 3 * x[1], np.exp(x[2]), x[1] ** 3, x[2] ** 3])

    h = 1e-2 * x
    up, down = np.diag(x + h), np.diag(x - h if method == "central" else x)
    points = np.where(np.eye(3), up, x), np.where(np.eye(3), down, x)
    ends = [np.stack([fun(point) for point in side]) for side in points]
    expected = ((ends[0] - ends[1]) / np.diag(up - down)[:, None]).T
    for sparsity in (None, expected != 0):
        found = fg.numerical_jacobian(fun, x, step=h, method=method, sparsity=sparsity)
        np.testing.assert_allclose(found, expected, 1e-9, atol=1e-12)
    exact = [
        [3 * x[0] ** 2 * x[1], x[0] ** 3, 0],
        [0, 0, np.exp(x[2])],
        [0, 3 * x[1] ** 2, 0],
        [0, 0, 3 * x[2] ** 2],
    ]
    report = fg.check_jacobian(fun, x, np.array(exact), step=h, method=method)
    assert report.verdict == "correct"
    exact[2][1] *= 1.1
    report = fg.check_jacobian(fun, x, np.array(exact), step=h, method=method)
    assert [entry.name for entry in report.wrong] == ["jacobian[2, 1]"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"W": 1e-3, "b": 0.0}, r"`step` must be positive at b\[0\], got 0.0"),
        ({"W": 1e-3, "b": [1e-3, np.nan]}, r"positive at b\[1\], got nan"),
        ({"W": 1e-3, "b": [np.inf, 1e-3]}, r"positive at b\[0\], got inf"),
        ({"W": 1e-3}, "must have the keys"),
        ({"W": np.ones(2), "b": 1e-3}, r'`step\["W"\]` must be numbers of shape'),
        ({"W": None, "b": 1e-3}, r'step\["W"\]` must be'),
        ({"W": 1e-3, "b": [1e-3, 1e-30]}, r"1e-30 is lost in rounding at b\[1\]"),
    ],
)
def test_other_steps_are_refused(step, message):
    for call in (
        fg.numerical_gradient,
        lambda *a, **k: fg.check_gradient(*a, PARAMS, **k),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call(loss, PARAMS, step=step)
