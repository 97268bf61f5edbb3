"""The ``fastgrad`` command: demo, check, bench, info, selftest.

Exit status: 0 all is correct, 1 something is wrong, 3 nothing is wrong but something
undecided, 2 the command could not be carried out.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad._kernels import _openmp
from fastgrad._threads import resolve_num_threads

OK, WRONG, FAILED, UNDECIDED = 0, 1, 2, 3
INTERRUPTED = 130  # as shells have it
_WORST_FIRST = (FAILED, WRONG, UNDECIDED, OK)
_PACKAGE = str(Path(__file__).parent) + os.sep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BrokenPipeError:  # piped into something that has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("fastgrad: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastgrad",
        description="Is a gradient wrong, where, and why?",
        epilog="exit status: 0 correct, 1 wrong, 3 undecided, 2 could not be checked",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"fastgrad {metadata.version('fastgrad')}",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo", help="check the gradient of a network that reads handwritten digits"
    )
    demo.add_argument("--bug", action="store_true", help="with a mistake to be found")
    demo.set_defaults(run=_demo)
    _add_check(commands)
    bench = commands.add_parser(
        "bench", help="time a check beside a NumPy loop, SciPy and torch"
    )
    bench.add_argument("target", metavar="FILE[::NAME]", help="as for `check`")
    bench.set_defaults(run=_bench)
    info = commands.add_parser("info", help="how fastgrad was built and what it found")
    info.set_defaults(run=_info)
    selftest = commands.add_parser(
        "selftest", help="see whether this installation works"
    )
    selftest.set_defaults(run=_selftest)
    return parser


def _add_check(commands: Any) -> None:
    check = commands.add_parser(
        "check", help="check the gradients that Python files define"
    )
    check.add_argument(
        "targets",
        nargs="+",
        metavar="FILE[::NAME]",
        help="a file that defines loss, params and grads (or a loss that returns "
        "(loss, grads)), perhaps data; or fun, x and jac; or whose function NAME "
        "returns (loss, params, grads)",
    )
    check.add_argument(
        "--json",
        action="store_true",
        help="print a line of JSON for each target: its report, or the error",
    )
    check.add_argument(
        "--html", type=_page, metavar="OUT", help="write the reports to this page too"
    )
    check.add_argument(
        "--coverage", type=_coverage, help='entries of each block, "full" or "locate"'
    )
    check.add_argument("--engine", help='"auto", "compiled", "python", ...')
    check.add_argument("--seed", type=int, help="of everything random")
    check.add_argument("--threads", type=int, dest="num_threads")
    check.add_argument("--rtol", type=float, help="a difference that does not matter")
    check.set_defaults(run=_check)


def _coverage(text: str) -> str | int:
    return int(text) if text.lstrip("-").isdigit() else text


def _demo(options: argparse.Namespace) -> int:
    from fastgrad.demo import run

    return OK if run(options.bug) else WRONG


def _check(options: argparse.Namespace) -> int:
    from fastgrad.reports import page_of

    given = ("coverage", "engine", "seed", "num_threads", "rtol")
    chosen = {
        name: value for name in given if (value := getattr(options, name)) is not None
    }
    statuses, reports = [], []
    for name in options.targets:
        # What the file prints is no line of JSON.
        with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
            report, error = _carried_out(name, lambda target: target.check(chosen))
        statuses.append(FAILED if report is None else _status(report))
        if report is not None:
            reports.append(report)
        if options.json:
            found = {"ok": False, "failed": error} if error else report.to_dict()
            print(json.dumps({"target": name, **found}, allow_nan=False))
        elif report is not None:
            title = f"== {name} ==\n\n" if len(options.targets) > 1 else ""
            print(f"{title}{report}", end="\n" * (1 + (len(options.targets) > 1)))
    if options.html is not None and reports:
        try:
            options.html.write_text(page_of(reports), "utf-8")
        except OSError as error:
            print(f"fastgrad: {error}", file=sys.stderr)
            statuses.append(FAILED)
    return next(status for status in _WORST_FIRST if status in statuses)


def _page(name: str) -> Path:
    path = Path(name)
    if path.is_dir() or not path.parent.is_dir():
        must = "must be a file in a folder that exists"
        raise argparse.ArgumentTypeError(f"{must}, got {name!r}")
    return path


def _status(report: Any) -> int:
    if report.ok:
        return OK
    return UNDECIDED if report.verdict == "undecided" else WRONG


def _bench(options: argparse.Namespace) -> int:
    from fastgrad.bench import bench

    table, _ = _carried_out(options.target, bench)
    if table is None:
        return FAILED
    print(table)
    return OK


def _carried_out(name: str, what: Any) -> tuple[Any, str | None]:
    """Return what a function makes of a target; or None and the error, having said it.

    An exit of the user's code is an error: its status would pass for that of the check.
    """
    from fastgrad.reports import described
    from fastgrad.targets import TargetError, target

    try:
        return what(target(name)), None
    except TargetError as error:
        print(f"fastgrad: {error}", file=sys.stderr)
        return None, str(error)
    except (Exception, SystemExit) as error:
        if _is_ours(error):
            print(f"fastgrad: {error}", file=sys.stderr)
        else:
            print(_traceback_of_the_user(error), end="", file=sys.stderr)
        return None, described(error)


def _is_ours(error: BaseException) -> bool:
    """Whether fastgrad refused something, rather than the user's file failing."""
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    refused = isinstance(error, TypeError | ValueError | MemoryError)
    return refused and innermost.startswith(_PACKAGE)


def _traceback_of_the_user(error: BaseException) -> str:
    """Return the traceback from where fastgrad called the user's code."""
    shown = traceback.TracebackException.from_exception(error)
    inner: traceback.TracebackException | None = shown
    while inner is not None:
        ours = [frame.filename.startswith(_PACKAGE) for frame in inner.stack]
        called = len(ours) - ours[::-1].index(True) if any(ours) else 0
        frames = inner.stack[called:] or inner.stack
        inner.stack = traceback.StackSummary.from_list(
            [frame for frame in frames if not frame.filename.startswith("<frozen")]
        )
        inner = inner.__cause__ or inner.__context__
    return "".join(shown.format())


def _info(options: argparse.Namespace) -> int:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    lines = {
        "fastgrad": metadata.version("fastgrad"),
        "OpenMP": "on" if _openmp.openmp_enabled() else "off",
        "threads": resolve_num_threads(None),
        "SIMD": _openmp.simd_level(),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS of NumPy": f"{blas.get('name')} {blas.get('version', '')}".strip(),
        "platform": platform.platform(),
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:{width}}  {value}")
    return OK


def _selftest(options: argparse.Namespace) -> int:
    from fastgrad.selftest import run

    return OK if run() else WRONG
