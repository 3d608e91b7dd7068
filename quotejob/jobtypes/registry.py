"""The registered job types, one line each. Workers and the sweep find a job's handler here by its name."""

from __future__ import annotations

from quotejob.errors import UnknownJobType
from quotejob.jobtypes.base import JobHandler
from quotejob.jobtypes.quotes.handler import BatchQuote
from quotejob.jobtypes.sample_data import SampleDataCreate, SampleDataDelete

_HANDLERS: dict[str, JobHandler] = {}


def register(handler: JobHandler) -> None:
    """Register a job type. Raises ValueError if another handler has its name."""
    if _HANDLERS.setdefault(handler.name, handler) is not handler:
        raise ValueError(f"There is already a job type {handler.name}")


def handler_of(job_type: str) -> JobHandler:
    """Return the handler of a job type. Raises UnknownJobType if this process has none."""
    try:
        return _HANDLERS[job_type]
    except KeyError:
        raise UnknownJobType(f"This process does not know the job type {job_type}; it knows {names()}") from None


def names() -> str:
    """Return the names of the job types, separated by commas, for a message."""
    return ", ".join(_HANDLERS)


register(BatchQuote())
register(SampleDataCreate())
register(SampleDataDelete())
