"""A pytest plugin: the fixture ``check_gradient``, which fails with the report."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastgrad.reports import GradientReport


@pytest.fixture(scope="session")
def check_gradient() -> "Callable[..., GradientReport]":
    """Check a gradient as `fastgrad.check_gradient` does; fail unless it is correct.

    A gradient about which nothing can be said fails too. Returns the report.
    """

    def check(*args: Any, **kwargs: Any) -> "GradientReport":
        __tracebackhide__ = True
        # Imported when used: the plugin is loaded by every run of pytest.
        from fastgrad.checking.check import check_gradient

        report = check_gradient(*args, **kwargs)
        if not report.ok:
            pytest.fail(f"\n{report}")
        return report

    return check
