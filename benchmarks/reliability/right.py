"""Right gradients under hostile conditions: none is called wrong.

Cancellation, kinks, ties, saturation, huge and tiny scales, float32 and noise, on both
engines; what is counted is entries. Other checkers on the same conditions:
`verdicts.py`.
"""

from hostile import conditions

import fastgrad as fg

CLAIM = "entries of right gradients, hostile conditions: none called wrong"
CASES, SHORT = 400, 20


def chosen(seed):
    """A condition, and the engine it is checked with."""
    every = conditions(seed // 80)
    of_seed = list(every)
    condition = of_seed[seed % 40 % len(of_seed)]
    engine = (
        "python" if seed % 80 >= 40 and "engine" not in condition.options else "auto"
    )
    return condition, engine


def check(condition, engine, grads):
    coverage = 400 if engine == "python" else "full"
    options = {"engine": engine, "coverage": coverage, **condition.options}
    return fg.check_gradient(condition.loss, condition.params, grads, **options)


def case(seed):
    condition, engine = chosen(seed)
    report = check(condition, engine, condition.grads(condition.params))
    wrong = [f"{e.block}{list(e.index)}" for e in report.wrong]
    causes = [cause.code for cause in report.causes]
    found = wrong[:5] + causes
    return report.checked, [f"{condition.name} ({engine}): {found}"] if found else []
