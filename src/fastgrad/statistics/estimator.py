"""What scikit-learn asks of a transformer, without needing scikit-learn."""

from __future__ import annotations

import html
import inspect
import sys
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Transformer:
    """Parameters, printing, tags and names of a one-to-one transformer.

    Subclasses have keyword-only constructor arguments, stored unchanged, and once
    fitted `n_features_in_` and, if there are names, `feature_names_in_`.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor."""
        return {name: getattr(self, name) for name in _defaults(type(self))}

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the constructor.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        known = list(_defaults(type(self)))
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. "
                    f"Valid parameters are: {known!r}."
                )
            setattr(self, name, value)
        return self

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` gives: "default" (an array), "pandas" or "polars".

        Raises
        ------
        ValueError
            If `transform` is something else. None changes nothing.
        """
        if transform not in (None, "default", "pandas", "polars"):
            raise ValueError(
                "`transform` must be 'default', 'pandas', 'polars' or None, "
                f"got {transform!r}."
            )
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def _output_kind(self) -> str:
        configured = self.__dict__.get("_sklearn_output_config")
        sklearn = sys.modules.get("sklearn")
        if configured is None and sklearn is not None:
            configured = {"transform": sklearn.get_config()["transform_output"]}
        return str(configured["transform"]) if configured else "default"

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Return the names of the features: given, those of `fit`, or x0, x1, ...

        Raises
        ------
        ValueError
            If the given names are not those of `fit`, or not as many.
        """
        self._must_be_fitted()
        known: Any = getattr(self, "feature_names_in_", None)
        count: int = getattr(self, "n_features_in_")  # noqa: B009
        if input_features is None:
            names = [f"x{i}" for i in range(count)]
            return np.array(names, dtype=object) if known is None else known
        given = np.asarray(input_features, dtype=object)
        if known is not None and not np.array_equal(known, given):
            raise ValueError("input_features is not equal to feature_names_in_")
        if len(given) != count:
            raise ValueError(
                "input_features should have length equal to number of features "
                f"({count}), got {len(given)}"
            )
        return given

    def __repr__(self) -> str:
        """Show the parameters that are not the defaults."""
        defaults = _defaults(type(self))
        shown = [f"{k}={v!r}" for k, v in self.get_params().items() if v != defaults[k]]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """Show what scikit-learn shows of its estimators, where it is in use."""
        if "sklearn" not in sys.modules:
            return f"<pre>{html.escape(repr(self))}</pre>"
        from sklearn.utils import estimator_html_repr

        return str(estimator_html_repr(self))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(allow_nan=True),
        )

    def _must_be_fitted(self) -> None:
        if self.__sklearn_is_fitted__():
            return
        exceptions = sys.modules.get("sklearn.exceptions")
        error = exceptions.NotFittedError if exceptions else ValueError
        raise error(
            f"This {type(self).__name__} instance is not fitted yet: call `fit` first."
        )


def _defaults(cls: type) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters
    return {name: parameter.default for name, parameter in parameters.items()}
