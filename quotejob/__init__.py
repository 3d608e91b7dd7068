"""quotejob does the work of Batch Apex outside a Salesforce org: jobs, the flex queue, schedules, pricing.

What you may import:

* ``quotejob``, the names below: the words of jobs and schedules, what a job type is made of, and the errors;
* :mod:`quotejob.usercode`: what job types of your own are made of (docs/your-code.md);
* :mod:`quotejob.testing`: the scheduler in simulated time, for tests (docs/testing.md);
* :mod:`quotejob.pricing`: prices as pure functions, and :func:`quotejob.pricing.load_rules` for ``pricing.yaml``;
* :mod:`quotejob.errors`: every error, with its code and its HTTP status.

Everything else may change with any version. Scripts and other programs use the HTTP API or ``bin/quotejob``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quotejob.errors import QuotejobError
from quotejob.jobs.job import DependsOnOutcome, Job, JobType, Status
from quotejob.run.receipt import Outcome, Receipt, Result

if TYPE_CHECKING:
    from quotejob.jobtypes.base import JobHandler
    from quotejob.pricing.model import PricedLine, PricedQuote
    from quotejob.run.context import Run
    from quotejob.run.waves import pages_of_wave, store_plan
    from quotejob.schedules.schedule import Misfire, Overlap, State
    from quotejob.usercode.pricing.opportunities import Opportunity, OpportunityLine
    from quotejob.usercode.rows import Row, children, path
    from quotejob.usercode.trouble import Retry
    from quotejob.usercode.writes import Skip

__all__ = [  # noqa: RUF022 - grouped by subject
    # The words of a job
    "DependsOnOutcome",
    "Job",
    "JobType",
    "Status",
    # The words of a schedule
    "Misfire",
    "Overlap",
    "State",
    # What happened to a record
    "Outcome",
    "Result",
    # To write a job type
    "JobHandler",
    "Receipt",
    "Run",
    "pages_of_wave",
    "store_plan",
    # Records as users' own code reads them, and prices as it sets them
    "Opportunity",
    "OpportunityLine",
    "PricedLine",
    "PricedQuote",
    "Retry",
    "Row",
    "Skip",
    "children",
    "path",
    # The root of all errors
    "QuotejobError",
]

# These need the org client or cron expressions, which start slowly: they are imported at first use.
_LATER = {
    "JobHandler": "quotejob.jobtypes.base",
    "Misfire": "quotejob.schedules.schedule",
    "Overlap": "quotejob.schedules.schedule",
    "Opportunity": "quotejob.usercode.pricing.opportunities",
    "OpportunityLine": "quotejob.usercode.pricing.opportunities",
    "PricedLine": "quotejob.pricing.model",
    "PricedQuote": "quotejob.pricing.model",
    "Retry": "quotejob.usercode.trouble",
    "Row": "quotejob.usercode.rows",
    "Run": "quotejob.run.context",
    "Skip": "quotejob.usercode.writes",
    "State": "quotejob.schedules.schedule",
    "children": "quotejob.usercode.rows",
    "pages_of_wave": "quotejob.run.waves",
    "path": "quotejob.usercode.rows",
    "store_plan": "quotejob.run.waves",
}


def __getattr__(name: str) -> Any:
    """Import one of the names that are imported at first use. Raises AttributeError for any other name."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
