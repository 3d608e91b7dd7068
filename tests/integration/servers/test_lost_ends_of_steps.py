"""Redis has lost the end of a script with which a step stores what it did: the next try stores all of it, once.

The end begins after any of its commands. This happens when its append-only file is cut in the middle of a script
(valkey#4342).
"""

from __future__ import annotations

from functools import partial

import pytest
from _runs import being_planned
from cryptography.fernet import Fernet
from systems.lost_ends import MOST_COMMANDS, is_lost

from quotejob.run import waves
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys

IDS = [f"id{number}" for number in range(10)]
RECORDS = (
    Result("id0", Outcome.SUCCEEDED, "0Q0000000000001AAA"),
    Result("id1", Outcome.FAILED, None, "CODE", "because"),
    Result("id2", Outcome.SKIPPED),
)


@pytest.fixture
def services(redis_url: str) -> Services:
    settings = Settings(redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),))
    return Services(settings, store.client(redis_url, attempts=1))


def plan(run: Run, records: int) -> None:
    waves.stream_plan(run, iter(IDS[:records]), page_size=3, wave_size=6)


@pytest.mark.parametrize("records", [3, 10], ids=["one wave", "several"])
def test_a_plan(services: Services, caller: CallerContext, monkeypatch: pytest.MonkeyPatch, records: int) -> None:
    """Each record is in one page, the pages stay, and what is kept of waves is known."""
    monkeypatch.setattr(waves, "FIRST_WAVE", 3)
    lost = 0
    for commands in range(MOST_COMMANDS):
        run = being_planned(services, caller)
        complete = not is_lost(monkeypatch, commands, partial(plan, run, records))
        if not complete:
            lost += 1
            plan(run, records)
        job = services.jobs.get(run.id)
        pages = [page for wave in waves.planned(job, run.progress) for page in wave]
        assert [key for page in pages for key in run.progress.page(run.id, page)] == IDS[:records]
        assert (job.total, job.total_job_items, job.waves) == (records, len(pages), job.waves_begun)
        assert services.client.pttl(keys.job(run.id, "pages")) == -1
        services.jobs.fail(run.id, "enough")
        if complete:
            break
    assert lost > 5


def test_a_receipt(services: Services, caller: CallerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job has its results. A count that is lost with the end, or counted twice, is put right when the job ends."""
    lost = 0
    for commands in range(MOST_COMMANDS):
        run = being_planned(services, caller)
        plan(run, 3)
        record = partial(run.progress.record_page, run.id, 0, Receipt("0", RECORDS))
        complete = not is_lost(monkeypatch, commands, record)
        if not complete:
            lost += 1
            record()
        assert list(services.results.stream(run.id)) == list(RECORDS)
        services.results.recount(services.jobs.get(run.id))
        job = services.jobs.get(run.id)
        assert (job.succeeded, job.failed, job.skipped, job.quotes_created) == (1, 1, 1, 1)
        assert (job.job_items_processed, job.decided) == (1, job.total)
        services.jobs.fail(run.id, "enough")
        if complete:
            break
    assert lost > 10
