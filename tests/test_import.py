"""What ``import fastgrad`` does, and does not do."""

import subprocess
import sys

import pytest

import fastgrad


def test_import_is_light():
    """Importing the package imports nothing but itself; the names come when used."""
    code = (
        "import sys; import numpy; before = set(sys.modules); import fastgrad; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    new = {name.partition(".")[0] for name in done.stdout.split()}
    assert not new & {
        "scipy",
        "sklearn",
        "matplotlib",
        "tqdm",
        "dask",
        "pandas",
        "numpy",
    }
    assert "fastgrad.check" not in done.stdout.split()


@pytest.mark.parametrize("name", fastgrad.__all__)
def test_public_names(name):
    """Every public name is there, listed, and documented."""
    assert name in dir(fastgrad)
    assert getattr(fastgrad, name).__doc__


def test_public_names_have_a_home():
    """The list of names and the table of where they live agree."""
    assert sorted(fastgrad._HOME) == sorted(fastgrad.__all__)


def test_unknown_names():
    """Others are an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'gradient_of'"):
        fastgrad.gradient_of  # noqa: B018
