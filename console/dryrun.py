"""What a dry run would write, and the button that writes it."""

from __future__ import annotations

from flask import Response, render_template, request, url_for

from console.jobs import own_job
from console.pages import blueprint, part, proven, services, told
from quotejob.jobs.options import Options
from tasks import workers


@part("/jobs/<job_id>/dryrun")
def dry_run(job_id: str) -> str:
    """Show what a dry run has found, at its end: before, each look would read all results again."""
    found = own_job(job_id)
    dry = services().dry_runs.summary(found) if found.ended else None
    return render_template("parts/dryrun.html", dry=dry)


@blueprint.post("/jobs/<job_id>/run")
def run_dry_run(job_id: str) -> Response:
    """Submit the job that writes what a dry run has shown."""
    context = proven()
    job, _ = services().dry_runs.run(context, Options(after_dry_run=own_job(job_id)), request.form.get("once") or None)
    workers.dispatch_org(services(), context.org_id)
    return told(url_for("console.job", job_id=job.job_id), "This job writes what the dry run has shown.")
