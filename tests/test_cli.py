"""The command: what it prints, and its exit status."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgrad
from fastgrad.cli import main
from fastgrad.demo import load_digits

MODEL = """
import numpy as np
from helper import factor

X = np.array([[1.0, -2.0, 0.5], [0.25, 1.0, 3.0]])
params = {"W": np.array([[0.5, -1.0], [2.0, 0.25]])}

def loss(p):
    return np.sum(np.tanh(p["W"] @ X) ** 2)

def grads(p):
    a = np.tanh(p["W"] @ X)
    return {"W": factor * (2 * a * (1 - a**2)) @ X.T}
"""


JACOBIAN = """
import numpy as np
x = np.array([0.5, 2.0])
def fun(x):
    return np.array([x[0] * x[1], np.sin(x[1])])
def jac(x):
    return np.array([[x[1], x[0]], [0.0, SIGN * np.cos(x[1])]])
"""

SAMPLES = """
import numpy as np
data = (np.arange(6.0).reshape(3, 2), np.ones(3))
params = np.array([0.3, -0.2])
def loss(w, X, y):
    return np.mean((X @ w - y) ** 2)
def grads(w, X, y):
    return 2 / SIZE * (X @ w - y) @ X
"""

CASES = (
    MODEL
    + """
def case():
    return loss, params, grads

def wrong():
    return dict(loss=loss, params=params, grads=lambda p: {"W": -grads(p)["W"]})

def noisy():
    rng = np.random.default_rng(0)
    return lambda p: loss(p) * (1 + rng.random()), params, grads

def broken():
    def inner(p):
        return undefined_name
    return inner, params, grads

def leaving():
    def inner(p):
        print("on my way out")
        raise SystemExit(0)
    return inner, params, grads

def nothing():
    return 3
"""
)


@pytest.fixture
def check(tmp_path, capsys, monkeypatch):
    """Run ``fastgrad check`` on a file with this text; return status and output."""

    def run(text, *options, names=("",), factor="1.0"):
        path = tmp_path / "model.py"
        path.write_text(text)
        (tmp_path / "helper.py").write_text(f"factor = {factor}")
        monkeypatch.setattr(sys, "path", [*sys.path])
        for name in ("helper", "_checked_model"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        status = main(["check", *(f"{path}{name}" for name in names), *options])
        return status, *capsys.readouterr()

    return run


def test_check_of_a_correct_gradient(check):
    """Status 0; the file may import its neighbour."""
    status, out, _ = check(MODEL)
    assert status == 0
    assert "Gradient CORRECT: all 4 entries checked" in out


def test_check_of_a_wrong_gradient(check, tmp_path):
    """Status 1 and the report, in HTML too where asked for."""
    page = tmp_path / "report.html"
    status, out, _ = check(MODEL, "--html", str(page), factor="0.5")
    assert status == 1
    assert "Gradient WRONG" in out
    assert "W[0, 1]" in page.read_text(encoding="utf-8")


def test_check_where_the_loss_returns_both(check):
    """Without `grads` the loss returns them."""
    text = MODEL.replace("def loss(p):", "def value(p):").replace(
        "def grads(p):", "def slope(p):"
    )
    text += "\ndef loss(p):\n    return value(p), slope(p)\n"
    assert check(text)[0] == 0


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (JACOBIAN.replace("SIGN", "1"), 0, "CORRECT"),
        (JACOBIAN.replace("SIGN", "-1"), 1, "WRONG"),
        (SAMPLES.replace("SIZE", "len(y)"), 0, "right in all"),
        (SAMPLES.replace("SIZE", "3"), 1, "wrong only with a batch of 1"),
    ],
)
def test_a_file_may_define_a_jacobian_or_data(check, text, status, words):
    """Checked as a Jacobian, and for other samples, layouts and parameters."""
    found, out, _ = check(text)
    assert found == status
    assert words in out


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["::case"], 0),
        (["::wrong"], 1),
        (["::noisy"], 3),
        (["::broken"], 2),
        (["::leaving"], 2),
        (["::nothing", "::case"], 2),
        (["::case", "::wrong"], 1),
        (["", "::noisy"], 3),
        (["::noisy", "::wrong"], 1),
        (["::wrong", "::broken", "::case", "::leaving"], 2),
    ],
)
def test_the_status_is_that_of_the_worst(check, names, status):
    """Each target is checked, whatever becomes of the others, and has its line."""
    found, out, _ = check(CASES, "--json", names=names)
    assert found == status
    reports = [
        json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()
    ]
    assert [report["target"].partition(".py")[2] for report in reports] == [*names]
    verdicts = {"": "correct", "::case": "correct", "::wrong": "wrong"}
    errors = {
        "::broken": "NameError: name 'undefined_name' is not defined",
        "::leaving": "SystemExit: 0",
        "::nothing": "`nothing` must return (loss, params, grads), or a dict of names, "
        "got 3.",
    }
    for name, report in zip(names, reports, strict=True):
        assert report.get("failed") == errors.get(name)
        assert report["ok"] == (name in ("", "::case"))
        if name not in errors:
            assert report["verdict"] == verdicts.get(name, "undecided")


def test_options_reach_the_check(check, tmp_path):
    """Coverage, engine, seed, threads and tolerance; one page for several reports."""
    options = ["--coverage", "2", "--engine", "python", "--seed", "5", "--rtol", "0.6"]
    page = tmp_path / "both.html"
    status, out, _ = check(
        CASES, *options, "--threads", "1", "--html", str(page), names=["", "::case"],
        factor="0.5",
    )  # fmt: skip
    assert status == 0
    assert out.count("2 of 4 entries checked") == 2
    assert out.count("python engine, 1 thread") == 2
    assert page.read_text("utf-8").count("<h1") == 2


def test_the_traceback_is_that_of_the_user_alone(check):
    """No frame of fastgrad or of the import system."""
    for text, names, last in (
        (CASES, ["::broken"], "NameError: name 'undefined_name' is not defined"),
        ("import nowhere_to_be_found", [""], "ModuleNotFoundError"),
        ("def f():\n    raise KeyError('a')\nf()", [""], "KeyError: 'a'"),
        ("x = (", [""], "SyntaxError"),
    ):
        status, out, err = check(text, names=names)
        assert (status, out) == (2, "")
        files = re.findall(r'File "(.*?)"', err)
        assert files, err
        assert all(file.endswith("model.py") for file in files), err
        assert last in err


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("params = 1.0", "", "model.py must define `loss` (or `fun`"),
        ("", "", "model.py must define `loss` and `params`"),
        (MODEL + "\nraise SystemExit(0)", "", "exited (status 0) before it could be"),
        (
            MODEL.replace("np.sum(", "("),
            "",
            "fastgrad: `loss` returned an array of shape",
        ),
        (CASES, "::nowhere", "must define a function `nowhere`"),
        (CASES, "::nothing", "`nothing` must return (loss, params, grads)"),
        (CASES.replace("[[0.5, -1.0]", "[[1, 2]"), "::wrong", "nan"),
    ],
)
def test_check_that_cannot_be_carried_out(check, text, names, message):
    """Status 2 and the reason, not a verdict."""
    if message == "nan":
        text, message = (
            text.replace("2.0, 0.25", "np.nan, 1"),
            "must be finite, got nan",
        )
    status, out, err = check(text, names=[names])
    assert status == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--coverage", "some"], '`coverage` must be "full"'),
        (["--coverage", "-1"], '`coverage` must be "full"'),
        (["--engine", "fast"], "`engine` must be one of"),
        (["--seed", "-1"], "`seed` must be a non-negative integer"),
        (["--threads", "0"], "`num_threads` must be positive"),
        (["--rtol", "-1"], "`rtol` must be finite"),
    ],
)
def test_options_that_make_no_sense(check, options, message):
    """Refused as in a call."""
    status, out, err = check(MODEL, *options)
    assert (status, out) == (2, "")
    assert message in err


def test_a_jacobian_takes_few_options(check):
    """What it does not take is said."""
    status, out, _ = check(JACOBIAN.replace("SIGN", "1"), "--coverage", "2")
    assert status == 0
    assert "2 of 4 entries checked" in out
    status, _, err = check(JACOBIAN.replace("SIGN", "1"), "--engine", "python")
    assert status == 2
    assert "is a Jacobian, which takes no engine" in err


def test_check_of_the_example(capsys):
    """The example in the repository is correct."""
    example = Path(__file__).parents[1] / "examples" / "logistic.py"
    assert main(["check", str(example)]) == 0
    assert "all 5 entries checked" in capsys.readouterr().out


def test_check_of_no_file(capsys):
    """Status 2."""
    assert main(["check", "nowhere.py"]) == 2
    assert "there is no file nowhere.py" in capsys.readouterr().err


def test_bench_times_other_ways(tmp_path, capsys):
    """On the file's own loss; parameters are as they were, bit for bit."""
    path = tmp_path / "timed.py"
    path.write_text(
        "import numpy as np\n"
        "params = {'W': np.arange(1.0, 7.0).reshape(2, 3), 'b': np.ones(2)}\n"
        "saved = {k: v.copy() for k, v in params.items()}\n"
        "def loss(p):\n    return np.sum(np.tanh(p['W']) @ np.ones(3) * p['b'])\n"
        "def grads(p):\n"
        "    t = np.tanh(p['W'])\n"
        "    return {'W': (1 - t**2) * p['b'][:, None], 'b': t.sum(1)}\n"
    )
    assert main(["bench", str(path)]) == 0
    out = capsys.readouterr().out
    for way in ("fastgrad", "NumPy loop, in place", "scipy approx_fprime"):
        assert re.search(rf"^{way}.* \d", out, re.MULTILINE)
    module = sys.modules["_checked_timed"]
    for name, saved in module.saved.items():
        assert np.array_equal(module.params[name], saved)


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["check"], ["demo", "--what"]])
def test_usage(arguments, capsys):
    """Unknown or missing arguments: status 2 and the usage."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: fastgrad" in capsys.readouterr().err


def test_info(capsys):
    """Version, OpenMP, threads, SIMD level and NumPy's BLAS, one a line."""
    assert main(["info"]) == 0
    lines = dict(re.split(r" {2,}", x) for x in capsys.readouterr().out.splitlines())
    assert lines["fastgrad"] == fastgrad.__version__
    assert lines["OpenMP"] in ("on", "off")
    assert int(lines["threads"]) >= 1
    assert re.match("baseline|x86-64-v[34]", lines["SIMD"])
    assert lines["BLAS of NumPy"]
    assert lines["NumPy"].count(".") == 2


def test_selftest(capsys):
    """Every fact holds."""
    assert main(["selftest"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) >= 4
    assert all(line.startswith("ok ") for line in out.splitlines())


def test_digits_are_those_of_scikit_learn():
    """The data shipped are the first UCI digits, unchanged."""
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    pixels, labels = load_digits()
    assert np.array_equal(pixels.T, theirs.data[:600])
    assert np.array_equal(labels, theirs.target[:600])


@pytest.mark.parametrize("bug", [False, True])
def test_demo(bug, tmp_path):
    """The demo checks every entry twice, and leaves nothing in the current folder."""
    command = [sys.executable, "-m", "fastgrad", "demo"] + ["--bug"] * bug
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == int(bug), done.stderr
    verdict = "WRONG" if bug else "CORRECT"
    assert done.stdout.count(f"Gradient {verdict}: all 17,226 entries checked") == 2
    assert os.listdir(tmp_path) == []
    if bug:  # everything that the derivative of tanh reaches, and nothing else
        blocks = re.findall(r"^(\w\d) .* WRONG ", done.stdout, re.MULTILINE)
        assert blocks == ["W1", "b1", "W2", "b2"] * 2


def test_a_page_that_cannot_be_written(check, tmp_path, capsys):
    """Said, with status 2, before any time is spent on the check."""
    for page in (tmp_path / "nowhere" / "page.html", tmp_path):
        with pytest.raises(SystemExit) as exit_:
            check(MODEL, "--html", str(page))
        assert exit_.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "--html: must be a file in a folder that exists, got" in err
        assert str(page) in err


def test_ctrl_c(check):
    status, _, err = check("raise KeyboardInterrupt")
    assert (status, err) == (130, "fastgrad: interrupted\n")


def test_bench_of_a_jacobian(tmp_path, capsys):
    path = tmp_path / "jacobian.py"
    path.write_text(JACOBIAN.replace("SIGN", "1"))
    assert main(["bench", str(path)]) == 2
    assert "is a Jacobian" in capsys.readouterr().err
