"""The jobs of a round: what each is asked, how its end is brought about, and what must be true afterwards.

The judge asks the org, and compares it with what the API says of the job. It shares no code with quotejob.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from harness.api import Json
from harness.org_reader import OrgReader
from harness.verdict import check_job

REFUSED = 5  # Opportunities whose Quotes the org refuses, in every Quote job
ENDINGS = ("completes", "is aborted", "is aborted and resumed", "loses its session", "loses its session and is resumed")
QUOTES = ("few", "many", "large", "dry", "retry")
OWN = ("inserts", "family", "upserts", "updates", "deletes")
BY_BULK = 0.3  # of the Quote jobs write by Bulk, if nobody asks for one way only
ACCOUNTS = 4  # that a job which updates or deletes gets for itself; as many Opportunities have the other own ones


@dataclass(eq=False)
class Case:
    """A job. ``where`` are its records, those that the org refuses not included."""

    kind: str
    where: str
    ending: str = ENDINGS[0]
    job_id: str = ""
    token: str = ""  # of its own session
    first: str = ""  # of a retry: the job whose keys it writes with
    met: bool = False  # what its ending asks for was done
    by_bulk: bool = False  # of a Quote job: it writes by Bulk API 2.0
    struck: set[tuple[str, str]] = field(default_factory=set)  # the faults that came while it ran, each with the step

    @property
    def stays(self) -> bool:
        """Whether it may end as Aborted or Failed, and nobody resumes it."""
        return self.ending in (ENDINGS[1], ENDINGS[3])

    def request(self) -> tuple[str, Json]:
        """Return the path and the body that submit it."""
        if self.kind == "retry":
            return f"/api/jobs/{self.first}/retry", {}
        if self.kind in OWN:
            return "/api/jobs", {"jobType": self.kind.title(), "soqlWhereClause": self.where}
        clause = f"({self.where}) OR Name LIKE 'Refused %'"
        how = {"commitBy": "bulk" if self.by_bulk else "graph"}
        return "/api/executebatch", {"soqlWhereClause": clause, "dryRun": self.kind == "dry", "keepApiCalls": 10, **how}


def drawn(dice: Random, kind: str, reader: OrgReader, mark: str, by_bulk: float = BY_BULK) -> Case:
    """Return a case of this kind with a drawn clause and end.

    ``mark``: no other case has it. ``by_bulk``: the share of Quote jobs that write by Bulk.
    """
    where = {"few": f"Name LIKE 'Opportunity {dice.randint(1, 3)}_'", "many": "Name LIKE 'Opportunity %'",
             "large": f"Name LIKE 'Large %' OR Name = 'Opportunity {dice.randint(1, 30)}'",
             "retry": "Name = 'nobody'"}.get(kind, _a_few(dice))  # fmt: skip
    if kind in ("updates", "deletes"):
        where = f"Name LIKE '{mark} %'"
        reader.graph([reader.node(f"a{n}", "Account", {"Name": f"{mark} {n}"}) for n in range(ACCOUNTS)])
    return Case(kind, where, dice.choices(ENDINGS, (3, 2, 1, 1, 1))[0], by_bulk=dice.random() < by_bulk)


def _a_few(dice: Random) -> str:
    """Return a clause for some Opportunities: two pages, so that rounds of users' own jobs are short."""
    first = dice.randint(10, 39)
    return f"Name >= 'Opportunity {first}' AND Name <= 'Opportunity {first + ACCOUNTS - 1}'"


def wrong(reader: OrgReader, case: Case, job: Json, results: list[Json]) -> list[str]:
    """Return what is wrong with an ended job."""
    completed = job["status"] == "Completed"
    said = _of_results(job, results) if completed else []
    if case.kind in OWN:
        return said + _of_own(reader, case, job)
    said += _of_quotes(reader, case, results, completed=completed)
    records = job["records"]
    if completed and case.kind != "dry" and records["failed"] != REFUSED:
        said.append(f"{records['failed']} records failed instead of {REFUSED}: {records}")
    if completed and case.kind == "dry" and records["planned"] != _count(reader, "Opportunity", case.where) + REFUSED:
        said.append(f"a dry run of {records}")
    return said


def _of_results(job: Json, results: list[Json]) -> list[str]:
    """Return where the counts of a Completed job differ from its results."""
    records = job["records"]
    outcomes = Counter(result["outcome"] for result in results)
    true = {name: outcomes[name] for name in ("succeeded", "failed", "skipped", "planned")}
    twice = [name for name, count in Counter(result["recordId"] for result in results).items() if count > 1]
    said = [] if all(records[name] == true[name] for name in true) else [f"it says {records}, its results {true}"]
    return said + ([f"two results of {twice[:3]}"] if twice else [])


def _of_quotes(reader: OrgReader, case: Case, results: list[Json], *, completed: bool) -> list[str]:
    """Return what is wrong with the Quotes: each is whole, none is there twice, and the results agree."""
    if case.kind in ("dry", "retry"):
        made = _count(reader, "Quote", f"QuoteJobKey__c LIKE '{case.job_id}:%'")
        return [f"{made} Quotes of a {case.kind}"] if made else []
    said = check_job(reader, case.job_id, case.where).differences
    if not completed:
        said = [each for each in said if ": 0 quotes instead of" not in each]
    there = {
        row["OpportunityId"]: row["Id"]
        for row in reader.query(f"SELECT Id, OpportunityId FROM Quote WHERE QuoteJobKey__c LIKE '{case.job_id}:%'")
    }
    for result in results:
        if result["outcome"] == "succeeded" and there.get(result["recordId"]) != result["quoteId"]:
            said.append(f"{result} and the org has {there.get(result['recordId'])}")
        if result["outcome"] == "failed" and result["recordId"] in there:
            said.append(f"{result} and the org has {there[result['recordId']]}")
    return said


def _of_own(reader: OrgReader, case: Case, job: Json) -> list[str]:
    """Return what is wrong with what a job of users' own wrote: nothing twice, and all if it is Completed."""
    mine, said = f"'{case.job_id}:%'", []
    keys = Counter(row["QuoteJobKey__c"] for row in reader.query(
        f"SELECT QuoteJobKey__c FROM Opportunity WHERE QuoteJobKey__c LIKE {mine}"))  # fmt: skip
    if doubled := [key for key, count in keys.items() if count > 1]:
        said.append(f"doubled: {doubled[:3]}")
    if case.kind == "family":
        children = Counter(row["OpportunityId"] for row in reader.query(
            f"SELECT OpportunityId FROM Quote WHERE Opportunity.QuoteJobKey__c LIKE {mine}"))  # fmt: skip
        if len(children) != len(keys) or set(children.values()) - {2}:
            said.append(f"{len(keys)} parents have {Counter(children.values())} children")
    if job["status"] == "Completed":
        made, wanted = _made(reader, case, len(keys))
        if made != wanted or job["records"]["failed"]:
            said.append(f"{made} rows instead of {wanted}: {job['records']}")
    return said


def _made(reader: OrgReader, case: Case, keys: int) -> tuple[int, int]:
    """Return how many rows are as the job should leave them, and how many should be. ``keys``: rows with its key."""
    if case.kind == "updates":
        return _count(reader, "Account", f"{case.where} AND Site = '{case.job_id}'"), ACCOUNTS
    if case.kind == "deletes":
        return _count(reader, "Account", case.where), 0
    return keys, _count(reader, "Opportunity", case.where)


def _count(reader: OrgReader, sobject: str, where: str) -> int:
    return reader.count(f"SELECT COUNT() FROM {sobject} WHERE {where}")
