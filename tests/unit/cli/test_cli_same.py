"""What the command line repeats of quotejob, because it imports nothing of it."""

from __future__ import annotations

from cli import options
from quotejob.jobs.job import BuiltIn
from quotejob.jobtypes.sample_data import MAX_OPPORTUNITIES


def test_what_is_written_twice_is_the_same() -> None:
    """How many sample Opportunities one job may create, and the names of the job types that come with quotejob."""
    assert options.MOST_OPPORTUNITIES == MAX_OPPORTUNITIES
    assert set(options.JobType.built_in) == set(BuiltIn)
