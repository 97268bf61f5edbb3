"""Grade the check on mutants: every small change of the zoo's own backward passes.

    python benchmarks/mutants.py [--problem NAME] [--share 0.1] [--show unknown]

A mutant is the right gradient's code with one expression or statement changed: a term
or a factor left out, a sign, an operator, a constant, a transpose, an axis, a slice, a
variable. Nobody chose them, so they also grade what the zoo's authors did not think of.
Mutants that fail, change a shape or give the same numbers are no bugs, and not counted.
"""

import argparse
import ast
import collections
import copy
import inspect
import sys
import textwrap
import time
from pathlib import Path

import numpy as np

import fastgrad as fg

sys.path.insert(0, str(Path(__file__).parents[1] / "zoo"))
import fastgrad_zoo as zoo

# ---- the right code ------------------------------------------------------------------


class _Right(ast.NodeTransformer):
    """Leaves out all that a backward pass does for one of its bugs."""

    def visit_Compare(self, node):
        if isinstance(node.left, ast.Name) and node.left.id == "bug":
            wants = isinstance(node.ops[0], ast.NotEq | ast.Is)
            return ast.copy_location(ast.Constant(wants), node)
        return self.generic_visit(node)

    def visit_BoolOp(self, node):
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        known = [v.value for v in node.values if isinstance(v, ast.Constant)]
        if decides in known:
            return ast.copy_location(ast.Constant(decides), node)
        node.values = [v for v in node.values if not isinstance(v, ast.Constant)]
        if not node.values:
            return ast.copy_location(ast.Constant(not decides), node)
        return node if len(node.values) > 1 else node.values[0]

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.copy_location(ast.Constant(not node.operand.value), node)
        return node

    def visit_If(self, node):
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_IfExp(self, node):
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node


def backward_methods(problem):
    """The problem's methods that only its gradient uses, without any bug."""
    source = textwrap.dedent(inspect.getsource(problem))
    body = ast.parse(source).body[0].body
    methods = {f.name: f for f in body if isinstance(f, ast.FunctionDef)}

    def reached(name, seen):
        for node in ast.walk(methods[name]):
            name = getattr(node, "attr", None)
            if name in methods and name not in seen:
                seen.add(name)
                reached(name, seen)
        return seen

    forward = {"__init__", "loss", "case"} | reached("loss", set())
    return [
        ast.fix_missing_locations(_Right().visit(method))
        for name, method in methods.items()
        if name not in forward and name in {"grads"} | reached("grads", set())
    ]


# ---- mutations -----------------------------------------------------------------------

_SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Gt: ast.Lt,
    ast.Lt: ast.Gt,
    ast.GtE: ast.LtE,
    ast.LtE: ast.GtE,
    ast.Eq: ast.NotEq,
}
_FUNCTIONS = {"sum": "mean", "mean": "sum", "maximum": "minimum", "max": "min"}


def _of_expression(node, names):
    """Yield (what, expression to stand instead)."""
    if isinstance(node, ast.BinOp):
        yield "left only", node.left
        if not isinstance(node.op, ast.Div | ast.Pow):
            yield "right only", node.right
        if isinstance(node.op, ast.MatMult):
            yield "operands exchanged", ast.BinOp(node.right, node.op, node.left)
        if type(node.op) in _SWAPS:
            swapped = ast.BinOp(node.left, _SWAPS[type(node.op)](), node.right)
            yield "operator", swapped
        if isinstance(node.op, ast.Mult):
            yield "sign", ast.UnaryOp(ast.USub(), node)
            yield "factor twice", ast.BinOp(node, ast.Mult(), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield "not transposed", node.value
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "constant + 1", ast.Constant(node.value + 1)
        if node.value not in (0, 1):
            yield "constant 1", ast.Constant(type(node.value)(1))
        if node.value not in (0, -1):
            yield "constant - 1", ast.Constant(node.value - 1)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        other = _SWAPS[type(node.ops[0])]()
        yield "comparison", ast.Compare(node.left, [other], node.comparators)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.args:
            yield "call left out", node.args[0]
        if node.func.attr in _FUNCTIONS:
            other = copy.deepcopy(node)
            other.func.attr = _FUNCTIONS[node.func.attr]
            yield other.func.attr, other
        if node.func.attr == "reversed":
            yield "not reversed", node.args[0]
    elif isinstance(node, ast.Slice):
        for bound in ("lower", "upper"):
            if getattr(node, bound) is not None:
                other = copy.copy(node)
                setattr(other, bound, None)
                yield f"{bound} bound left out", other
    elif isinstance(node, ast.Name) and names.get(node.id):
        for name, shape in names.items():
            if name != node.id and shape == names[node.id]:
                yield f"{name} for {node.id}", ast.Name(name, ast.Load())


def _of_statement(node):
    if isinstance(node, ast.AugAssign):
        yield "assigned, not added", ast.Assign([node.target], node.value)
        yield "statement left out", ast.Pass()
    elif (
        isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    ) or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        yield "statement left out", ast.Pass()
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        yield "statement left out", ast.Pass()
        if ast.unparse(call.func) == "np.add.at":
            at = ast.Subscript(call.args[0], call.args[1], ast.Store())
            yield "added once", ast.AugAssign(at, ast.Add(), call.args[2])
            yield "assigned", ast.Assign([at], call.args[2])


def mutants(method, names):
    """Yield (what, line before, line after, mutated method)."""
    places = [
        (statement, path)
        for statement in ast.walk(method)
        if isinstance(statement, ast.stmt) and statement is not method
        for path in _paths(statement)
    ]
    for statement, path in places:
        original = _at(statement, path)
        choices = _of_expression(original, names) if path else _of_statement(original)
        for what, instead in list(choices):
            changed = copy.deepcopy(instead)
            mutated, mine = _replaced(method, statement, path, changed)
            try:
                after = ast.unparse(mine).split("\n")[0]
                compile(ast.Module([mutated], []), "mutant", "exec")
            except (ValueError, TypeError, SyntaxError):
                continue
            yield what, ast.unparse(statement).split("\n")[0], after, mutated


def _paths(statement):
    """Ways down to each expression that is read, not through nested statements."""
    found = [()]

    def walk(node, path):
        for field, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            for k, child in enumerate(children):
                if not isinstance(child, ast.expr | ast.Slice | ast.keyword):
                    continue
                if isinstance(getattr(child, "ctx", None), ast.Store):
                    continue
                step = (field, k if isinstance(value, list) else None)
                found.append((*path, step))
                walk(child, (*path, step))

    walk(statement, ())
    return found


def _at(node, path):
    for field, k in path:
        node = getattr(node, field) if k is None else getattr(node, field)[k]
    return node


def _replaced(method, statement, path, instead):
    """A copy of the method with one place replaced, and the statement changed."""
    number = list(ast.walk(method)).index(statement)
    mutated = copy.deepcopy(method)
    mine = list(ast.walk(mutated))[number]
    if path:
        parent, (field, k) = _at(mine, path[:-1]), path[-1]
    else:
        parent, field, k = _parent(mutated, mine)
        mine = instead
    if k is None:
        setattr(parent, field, instead)
    else:
        getattr(parent, field)[k] = instead
    return ast.fix_missing_locations(mutated), mine


def _parent(tree, child):
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if isinstance(value, list) and any(v is child for v in value):
                return node, field, [v is child for v in value].index(True)
    raise LookupError


def shapes(problem, method):
    """The shape of each array that is a local variable of a backward method."""
    seen = {}

    def watch(frame, event, _):
        if frame.f_code.co_name == method:
            for name, value in frame.f_locals.items():
                if isinstance(value, np.ndarray):
                    seen.setdefault(name, value.shape)
            return watch
        return None

    sys.settrace(watch)
    try:
        problem.grads(problem.params)
    finally:
        sys.settrace(None)
    return dict(sorted(seen.items()))


def mutated_gradient(problem, method):
    """The gradient of an instance of a problem with this method instead of its own."""
    scope = dict(vars(sys.modules[type(problem).__module__]))
    base = type(problem).__name__
    cls = ast.ClassDef(
        name="Mutant",
        bases=[ast.Name(base, ast.Load())],
        keywords=[],
        body=[method],
        decorator_list=[],
        type_params=[],
    )
    module = ast.fix_missing_locations(ast.Module([cls], []))
    exec(compile(module, "mutant", "exec"), scope)
    instance = copy.deepcopy(problem)
    instance.__class__ = scope["Mutant"]
    return instance.grads


# ---- grading -------------------------------------------------------------------------


def is_a_bug(right, wrong, params):
    """Whether the gradient has the right shapes, and other numbers."""
    if not isinstance(wrong, dict) or set(wrong) != set(right):
        return False
    if any(np.shape(wrong[k]) != np.shape(v) for k, v in right.items()):
        return False
    if any(np.asarray(wrong[k]).dtype.kind not in "fiu" for k in right):
        return False
    off = max(
        float(np.max(np.abs(wrong[k] - v), initial=0))
        / max(float(np.max(np.abs(v), initial=0)), 1e-300)
        for k, v in right.items()
    )
    return bool(off > 1e-6 or not np.isfinite(off))


def graded(problem_type, share, rng):
    """Yield (outcome, what, before, after, report) for the mutants of one problem."""
    for method in backward_methods(problem_type):
        names = shapes(problem_type(seed=1), method.name)
        for what, before, after, mutated in mutants(method, names):
            if rng.random() >= share:
                continue
            problem = problem_type(seed=1)
            right = problem.grads(problem.params)
            grads = mutated_gradient(problem, mutated)
            try:
                wrong = grads({k: v.copy() for k, v in problem.params.items()})
                if not is_a_bug(right, wrong, problem.params):
                    continue
                grads = mutated_gradient(problem, mutated)
                report = fg.check_gradient(problem.loss, problem.params, grads)
            except Exception:  # the mutant fails by itself
                continue
            outcome = report.verdict
            if outcome == "wrong":
                outcome = report.causes[0].code if report.causes else "no cause"
            yield outcome, what, before, after, report


def problem_types():
    """Return all problems of the zoo, by name."""
    return {bug.problem.name: bug.problem for bug in zoo.bugs()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problem")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", default="", help="outcomes to print")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    count = collections.Counter()
    for name, problem_type in problem_types().items():
        if args.problem not in (None, name):
            continue
        started = time.perf_counter()
        here = collections.Counter()
        for outcome, what, before, after, report in graded(
            problem_type, args.share, rng
        ):
            here[outcome] += 1
            if outcome in args.show.split(",") or args.show == "all":
                print(f"{outcome} | {name} | {what} | {before} | {after}")
                for cause in report.causes[:2]:
                    print(f"      {cause.code}: {cause.message}")
        count += here
        seconds = time.perf_counter() - started
        print(
            f"{name}: {sum(here.values())} mutants, {here['unknown']} unknown, "
            f"{seconds:.0f} s",
            flush=True,
        )
    total = sum(count.values())
    for outcome, n in count.most_common():
        print(f"{outcome:18} {n:6}  {100 * n / total:5.1f} %")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
