"""The main job, end to end: a WHERE clause in, right Quotes in the org."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack
from harness.verdict import check_job

SAMPLE = "Name LIKE 'Sample Opportunity %'"


def price(api: Api, where: str) -> dict[str, object]:
    """The job of that clause, completed."""
    job = api.follow(api.submit(where))
    assert job["status"] == "Completed", job
    return job


@pytest.fixture
def big_org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A system of its own, whose org was seeded with 5,000 Opportunities of two lines each."""
    with Stack(tmp_path_factory.mktemp("big")) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", "5000", "--lines", "2")
        stack.start_web()
        stack.start_worker(1)
        stack.start_worker(2)
        stack.wait_ready()
        yield stack


@pytest.mark.timeout(300)
def test_5000_opportunities_with_fewer_than_90_requests(big_org: Stack) -> None:
    """Two workers turn 5,000 Opportunities into 5,000 right Quotes and ask the org fewer than 90 times in all."""
    assert big_org.org
    reader = OrgReader(big_org.org)
    api = Api(big_org.web_url, big_org.org, reader.username())
    where = "Id != null"
    assert reader.count("SELECT COUNT() FROM Opportunity") == 5000
    reader.reset_stats()
    job = price(api, where)
    stats = reader.stats()
    assert job["records"] == {"total": 5000, "succeeded": 5000, "skipped": 0, "failed": 0, "planned": 0}
    assert job["quotesCreated"] == 5000
    assert stats["requests"]["total"] < 90, stats
    assert job["apiCalls"] <= stats["requests"]["total"]
    verdict = check_job(reader, str(job["jobId"]), where)
    assert (verdict.quotes, verdict.lines, verdict.differences) == (5000, 10_000, [])


@pytest.mark.timeout(180)
def test_sample_data_is_created_priced_and_deleted(api: Api, reader: OrgReader) -> None:
    """Sample Opportunities 0..N-1 come with two lines each, are priced, and go with their Quotes; nothing else goes."""
    others = "SELECT COUNT() FROM Opportunity WHERE NOT Name LIKE 'Sample Opportunity %'"
    before = reader.count(others)
    created = api.follow(api.post("/api/data/create?numberOfOpportunities=250")["jobId"])
    assert (created["status"], created["records"]["succeeded"]) == ("Completed", 250), created
    names = {row["Name"] for row in reader.query(f"SELECT Name FROM Opportunity WHERE {SAMPLE}")}
    assert names == {f"Sample Opportunity {number}" for number in range(250)}
    job = price(api, SAMPLE)
    verdict = check_job(reader, str(job["jobId"]), SAMPLE)
    assert (verdict.quotes, verdict.lines, verdict.differences) == (250, 500, [])

    deleted = api.follow(api.post("/api/data/delete")["jobId"])
    assert (deleted["status"], deleted["records"]["succeeded"]) == ("Completed", 250), deleted
    assert reader.count(f"SELECT COUNT() FROM Opportunity WHERE {SAMPLE}") == 0
    assert reader.count(f"SELECT COUNT() FROM Quote WHERE QuoteJobKey__c LIKE '{job['jobId']}:%'") == 0
    assert reader.count(others) == before


def test_an_opportunity_with_1200_lines(
    api: Api, reader: OrgReader, name: str, make_opportunity: Callable[..., str]
) -> None:
    """All 1,200 lines come into its Quote: child rows arrive in pages of their own."""
    make_opportunity(f"{name} many lines", 1200)
    make_opportunity(f"{name} few lines", 3)
    job = price(api, f"Name LIKE '{name}%'")
    verdict = check_job(reader, str(job["jobId"]), f"Name LIKE '{name}%'")
    assert (verdict.quotes, verdict.lines, verdict.differences) == (2, 1203, [])


def test_an_opportunity_without_lines_is_skipped(api: Api, name: str, make_opportunity: Callable[..., str]) -> None:
    """It gets no Quote, and the results say why; its neighbour gets its Quote."""
    empty, full = make_opportunity(f"{name} empty", 0), make_opportunity(f"{name} full", 2)
    job = price(api, f"Name LIKE '{name}%'")
    assert job["records"] == {"total": 2, "succeeded": 1, "skipped": 1, "failed": 0, "planned": 0}
    results = {result["recordId"]: result for result in api.results(str(job["jobId"]))}
    assert results[empty]["outcome"] == "skipped"
    assert "line" in results[empty]["message"]
    assert results[empty]["quoteId"] is None
    assert results[full]["outcome"] == "succeeded"
    assert results[full]["quoteId"].startswith("0Q0")


def test_a_custom_price_book(api: Api, reader: OrgReader, name: str, make_opportunity: Callable[..., str]) -> None:
    """The Quote stands in its Opportunity's own price book."""
    make_opportunity(f"{name} custom", 3, standard=False)
    make_opportunity(f"{name} standard", 3)
    job = price(api, f"Name LIKE '{name}%'")
    verdict = check_job(reader, str(job["jobId"]), f"Name LIKE '{name}%'")
    assert (verdict.quotes, verdict.differences) == (2, [])
    key = f"QuoteJobKey__c LIKE '{job['jobId']}:%'"
    books = {
        row["Pricebook2"]["IsStandard"] for row in reader.query(f"SELECT Pricebook2.IsStandard FROM Quote WHERE {key}")
    }
    assert books == {True, False}


@pytest.mark.parametrize("country", [None, "Norway", "NO", "japan", "U.S.A.", "Brazil", "Atlantis"])
def test_the_country_decides_the_discount(
    api: Api, reader: OrgReader, name: str, make_opportunity: Callable[..., str], country: str | None
) -> None:
    """Every line has its region's price, computed a second time here."""
    make_opportunity(f"{name} {country}", 5, country=country)
    job = price(api, f"Name LIKE '{name}%'")
    verdict = check_job(reader, str(job["jobId"]), f"Name LIKE '{name}%'")
    assert (verdict.quotes, verdict.lines, verdict.differences) == (1, 5, [])


def test_a_job_of_no_matches_completes(api: Api) -> None:
    """Nothing matches: Completed at once, with nothing done."""
    job = price(api, "Name = 'There is no such Opportunity'")
    assert job["records"] == {"total": 0, "succeeded": 0, "skipped": 0, "failed": 0, "planned": 0}
    assert job["quotesCreated"] == 0


def test_a_second_job_adds_quotes(api: Api, reader: OrgReader, name: str, make_opportunity: Callable[..., str]) -> None:
    """Running again is a new job with new Quotes."""
    make_opportunity(f"{name} twice", 1)
    keys = set()
    for _ in range(2):
        price(api, f"Name LIKE '{name}%'")
    for quote in reader.query(f"SELECT QuoteJobKey__c FROM Quote WHERE Opportunity.Name LIKE '{name}%'"):
        keys.add(quote["QuoteJobKey__c"].partition(":")[0])
    assert len(keys) == 2


@pytest.mark.timeout(180)
def test_several_jobs_side_by_side(
    api: Api, reader: OrgReader, name: str, make_opportunity: Callable[..., str]
) -> None:
    """Eight jobs, more than may be active at once, all complete with the right Quotes."""
    clauses = [f"Name LIKE '{name} job {number} %'" for number in range(8)]
    for number in range(8):
        make_opportunity(f"{name} job {number} a", 2)
        make_opportunity(f"{name} job {number} b", 4)
    jobs = {clause: api.submit(clause) for clause in clauses}
    for clause, job_id in jobs.items():
        job = api.follow(job_id)
        assert (job["status"], job["quotesCreated"]) == ("Completed", 2), job
        assert check_job(reader, job_id, clause).differences == []
