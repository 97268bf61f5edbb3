"""The pytest plugin: failures show the report, in every place that pytest writes to."""

import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

pytest_plugins = ["pytester"]

WRONG = """
import numpy as np
import pytest
import fastgrad as fg

def loss(w):
    return np.sum(np.tanh(w))

def right(w):
    return 1 - np.tanh(w) ** 2

def wrong(w):
    return np.ones_like(w)

W = np.array([0.3, -1.0, 2.0])
"""


def run(pytester, test, *options):
    """Run a test, and return what pytest printed."""
    pytester.makepyfile(WRONG + test)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


UNCUT = ("CI", "BUILD_NUMBER")


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """Have room for the short summary, which pytest cuts except where CI is set."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in UNCUT:
        monkeypatch.delenv(name, raising=False)


FAILING = [
    """
def test_it():
    report = fg.check_gradient(loss, W, wrong)
    assert report.ok
""",
    """
def test_it():
    report = fg.check_gradient(loss, W, wrong)
    assert report
""",
    """
def test_it():
    assert fg.check_gradient(loss, W, wrong)
""",
    """
def test_it():
    good, bad = (fg.check_gradient(loss, W, grads) for grads in (right, wrong))
    assert good.ok and bad.ok, "they are"
""",
    """
def test_it():
    reports = {grads.__name__: fg.check_gradient(loss, W, grads) for grads in (right, wrong)}
    assert all(report.ok for report in reports.values())
""",
    """
import unittest

class TestCase(unittest.TestCase):
    def test_it(self):
        report = fg.check_gradient(loss, W, wrong)
        self.assertTrue(report.ok)
""",
    """
def test_it():
    fg.check_gradient(loss, W, wrong).raise_if_wrong()
""",
    """
def test_it(check_gradient):
    check_gradient(loss, W, wrong)
""",
    """
def test_it(check_jacobian):
    check_jacobian(np.tanh, W, np.eye(3))
""",
    """
def test_it(check_variations):
    check_variations(loss, W, wrong)
""",
]


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """One run of them all: what is printed of each, and what JUnit files say."""
    path = tmp_path_factory.mktemp("failing")
    for k, test in enumerate(FAILING):
        (path / f"test_{k}.py").write_text(WRONG + test)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    environment = {k: v for k, v in os.environ.items() if k not in UNCUT}
    done = subprocess.run(
        [*command, f"--junit-xml={path / 'junit.xml'}"],
        env=environment | {"COLUMNS": "200"},
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    _, *shown = re.split(r"^_+ .*test_it _+$", done.stdout, flags=re.MULTILINE)
    *shown, last = shown
    last, _, summary = last.partition("short test summary info")
    summary = re.findall(r"^FAILED .*", summary, re.MULTILINE)
    junit = ElementTree.parse(path / "junit.xml").findall(".//failure")
    return list(zip([*shown, last], summary, junit, strict=True))


@pytest.mark.parametrize("which", range(len(FAILING)))
def test_a_failure_shows_the_report_and_its_cause(failures, which):
    """Once, and none of the plugin's own frames; verdict and cause in the summary."""
    out, summary, failure = failures[which]
    assert "pytest_plugin.py" not in out
    assert "base.py" not in out
    assert summary.startswith(f"FAILED test_{which}.py::")
    assert "WRONG" in summary
    if "jacobian" not in FAILING[which]:
        assert "Cause" in out
    assert out.count("verdict") == 1
    assert "WRONG" in failure.get("message")
    assert "rel. error" in failure.text


def test_a_correct_gradient_passes(pytester):
    """With any of the fixtures."""
    test = """
def test_it(check_gradient, check_jacobian):
    assert check_gradient(loss, W, right).ok
    assert check_jacobian(np.tanh, W, np.diag(right(W))).ok
"""
    run(pytester, test).assert_outcomes(passed=1)


def test_other_failures_are_left_alone(pytester):
    """A report that is not asserted on says nothing."""
    test = """
def test_it():
    report = fg.check_gradient(loss, W, wrong)
    assert W.size == 4
"""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*Gradient WRONG*")


def test_options_reach_the_fixtures_and_the_replay_line(pytester):
    """Coverage and seed, where a test leaves them open."""
    test = """
def test_it(check_gradient):
    with pytest.raises(fg.GradientError, match="2 of 3 entries checked"):
        check_gradient(loss, W, wrong)
    check_gradient(loss, W, wrong, coverage=1)
"""
    options = ("--fastgrad-coverage=2", "--fastgrad-seed=7")
    result = run(pytester, test, *options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "fastgrad: *--fastgrad-seed=7 --fastgrad-coverage=2",
            "*Gradient WRONG: 1 of 3 entries checked*",
            "again: pytest '*::test_it' --fastgrad-seed=7 --fastgrad-coverage=2",
        ]
    )


def test_the_fixture_fails_on_undecided(pytester):
    """A loss with dropout verifies nothing, and says so."""
    test = """
def test_dropout(check_gradient):
    rng = np.random.default_rng(0)
    check_gradient(lambda w: (w * (rng.random(3) < 0.5)).sum(), np.ones(3), np.ones(3))
"""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Gradient UNDECIDED*", "FAILED *UNDECIDED: nondet*"])


def test_workers_of_xdist_share_the_cores():
    """Each takes its part of what the machine has."""
    code = "from fastgrad._threads import resolve_num_threads as r; print(r(None))"

    def threads(workers):
        environment = {**os.environ, "PYTEST_XDIST_WORKER_COUNT": str(workers)}
        out = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            check=True,
        )
        return int(out.stdout)

    alone = threads(1)
    assert threads(2) == max(1, alone // 2)
    assert threads(1000) == 1


@pytest.mark.parametrize(
    "option", ["coverage=0", "coverage=-1", "coverage=ful", "seed=-3", "seed=x"]
)
def test_bad_options_are_refused_at_the_start(pytester, option):
    result = pytester.runpytest_subprocess(f"--fastgrad-{option}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--fastgrad-{option.split('=')[0]}: must be *"])
