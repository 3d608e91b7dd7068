"""quotejob does the work of Batch Apex outside a Salesforce org: jobs, the flex queue, schedules, pricing.

What you may import:

* ``quotejob``, the names below: the words of jobs and schedules, and what your own code is made of
  (docs/your-code.md);
* :mod:`quotejob.testing`: the scheduler in simulated time, for tests (docs/testing.md);
* :mod:`quotejob.pricing`: prices as pure functions, and :func:`quotejob.pricing.load_rules` for ``pricing.yaml``;
* :mod:`quotejob.errors`: every error, with its code and its HTTP status.

Everything else may change with any version. Scripts and other programs use the HTTP API or ``bin/quotejob``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quotejob.errors import QuotejobError
from quotejob.jobs.job import BuiltIn, DependsOnOutcome, Job, Status
from quotejob.run.receipt import Outcome, Receipt, Result

if TYPE_CHECKING:
    from quotejob.jobtypes.base import JobHandler
    from quotejob.pricing.model import PricedLine, PricedQuote
    from quotejob.run.context import Run
    from quotejob.run.waves import pages_of_wave, store_plan
    from quotejob.schedules.schedule import Misfire, Overlap, State
    from quotejob.usercode.context import Context, Finish
    from quotejob.usercode.jobtype import JobType, Keys
    from quotejob.usercode.pricing.decided import Decided
    from quotejob.usercode.pricing.opportunities import Opportunity, OpportunityLine
    from quotejob.usercode.rows import Key, Row, children, path
    from quotejob.usercode.trouble import Retry
    from quotejob.usercode.writes import Skip, Write, Yielded, deletes, inserts, updates, upserts

__all__ = [  # noqa: RUF022 - grouped by subject
    # The words of a job
    "BuiltIn",
    "DependsOnOutcome",
    "Job",
    "Status",
    # The words of a schedule
    "Misfire",
    "Overlap",
    "State",
    # What happened to a record
    "Outcome",
    "Result",
    # Records as your own code reads them
    "Key",
    "Row",
    "children",
    "path",
    # Prices as a function of your own sets them
    "Decided",
    "Opportunity",
    "OpportunityLine",
    "PricedLine",
    "PricedQuote",
    # Job types of your own
    "Context",
    "Finish",
    "JobType",
    "Keys",
    "Write",
    "Yielded",
    "deletes",
    "inserts",
    "updates",
    "upserts",
    # Both
    "Retry",
    "Skip",
    # To write a job type that comes with quotejob
    "JobHandler",
    "Receipt",
    "Run",
    "pages_of_wave",
    "store_plan",
    # The root of all errors
    "QuotejobError",
]

# These need marshmallow, the org client or cron expressions, which start slowly: they are imported at first use.
_LATER = {
    "Context": "quotejob.usercode.context",
    "Decided": "quotejob.usercode.pricing.decided",
    "Finish": "quotejob.usercode.context",
    "JobHandler": "quotejob.jobtypes.base",
    "JobType": "quotejob.usercode.jobtype",
    "Key": "quotejob.usercode.rows",
    "Keys": "quotejob.usercode.jobtype",
    "Misfire": "quotejob.schedules.schedule",
    "Opportunity": "quotejob.usercode.pricing.opportunities",
    "OpportunityLine": "quotejob.usercode.pricing.opportunities",
    "Overlap": "quotejob.schedules.schedule",
    "PricedLine": "quotejob.pricing.model",
    "PricedQuote": "quotejob.pricing.model",
    "Retry": "quotejob.usercode.trouble",
    "Row": "quotejob.usercode.rows",
    "Run": "quotejob.run.context",
    "Skip": "quotejob.usercode.writes",
    "State": "quotejob.schedules.schedule",
    "Write": "quotejob.usercode.writes",
    "Yielded": "quotejob.usercode.writes",
    "children": "quotejob.usercode.rows",
    "deletes": "quotejob.usercode.writes",
    "inserts": "quotejob.usercode.writes",
    "pages_of_wave": "quotejob.run.waves",
    "path": "quotejob.usercode.rows",
    "store_plan": "quotejob.run.waves",
    "updates": "quotejob.usercode.writes",
    "upserts": "quotejob.usercode.writes",
}


def __getattr__(name: str) -> Any:
    """Import one of the names that are imported at first use. Raises AttributeError for any other name."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
