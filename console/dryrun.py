"""What a dry run would write, and the button that writes it."""

from __future__ import annotations

from flask import Response, render_template, request, url_for

from console.pages import blueprint, part, proven, services, session, told
from quotejob.errors import JobNotFound
from quotejob.jobs.job import Job
from quotejob.jobs.options import Options
from quotejob.store import keys
from tasks import workers


@part("/jobs/<job_id>/dryrun")
def dry_run(job_id: str) -> str:
    """Show what a dry run has found, at its end: before, each look would read all results again."""
    found = _own(job_id)
    dry = services().dry_runs.summary(found) if found.ended else None
    return render_template("parts/dryrun.html", dry=dry)


@blueprint.post("/jobs/<job_id>/run")
def run_dry_run(job_id: str) -> Response:
    """Submit the job that writes what a dry run has shown."""
    context = proven()
    job, _ = services().dry_runs.run(context, Options(after_dry_run=_own(job_id)), request.form.get("once") or None)
    workers.dispatch_org(services(), context.org_id)
    return told(url_for("console.job", job_id=job.job_id), "This job writes what the dry run has shown.")


def _own(job_id: str) -> Job:
    if not keys.is_id(job_id):
        raise JobNotFound("There is no such job in this org")
    return services().jobs.get(job_id, session().org_id)
