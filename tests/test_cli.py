"""The command: what it prints, and its exit status."""

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


@pytest.fixture
def check(tmp_path, capsys, monkeypatch):
    """Run ``fastgrad check`` on a file with this text; return status and output."""

    def run(text, factor="1.0", options=()):
        path = tmp_path / "model.py"
        path.write_text(text)
        (tmp_path / "helper.py").write_text(f"factor = {factor}")
        monkeypatch.setattr(sys, "path", [*sys.path])
        for name in ("helper", "_checked_model"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        status = main(["check", str(path), *options])
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
    status, out, _ = check(MODEL, "0.5", ["--html", str(page)])
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
    ("text", "message"),
    [
        ("params = 1.0", "model.py must define `loss`."),
        ("", "model.py must define `loss` and `params`."),
        ("1 / 0", "ZeroDivisionError"),
        (MODEL + "\nraise SystemExit(0)", "exited (status 0) before it could be"),
        (MODEL.replace('"W": np.array', '"V": np.array'), "KeyError: 'W'"),
        (MODEL.replace("np.sum(", "("), "fastgrad: `loss` returned an array of shape"),
    ],
)
def test_check_that_cannot_be_carried_out(check, text, message):
    """Status 2 and the reason, not a verdict."""
    status, out, err = check(text)
    assert status == 2
    assert message in err
    assert ("Traceback" in err) == ("Error" in message)
    assert out == ""


def test_check_of_the_example(capsys):
    """The example in the repository is correct."""
    example = Path(__file__).parents[1] / "examples" / "logistic.py"
    assert main(["check", str(example)]) == 0
    assert "all 5 entries checked" in capsys.readouterr().out


def test_check_of_no_file(capsys):
    """Status 2."""
    assert main(["check", "nowhere.py"]) == 2
    assert "there is no file nowhere.py" in capsys.readouterr().err


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
    """The data shipped are the UCI digits, unchanged."""
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    pixels, labels = load_digits()
    assert np.array_equal(pixels.T, theirs.data)
    assert np.array_equal(labels, theirs.target)


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
