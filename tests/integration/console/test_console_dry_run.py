"""The forecast in the form for a new job; and a dry run's page: what it would write, and the button that writes it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from _runs import caller_of
from flask.testing import FlaskClient

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.jobs.options import Options
from quotejob.run.receipt import Outcome, Planned, PlannedQuote, Receipt, Result
from quotejob.services import Services

Csrf = Callable[[FlaskClient], str]
HTML = "<img src=x onerror=alert(1)>"
RECORD = "006Gs000000slVbIAI"


@pytest.fixture
def dry(services: Services, local_org: LocalOrg) -> Job:
    """A dry run that is Completed, of one Opportunity; its region has HTML in its name."""
    options = Options(dry_run=True)
    job, _ = services.jobs.submit(
        caller_of(local_org), BuiltIn.BATCH_QUOTE, soql_where_clause="Id != null", options=options
    )
    services.jobs.promote(local_org.org_id)
    services.jobs.move(job.job_id, Status.PREPARING)
    services.progress.store_plan(job.job_id, [[RECORD]], 1, lambda: 2)
    services.jobs.move(job.job_id, Status.PROCESSING)
    quote = PlannedQuote("Quote", 1, "120.00", "100.00", "EUR", HTML, [("15", 1, "120.00", "100.00")])
    what = Planned("0011223344556677", [("insert", "Quote", 1), ("insert", "QuoteLineItem", 1)], quote)
    services.progress.record_page(
        job.job_id, 0, Receipt("0", (Result(RECORD, Outcome.PLANNED, record_name="Deal", planned=what),))
    )
    services.jobs.move(job.job_id, Status.COMPLETED)
    return services.jobs.get(job.job_id)


def test_the_form_forecasts(browser: FlaskClient, csrf: Csrf, local_org: LocalOrg) -> None:
    """Records, calls, and the share of the day; a refused clause has its reason."""
    org = OrgReader(local_org)
    org.create("Opportunity", {"Name": "Form", "StageName": "Prospecting", "CloseDate": "2027-02-27"})
    sent = {"csrf": csrf(browser), "clause": "Name = 'Form'"}
    shown = browser.post("/console/submit/check", data=sent).text
    assert "1 Opportunity matches." in shown
    assert re.search(r"3 API calls, less than 0.01 % of the day", shown), shown
    wrong = browser.post("/console/submit/check", data=sent | {"clause": "NoSuch = 1"}).text
    assert "No such column" in wrong


def test_the_page_of_a_dry_run(browser: FlaskClient, dry: Job) -> None:
    """Its totals by region and discount, as text whatever they hold; and no retry."""
    for path in (f"/console/jobs/{dry.job_id}", f"/console/part/jobs/{dry.job_id}/dryrun"):
        shown = browser.get(path).text
        assert HTML not in shown
        assert "&lt;img src=x" in shown
        assert "120.00 EUR" in shown
        assert "15 % off" in shown
    page = browser.get(f"/console/jobs/{dry.job_id}").text
    assert "Run it: write 1 Quote<" in page
    assert "Retry" not in page


def test_the_button_submits_the_job_once(browser: FlaskClient, csrf: Csrf, services: Services, dry: Job) -> None:
    """Twice the same form: one job, which names the dry run."""
    places = {
        browser.post(f"/console/jobs/{dry.job_id}/run", data={"csrf": csrf(browser), "once": "1"}).headers["Location"]
        for _ in range(2)
    }
    [place] = places
    new = services.jobs.get(place.rpartition("/")[2])
    assert (new.after_dry_run, new.dry_run) == (dry.job_id, False)


def test_a_viewer_cannot_run_it(viewer: FlaskClient, csrf: Csrf, dry: Job) -> None:
    assert "Run it" not in viewer.get(f"/console/jobs/{dry.job_id}").text
    assert viewer.post(f"/console/jobs/{dry.job_id}/run", data={"csrf": csrf(viewer)}).status_code == 403
