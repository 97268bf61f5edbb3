"""Every Python block of the README and the docs runs as printed."""

import ast
import contextlib
import doctest
import io
import linecache
import re
import shlex
from pathlib import Path

import pytest

import fastgrad
from fastgrad.cli import _parser

pytestmark = pytest.mark.usefixtures("time_for_causes")

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


def test_the_api_page_has_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    missing = [n for n in fastgrad.__all__ if not re.search(rf"\b{n}\b", page)]
    assert not missing


def _names(file):
    """The public names of a module, by its source: frameworks may not be there."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    defined = (ast.FunctionDef, ast.ClassDef)
    names = {node.name for node in tree.body if isinstance(node, defined)}
    return {name for name in names if not name.startswith("_")}


def test_the_api_page_has_every_name_of_public_modules():
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    modules = re.split(r"currentmodule:: fastgrad\.([\w.]+)$", page, flags=re.M)[1:]
    for module, text in zip(modules[::2], modules[1::2], strict=True):
        path = ROOT / "src" / "fastgrad" / module.replace(".", "/")
        package = path / "__init__.py"
        names = _names(package if package.is_file() else path.with_suffix(".py"))
        listed = set(re.findall(r"^   (\w+)$", text, re.M))
        elsewhere = set(fastgrad.__all__)  # on the page under that
        assert names - elsewhere <= listed, module
        assert listed <= names, module


def test_every_link_leads_somewhere():
    """To a page, and where it names one, to a heading of it."""
    for page in [*PAGES, *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(
            r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")
        ):
            file, _, heading = target.partition("#")
            other = page.parent / file if file else page
            assert other.is_file(), (page.name, target)
            if heading:
                text = other.read_text("utf-8")
                titles = re.findall(r"^#+ (.*)$", text, re.M)
                slugs = [
                    re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles
                ]
                assert heading in slugs, (page.name, target)


def everything():
    return "\n".join(p.read_text("utf-8") for p in {*PAGES, *ROOT.glob("docs/**/*.md")})


def test_commands_are_such_as_the_shell_takes():
    """Every line that begins with fastgrad, its options included."""
    lines = re.findall(r"^fastgrad (?!:)(\w+[^\n]*)$", everything(), re.M)
    commands = [line for line in lines if line.split()[0] in ("check", "bench", "demo")]
    assert len(commands) >= 7
    for command in commands:
        words = shlex.split(command.partition(">")[0], comments=True)
        assert _parser().parse_args(words)


def test_scripts_are_there_with_their_options():
    """Every benchmark that a page names, and every option it is called with."""
    calls = re.findall(r"`python\s+benchmarks/(\w+\.py)([^`]*)`", everything())
    assert len(calls) >= 10
    named = re.findall(r"`(\w+\.py)`", (ROOT / "docs" / "comparison.md").read_text())
    for script, options in [*calls, *((name, "") for name in named)]:
        text = (ROOT / "benchmarks" / script).read_text("utf-8")
        for option in re.findall(r"--[\w-]+", options):
            assert option in text, (script, option)
