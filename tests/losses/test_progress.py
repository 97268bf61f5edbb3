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


@pytest.mark.parametrize("show", [None, True])
def test_what_takes_long_is_said(clock, capsys, show):
    """Once it is seen how fast it goes: how long, and what is cheaper."""
    with Progress(show=show) as progress:
        progress.plan(10_000, "Cheaper: less.")
        for now in (0.4, 0.8):  # the first are slower than the others
            assert "left, for" not in capsys.readouterr().err
            clock[0] = now
            progress.advance(16)
        clock[0] = 1.2
        progress.advance(16)
        err = capsys.readouterr().err
        assert "left, for" in err
        assert "evaluations of 25 ms. Cheaper: less." in err
        clock[0] = 1.9
        progress.advance(10)
        assert "Cheaper" not in capsys.readouterr().err


def test_a_quick_end_is_not_announced(clock, capsys):
    """Few evaluations at once are slow; what counts are many."""
    with Progress() as progress:
        progress.plan(100_000, "Cheaper: less.")
        for now, count in ((0.4, 4), (0.8, 400), (1.2, 40_000), (1.6, 40_000)):
            clock[0] = now
            progress.advance(count)
    assert capsys.readouterr().err == ""


def test_what_takes_long_after_what_was_short_is_said(clock, capsys):
    """But nothing twice."""
    with Progress() as progress:
        for total, said in ((100, 0), (10_000, 1), (10_000, 0)):
            progress.plan(total, "")
            for _ in range(3):
                clock[0] += 0.4
                progress.advance(16)
            assert capsys.readouterr().err.count("left, for") == said


def test_what_is_short_is_not_said(clock, capsys):
    """Nor is anything that nobody wants to hear."""
    with Progress(show=False) as silent:
        silent.plan(10_000, "")
        clock[0] = 5.0
        silent.advance()
    with Progress() as short:
        short.plan(100, "")
        for now in (6.0, 6.4, 6.8):
            clock[0] = now
            short.advance(10)
    assert capsys.readouterr().err == ""


def test_the_line_says_how_long(clock, capsys, monkeypatch):
    """Without tqdm, too."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with Progress(show=True) as progress:
        progress.plan(400, "")
        for now in (1.5, 2.5, 3.5):
            clock[0] = now
            progress.advance(100)
        assert "75%, 1 s left" in capsys.readouterr().err
