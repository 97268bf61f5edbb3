"""False alarms and misses of gradient checks, in hostile conditions.

    python benchmarks/verdicts.py [--seeds 2] [--entries 100] [--engine auto]

For every condition of `hostile.py`: of the entries of a correct gradient, how many are
called wrong; of entries that are 1 % off, how many are not called wrong.

fastgrad is asked about every entry, the others about `--entries` of each condition:
scipy, numdifftools and jacobi by their own functions; torch and JAX, which accept no
loss written in NumPy, by their documented rules (central differences, the step and the
tolerances of their float64 defaults).
"""

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hostile import Condition, conditions

import fastgrad as fg
from fastgrad.losses import make_losses

Array = np.ndarray
# A rule: value at (index, points) -> derivatives and allowances of some entries.
Rule = Callable[[Any, Array, Array], tuple[Array, Array]]


def fixed_step(step: float, atol: float, rtol: float) -> Rule:
    """Central differences with one step, and numpy.allclose."""

    def rule(losses: Any, index: Array, analytic: Array) -> tuple[Array, Array]:
        x = losses.theta[index]
        high = losses.representable(index, x + step)
        low = losses.representable(index, x - step)
        up, down = losses.at_entries(index, high)[0], losses.at_entries(index, low)[0]
        numerical = (up - down) / (2 * step)
        return numerical, atol + rtol * np.abs(numerical)

    return rule


def along(losses: Any, i: int) -> Callable[[float], float]:
    """The loss as a function of one entry."""

    def f(x: Any) -> Any:
        values = np.atleast_1d(np.asarray(x, dtype=np.float64)).ravel()
        out = losses.base + losses.at_entries(np.full(len(values), i), values)[0]
        return out.reshape(np.shape(x)) if np.ndim(x) else float(out[0])

    return f


def scipy_rule(losses: Any, index: Array, analytic: Array) -> tuple[Array, Array]:
    """scipy.optimize.approx_fprime, asserted as its users do: 1e-5 relative."""
    from scipy.optimize import approx_fprime

    numerical = np.array(
        [
            approx_fprime(
                losses.theta[i : i + 1], lambda x, i=i: along(losses, i)(x[0])
            )[0]
            for i in index
        ]
    )
    return numerical, 1e-5 * np.maximum(1, np.abs(numerical))


def numdifftools_rule(
    losses: Any, index: Array, analytic: Array
) -> tuple[Array, Array]:
    """numdifftools.Derivative with ten times its own error estimate."""
    import numdifftools as nd

    value, error = np.empty(len(index)), np.empty(len(index))
    for k, i in enumerate(index):
        result = nd.Derivative(along(losses, i), full_output=True)(losses.theta[i])
        value[k] = np.squeeze(result.estimate)
        error[k] = np.squeeze(result.error_estimate)
    return value, 10 * error + 1e-12 * np.abs(value)


def jacobi_rule(losses: Any, index: Array, analytic: Array) -> tuple[Array, Array]:
    """jacobi.jacobi with ten times its own error estimate."""
    from jacobi import jacobi

    results = [jacobi(along(losses, i), losses.theta[i]) for i in index]
    value = np.array([float(np.squeeze(v)) for v, _ in results])
    error = np.array([float(np.squeeze(e)) for _, e in results])
    return value, 10 * error + 1e-12 * np.abs(value)


RULES: dict[str, tuple[str, Rule]] = {
    "scipy": ("scipy", scipy_rule),
    "torch's rule": ("", fixed_step(1e-6, 1e-5, 1e-3)),
    "JAX's rule": ("", fixed_step(1e-4, 1e-5, 1e-5)),
    "course's rule": ("", fixed_step(1e-7, 0.0, 1e-7)),
    "numdifftools": ("numdifftools", numdifftools_rule),
    "jacobi": ("jacobi", jacobi_rule),
}


def installed(module: str) -> bool:
    try:
        __import__(module or "numpy")
    except ImportError:
        return False
    return True


def measure_fastgrad(c: Condition, engine: str, seed: int) -> dict[str, int]:
    """Check the correct gradient, and one in which every twentieth entry is 1 % off."""
    right = c.grads(c.params)
    report = fg.check_gradient(c.loss, c.params, right, engine=engine, **c.options)
    counts = {
        "entries": report.checked,
        "evaluations": report.evaluations,
        "alarms": len(report.wrong),
        "undecided": sum(block.undecided for block in report.blocks),
        "kinks": sum(block.at_kink for block in report.blocks),
        "unobservable": sum(block.unobservable for block in report.blocks),
    }
    rng, planted, wrong = np.random.default_rng(seed), set(), {}
    largest = max(np.abs(g).max(initial=0.0) for g in right.values())
    numerical, error = report.numerical, report.error
    for name, g in right.items():
        wrong[name] = g = np.array(g)
        # Where the loss has a slope, and the noise leaves 1 % of it to be seen.
        bar, slope = np.asarray(error[name]), np.abs(np.asarray(numerical[name]))
        seen = (np.abs(g) > 1e-11 * largest) & (bar < 0.005 * slope)
        for i in np.argwhere(seen & (rng.random(g.shape) < 0.05)):
            g[tuple(i)] *= 1.01
            planted.add((name, tuple(i.tolist())))
    report = fg.check_gradient(c.loss, c.params, wrong, engine=engine, **c.options)
    found = {(entry.block, entry.index) for entry in report.wrong}
    counts["planted"] = len(planted)
    counts["missed"] = len(planted - found)
    counts["accused beside"] = len(found - planted)
    return counts


def measure_rule(c: Condition, rule: Rule, entries: int) -> tuple[int, int, int]:
    """Return alarms, misses of 1 % errors and entries asked about."""
    with make_losses(c.loss, c.params, engine="python", **c.options) as losses:
        analytic = losses.nest.vector(c.grads(c.params), "grads")
        rng = np.random.default_rng(0)
        alive = np.flatnonzero(np.abs(analytic) > 1e-11 * np.abs(analytic).max())
        index = np.sort(rng.choice(alive, min(entries, alive.size), replace=False))
        a = analytic[index]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            numerical, allowed = rule(losses, index, a)
        alarms = np.count_nonzero(~(np.abs(a - numerical) <= allowed))
        misses = np.count_nonzero(np.abs(1.01 * a - numerical) <= allowed)
    return alarms, misses, len(index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--entries", type=int, default=60)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--only-fastgrad", action="store_true")
    options = parser.parse_args()
    rules = {
        name: rule
        for name, (module, rule) in RULES.items()
        if installed(module) and not options.only_fastgrad
    }
    total: dict[str, int] = {}
    others = {name: np.zeros(3, dtype=int) for name in rules}
    header = f"{'condition':34s}{'entries':>8s}{'eval/e':>7s}{'alarms':>7s}"
    header += f"{'undec.':>7s}{'kink':>6s}{'unobs.':>7s}{'planted':>8s}{'missed':>7s}"
    print(header + "".join(f"{name:>16s}" for name in rules))
    for seed in range(options.seeds):
        for c in conditions(seed):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                n = measure_fastgrad(c, options.engine, seed)
            total = {key: total.get(key, 0) + n[key] for key in n}
            line = f"{c.name:34s}{n['entries']:8d}"
            line += f"{n['evaluations'] / n['entries']:7.2f}{n['alarms']:7d}"
            line += f"{n['undecided']:7d}{n['kinks']:6d}{n['unobservable']:7d}"
            line += f"{n['planted']:8d}{n['missed']:7d}"
            for name, rule in rules.items():
                counts = np.array(measure_rule(c, rule, options.entries))
                others[name] += counts
                shares = 100 * counts[:2] / max(1, counts[2])
                line += f"{shares[0]:8.0f}% {shares[1]:5.0f}% "
            print(line, flush=True)
    print("\nfastgrad:", ", ".join(f"{key} {value:,}" for key, value in total.items()))
    for name, (alarms, misses, asked) in others.items():
        print(
            f"{name}: {100 * alarms / asked:.1f} % of {asked:,} entries false alarms, "
            f"{100 * misses / asked:.1f} % of 1 % errors missed"
        )


if __name__ == "__main__":
    main()
