"""The released networks, read once."""

import pytest
from methods.uaafusion.released import Released


@pytest.fixture(scope="session")
def released(shared):
    return Released(shared("official", "uaafusion"))
