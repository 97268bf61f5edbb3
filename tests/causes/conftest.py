"""What is named does not depend on how busy a machine is."""

import pytest


@pytest.fixture(autouse=True)
def _time_to_search(monkeypatch):
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", 60.0)
