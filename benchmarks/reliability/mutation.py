"""Mutation testing: rules and verdicts changed on purpose are to make tests fail.

    python benchmarks/reliability/mutation.py record [TESTS ...]
    python benchmarks/reliability/mutation.py ROOM ... [--whole] [--count N] [--seed 0]
    python benchmarks/reliability/mutation.py ROOM ... --again OUTPUT

`record` runs the tests once and writes down which of them executes which line, and how
long each takes (`pip install coverage`). A mutant, one change of `changes.py`
(`--whole`: a function that does nothing), is then made in a fork of a process that has
collected all tests: functions get the mutated code and tests that execute its line are
run until one fails: those of the file named after the module, then one case of each
test function, the fastest first, then a second one; of a whole function those of its
rarest lines, too. A fork that hangs or crashes has caught it, too. What survives is
printed.
"""

import argparse
import ast
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import random
import resource
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol
from changes import Change, changes, wholes

import fastgrad

ROOT = Path(__file__).parents[2]
SOURCE = Path(fastgrad.__file__).parent
KEPT = ROOT / "build" / "mutation"
#: What holds the rules, the causes and the validators.
ROOMS = (
    "program/primitives",
    "program/gradient.py",
    "_arguments.py",
    "_public.py",
    "params",
    "causes",
    "checking",
    "statistics",
    "initializers",
    "signal",
)
#: Seconds of tests for a mutant; bytes of a fork.
PATIENCE, MEMORY = 20.0, 12 << 30
#: Seconds of the slowest test, recorded or not; tests recorded by one fork.
SLOWEST, AT_ONCE = 2.0, 200
#: The status of a fork whose mutant is none.
NOT_MADE = 2


# ---- tests ---------------------------------------------------------------------------


class Tests:
    """Collects as pytest does, and hands what was collected to a job."""

    def __init__(self, job: Callable[[list[pytest.Item]], None]) -> None:
        self.job = job

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running all tests."""
        self.job(session.items)
        return True


def collected(tests: list[str], job: Callable[[list[pytest.Item]], None]) -> None:
    """Do a job with the tests collected."""
    hypothesis.settings.register_profile(
        "mutation",
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutation")
    options = ["-qq", "-rN", "--no-header", "--tb=line", "-p", "no:cacheprovider"]
    # Else it rewrites assertions of plugins too: of fastgrad, whose code is compared.
    options.append("--assert=plain")
    os.chdir(ROOT)
    pytest.main([*options, *tests], plugins=[Tests(job)])


def passes(item: pytest.Item, following: pytest.Item | None, seconds: float) -> bool:
    """Run one test; the process ends if it takes much longer than it did."""
    longest = 10 + 20 * seconds
    signal.setitimer(signal.ITIMER_PROF, longest)
    signal.setitimer(signal.ITIMER_REAL, 20 * longest)  # the machine may be busy
    reports = runtestprotocol(item, nextitem=following, log=False)
    return not any(report.failed for report in reports)


def forked(work: Callable[[], None]) -> int:
    """Return the status that a piece of work ends with, done in a fork."""
    child = os.fork()
    if not child:
        os.setsid()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def tracing() -> Any:
    """Coverage that adds to what is recorded."""
    import coverage

    file = str(KEPT / "lines")
    cover = coverage.Coverage(file, source=[str(SOURCE)], config_file=False)
    cover.load()
    cover.start()
    return cover


def record(tests: list[str]) -> None:
    """Run each test in a fork, and keep its seconds and the lines it executes.

    What is executed before, at import, is in a context without a name.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    cover = tracing()
    functions()
    collected(tests, lambda items: run_all(items, cover))


def run_all(items: list[pytest.Item], cover: Any) -> None:
    """See `record`. A fork that hangs or crashes loses its lines: it is done again."""
    cover.stop()
    cover.save()
    log, running = KEPT / "seconds", KEPT / "running"
    log.touch()

    def note(entries: list[tuple[str, float, bool]]) -> None:
        with log.open("a") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries)

    def work() -> None:
        cover, entries = tracing(), []
        for item, following in zip(left, [*left[1:], None], strict=True):
            running.write_text(item.nodeid)
            cover.switch_context(item.nodeid)
            start = sum(os.times()[:4])  # of the processor, children's too
            good = passes(item, following, SLOWEST)
            entries.append((item.nodeid, sum(os.times()[:4]) - start, good))
        cover.stop()
        cover.save()
        note(entries)

    def unknown() -> list[pytest.Item]:
        done = {json.loads(line)[0] for line in log.read_text().splitlines()}
        return [item for item in items if item.nodeid not in done][:AT_ONCE]

    while left := unknown():
        if forked(work) != 0:
            note([(running.read_text(), 0.0, False)])


def recorded() -> tuple[dict[str, float], dict[str, dict[int, list[str]]]]:
    """Seconds of each test that passes, and the tests of each line of each file."""
    import coverage

    entries = map(json.loads, (KEPT / "seconds").read_text().splitlines())
    seconds = {name: took for name, took, good in entries if good}
    data = coverage.CoverageData(str(KEPT / "lines"))
    data.read()
    files = data.measured_files()
    return seconds, {file: data.contexts_by_lineno(file) for file in files}


# ---- mutants -------------------------------------------------------------------------


def modules(room: str) -> list[Path]:
    """The modules of a room."""
    path = SOURCE / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def functions() -> dict[CodeType, list[FunctionType]]:
    """The functions there are in fastgrad, by their code."""
    for module in pkgutil.walk_packages(fastgrad.__path__, "fastgrad."):
        if not module.name.startswith(("fastgrad.interop", "fastgrad.__main__")):
            importlib.import_module(module.name)
    found = defaultdict(list)
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and _is_of_package(thing.__code__):
            found[thing.__code__].append(thing)
    return found


def _is_of_package(code: CodeType) -> bool:
    return code.co_filename.startswith(str(SOURCE))


def pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Code of a module, and what it is in its mutant, where they differ."""
    if old == new:
        return
    yield old, new
    parts = [[c for c in x.co_consts if isinstance(c, CodeType)] for x in (old, new)]
    if len(parts[0]) == len(parts[1]):
        for one, other in zip(*parts, strict=True):
            yield from pairs(one, other)


def in_turns(
    lines: list[list[str]], module: str, seconds: dict[str, float]
) -> list[str]:
    """Return the tests of lines in the order to run them: a case of each function, ...

    Cases of a function fail together; others may see what they do not. Of several
    lines those that few tests run have every other turn.
    """
    rarest: dict[str, int] = {}
    for names in sorted(lines, key=len):
        for name in names:
            rarest.setdefault(name, len(names))
    turns: Counter[str] = Counter()
    order = []
    for name in sorted(rarest, key=seconds.__getitem__):
        function = name.partition("[")[0]
        order.append((not mirrors(name, module), turns[function], seconds[name], name))
        turns[function] += 1
    usual = [name for *_, name in sorted(order)]
    rare = sorted(usual, key=rarest.__getitem__)
    return list(dict.fromkeys(chain(*zip(rare, usual, strict=True))))


def mirrors(test: str, module: str) -> bool:
    """Whether a test is in the file named after a module."""
    return test.partition("::")[0].endswith(f"/test_{module}.py")


class Mutants:
    """What to change in the functions of a module."""

    def __init__(self, path: Path, find: Callable[[ast.Module], list[Change]]) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text())
        self.code = compile(self.tree, str(path), "exec", 0, True)
        self.changes = find(self.tree)

    def made(self, change: Change, there: dict[CodeType, list[FunctionType]]) -> bool:
        """Whether functions were given the mutated code."""
        given = 0
        for old, new in pairs(self.code, change.compiled(self.tree, str(self.path))):
            for function in there.get(old, ()):
                try:
                    function.__code__ = new
                except ValueError:  # a closure, with a variable that it needs no more
                    return False
                given += 1
        return given > 0


def mutation(rooms: list[str], options: argparse.Namespace):
    """The job that tries mutants of rooms."""
    seconds, lines = recorded()
    earlier = options.again.read_text().splitlines() if options.again else []
    again = {line.strip().rpartition(" [")[0] for line in earlier}

    def job(items: list[pytest.Item]) -> None:
        by_name = {item.nodeid: item for item in items}
        there = functions()
        gc.freeze()

        def tests_of(mutants: Mutants, change: Change) -> list[str] | None:
            """Tests that run what is changed; None if importing alone does."""
            found = lines.get(str(mutants.path), {})
            some = [found[line] for line in change.lines if line in found]
            some = some or [found.get(change.statement.lineno, [])]
            if some == [[]]:  # run while it traces by itself
                some = [[n for n in seconds if mirrors(n, mutants.path.stem)]]
            if {name for names in some for name in names} == {""}:
                return None
            known = seconds.keys() & by_name.keys()
            some = [[name for name in names if name in known] for names in some]
            return in_turns(some, mutants.path.stem, seconds)

        def shown(mutants: Mutants, change: Change) -> str:
            return f"{mutants.path.relative_to(SOURCE)}:{change}"

        def outcome(mutants: Mutants, change: Change, names: list[str]) -> int:
            def work() -> None:
                if not mutants.made(change, there):
                    os._exit(NOT_MADE)
                run = [*(by_name[name] for name in names), None]
                for item, following in pairwise(run):
                    if not passes(item, following, seconds[item.nodeid]):
                        os._exit(1)

            return forked(work)

        def report(room: str) -> None:
            chance = random.Random(options.seed)
            find = wholes if options.whole else changes
            made = [Mutants(path, find) for path in modules(room)]
            every = [(m, c) for m in made for c in m.changes]
            every = [(*m, t) for m in every if (t := tests_of(*m)) is not None]
            if again:
                drawn = [m for m in every if shown(*m[:2]) in again]
            else:
                drawn = chance.sample(every, min(options.count, len(every)))
            tried, survivors, start = 0, 0, time.perf_counter()
            for mutants, change, names in drawn:
                total, run = 0.0, []
                for name in names:
                    if total + seconds[name] < options.patience:
                        total += seconds[name]
                        run.append(name)
                found = outcome(mutants, change, run)
                tried += found != NOT_MADE
                if found == 0:
                    survivors += 1
                    which = shown(mutants, change)
                    print(f"    {which} [{len(run)}/{len(names)}]", flush=True)
            caught = tried - survivors
            took = time.perf_counter() - start
            share = f"{100 * caught / max(tried, 1):.1f} %"
            print(
                f"| {room} | {len(every):,} | {tried} | {caught} "
                f"| {share} | {took:.0f} |",
                flush=True,
            )

        for room in rooms:
            report(room)

    return job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", help=f"record, or of {', '.join(ROOMS)}")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=PATIENCE)
    parser.add_argument("--whole", action="store_true", help="functions do nothing")
    parser.add_argument("--again", type=Path, help="what this printed: its survivors")
    options = parser.parse_args()
    if options.what[0] == "record":
        record(options.what[1:])
    else:
        collected([], mutation(options.what, options))


if __name__ == "__main__":
    main()
