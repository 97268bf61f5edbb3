"""Check gradients while a model trains, in a stated share of the time.

A gradient that is right at initialisation can go wrong later: a branch that is first
taken then, an activation that saturates, a buffer that is reused. Random directions
need some twenty evaluations of the loss per block of parameters, so they can be
afforded now and then throughout.
"""

import time
from collections.abc import Callable
from typing import Any

from fastgrad._arguments import flag, function, number
from fastgrad.checking.check import check_gradient
from fastgrad.checking.directions import refuse_formula
from fastgrad.reports import GradientError, GradientReport


class GradientMonitor:
    """Checks the gradients of a training loop, at the start and as time allows.

    Parameters
    ----------
    loss : callable, optional
        ``loss(params)``, as for `check_gradient`. Where the batch changes from step to
        step, hand the loss of the batch to `step` instead.
    share : float
        Of the time since the first step, the part that checks may take; the check of
        the first step does not count.
    initial : {"full", "locate"} or int
        Coverage of the check of the first step.
    raise_if_wrong : bool
        Raise `GradientError` at the step whose gradient is wrong.
    **options
        For `check_gradient`, in every check: `rtol`, `reduction`, ...

    Attributes
    ----------
    steps : int
        Steps seen.
    checked : list of int
        The steps that were checked, from 0.
    first_wrong : int or None
        The first step whose gradient was wrong.
    report : GradientReport or None
        The last check; of the first wrong step once there is one.

    Examples
    --------
    >>> import numpy as np
    >>> w, monitor = np.array([2.0, -1.0]), GradientMonitor(lambda w: np.sum(w**4))
    >>> for _ in range(20):
    ...     gradient = 4 * w**3
    ...     _ = monitor.step(w, gradient)
    ...     w -= 0.01 * gradient
    >>> monitor.ok, monitor.checked[0]
    (True, 0)
    """

    def __init__(
        self,
        loss: Callable[[Any], Any] | None = None,
        *,
        share: float = 0.05,
        initial: str | int = "full",
        raise_if_wrong: bool = False,
        **options: Any,
    ) -> None:
        share = number("share", share, above=0, most=1)
        flag("raise_if_wrong", raise_if_wrong)
        if loss is not None:
            function("loss", loss)
        if options.get("coverage", "locate") == "locate":
            refuse_formula(options.get("method", "auto"), options.get("step"))
        self.loss, self.share, self.initial = loss, share, initial
        self.raise_if_wrong, self.options = raise_if_wrong, options
        self.steps = 0
        self.checked: list[int] = []
        self.first_wrong: int | None = None
        self.report: GradientReport | None = None
        self._started = 0.0
        self._spent = 0.0
        self._longest = 0.0

    @property
    def ok(self) -> bool:
        """Whether something was checked and no gradient was wrong."""
        return bool(self.checked) and self.first_wrong is None

    def step(
        self, params: Any, grads: Any, loss: Callable[[Any], Any] | None = None
    ) -> GradientReport | None:
        """Take note of a step; check its gradient if there is time.

        Parameters
        ----------
        params : nest of arrays
            As they are when `grads` belong to them: call this before the update.
        grads : nest of arrays or callable
            Their gradient.
        loss : callable, optional
            The loss of this step, if it is another than the monitor's.

        Returns
        -------
        GradientReport or None
            None where the step was not checked.

        Raises
        ------
        GradientError
            If the gradient is wrong and `raise_if_wrong` is set.
        TypeError, ValueError
            As `check_gradient`; if there is no loss.
        """
        loss = self.loss if loss is None else loss
        if loss is None:
            raise TypeError("`loss` must be given here or to the monitor, got None.")
        number, self.steps = self.steps, self.steps + 1
        now = time.perf_counter()
        if number == 0:
            report = self._check(loss, params, grads, number, coverage=self.initial)
            self._started = time.perf_counter()
            return report
        if not self._affords(now):
            return None
        # A few evaluations: tracing the loss would take longer than they do.
        report = self._check(
            loss, params, grads, number, coverage="locate", engine="python"
        )
        taken = time.perf_counter() - now
        self._spent, self._longest = self._spent + taken, max(self._longest, taken)
        return report

    def __repr__(self) -> str:
        state = "ok" if self.ok else "nothing checked"
        if self.first_wrong is not None:
            state = f"wrong at step {self.first_wrong}"
        return (
            f"<GradientMonitor: {state}, {len(self.checked)} of {self.steps} steps "
            "checked>"
        )

    def _affords(self, now: float) -> bool:
        """Whether there is time for another check."""
        return self._spent + self._longest <= self.share * (now - self._started)

    def _check(
        self, loss: Any, params: Any, grads: Any, number: int, **how: Any
    ) -> GradientReport:
        report = check_gradient(
            loss, params, grads, **{"seed": number, **how, **self.options}
        )
        self.checked.append(number)
        if self.first_wrong is None:
            self.report = report
            if report.verdict == "wrong":
                self.first_wrong = number
        if self.raise_if_wrong and report.verdict == "wrong":
            raise GradientError(report)
        return report
