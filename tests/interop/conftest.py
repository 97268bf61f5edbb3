"""Here causes are looked for."""

import pytest


@pytest.fixture(autouse=True)
def _causes_are_looked_for(time_for_causes):
    pass
