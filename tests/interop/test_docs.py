"""The code on the pages about other frameworks runs as printed."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["torch", "jax", "scipy"])
def test_the_code_of_a_page_runs(page):
    pytest.importorskip(page, reason=f"needs {page}: make test-interop")
    path = DOCS / f"{page}.md"
    text = path.read_text()
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S))
    assert len(blocks) >= 3
    names = {"__name__": f"page_on_{page}"}
    for block in blocks:
        # The lines of the page itself, so that what is named can be found there.
        before = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(before + block.group(1), path, "exec"), names)
