"""A new job: the org checks the clause while it is typed, and says what the job would do; then it is submitted."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, render_template, request, url_for

from console.pages import blueprint, page, person, proven, services, told
from quotejob.asking import proof
from quotejob.asking.forecast import forecast
from quotejob.errors import InvalidRequest, QuotejobError
from quotejob.jobs.job import MAX_NAME_LENGTH, BuiltIn
from quotejob.jobs.options import Options
from quotejob.jobtypes.sample_data import MAX_OPPORTUNITIES
from quotejob.salesforce.clause import check_clause
from tasks import workers


@blueprint.get("/submit")
def submit() -> Response:
    """Show the form."""
    given = request.args.get
    return page("submit.html", clause=given("clause", ""), name=given("name", "")[:MAX_NAME_LENGTH], found=None)


@blueprint.post("/submit/check")
def check() -> str:
    """Ask the org about a clause that is being typed. Its answer is shown under the field."""
    return render_template("parts/check.html", **_checked(request.form.get("clause", "")))


def _checked(text: str) -> dict[str, Any]:
    try:
        clause = check_clause(text)
        context = person()
        return {"found": forecast(context, BuiltIn.BATCH_QUOTE, clause, services()), "error": None}
    except InvalidRequest as refusal:
        return {"found": None, "error": refusal.details[0]["message"]}
    except QuotejobError as refusal:
        return {"found": None, "error": refusal.message}


@blueprint.post("/submit")
def run() -> Response:
    """Submit a job. A clause that is refused is kept in the form."""
    context = proven()
    text, name = request.form.get("clause", ""), request.form.get("name", "").strip()
    try:
        if len(name) > MAX_NAME_LENGTH:
            raise InvalidRequest.field("name", f"should be a text of at most {MAX_NAME_LENGTH} characters")
        clause = check_clause(text)
        proof.check_clause_in_org(context, clause, services())
        key = request.form.get("once") or None
        job, _ = services().jobs.submit(
            context,
            BuiltIn.BATCH_QUOTE,
            name=name or None,
            soql_where_clause=clause,
            options=Options(dry_run=bool(request.form.get("dry"))),
            idempotency_key=key,
        )
    except QuotejobError as refusal:
        return page("submit.html", clause=text, name=name, found=None, error=refusal.message)
    workers.dispatch_org(services(), context.org_id)
    return told(url_for("console.job", job_id=job.job_id), "Accepted.")


@blueprint.post("/submit/samples")
def samples() -> Response:
    """Make sample Opportunities."""
    context, number = proven(), whole_number(request.form.get("number", ""))
    job, _ = services().jobs.submit(context, BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=number)
    workers.dispatch_org(services(), context.org_id)
    return told(url_for("console.job", job_id=job.job_id), "Accepted.")


def whole_number(given: str) -> int:
    """Return how many sample Opportunities a form asks for. Raises InvalidRequest."""
    if not re.fullmatch(r"[0-9]{1,9}", given) or not 1 <= int(given) <= MAX_OPPORTUNITIES:
        raise InvalidRequest.field("numberOfOpportunities", f"should be a whole number from 1 to {MAX_OPPORTUNITIES:,}")
    return int(given)
