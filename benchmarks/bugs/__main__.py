"""Grade the naming of bugs on mutants of gradients as people write them.

    python benchmarks/bugs [--seen | --later | --fresh | --blind | --novel]
                           [--right] [--only NAME] [--show unknown]

Each file of `seen` and `unseen` is a model, KIND_MODEL.py: a loss, its right gradient,
and mutants: small edits of the gradient's source. Of the models of a kind, in the order
of a hash of their names, every other one is unseen: not for those who write rules.
Those in `later` are of mixed kinds, and were written after the rules; so were those in
`fresh`, of all kinds, some with gradients given as arrays, and later those in `blind`.
Those in `novel`, the last, are of kinds that none of the others has.

A line of ``MUTANTS`` has four fields, parted by ``##``: the codes of acceptable causes;
what marks the lines of the forward code to which the mistake belongs, one of several
texts, nothing where there is no such line; what is changed; and into what.
"""

import argparse
import collections
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

import fastgrad as fg
from fastgrad import causes

HERE = Path(__file__).parent
OUTCOMES = ("named", "second", "unknown", "misnamed", "missed")


@dataclass(frozen=True)
class Mutant:
    """One wrong edit of a right gradient.

    Attributes
    ----------
    model : Path
    number : int
        Of the mutant, from 1.
    codes, marks : tuple of str
        Acceptable causes; texts of lines of the forward code.
    source : str
        The model's code with the edit.
    line : int
        Where the edit is.
    """

    model: Path
    number: int
    codes: tuple[str, ...]
    marks: tuple[str, ...]
    source: str
    line: int

    @property
    def kind(self):
        return self.model.stem.split("_")[0]

    @property
    def name(self):
        return f"{self.model.stem}:{self.number}"

    def marked(self, text):
        return any(mark in text for mark in self.marks)


def models(half):
    """Return the models of a half; each must be where the hash of its name puts it."""
    kinds = collections.defaultdict(list)
    for model in HERE.glob("*seen/*.py"):
        kinds[model.stem.split("_")[0]].append(model)
    for some in kinds.values():
        some.sort(key=lambda m: sha256(m.stem.replace("_", "/", 1).encode()).digest())
        for k, model in enumerate(some):
            if model.parent.name != ("seen" if k % 2 else "unseen"):
                raise ValueError(f"{model.stem} is not to be {model.parent.name}")
    return sorted((HERE / half).glob("*.py"))


def mutants(model):
    """Yield the mutants of a model."""
    source, table = model.read_text().split('\nMUTANTS = r"""\n')
    for number, row in enumerate(table.split('"""')[0].splitlines(), 1):
        codes, marks, old, new = (field.strip() for field in row.split("##"))
        old, new = old.replace("\\n", "\n"), new.replace("\\n", "\n")
        if source.count(old) != 1:
            raise ValueError(f"{model.stem}:{number}: {source.count(old)} times: {old}")
        line = source[: source.index(old)].count("\n") + 1
        some = tuple(mark for mark in marks.split("|") if mark)
        edited = source.replace(old, new)
        yield Mutant(model, number, tuple(codes.split()), some, edited, line)


def run(source, name, seed=0):
    """Return the model's ``(loss, params, grads)`` from its source, in a file."""
    file = Path(tempfile.mkdtemp(dir=run.folder)) / f"{name}.py"
    file.write_text(source)
    scope = {"__name__": name, "__file__": str(file)}
    exec(compile(source, str(file), "exec"), scope)
    return scope["case"](np.random.default_rng(seed))


def values(grads, params):
    """The gradient, which is given as a function or as arrays."""
    return grads(params) if callable(grads) else grads


def differing(one, other):
    """The blocks in which two gradients differ beyond rounding."""
    return {
        name
        for name, value in one.items()
        if np.max(np.abs(value - other[name]), initial=0)
        > 1e-9 * np.max(np.abs(value), initial=1e-3)
    }


def check(case):
    """Return the report of a check, and the seconds that naming took."""
    name_causes, seconds = causes.name_causes, [0.0]

    def timed(*args, **kwargs):
        started = time.thread_time()
        try:
            return name_causes(*args, **kwargs)
        finally:
            seconds[0] = time.thread_time() - started

    causes.name_causes = timed
    try:
        return fg.check_gradient(*case), seconds[0]
    finally:
        causes.name_causes = name_causes


@dataclass
class Grade:
    """What the report on a mutant is worth."""

    mutant: Mutant
    report: object
    outcome: str
    blocks: bool
    given: bool
    right: bool
    naming: float

    @property
    def is_one(self):
        """Whether one line is told, by its code."""
        message = self.report.causes[0].message
        told = re.search(r"the mistake is in line \d+ of your", message)
        vague = ("on the way", "constant array", "behind")
        return bool(told) and not any(words in message for words in vague)

    @property
    def named(self):
        return self.report.causes[0].code if self.report.causes else "none"


def grade(mutant):
    source = mutant.model.read_text()
    _, params, right = run(source, mutant.model.stem)
    case = run(mutant.source, mutant.model.stem)
    other = run(mutant.source, mutant.model.stem)[2]
    wrong = differing(values(right, params), values(other, params))
    if not wrong:
        raise ValueError(f"{mutant.name} is not wrong")
    report, naming = check(case)
    blocks = {b.name for b in report.blocks if b.verdict == "wrong"} == wrong
    codes = [cause.code for cause in report.causes]
    if report.verdict != "wrong" or not codes:
        outcome = "missed"
    elif codes[0] in mutant.codes:
        outcome = "named"
    elif set(codes) & set(mutant.codes):
        outcome = "second"
    else:
        outcome = "unknown" if codes[0] == "unknown" else "misnamed"
    given, true = located(mutant, report, case, blocks)
    return Grade(mutant, report, outcome, blocks, given, true, naming)


def located(mutant, report, case, blocks):
    """Whether a place is told, and whether what is told of it is true.

    Lines of the user's gradient code; a line of the forward code, or a bound to it; the
    blocks, where the mistake is at no operation.
    """
    if not report.causes:
        return False, False
    cause = report.causes[0]
    if "the mistake is" in cause.message:
        told = cause.message.split("the mistake is")[1].split("; ")[0]
        return True, any(
            at(mutant, case, place)
            for place in re.split(" and in (?=line)| and in or ", told)
        )
    if bounds := re.findall(r"at or behind line (\d+)", cause.message):
        line = int(bounds[0])
        return True, not mutant.marks or behind(mutant, case, line)
    if cause.source_line and cause.code != "unknown":
        return True, not mutant.marks or mutant.marked(cause.source_line)
    if cause.source_line:  # what comes down there is wrong, or right: operations' words
        return True, True
    given = cause.code != "unknown" and not mutant.marks
    return given, given and blocks


def at(mutant, case, place):
    """Whether the mutant's line is one of those told, or ran on the way to them."""
    place, _, way = place.partition(", or on the way there from ")
    if "constant array" in place + way:
        return True
    numbers = [
        [int(n) for n in re.findall(r"\d+", of)]
        for of in (
            re.sub(r"`.*`", "", place).partition("of your")[0],
            way.partition("(for")[0],
        )
    ]
    lines, since = numbers
    if " to " in place.partition("of your")[0]:
        lines = range(lines[0], lines[-1] + 1)
    ran = executed(case)
    if "behind line" in place:
        return any(mutant.line in ran[ran.index(n) :] for n in lines if n in ran)
    if mutant.line in lines:
        return True
    if "behind it" in place + way and mutant.line in ran[ran.index(lines[-1]) :]:
        return True
    for k, line in enumerate(ran):
        if line in since:
            on = [j for j in range(k, len(ran)) if ran[j] in lines][:1]
            if on and mutant.line in ran[k : on[0] + 1]:
                return True
    return False


def executed(case):
    """The lines of a model that its gradient runs, in order."""
    _, params, grads = case
    if not callable(grads):
        return []
    file, ran = grads.__code__.co_filename, []

    def trace(frame, event, _):
        if frame.f_code.co_filename != file:
            return None
        if event in ("line", "return"):
            ran.append(frame.f_lineno)
        return trace

    sys.settrace(trace)
    try:
        grads(params)
    finally:
        sys.settrace(None)
    return ran


def behind(mutant, case, line):
    """Whether an operation of the mutant's lines is at or behind a line."""
    nodes = fg.trace(*case[:2]).nodes
    marked = [k for k, n in enumerate(nodes) if mutant.marked(n.source.code)]
    at = [k for k, n in enumerate(nodes) if n.source.line == line]
    return bool(marked and at and marked[0] <= at[-1])


# ---- what is printed -----------------------------------------------------------------


def share(part, whole):
    return f"{100 * part / max(whole, 1):5.1f} %"


def table(grades):
    """Rows of the kinds, then of all together."""
    kinds = collections.defaultdict(list)
    for one in grades:
        kinds[one.mutant.kind].append(one)
    head = ("kind", "mutants", "detected", "blocks", *OUTCOMES[:-1])
    head = (*head, "located", "rightly", "to one line")
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for kind, some in [*sorted(kinds.items()), ("all", grades)]:
        n, count = len(some), collections.Counter(g.outcome for g in some)
        cells = [
            kind,
            str(n),
            share(n - count["missed"], n),
            share(sum(g.blocks for g in some), n),
            *(share(count[outcome], n) for outcome in OUTCOMES[:-1]),
            share(sum(g.given for g in some), n),
            share(sum(g.right for g in some), n),
            share(sum(g.right and g.is_one for g in some), n),
        ]
        yield "| " + " | ".join(cells) + " |"


def confusion(grades):
    """How often a code was named where another one was due."""
    count = collections.Counter(
        (g.mutant.codes[0], "due" if g.outcome == "named" else g.named) for g in grades
    )
    named = sorted({b for _, b in count} - {"due"})
    yield "| due \\ named | it, or as good | " + " | ".join(named) + " |"
    yield "|---" * (len(named) + 2) + "|"
    for due in sorted({a for a, _ in count}):
        cells = [str(count[due, b] or "") for b in ("due", *named)]
        yield f"| `{due}` | " + " | ".join(cells) + " |"


def show(one):
    print(f"{one.outcome:9} {one.mutant.name} ({' '.join(one.mutant.codes)})")
    for cause in one.report.causes[:3]:
        print(f"      {cause.code}: {cause.message} [{cause.source_line}]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seen", action="store_true", help="those in view instead")
    parser.add_argument("--later", action="store_true", help="those of mixed kinds")
    parser.add_argument("--fresh", action="store_true", help="those of all kinds")
    parser.add_argument("--blind", action="store_true", help="those written blindly")
    parser.add_argument("--novel", action="store_true", help="those of further kinds")
    parser.add_argument("--only", default="", help="models or mutants with this in it")
    parser.add_argument("--show", default="", help="outcomes; all; place, wrongly told")
    parser.add_argument(
        "--right", action="store_true", help="right gradients, all seeds"
    )
    args = parser.parse_args()
    shown = args.show.split(",")
    halves = ("later", "fresh", "blind", "novel", "seen")
    half = next((one for one in halves if getattr(args, one)), "unseen")
    some = models(half)
    some = [m for m in some if args.only.split(":")[0] in m.stem]
    if args.right:
        right(some)
        return
    grades = []
    for mutant in (m for model in some for m in mutants(model)):
        if ":" in args.only and mutant.name != args.only:
            continue
        one = grade(mutant)
        grades.append(one)
        unplaced = not one.right and "place" in shown
        if "all" in shown or one.outcome in shown or unplaced:
            show(one)
    print("\n".join([*table(grades), "", *confusion(grades), ""]))
    seconds = np.array([one.naming for one in grades])
    took = np.array([one.report.seconds for one in grades])
    print(
        f"time to name: median {np.median(seconds):.2f} s, nine in ten below "
        f"{np.quantile(seconds, 0.9):.2f} s, longest {seconds.max():.2f} s; more than "
        f"2 s and a fifth of the check: {np.sum(seconds > np.maximum(2, took / 5))}"
    )


def right(some):
    """Check the right gradients at several points: nothing is to be blamed."""
    count = collections.Counter()
    for model in some:
        source = model.read_text()
        for seed in range(5):
            report = fg.check_gradient(*run(source, model.stem, seed))
            count[report.verdict] += 1
            if report.verdict != "correct" or report.causes:
                print(model.stem, seed, report)
    print(dict(count), "right gradients")


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.setrecursionlimit(10_000)
    with tempfile.TemporaryDirectory() as folder:
        run.folder = folder
        main()
