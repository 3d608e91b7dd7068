"""A Quote job that a test has run in its own process, and the lines of Opportunities that it prices."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from harness.api import Json
from quotejob.jobs.job import Job
from quotejob.run.receipt import Result


class Ran:
    """A job that has ended, and its results by record id."""

    def __init__(self, job: Job, results: Iterable[Result]) -> None:
        self.job = job
        self.results = {result.record_id: result for result in results}


def line(quantity: float | str, price: float | str | None = None, **fields: Any) -> Json:
    """Return the fields of an Opportunity's line."""
    priced = {} if price is None else {"UnitPrice": float(Decimal(price))}
    return {"Quantity": float(Decimal(quantity)), **priced, **fields}
