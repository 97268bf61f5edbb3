"""The pytest fixture: it fails with the report."""

import pytest

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(("factor", "outcome"), [(2, "passed"), (3, "failed")])
def test_the_fixture(pytester, factor, outcome):
    """A wrong gradient fails the test that checks it, and shows the report."""
    pytester.makepyfile(
        f"""
        import numpy as np

        def test_square(check_gradient):
            report = check_gradient(
                lambda w: (w**2).sum(), np.ones(3), lambda w: {factor} * w
            )
            assert report.ok
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**{outcome: 1})
    if outcome == "failed":
        result.stdout.fnmatch_lines(
            [
                "*report = check_gradient(*",
                "*Gradient WRONG: all 3 entries checked, 3 wrong*",
                "*params[[]0]*3.0*2.0*",
            ]
        )
        result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_the_fixture_fails_on_undecided(pytester):
    """A loss with dropout verifies nothing, and says so."""
    pytester.makepyfile(
        """
        import numpy as np

        def test_dropout(check_gradient):
            rng = np.random.default_rng(0)
            check_gradient(
                lambda w: (w * (rng.random(3) < 0.5)).sum(), np.ones(3), np.ones(3)
            )
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Gradient UNDECIDED*"])
