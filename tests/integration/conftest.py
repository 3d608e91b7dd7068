"""What the tests of jobs and schedules share."""

from __future__ import annotations

import pytest
from _callers import new_caller

from quotejob.salesforce.caller import CallerContext


@pytest.fixture
def caller() -> CallerContext:
    """A caller of an org of its own, so that tests do not meet."""
    return new_caller()
