"""The ``fastgrad`` command: demo, check, info, selftest.

Exit status: 0 all is correct, 1 something is wrong or undecided, 2 the command could
not be carried out.
"""

import argparse
import importlib.util
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

OK, WRONG, FAILED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except _UsageError as error:
        print(f"fastgrad: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # piped into something that has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if _is_ours(error):
            print(f"fastgrad: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        return FAILED
    return status


def _is_ours(error: Exception) -> bool:
    """Whether fastgrad refused something, rather than the user's file failing."""
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    return isinstance(error, TypeError | ValueError) and (
        Path(__file__).parent in Path(innermost).parents
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastgrad",
        description="Is a gradient wrong, where, and why?",
        epilog="exit status: 0 correct, 1 wrong or undecided, 2 could not be checked",
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

    check = commands.add_parser(
        "check", help="check the gradient that a Python file defines"
    )
    check.add_argument(
        "file",
        type=Path,
        help="defines loss, params and grads (or a loss that returns (loss, grads))",
    )
    check.add_argument("--html", type=Path, help="write the report to this file too")
    check.set_defaults(run=_check)

    info = commands.add_parser("info", help="how fastgrad was built and what it found")
    info.set_defaults(run=_info)

    selftest = commands.add_parser(
        "selftest", help="see whether this installation works"
    )
    selftest.set_defaults(run=_selftest)
    return parser


class _UsageError(Exception):
    """The command cannot be carried out; the message says why."""


def _demo(options: argparse.Namespace) -> int:
    from fastgrad.demo import run

    return OK if run(options.bug) else WRONG


def _check(options: argparse.Namespace) -> int:
    from fastgrad.checking.check import check_gradient

    module = _load(options.file)
    missing = [name for name in ("loss", "params") if not hasattr(module, name)]
    if missing:
        names = " and ".join(f"`{name}`" for name in missing)
        raise _UsageError(f"{options.file} must define {names}.")
    report = check_gradient(module.loss, module.params, getattr(module, "grads", None))
    print(report)
    if options.html is not None:
        options.html.write_text(report.to_html(), encoding="utf-8")
    return OK if report.ok else WRONG


def _load(path: Path) -> Any:
    """Return the module in a file, which may import its neighbours."""
    if not path.is_file():
        raise _UsageError(f"there is no file {path}.")
    name = f"_checked_{path.stem}"  # not the stem: the file may be called random.py
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _UsageError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.resolve().parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:  # its status would pass for that of the check
        raise _UsageError(
            f"{path} exited (status {error.code}) before it could be checked: move "
            'that under `if __name__ == "__main__":`.'
        ) from error
    return module


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
