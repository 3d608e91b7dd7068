"""The `seed` profile against the two figures it is calibrated on, by arithmetic: nothing here waits.

The reference sample publishes for 5,000 Opportunities: about 24 s with its worker of 20 threads, which write batches of
200 records, and about 150 s with Batch Apex, which writes one batch after the other.
"""

from __future__ import annotations

from math import ceil

import pytest

from localorg.lab.costs import PROFILES
from localorg.lab.stats import Work

OPPORTUNITIES = 5_000
LINES = 2  # of each Opportunity, as in the sample's own data
PAGE = 2_000  # rows of a query page, child rows included
BATCH = 200  # records of one write
SEED = PROFILES["seed"]


def reading() -> float:
    """Seconds to read all Opportunities with their lines, page after page."""
    rows = OPPORTUNITIES * (1 + LINES)
    return ceil(rows / PAGE) * SEED.delay(Work(), "query") + SEED.delay(Work(rows_read=rows), "query") - SEED.request


def writing(records: int, writers: int) -> float:
    """Seconds to write so many records in batches, with so many batches at a time."""
    work = Work()
    work.write("Quote", BATCH)
    return ceil(records / BATCH / writers) * SEED.delay(work, "composite/sobjects")


def whole_job(writers: int) -> float:
    """Reading, then the Quotes, then their lines, which need the Quotes' ids."""
    return reading() + writing(OPPORTUNITIES, writers) + writing(OPPORTUNITIES * LINES, writers)


def test_twenty_writers_take_about_24_seconds() -> None:
    assert whole_job(writers=20) == pytest.approx(24, rel=0.25)


def test_one_writer_takes_about_150_seconds() -> None:
    assert whole_job(writers=1) == pytest.approx(150, rel=0.15)
