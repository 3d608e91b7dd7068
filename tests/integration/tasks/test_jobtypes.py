"""A job type is one new folder and one line in the registry; the engine runs it as it runs its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _callers import new_caller

from quotejob.errors import UnknownJobType
from quotejob.jobs.job import Status
from quotejob.jobtypes import registry
from quotejob.run.outstanding import outstanding
from quotejob.run.receipt import Outcome
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store.client import RedisClient
from tasks import flow
from tasks.app import app

RENEWALS = '''
from quotejob import JobHandler, Outcome, Receipt, Result, pages_of_wave


class Renewals(JobHandler):
    """Takes note of seven contracts, three a page."""

    name = "Renewals"

    def purpose(self, job):
        return "to renew contracts"

    def plan(self, run):
        run.progress.store_plan(run.id, [["a", "b", "c"], ["d", "e", "f"], ["g"]], 2, lambda: 0)

    def work_page(self, run, wave, page):
        assert page in pages_of_wave(run.job, wave)
        results = tuple(Result(key, Outcome.SUCCEEDED) for key in run.progress.page(run.id, page))
        run.progress.record_page(run.id, wave, Receipt(str(page), results))
'''


@pytest.fixture
def renewals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder renewals/ somewhere, and its line."""
    (tmp_path / "renewals").mkdir()
    (tmp_path / "renewals" / "__init__.py").write_text(RENEWALS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_HANDLERS", dict(registry._HANDLERS))
    import renewals  # type: ignore[import-not-found]  # the test has just written it

    registry.register(renewals.Renewals())
    monkeypatch.delitem(sys.modules, "renewals")


@pytest.mark.usefixtures("renewals")
def test_a_new_job_type_runs_through(settings: Settings, client: RedisClient) -> None:
    """Submitted, planned, worked off in two waves, Completed with a result for each record."""
    services, caller = Services(settings, client), new_caller()
    job, _ = services.jobs.submit(caller, "Renewals")
    flow.dispatch(org_id=caller.org_id)
    while (going := services.jobs.get(job.job_id)).status is not Status.COMPLETED:
        for lacking in outstanding(going, services.progress):  # what the sweep would send to workers
            for message in flow.signatures(going, lacking).values():
                app.tasks[message.task](**message.kwargs)
    results, _ = services.results.page(job.job_id)
    assert {(result.record_id, result.outcome) for result in results} == {(key, Outcome.SUCCEEDED) for key in "abcdefg"}
    done = services.jobs.get(job.job_id)
    assert (done.job_type, done.total, done.succeeded, done.total_job_items, done.waves) == ("Renewals", 7, 7, 3, 2)


def test_two_job_types_of_one_name_are_refused() -> None:
    """And one that nobody registered is told with the names of those there are."""

    class Impostor(type(registry.handler_of("BatchQuote"))):  # type: ignore[misc]  # its type is found at run time
        pass

    with pytest.raises(ValueError, match="already a job type BatchQuote"):
        registry.register(Impostor())
    with pytest.raises(UnknownJobType, match="does not know the job type Nope; it knows BatchQuote"):
        registry.handler_of("Nope")
