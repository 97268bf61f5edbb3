"""The page in a browser: contrast, width, keyboard; in light and in dark."""

import html
import json
import re
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest

import fastgrad as fg

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CSS = resources.files("fastgrad.reports").joinpath("page.css").read_text()

# What a reader needs of each report, measured in its own frame of 360 pixels.
MEASURE = """
function channel(c) { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; }
function luminance(css) {
  const [r, g, b] = css.match(/[0-9.]+/g).map(Number);
  return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
}
function paper(view, node) {
  for (; node; node = node.parentElement) {
    const css = view.getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$/.test(css)) return css;
  }
  return "rgb(255, 255, 255)";
}
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const view = frame.contentWindow, page = frame.contentDocument;
    const texts = [...page.querySelectorAll(".fastgrad *")].filter(node =>
      [...node.childNodes].some(x => x.nodeType === 3 && x.data.trim()));
    const ratios = texts.map(node => {
      const ink = view.getComputedStyle(node);
      const a = luminance(node.closest("svg") ? ink.fill : ink.color);
      const b = luminance(paper(view, node));
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    });
    const wide = [...page.querySelectorAll(".scroll")].filter(x => x.scrollWidth > x.clientWidth);
    return {
      contrast: Math.min(...ratios), texts: texts.length,
      width: page.documentElement.scrollWidth,
      dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
      reachable: wide.every(x => x.tabIndex === 0 && x.getAttribute("aria-label")),
      tallest: Math.max(0, ...[...page.images].map(x => x.clientHeight)),
      loaded: [...page.images].every(x => x.complete && x.naturalWidth > 0),
      described: [...page.images].every(x => x.alt) &&
        [...page.querySelectorAll("figure > svg")].every(x => x.getAttribute("aria-label")),
      curves: page.querySelectorAll("figure > svg").length,
      marked: [...page.querySelectorAll("pre mark")].map(x => x.textContent.trim()),
    };
  });
  document.body.textContent = "FOUND" + JSON.stringify(found) + "END";
};
"""


def reports():
    """Return one report of each kind, and one with a block of 1 and a tall one."""
    x = np.random.default_rng(0).standard_normal((4, 6))

    def loss(p):
        return np.mean(np.tanh(p["W"] @ x + p["b"]) ** 2) + np.sum(p["tall"] ** 2)

    def grads(p):
        a = np.tanh(p["W"] @ x + p["b"])
        dz = 2 / a.size * a  # without the derivative of tanh
        tall = 2 * p["tall"]
        tall[7] *= 2
        return {"W": dz @ x.T, "b": dz.sum(axis=1, keepdims=True), "tall": tall}

    def deep(weights):
        a = x
        for w in weights:
            a = np.tanh(w @ a)
        return np.mean(a**2)

    rng = np.random.default_rng(1)
    params = {
        "W": rng.standard_normal((5, 4)),
        "b": np.ones((5, 1)),
        "tall": rng.standard_normal((400, 1)),
    }
    return [
        fg.check_gradient(loss, params, grads),
        fg.check_gradient(
            loss, params, lambda p: {k: 0.9 * g for k, g in grads(p).items()}
        ),
        fg.diagnose_signal(deep, [np.eye(4) / 4] * 12),
        fg.check_variations(
            lambda w, x: np.mean(x @ w),
            np.ones(3),
            lambda w, x: x.sum(0),
            (np.ones((2, 3)),),
        ),
    ]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_pages_can_be_read_in_a_browser(dark, tmp_path):
    frames = "".join(
        f'<iframe width="360" height="640" srcdoc="{html.escape(report.to_html())}"></iframe>'
        for report in reports()
    )
    page = tmp_path / "pages.html"
    page.write_text(
        f"<!doctype html><body>{frames}<script>{MEASURE}</script></body>", "utf-8"
    )
    scheme = ["--force-dark-mode", "--enable-features=WebUIDarkMode"] if dark else []
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *scheme,
         f"--user-data-dir={tmp_path}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = json.loads(html.unescape(re.search("FOUND(.*)END", done.stdout)[1]))
    assert len(found) == 4
    for measured in found:
        assert measured["dark"] == dark
        assert measured["texts"] > 10
        assert measured["contrast"] >= 4.5
        assert measured["width"] <= 360
        assert measured["reachable"]
        assert measured["loaded"]
        assert measured["described"]
        assert measured["tallest"] <= 400
    assert [measured["curves"] for measured in found] == [4, 4, 2, 0]
    assert found[0]["marked"][0].startswith('return np.mean(np.tanh(p["W"] @ x')


def luminance(colour):
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_have_contrast(scheme):
    """Text on every ground it may stand on, by the formula of WCAG 2."""
    block = CSS.split("@media (prefers-color-scheme: dark)")[scheme]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", block))
    pairs = [
        ("text", ground)
        for ground in ("paper", "correct", "wrong", "undecided", "code")
    ]
    for ink, ground in (*pairs, ("soft", "paper"), ("soft", "code"), ("line", "band")):
        a, b = sorted((luminance(colours[ink]), luminance(colours[ground])))
        assert (b + 0.05) / (a + 0.05) >= (3 if ink == "line" else 4.5), (ink, ground)
