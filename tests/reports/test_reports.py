"""Reports: what they say, as text, JSON, HTML and figures."""

import base64
import copy
import io
import json
import linecache
import pickle
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

import fastgrad as fg
from fastgrad.reports import (
    Block,
    Cause,
    Entries,
    Entry,
    GradientError,
    GradientReport,
    Ladder,
)


def make_report(rows=20, verdict="wrong", **changes):
    """Return a report on W1 (with row 3 wrong) and b1, made by hand."""
    numerical = {"W1": np.full((rows, 8), 2.0), "b1": np.arange(1.0, 5.0)}
    analytic = copy.deepcopy(numerical)
    analytic["b1"] += 1e-11
    wrong = ()
    if verdict == "wrong":
        analytic["W1"][3] *= 32 + np.arange(8)
        wrong = tuple(
            Entry("W1", (3, j), analytic["W1"][3, j], 2.0, 1e-10)
            for j in reversed(range(8))
        )
    fields = {
        "verdict": verdict,
        "relative_error": 0.25,
        "blocks": (
            Block("W1", (rows, 8), verdict, 0.25, rows * 8, len(wrong), at_kink=2),
            Block("b1", (4,), "correct", 2e-12, 4, detection_limit=3e-9),
        ),
        "wrong": wrong,
        "causes": (
            Cause(
                "scale", ("W1",), "divide by m = 32 & more", "net.py:12: a < b", 1e-9
            ),
        ),
        "gradients": (numerical, analytic, None),
        "evaluations": 12345,
        "seconds": 0.5,
        "threads": 2,
        "fallback": "net.py:9: a branch on a traced value",
        "notes": ("control: 2 of 2",),
    }
    return GradientReport(**(fields | changes))


def test_truth_and_errors():
    """Only a correct gradient is true, and only it does not raise."""
    right = make_report(verdict="correct")
    assert right
    assert right.ok
    right.raise_if_wrong()
    for verdict in ("wrong", "undecided"):
        report = make_report(verdict=verdict)
        assert not report
        with pytest.raises(AssertionError, match=verdict.upper()) as caught:
            report.raise_if_wrong()
        assert caught.value.report is report
    assert isinstance(caught.value, GradientError)


def test_the_error_survives_pickling():
    """Test runners that use processes pass it on."""
    error = pickle.loads(pickle.dumps(GradientError(make_report())))
    assert error.report.wrong == make_report().wrong
    assert "WRONG" in str(error)


def test_the_text_in_its_order():
    """Verdict, table, worst entries, cause, how: in this order, all in it."""
    text = str(make_report())
    parts = [
        r"^Gradient WRONG: all 164 entries checked, 8 wrong, 2 at a kink$",
        r"relative error .* = 2\.5e-01",
        r"^block +shape +verdict +checked +wrong +at a kink +rel. error +detects from$",
        r"^W1 +20×8 +WRONG +160 +8 +2 +2\.5e-01 +-$",
        r"^b1 +4 +correct +4 +0 +0 +2\.0e-12 +3\.0e-09$",
        r"^W1\[3, 7\] +7\.800000e\+01 +2\.000000e\+00 +7\.600000e\+01 +± 1e-10$",
        r"scale \(W1\): divide by m = 32 & more",
        r"net\.py:12: a < b",
        r"undone: 1e-09",
        r"12,345\s+evaluations\s+of\s+the\s+loss\s+in\s+0\.5\s+s",
        r"not compiled: net\.py:9: a branch on a traced value",
        r"control: 2 of 2",
    ]
    places = [re.search(part, text, re.MULTILINE) for part in parts]
    assert None not in places
    assert [m.start() for m in places] == sorted(m.start() for m in places)
    assert max(map(len, text.splitlines())) <= 100


def test_the_text_is_short_and_says_what_it_leaves_out():
    """Ten entries are printed, the rest counted; the report holds all."""
    entries = tuple(Entry("W1", (i, 0), 2.0, 1.0, 0.1) for i in range(1000))
    report = make_report(1000, wrong=entries)
    text = str(report)
    assert "... 990 more in `report.wrong`" in text
    assert len(text.splitlines()) < 40
    assert len(report.to_dict()["wrong"]) == 1000


def test_very_many_blocks():
    """Of hundreds of blocks those that are not correct are shown."""
    blocks = tuple(
        Block(f"layer.{i}", (2,), "wrong" if i == 77 else "correct", 0.0, 2)
        for i in range(300)
    )
    text = str(make_report(blocks=blocks))
    assert "layer.77" in text
    assert "... 299 more blocks in `report.blocks`" in text


def test_part_of_the_entries():
    """With partial coverage the text says how many entries were looked at."""
    text = str(make_report(blocks=(Block("W", (100, 10), "correct", 0.0, 30),)))
    assert "30 of 1,000 entries checked" in text
    text = str(make_report(blocks=(Block("scale", (), "correct", 0.0, 1),)))
    assert "WRONG: 1 entry checked, " in text


def test_scalars_and_empty_blocks():
    """A block without an axis, and one without entries, are listed."""
    blocks = (
        Block("c", (), "correct", 0.0, 1),
        Block("none", (0, 3), "correct", 0.0, 0),
    )
    text = str(make_report(blocks=blocks, wrong=()))
    assert re.search(r"^c +scalar +correct +1 ", text, re.MULTILINE)
    assert re.search(r"^none +0×3 +correct +0 ", text, re.MULTILINE)
    assert Entry("c", (), 1.0, 2.0, 0.1).name == "c"


def test_dict_and_json_agree_and_are_complete():
    """Every field is there; JSON gives the same back."""
    report = make_report(relative_error=np.float64(0.25))
    found = report.to_dict()
    assert found["ok"] is False
    assert found["numerical"]["b1"] == [1.0, 2.0, 3.0, 4.0]
    assert found["blocks"][0]["at_kink"] == 2
    assert found["wrong"][0]["index"] == [3, 7]
    assert found["causes"][0]["code"] == "scale"
    assert found["fallback"] == "net.py:9: a branch on a traced value"
    assert found["error"] is None
    again = json.loads(report.to_json())
    again["blocks"][0]["detection_limit"] = found["blocks"][0]["detection_limit"]
    assert again == found


def test_json_knows_no_nan():
    """What JSON cannot hold becomes a string."""
    report = make_report(
        relative_error=np.nan, gradients=(np.array([np.inf, 1.0]), None, None)
    )
    found = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert found["relative_error"] == "nan"
    assert found["numerical"] == {"params": ["inf", 1.0]}


class Tags(HTMLParser):
    """Collects what a page consists of, checking that tags are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.images, self.references, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        """Note what opens, and what it refers to."""
        attrs = dict(attrs)
        self.references += [attrs[k] for k in ("src", "href") if k in attrs]
        if tag == "img":
            self.images.append(attrs["src"])
        if tag not in ("img", "br", "meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Collect the text."""
        self.text += data


def pixels(url):
    """Return the colours of a picture in a page, from 0 to 1."""
    data = io.BytesIO(base64.b64decode(url.partition(",")[2]))
    return imread(data)


def test_html_is_whole_and_needs_no_other_file():
    """All tags are closed, text is escaped, and images are inside."""
    page = Tags()
    page.feed(make_report().to_html())
    assert page.open == []
    assert "divide by m = 32 & more" in page.text
    assert "net.py:12: a < b" in page.text
    assert "W1[3, 7]" in page.text
    assert all(url.startswith("data:image/png;base64,") for url in page.references)


def test_a_switch_leaves_what_is_not_correct():
    """Only where there is something to leave out."""
    right = Block("b1", (2,), "correct", 0.0, 2, 0)
    wrong = Block("W1", (20, 8), "wrong", 1.0, 160, 8)
    assert "<label" not in make_report(blocks=(wrong,)).to_html()
    assert "<label" not in make_report(blocks=(right,), wrong=()).to_html()
    page = make_report(blocks=(right, wrong)).to_html()
    switched = page.partition("<label")[2].partition("</table>")[0]
    rows = re.findall(r"<tr([^>]*)>(?:<th[^>]*>)(b1|W1)", switched)
    assert rows == [("", "b1"), (' class="wrong"', "W1")]  # what page.css goes by
    assert "tr:not([class]) { display: none; }" in page


def test_the_page_is_written_where_it_is_wanted(tmp_path):
    page = make_report().to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == page


def test_the_map_in_html_shows_where():
    """The picture of W1 is red in row 3 and nowhere else."""
    page = Tags()
    page.feed(make_report().to_html())
    [image] = page.images
    picture = pixels(image)
    assert picture.shape[:2] == (20, 8)
    red = picture[..., 0] > picture[..., 1] + 0.3
    assert red[3].all()
    assert red.sum() == 8


def test_large_blocks_have_small_maps():
    """A wrong entry of a huge block is still one pixel of a small picture."""
    block = Block("W", (5000, 10, 300), "wrong", 1.0, 15_000_000, 1)
    entry = Entry("W", (4999, 9, 299), 1.0, 0.0, 0.1)
    page = Tags()
    page.feed(make_report(blocks=(block,), wrong=(entry,)).to_html())
    picture = pixels(page.images[0])
    assert picture.shape[:2] == (256, 256)
    assert np.argwhere(picture[..., 3]).tolist() == [[255, 255]]


@pytest.mark.parametrize("verdict", ["wrong", "correct"])
def test_plot(verdict):
    """The figure has a line for each block, and a map if anything is wrong."""
    pytest.importorskip("matplotlib")
    figure = make_report(verdict=verdict).plot()
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert {"W1", "b1"} <= set(labels)
    assert len(figure.axes) == (2 if verdict == "wrong" else 1)
    figure.savefig(io.BytesIO())


def test_wrong_entries_are_made_when_looked_at():
    """The sequence is that of the entries: indexed, sliced, compared, pickled."""
    entries = Entries(
        ("W", "c"),
        ((3, 4), ()),
        np.array([2, 7, 11, 12]),
        np.array([1, 3, 2]),
        tuple(np.array([[9, 0, 2, 1], [9, 3, 5, 4], [9, 6, 8, 7.0]])),
    )
    expected = [
        Entry("W", (1, 3), 0.0, 3.0, 6.0),
        Entry("c", (), 1.0, 4.0, 7.0),
        Entry("W", (2, 3), 2.0, 5.0, 8.0),
    ]
    assert list(entries) == expected
    assert [entries[i] for i in (0, 1, -1)] == expected
    assert entries == tuple(expected)
    assert entries[1:] == expected[1:]
    assert entries != expected[:2]
    assert expected[2] in entries
    assert hash(entries) == hash(tuple(expected))
    assert pickle.loads(pickle.dumps(entries)) == entries
    assert not entries[:0]
    report = make_report(wrong=entries)
    assert (
        report.to_dict()["wrong"]
        == make_report(wrong=tuple(expected)).to_dict()["wrong"]
    )
    with pytest.raises(IndexError):
        entries[3]


def test_slopes_of_the_worst_entries_by_step():
    """Of w^4 the central difference is 4 w^3 + 4 w h^2, whatever gradient is claimed."""
    w = np.array([0.5, -1.5, 2.0])
    report = fg.check_gradient(
        lambda w: np.sum(w**4), w, 4 * w**3 * [1, 1.1, 3], engine="python"
    )
    assert [ladder.name for ladder in report.ladders] == ["params[2]", "params[1]"]
    for ladder, at in zip(report.ladders, [2.0, -1.5], strict=True):
        exact = 4 * at**3 + 4 * at * ladder.step**2
        noise = 1e-14 / ladder.step
        assert np.all(np.abs(ladder.slope - exact) <= 1e-12 * abs(at) + noise)
        assert ladder.numerical == pytest.approx(4 * at**3)
    assert report.to_html().count("how far central differences are") == 4  # and labels


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_steps_that_no_number_of_the_dtype_can_hold_are_not_shown(dtype):
    w = np.array([0.5, -1.5, 2.0], dtype)
    grads = (4 * w**3 * [1, 1.1, 3]).astype(dtype)
    report = fg.check_gradient(
        lambda w: float(np.sum(w.astype(float) ** 4)), w, grads, engine="python"
    )
    assert report.ladders
    for ladder in report.ladders:
        assert len(ladder.step) == len(ladder.slope)
        assert np.all(ladder.step > 0)
        assert np.all(np.isfinite(ladder.slope))
    assert report.to_html().count("how far central differences are") > 0


def test_slopes_far_from_the_gradient_are_drawn_without_a_warning():
    """Whatever NumPy is told to do where numbers are not known."""
    step = np.array([1e-3, 1e-5])
    ladder = Ladder("params[0]", 1e308, 2.0, step, np.array([2.001, 2.0]))
    with np.errstate(all="raise"):
        page = make_report(verdict="wrong", ladders=(ladder,)).to_html()
    assert "how far central differences are" in page


def test_the_blamed_line_is_marked_among_its_neighbours(tmp_path):
    """As long as the file says what it said."""
    file = tmp_path / "net.py"
    file.write_text("def f(x):\n    z = x + 1\n    a = z < 2\n    return a\n")
    causes = (Cause("scale", ("W1",), "why", f"{file}:3: a = z < 2", 1e-9),)
    assert "<mark>    a = z &lt; 2</mark>" in make_report(causes=causes).to_html()
    linecache.clearcache()
    file.write_text("# another\n" * 9)
    page = make_report(causes=causes).to_html()
    assert "<mark>a = z &lt; 2</mark>" in page
    assert "another" not in page
