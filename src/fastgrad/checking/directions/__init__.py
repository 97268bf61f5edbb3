"""Along random directions: many entries in one evaluation.

- `bisection`: to the few entries of a large gradient that are wrong.
- `agreement`: of a program with the user's function, which has the last word.
"""

from fastgrad.checking.directions.agreement import (
    first_disagreement,
    first_disagreement_along,
)
from fastgrad.checking.directions.bisection import (
    UNLUCKY,
    Search,
    locate,
    refuse_formula,
    searched_error,
)

__all__ = [
    "UNLUCKY",
    "Search",
    "first_disagreement",
    "first_disagreement_along",
    "locate",
    "refuse_formula",
    "searched_error",
]
