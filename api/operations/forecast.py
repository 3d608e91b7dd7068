"""The operation that says what a job would do and cost, before it is submitted."""

from __future__ import annotations

from typing import Any

from api import caller
from api.blueprint import Blueprint
from api.wire.forecast import ForecastRequestSchema, ForecastSchema
from quotejob.asking.forecast import forecast
from quotejob.forecast.ahead import JobForecast
from quotejob.jobs.options import Options
from quotejob.jobtypes import registry

blueprint = Blueprint("forecast", __name__, url_prefix="/api/forecast", description="Look ahead")
blueprint.before_request(caller.require_context)


@blueprint.operation(
    "",
    method="POST",
    name="forecastJob",
    body=ForecastRequestSchema,
    example={"soqlWhereClause": "Name LIKE 'Sample Opportunity%'"},
    answer=ForecastSchema,
    says="What the job would do and cost",
)
def forecast_job(body: dict[str, Any]) -> JobForecast:
    """Forecast a job

    Says what a job would do and cost if it were submitted now: records, API calls, minutes with a range, memory, and
    what may be wrong. Nothing is submitted. It sends at most two requests to the org. getJobSummary has how good
    earlier forecasts were.
    """
    context, job_type = caller.claimed(), body["job_type"]
    given = [(each["name"], each["value"]) for each in body.get("parameters", ())]
    asked = registry.checked(job_type, body.get("soql_where_clause"), given)
    registry.check_commit_by(job_type, body.get("commit_by"))
    options = Options(body["dry_run"], keep_api_calls=body.get("keep_api_calls"), commit_by=body.get("commit_by"))
    context = caller.authenticate(context)
    return forecast(context, job_type, asked["soql_where_clause"], caller.services(), options, given)
