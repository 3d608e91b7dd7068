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
    """A distribution; all null when there is nothing. Each percentile is a value that occurred."""

    count = fields.Integer(required=True, metadata=described("Of so many jobs"))
    mean = _number("The mean")
    p50 = _number("The median")
    p90 = _number("Nine in ten do not exceed it")
    p95 = _number("95 in a hundred do not exceed it")
    p99 = _number("99 in a hundred do not exceed it")
    max = _number("The largest")


class EstimateQualitySchema(CamelCase):
    """How far the first estimate of each job was from what came true; all null when there is nothing to compare."""

    count = fields.Integer(required=True, metadata=described("Of so many jobs"))
    median_error_seconds = _number("The median of what they were off by, too early or too late")
    p90_error_seconds = _number("Nine in ten were not off by more")
    median_error_share = _number(
        "The median error as a part of the time that was still ahead when the estimate was made"
    )
    bias_seconds = _number("The median with its sign: positive when things came later than estimated")


class JobSummarySchema(CamelCase):
    """Jobs in figures."""

    total = fields.Integer(required=True, metadata=described("Jobs in all"))
    by_status = fields.List(
        fields.Nested(JobStatusCountSchema), required=True, metadata=described("In the order of a job's life")
    )
    by_job_type = fields.List(fields.Nested(JobTypeCountSchema), required=True)
    by_status_and_job_type = fields.List(
        fields.Nested(JobStatusTypeCountSchema), required=True, metadata=described("Those of which there are any")
    )
    waiting_seconds = fields.Nested(FiguresSchema, required=True)
    run_seconds = fields.Nested(FiguresSchema, required=True)
    records_per_second = fields.Nested(FiguresSchema, required=True)
    start_estimates = fields.Nested(EstimateQualitySchema, required=True)
    end_estimates = fields.Nested(EstimateQualitySchema, required=True)
