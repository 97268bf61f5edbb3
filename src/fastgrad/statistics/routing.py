"""What scikit-learn's metadata routing asks of an estimator, without needing it."""

from __future__ import annotations

from typing import Any, Self

_UNCHANGED = "$UNCHANGED$"  # as scikit-learn writes it


# What methods of a transformer take besides the data.
_FURTHER = {
    "fit": "sample_weight",
    "partial_fit": "sample_weight",
    "transform": "copy",
    "inverse_transform": "copy",
}


class Requests:
    """Which further arguments of its methods a transformer asks a pipeline for."""

    def get_metadata_routing(self) -> Any:
        """Return scikit-learn's ``MetadataRequest`` of this estimator, a copy."""
        from sklearn.utils.metadata_routing import (
            MetadataRequest,
            get_routing_for_object,
        )

        if "_metadata_request" in self.__dict__:  # what a clone takes along
            return get_routing_for_object(self._metadata_request)
        request = MetadataRequest(owner=self)
        for method, argument in _FURTHER.items():
            getattr(request, method).add_request(param=argument, alias=None)
        return request

    def _ask(self, method: str, alias: Any) -> Self:
        from sklearn import get_config

        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "Metadata routing must be enabled, by "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        request = self.get_metadata_routing()
        if alias != _UNCHANGED:
            argument = _FURTHER[method]
            getattr(request, method).add_request(param=argument, alias=alias)
        self._metadata_request = request
        return self

    def set_fit_request(self, *, sample_weight: Any = _UNCHANGED) -> Self:
        """Ask a pipeline for the weights of `fit`.

        True and False: whether; a string: under this name; None: not said.
        """
        return self._ask("fit", sample_weight)

    def set_partial_fit_request(self, *, sample_weight: Any = _UNCHANGED) -> Self:
        """Ask for the weights of `partial_fit`, as `set_fit_request` does."""
        return self._ask("partial_fit", sample_weight)

    def set_transform_request(self, *, copy: Any = _UNCHANGED) -> Self:
        """Ask for the `copy` of `transform`, as `set_fit_request` does."""
        return self._ask("transform", copy)

    def set_inverse_transform_request(self, *, copy: Any = _UNCHANGED) -> Self:
        """Ask for the `copy` of `inverse_transform`, as `set_fit_request` does."""
        return self._ask("inverse_transform", copy)
