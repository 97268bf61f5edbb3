"""What each part of the search for causes is worth: mutants named without it.

    python benchmarks/bugs/without.py [SET ...] [--every 4]

Every so many of the mutants of sets, by default of all but the unseen, are named by the
whole search and by all but one of its parts: counts of those that are named, shown
second, unknown and misnamed, and the seconds of processor that all together took.
"""

import argparse
import collections
import runpy
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

import fastgrad as fg
from fastgrad import causes
from fastgrad.causes import naming, points, ranking, repairs, search
from fastgrad.causes.substitutes import Substitutes

bugs = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("__main__.py"))))
OTHERS = ("operands", "elements", "written", "variables")
OTHERS += ("factors", "matrices", "terms")


def nothing(*args):
    return []


def put(where, value, *names):
    """Return what stands for some attributes while a part is left out."""
    return [(where, name, value) for name in names]


def levels(keep):
    """Return the same of the tables of edits, without some kinds."""
    some = [
        {r: tuple(k for k in kinds if keep(n, k)) for r, kinds in level.items()}
        for n, level in enumerate(search.LEVELS)
    ]
    return [(search, "LEVELS", some), (ranking, "LEVELS", some)]


PARTS = {
    "nothing": [],
    "edits of the reverse pass": put(search.Search, nothing, "run"),
    "repairs of the gradient's code": put(naming, nothing, "repairs"),
    "edits of whole blocks": put(ranking, nothing, "block_edits")
    + put(points, nothing, "block_edits"),
    "rules as expressions": levels(lambda n, kind: kind.__name__ != "expression_edits"),
    "arrays misarranged, and others": levels(lambda n, kind: n < 2),
    "compounds": put(search, nothing, "compounds"),
    "pairs of mistakes": put(search.Search, nothing, "_pairs"),
    "turns that feed each other": put(search.Search, nothing, "_fed"),
    "what repairs read instead": put(Substitutes, nothing, *OTHERS),
    "other data": put(repairs, nothing, "other_data"),
    "the second point": put(naming, lambda *args: None, "_second_point"),
}


def captured(case):
    """Return how a check asks for the causes of a wrong gradient, if it does."""
    with mock.patch.object(causes, "name_causes", wraps=causes.name_causes) as asked:
        fg.check_gradient(*case)
    return asked.call_args


def outcome(codes, acceptable):
    """Return what a list of codes is worth."""
    if codes[:1] == ["unknown"]:
        return "unknown"
    if codes[0] in acceptable:
        return "named"
    return "second" if set(codes) & set(acceptable) else "misnamed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    some = ("seen", "later", "fresh", "blind", "novel")
    parser.add_argument("sets", nargs="*", default=some)
    parser.add_argument("--every", type=int, default=4)
    args = parser.parse_args()
    models = [model for one in args.sets for model in bugs.models(one)]
    mutants = [mutant for model in models for mutant in bugs.mutants(model)]
    count, took = collections.defaultdict(collections.Counter), collections.Counter()
    for mutant in mutants[:: args.every]:
        asked = captured(bugs.run(mutant.source, mutant.model.stem))
        for part, changes in PARTS.items() if asked else ():
            started = time.thread_time()
            with ExitStack() as stack:
                for where, name, value in changes:
                    stack.enter_context(mock.patch.object(where, name, value))
                found = causes.name_causes(*asked.args, **asked.kwargs)
            took[part] += time.thread_time() - started
            count[part][outcome([one.code for one in found], mutant.codes)] += 1
    print(f"| without | {' | '.join(bugs.OUTCOMES[:-1])} | seconds |")
    print("|---|--:|--:|--:|--:|--:|")
    for part in count:
        cells = [count[part][outcome] for outcome in bugs.OUTCOMES[:-1]]
        print(f"| {part} | {' | '.join(map(str, cells))} | {took[part]:.0f} |")


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.setrecursionlimit(10_000)
    with tempfile.TemporaryDirectory() as folder:
        bugs.run.folder = folder
        main()
