"""Every Python block of the README and the docs runs as printed."""

import contextlib
import doctest
import io
import linecache
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Run by tests/interop, where the frameworks are.
PAGES = [page for page in PAGES if page.stem not in ("jax", "torch")]
BLOCK = re.compile(
    r"^```python\n(.*?)^```(?:\n\n```\n(.*?)^```)?", re.DOTALL | re.MULTILINE
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_run_as_printed(page, tmp_path, monkeypatch):
    """Top to bottom, as one file; a bare block after one is what it prints."""
    monkeypatch.chdir(tmp_path)
    names, file = {"__name__": "__main__"}, ""
    for code, printed in BLOCK.findall(page.read_text("utf-8")):
        if code.startswith(">>>"):
            run_examples(code, names, page.name)
            continue
        before = "\n" * file.count("\n")
        file += code
        Path("model.py").write_text(file, "utf-8")
        linecache.clearcache()
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(before + code, "model.py", "exec"), names)
        assert printed or not out.getvalue(), "what is printed must be shown"
        if printed:
            same = doctest.OutputChecker().check_output(printed, out.getvalue(), FLAGS)
            assert same, out.getvalue()


def run_examples(code, names, name):
    """Run an interactive session in a namespace."""
    session = doctest.DocTestParser().get_doctest(code, names, name, None, None)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    assert not runner.run(session, clear_globs=False).failed
