"""Counts and figures of jobs on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from marshmallow import fields

from api.wire.fields import NULLABLE, CamelCase, described, name_of_job_type, word
from quotejob.jobs.job import Status


def _number(text: str) -> fields.Float:
    return fields.Float(required=True, allow_none=NULLABLE, metadata=described(text))


class JobStatusCountSchema(CamelCase):
    """How many jobs have a status."""

    status = word(Status, required=True)
    jobs = fields.Integer(required=True)


class JobTypeCountSchema(CamelCase):
    """How many jobs are of a type."""

    job_type = name_of_job_type()
    jobs = fields.Integer(required=True)


class JobStatusTypeCountSchema(CamelCase):
    """How many jobs of a type have a status."""

    status = word(Status, required=True)
    job_type = name_of_job_type()
    jobs = fields.Integer(required=True)


class FiguresSchema(CamelCase):
    """A distribution. All are null if there are no values. Each percentile is one of the values."""

    count = fields.Integer(required=True, metadata=described("Number of jobs that count here"))
    mean = _number("The mean")
    p50 = _number("The median")
    p90 = _number("90 of 100 values are not larger")
    p95 = _number("95 of 100 values are not larger")
    p99 = _number("99 of 100 values are not larger")
    max = _number("The largest value")


class EstimateQualitySchema(CamelCase):
    """How wrong the first estimates of jobs were. All are null if there is nothing to compare."""

    count = fields.Integer(required=True, metadata=described("Number of jobs that count here"))
    median_error_seconds = _number("The median error, too early or too late")
    p90_error_seconds = _number("90 of 100 errors are not larger")
    median_error_share = _number(
        "The median error, as a share of the time that was still ahead when the estimate was made"
    )
    bias_seconds = _number("The median error with its sign: positive if it happened later than estimated")


class ForecastQualitySchema(CamelCase):
    """How wrong forecasts of jobs were. All are null if there is nothing to compare."""

    count = fields.Integer(required=True, metadata=described("Number of jobs that count here"))
    median_calls_error_share = _number("The median error of the API calls, as a share of those that the job made")
    p90_calls_error_share = _number("90 of 100 of these errors are not larger")
    median_seconds_ratio = _number("The real seconds as a multiple of the forecast, the median")
    within_factor = _number("The share of jobs whose seconds were within a factor of 1.5 of the forecast")


class JobSummarySchema(CamelCase):
    """Figures of jobs."""

    total = fields.Integer(required=True, metadata=described("Number of jobs"))
    by_status = fields.List(
        fields.Nested(JobStatusCountSchema), required=True, metadata=described("In the order of a job's life")
    )
    by_job_type = fields.List(fields.Nested(JobTypeCountSchema), required=True)
    by_status_and_job_type = fields.List(
        fields.Nested(JobStatusTypeCountSchema), required=True, metadata=described("Only those with at least one job")
    )
    waiting_seconds = fields.Nested(FiguresSchema, required=True)
    run_seconds = fields.Nested(FiguresSchema, required=True)
    records_per_second = fields.Nested(FiguresSchema, required=True)
    start_estimates = fields.Nested(EstimateQualitySchema, required=True)
    end_estimates = fields.Nested(EstimateQualitySchema, required=True)
    forecasts = fields.Nested(ForecastQualitySchema, required=True)
