"""The progress bar: nothing at first, then a bar, then nothing again."""

import sys

import pytest

from fastgrad.losses import progress
from fastgrad.losses.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that the test advances."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture(params=["tqdm", "line"])
def bar(request, monkeypatch):
    """Run with tqdm and without it."""
    if request.param == "line":
        monkeypatch.setitem(sys.modules, "tqdm", None)
    else:
        pytest.importorskip("tqdm")


@pytest.mark.usefixtures("bar")
def test_shown_after_a_second(clock, capsys):
    """Quick work shows nothing; slow work shows how far it is."""
    with Progress(show=True) as shown:
        shown.expect(2000)
        shown.advance(500)
        assert capsys.readouterr().err == ""
        clock[0] = 1.5
        shown.advance(500)
        err = capsys.readouterr().err
        assert "checking" in err
        assert "50%" in err
    assert shown.done == 1000


def test_never_shown_off_a_terminal(clock, capsys):
    """By default nothing is written into a file or pipe."""
    with Progress() as hidden:
        clock[0] = 100.0
        hidden.advance()
    assert capsys.readouterr().err == ""
