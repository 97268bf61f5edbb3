"""Reports in notebooks: a real kernel runs the tutorial, and shows what it shows."""

import re
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
SHOWN = [
    "fg.check_gradient(cost, params, lambda p: {k: 2 * g for k, g in backward(p).items()})",
    "fg.trace(cost, params)",
    "fg.diagnose_signal(cost, params)",
    "report",  # the last of the tutorial, of variations
    "fg.check_jacobian(np.tanh, np.ones(3), np.eye(3))",
    "fg.check_hessian(lambda x: (x**3).sum(), np.ones(2), 6 * np.eye(2))",
]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Cells of the tutorial, and some that end with what is to be shown."""
    cell = nbformat.v4.new_code_cell
    code = re.findall(r"^```python\n(.*?)^```", TUTORIAL.read_text(), re.M | re.S)
    notebook = nbformat.v4.new_notebook(cells=[cell(text) for text in [*code, *SHOWN]])
    folder = str(tmp_path_factory.mktemp("notebook"))
    client = nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": folder}}
    )
    client.execute()
    return notebook.cells


def printed(cell):
    return "".join(output.text for output in cell.outputs if "text" in output)


def test_a_kernel_runs_the_tutorial(cells):
    """The verdict, and the line of the cell that the cause blames."""
    [found] = [printed(c) for c in cells if "Gradient WRONG: all 17" in printed(c)]
    assert re.search(r"np.tanh\s+\(Cell\s+In\[1\],\s+line\s+18\)", found)
    assert re.search(r"^ +Cell In\[1\]:18: A1 = np.tanh\(Z1\)$", found, re.M)


def test_what_a_cell_ends_with_shows_itself(cells):
    """Every report, and the program, as HTML."""
    pages = [
        output.data["text/html"]
        for cell in cells[-len(SHOWN) :]
        for output in cell.outputs
        if "data" in output
    ]
    assert len(pages) == len(SHOWN)
    for page in pages:
        assert page.count("<div") == page.count("</div>")
    assert "18 operations, 17 parameters" in pages.pop(1)
    for page, verdict in zip(
        pages, ["wrong", "correct", "wrong", "wrong", "correct"], strict=True
    ):
        assert f'<h1 class="{verdict}"' in page
