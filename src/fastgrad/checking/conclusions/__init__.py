"""From a verdict on each entry to a report.

- `summary`: the report, with the power of the check: planted errors must be caught.
- `notes`: what was left open, and what would help.
- `explanation`: why the gradient is wrong, as `fastgrad.causes` finds it.
"""

from fastgrad.checking.conclusions.explanation import explained
from fastgrad.checking.conclusions.summary import summarize, summarize_search

__all__ = [
    "explained",
    "summarize",
    "summarize_search",
]
