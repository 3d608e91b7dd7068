"""quotejob: Salesforce batches, outside the org. What users import is below; the rest may change with any version."""

from quotejob.jobs.job import DependsOnOutcome, JobType, Status

__all__ = [
    # The words of a job; quotejob.testing, quotejob.pricing and quotejob.errors have the rest that users import.
    "DependsOnOutcome",
    "JobType",
    "Status",
]
