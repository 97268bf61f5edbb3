"""Fixtures shared by all tests."""

import gc
import os
import subprocess
import sys

# Workers of pytest-xdist share the cores: one is left to the products of each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# The same examples wherever the tests run, however busy the machine is; others with
# --hypothesis-profile=others.
for profile, same in [("same", True), ("others", False)]:
    settings.register_profile(
        profile,
        deadline=None,
        derandomize=same,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("same")


def pytest_collection_finish():
    """The collector does not go through thousands of tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng():
    """Return a generator with a fixed seed."""
    return np.random.default_rng(20261124)


@pytest.fixture
def passes_at():
    """Run tests on kernels of a SIMD level."""

    def run(level, *tests):
        command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *tests],
            env={**os.environ, "FASTGRAD_SIMD": level},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    return run


@pytest.fixture(autouse=True)
def _failing_searches_fail(monkeypatch):
    """What looking for a cause raises is a defect; users only lose the cause."""
    monkeypatch.setattr("fastgrad.causes.budget.STRICT", True)


@pytest.fixture(autouse=True)
def _no_time_for_causes(monkeypatch):
    """Whether a gradient is wrong is what most tests ask; why takes longer to find."""
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", 0.0)
    monkeypatch.setattr("fastgrad.checking.check._SHARE", 0.0)
    monkeypatch.setattr("fastgrad.checking.weighted._SECONDS", 0.0)


@pytest.fixture
def time_for_causes(_no_time_for_causes, monkeypatch):
    """What is named does not depend on how busy a machine is."""
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", 60.0)
    monkeypatch.setattr("fastgrad.checking.weighted._SECONDS", 60.0)


@pytest.fixture(autouse=True)
def _programs_are_worth_their_time(monkeypatch):
    """Which way is the cheaper one is not to depend on what else the machine does."""
    monkeypatch.setattr("fastgrad.losses.worth._UNKNOWN", 10.0)
    monkeypatch.setattr("fastgrad.losses.worth._TRIFLE", 10.0)
