"""The package as a whole: what it exports, installs and imports."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastgrad

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "fastgrad"


@pytest.mark.parametrize("name", fastgrad.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(fastgrad, name).__doc__


@pytest.mark.parametrize("name", fastgrad.__all__)
def test_help_shows_short_signatures(name):
    value = getattr(fastgrad, name)
    if inspect.isfunction(value):
        assert len(str(inspect.signature(value))) < 260
        assert value.__annotations__  # types are there for whoever asks


def test_dir_shows_the_public_names_only():
    assert dir(fastgrad) == sorted(fastgrad.__all__)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'check_gradeint'"):
        _ = fastgrad.check_gradeint


def test_the_zoo_is_a_distribution_of_its_own():
    code = "import fastgrad as fg; print(fg.zoo.get('tanh_derivative_missing').cause)"
    for path, expected in ((str(ROOT / "zoo"), "local_derivative"), ("", None)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
        if expected:
            assert done.stdout.strip() == expected
        else:
            assert "ImportError: `fastgrad.zoo` is a distribution" in done.stderr
            assert "pip install fastgrad-zoo" in done.stderr


def test_the_version_is_that_of_the_build():
    (version,) = re.findall(
        r"version: '([\d.]+)',\n", (ROOT / "meson.build").read_text()
    )
    assert fastgrad.__version__ == version


def test_every_file_of_the_package_is_installed():
    build = (SOURCE / "meson.build").read_text()
    build += (SOURCE / "_kernels" / "meson.build").read_text()
    listed = set(re.findall(r"'([\w./]+)'", build))
    for path in SOURCE.rglob("*.py"):
        relative = str(path.relative_to(SOURCE)).removeprefix("_kernels/")
        assert relative in listed, f"{relative} is missing from meson.build"
    for path in SOURCE.rglob("*.pyx"):
        assert path.stem in listed
        assert path.with_suffix(".pyi").exists()


def test_kernels_know_nothing_above_them():
    for path in (SOURCE / "_kernels").rglob("*.py*"):
        for line in path.read_text().splitlines():
            if re.match(r"\s*(from|import|cimport) ", line):
                assert not re.search(r"fastgrad(?!\._kernels)", line), (path, line)


def test_names_are_imported_when_used():
    code = "import sys, fastgrad; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"fastgrad.checking.check", "numpy"} & set(out.stdout.split())
    assert set(fastgrad.__all__) <= set(dir(fastgrad))


def test_importing_needs_numpy_only():
    code = (
        "import sys, numpy; numpy.seterr(all='raise');"
        "before = set(sys.modules); import fastgrad;"
        "fastgrad.check_gradient; fastgrad.trace; fastgrad.StandardScaler;"
        "fastgrad.initializers.initialize; fastgrad.batch_norm;"
        "print({m.split('.')[0] for m in set(sys.modules) - before}"
        " & {'scipy', 'sklearn', 'matplotlib', 'tqdm', 'torch', 'jax', 'dask', 'pandas'})"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "set()"
