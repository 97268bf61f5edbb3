"""A pytest plugin: checks as fixtures, and failures that show the report.

A failed ``assert report.ok`` (or ``assert report``, or ``report.raise_if_wrong()``)
shows the report, its verdict and cause in the short summary and in JUnit files too.
"""

import argparse
import ast
import contextlib
import textwrap
from collections.abc import Callable, Generator, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastgrad.reports import Report

Check = Callable[..., Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the fixtures are told by the command line."""
    group = parser.getgroup("fastgrad", "gradient checks (fastgrad)")
    group.addoption(
        "--fastgrad-coverage",
        metavar="N",
        type=_coverage,
        help='entries of each block to check, "full" or "locate", where a test leaves '
        "it open",
    )
    group.addoption(
        "--fastgrad-seed",
        metavar="N",
        type=_seed,
        default=0,
        help="seed of everything random in the checks (default: 0)",
    )


def _coverage(text: str) -> str | int:
    if text in ("full", "locate") or (text.isdigit() and int(text) > 0):
        return int(text) if text.isdigit() else text
    raise argparse.ArgumentTypeError(
        f'must be "full", "locate" or a positive integer, got {text!r}'
    )


def _seed(text: str) -> int:
    if text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"must be an integer from 0 on, got {text!r}")


def pytest_report_header(config: pytest.Config) -> str:
    """Say what it takes to have the same checks again."""
    return f"fastgrad: {metadata.version('fastgrad')}, {_options(config)}"


def _options(config: pytest.Config) -> str:
    coverage = config.getoption("fastgrad_coverage")
    chosen = f" --fastgrad-coverage={coverage}" if coverage is not None else ""
    return f"--fastgrad-seed={config.getoption('fastgrad_seed')}{chosen}"


@pytest.fixture(scope="session")
def check_gradient(pytestconfig: pytest.Config) -> Check:
    """Check a gradient as `fastgrad.check_gradient` does; fail unless it is correct.

    A gradient about which nothing can be said fails too. Returns the report.
    """
    return _failing("check_gradient", pytestconfig, covers=True)


@pytest.fixture(scope="session")
def check_jacobian(pytestconfig: pytest.Config) -> Check:
    """Check a Jacobian as `fastgrad.check_jacobian` does; fail unless it is correct."""
    return _failing("check_jacobian", pytestconfig)


@pytest.fixture(scope="session")
def check_variations(pytestconfig: pytest.Config) -> Check:
    """Check as `fastgrad.check_variations` does; fail unless all is correct."""
    return _failing("check_variations", pytestconfig, covers=True)


def _failing(name: str, config: pytest.Config, *, covers: bool = False) -> Check:
    defaults = {"seed": config.getoption("fastgrad_seed")}
    coverage = config.getoption("fastgrad_coverage")
    if covers and coverage is not None:
        defaults["coverage"] = coverage

    def check(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        # Imported when used: the plugin is loaded by every run of pytest.
        import fastgrad

        report = getattr(fastgrad, name)(*args, **{**defaults, **options})
        report.raise_if_wrong()
        return report

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the reports that a failed assertion was about."""
    outcome = yield
    if call.excinfo is not None and call.excinfo.errisinstance(AssertionError):
        from fastgrad.reports import GradientError

        error = call.excinfo.value
        if isinstance(error, GradientError):
            _show(error.report, "", outcome, item)
        else:
            for report in _asserted(call.excinfo):
                _show(report, f"{report}\n", outcome, item)
    return outcome


def _asserted(error: "pytest.ExceptionInfo[BaseException]") -> "Iterator[Report]":
    """Yield the reports that are not ok in the statement that failed."""
    from fastgrad.reports import Report

    entry = [e for e in error.traceback if Path(e.path).parent.name != "unittest"][-1]
    variables = {**entry.frame.f_globals, **entry.frame.f_locals}
    # What pytest's rewritten assertion kept of a call, and what has a name.
    names = [name for name in entry.frame.f_locals if name.startswith("@py_assert")]
    with contextlib.suppress(SyntaxError):  # what failed need not be in a Python file
        names += _names(str(entry.statement))
    seen: list[Any] = []
    for name in names:
        for value in _members(variables.get(name)):
            if isinstance(value, Report) and not value.ok and value not in seen:
                seen.append(value)
                yield value


def _members(value: Any) -> Iterable[Any]:
    """Return what a container of reports holds, or the value itself."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else [value]


def _names(statement: str) -> list[str]:
    try:
        tree = ast.parse(textwrap.dedent(statement))
    except SyntaxError:
        return []
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def _show(
    report: "Report", text: str, outcome: pytest.TestReport, item: pytest.Item
) -> None:
    """Add the text, how to see it again, and the report's verdict and cause."""
    shown: Any = outcome.longrepr
    if not hasattr(shown, "addsection"):
        return
    replay = f"again: pytest '{item.nodeid}' {_options(item.config)}"
    shown.addsection("fastgrad", text + replay)
    if shown.reprcrash is not None:  # the line of the short summary, and of JUnit
        shown.reprcrash.message = f"{report.in_short}\n{shown.reprcrash.message}"
