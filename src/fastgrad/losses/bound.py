"""Functions of more than their parameters."""

from collections.abc import Callable
from typing import Any


def bound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[Any], Any]:
    """Return ``function(params, *args, **kwargs)`` as a function of `params` alone.

    Examples
    --------
    >>> bound(lambda p, x, *, y: p * x + y, (3,), {"y": 1})(2)
    7
    """
    return Bound(function, args, kwargs) if args or kwargs else function


class Bound:
    """What `bound` returns: it can be pickled if its parts can."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.__wrapped__, self.args, self.kwargs = function, args, kwargs

    def __call__(self, params: Any) -> Any:
        """Return what the function returns."""
        return self.__wrapped__(params, *self.args, **self.kwargs)
