"""What a schedule submits: the fields of its jobs, which have to fit the job type."""

from __future__ import annotations

from typing import Any

from quotejob.errors import InvalidRequest
from quotejob.jobs.job import BuiltIn
from quotejob.jobtypes import registry
from quotejob.salesforce.clause import FIELD
from quotejob.usercode import parameters

_SAMPLE_DATA = (BuiltIn.SAMPLE_DATA_CREATE, BuiltIn.SAMPLE_DATA_DELETE)


def what_to_submit(
    job_type: str, clause: str | None, number_of_opportunities: int | None, given: parameters.Pairs = ()
) -> dict[str, Any]:
    """Return the fields of the job to submit. Raises InvalidRequest if they do not fit the job type.

    ``number_of_opportunities`` counts for sample data only. The clause is checked as text only: the org is not asked.
    ``commit_by`` is among them, as None, only where it has no meaning: a schedule whose job type changes may have one.
    """
    if not registry.is_known(job_type):
        raise InvalidRequest.field("jobType", f"should be the name of a job type: {registry.names()}")
    none: dict[str, Any] = {} if registry.has_choice_of_commit(job_type) else {"commit_by": None}
    if job_type not in _SAMPLE_DATA:
        fields = registry.checked(job_type, clause, given)
        return {**none, **fields, "parameters": tuple(fields["parameters"]), "number_of_opportunities": None}
    for field, sent in ((FIELD, clause is not None), (parameters.FIELD, bool(given))):
        if sent:
            raise InvalidRequest.field(field, f"has no meaning for {job_type}; leave it out")
    number = number_of_opportunities if job_type == BuiltIn.SAMPLE_DATA_CREATE else None
    return {**none, "soql_where_clause": None, "parameters": (), "number_of_opportunities": number}
