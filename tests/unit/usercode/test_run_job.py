"""Own jobs in memory: what run_job finds, and the rules that what execute yields is held to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from enum import Enum, IntEnum
from typing import Any

import pytest
from marshmallow import Schema, fields
from own_jobs import harmful

from quotejob import (
    Context,
    Finish,
    JobType,
    Keys,
    Opportunity,
    OpportunityLine,
    PricedQuote,
    Row,
    Skip,
    Write,
    Yielded,
    children,
    deletes,
    inserts,
    updates,
    upserts,
)
from quotejob.errors import InvalidRequest
from quotejob.testing import MemoryOrg, run_job
from quotejob.testing.jobs import NOW
from quotejob.testing.pricing import run_pricing
from quotejob.usercode.catalog import find
from quotejob.usercode.context import MAX_GROUPS, OTHERS
from quotejob.usercode.deciding import listed
from quotejob.usercode.decisions import Refused, as_tallies, decisions, of_finish, summed
from quotejob.usercode.jobtype import JobTypeError, check
from quotejob.usercode.parameters import describe

KEY = "QuoteJobKey__c"


class Line(Row, frozen=True, kw_only=True):
    Price: Decimal


class Contract(Row, frozen=True, kw_only=True):
    Kind: str = "good"
    lines: tuple[Line, ...] = children("Lines__r")


class RenewalParameters(Schema):
    uplift = fields.Decimal(load_default=Decimal(3), metadata={"description": "percent"})
    regions = fields.List(fields.String())


class Renewals(JobType[Contract]):
    parameters = RenewalParameters
    page_size = 10
    writes = (inserts("Opportunity", key=KEY), inserts("Item"), updates("Contract", "Done__c"), deletes("Line"))

    def execute(self, records: Sequence[Contract], context: Context) -> Iterator[Yielded]:
        for one in records:
            if one.Kind == "raise":
                raise ValueError("no such price")
            renewal = one.insert("Opportunity", Name=one.Kind)
            yield renewal
            for line in one.lines:
                yield one.insert("Item", Of=renewal, Price=line.Price * (100 + context.parameters["uplift"]) / 100)
                yield one.tally("amount", line.Price, by=one.Kind)
                yield line.delete()
            yield one.update(Done__c=True)

    def finish(self, finish: Finish) -> Iterator[Write]:
        yield finish.insert("Opportunity", Amount=finish.total("amount"))


def contract(n: int, kind: str = "good") -> Contract:
    return Contract(Id=f"800{n:015}", Kind=kind, lines=(Line(Id=f"a00{n:015}", Price=Decimal("100.50")),))


def test_lost_answers_do_no_harm() -> None:
    """Every third answer is lost: nothing is written twice, each tally counts once, and finish reads all."""
    records = [contract(n, "raise" if n == 7 else "good") for n in range(45)]
    refused = records[9].lines[0].Id
    ran = run_job(Renewals, records, org=MemoryOrg(lose_every=3, refuse={refused: "DELETE_FAILED"}))
    assert (ran.count("succeeded"), ran.count("failed")) == (43, 2)
    assert len(ran.org.records["Opportunity"]) == 45  # 44 and that of finish
    assert len(ran.org.records["Item"]) == 44
    assert len(ran.org.deleted) == len(set(ran.org.deleted)) == 43
    assert ran.finish.by("amount") == {"good": Decimal("100.50") * 43}
    partly = ran.results[records[9].Id]
    assert (partly.code, "3 of 4 writes" in (partly.message or "")) == ("PARTLY_DONE", True)
    assert "ValueError: no such price (line" in (ran.results[records[7].Id].message or "")
    items = [item["Price"] for item in ran.org.records["Item"].values()]
    assert set(items) == {Decimal("103.515")}


class WithoutYield(JobType[Contract]):
    writes = (updates("Contract", "Kind"),)

    def execute(self, records: Sequence[Contract], context: Context) -> Any:
        for one in records:
            one.update(Kind="new")


def test_a_method_without_a_yield_is_told_to_have_one() -> None:
    """Nothing comes of its writes; Python's own words would name no line."""
    ran = run_job(WithoutYield, [contract(1), contract(2)])
    for result in ran.results.values():
        assert (result.code, result.message) == (
            "NOT_A_WRITE",
            "execute returned nothing; yield each write, as in 'yield a.update(...)'",
        )


def test_a_write_that_is_returned_is_told_to_be_yielded() -> None:
    """By execute and by finish, which may also give nothing at all."""
    with pytest.raises(Refused, match="execute returned Update; yield each write"):
        decisions(WithoutYield, [contract(1)], contract(1).update(Kind="new"))  # type: ignore[arg-type]
    for given, what in (
        (None, "nothing"),
        (Finish(Context("j", datetime.now(UTC)), 0, 0, 0, {}).insert("A"), "Insert"),
    ):
        with pytest.raises(Refused, match=f"finish returned {what}; yield") as refused:
            of_finish(WithoutYield, given)  # type: ignore[arg-type]
        assert refused.value.code == "NOT_A_WRITE"


class Dice(JobType[Contract]):
    writes = (updates("Contract", "Kind"),)
    thrown = itertools.count()

    def execute(self, records: Sequence[Contract], context: Context) -> Iterator[Yielded]:
        return (one.update(Kind=str(next(self.thrown))) for one in records)


def test_a_job_that_decides_differently_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="decided differently the second time: 800000000000000001"):
        run_job(Dice, [contract(1)])


def yielding(make: Callable[[Contract], Any], *writes: Any) -> type[JobType[Contract]]:
    """A job type that yields what ``make`` makes of each record."""

    class Job(JobType[Contract]):
        def execute(self, records: Sequence[Contract], context: Context) -> Iterator[Yielded]:
            return (item for one in records for item in make(one))

    Job.writes = writes
    return Job


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda one: [one.insert("Item", Name="x")], "UNGUARDED_INSERT"),
        (lambda one: [one.update(Kind=1.5)], "FLOAT"),
        (lambda one: [one.update(Kind=Decimal("NaN"))], "NOT_A_NUMBER"),
        (lambda one: [one.update(Other="x")], "UNDECLARED_FIELD"),
        (lambda one: [one.update_other("Lead", one.Id, Name="x")], "UNDECLARED_WRITE"),
        (lambda one: [one.update_other("Contract", "../x", Kind="x")], "BAD_ID"),
        (lambda one: [one.update(Kind=one.insert("Item"))], "REFERS_TO_NOTHING"),
        (lambda one: [one.update(Kind="@{u1n0.id}")], "BAD_VALUE"),
        (lambda one: [one.update(Kind="a"), one.update(Kind="b")], "SAME_TARGET"),
        (lambda one: [one.update(Kind="a"), one.skip("no")], "SKIPPED_AND_WRITTEN"),
        (lambda one: [{"Id": one.Id}], "NOT_A_WRITE"),
        (lambda one: [contract(99).update(Kind="a")], "NOT_OF_THIS_PAGE"),
        (lambda one: [one.update(Kind=["a"])], "BAD_VALUE"),
        (lambda one: [one.update(Kind="a")] * 501, "UNIT_TOO_LARGE"),
        (lambda _: [], "NOTHING_TO_DO"),
        (lambda one: [one.skip("no")], "SKIPPED"),
    ],
)
def test_what_breaks_a_rule_costs_its_record(make: Callable[[Contract], Any], code: str) -> None:
    job = yielding(make, inserts("Item"), updates("Contract", "Kind"))
    ran = run_job(job, [contract(1)])
    assert [result.code for result in ran.results.values()] == [code]
    assert not any(ran.org.records.values())


def test_state_on_self_is_refused_with_the_way_out() -> None:
    class Memo(JobType[Contract]):
        def execute(self, records: Sequence[Contract], context: Context) -> Iterator[Yielded]:
            self.seen = len(records)
            return iter(())

    [result] = run_job(Memo, [contract(1)]).results.values()
    assert "yield record.tally('seen', ...)" in (result.message or "")


def test_two_records_of_a_page_do_not_fight_over_a_field() -> None:
    """The first one wins; no order of writing is promised."""
    job = yielding(
        lambda one: [one.update_other("Contract", "800" + "9" * 15, Kind=one.Id)], updates("Contract", "Kind")
    )
    ran = run_job(job, [contract(1), contract(2)])
    assert [result.code for result in ran.results.values()] == [None, "SAME_TARGET"]


class Asking(JobType[Contract]):
    writes = (updates("Contract", "Kind"),)
    queries_a_page = 1

    def execute(self, records: Sequence[Contract], context: Context) -> Iterator[Yielded]:
        found = {line.Id: line for line in context.query(Line, "Price > 5")}
        for one in records:
            yield one.update(Kind=str(found[one.Id].Price))


def test_a_query_of_the_job_is_answered_by_the_test() -> None:
    asked: list[tuple[type[Row], str]] = []

    def answer(row: type[Row], where: str) -> list[Row]:
        asked.append((row, where))
        return [Line(Id=contract(1).Id, Price=Decimal("7.50"))]

    ran = run_job(Asking, [contract(1)], query=answer)
    assert ran.org.records["Contract"][contract(1).Id]["Kind"] == "7.50"
    assert asked == [(Line, "Price > 5")] * 2, "it is decided twice"
    [alone] = run_job(Asking, [contract(1)]).results.values()
    assert "give run_job a query" in str(alone.message)

    class Often(Asking, JobType[Contract]):
        def execute(self, records: Sequence[Contract], context: Context) -> Iterator[Yielded]:
            for one in records:
                yield one.update(Kind=str(len(context.query(Line, f"Id = '{one.Id}'"))))

    codes = [one.message for one in run_job(Often, [contract(1), contract(2)], query=answer).results.values()]
    assert codes == [None, None], "each is decided alone when both together ask too often"


def test_in_a_process_of_its_own_harm_costs_its_record() -> None:
    """An exit would end the test. The tallies and finish go there and back too."""
    accounts = [
        harmful.Account(Id=f"001{n:015}", Name="x", Site=site, NumberOfEmployees=7)
        for n, site in enumerate(("fine", "exit", "raise", "fine"))
    ]
    ran = run_job(harmful.Harmful, accounts, isolated=True)
    codes = [ran.results[account.Id].code for account in accounts]
    assert codes == [None, "USER_CODE_DIED", "USER_CODE_ERROR", None]
    [made] = ran.org.records["Opportunity"].values()
    assert made["Name"] == "2 with 14, 2 failed"


def test_parameters_are_described_and_checked() -> None:
    uplift, regions = describe(RenewalParameters)
    assert (uplift.name, uplift.type, uplift.default, uplift.description) == ("uplift", "number", "3", "percent")
    assert (regions.name, regions.type, regions.required) == ("regions", "list of text", False)
    with pytest.raises(InvalidRequest, match=r"parameters.uplift: Not a valid number"):
        run_job(Renewals, [], parameters={"uplift": "much"})


def test_a_class_that_cannot_run_is_refused_at_the_start() -> None:
    class NoRow(JobType):  # type: ignore[type-arg]  # what somebody may forget
        def execute(self, records: Any, context: Context) -> Any: ...

    with pytest.raises(JobTypeError, match="say of which rows it is"):
        check(NoRow)
    with pytest.raises(JobTypeError, match=r"QUOTEJOB_JOBS: no\.such cannot be imported: ModuleNotFoundError"):
        find(["no.such"], [])
    with pytest.raises(JobTypeError, match="json has no class of JobType"):
        find(["json"], [])


class Stage(str, Enum):  # noqa: UP042 (its str is its name; that of a StrEnum is its value)
    WON = "Closed Won"


class Rate(Decimal, Enum):
    HIGH = Decimal("1.50")


class Level(IntEnum):
    TOP = 5


class Plain(Enum):
    RED = "red"


def marked(one: Contract, name: str) -> Iterator[Yielded]:
    yield one.update(Stage=Stage.WON, Rate=Rate.HIGH, Level=Level.TOP, Color=Plain.RED)  # type: ignore[arg-type]
    yield one.insert("Item", key=f"{name}:{one.Id}")
    yield one.upsert("Lead", KEY, Stage.WON, Name=Stage.WON)
    yield one.tally(Stage.WON, by=Stage.WON)


def test_a_member_of_an_enum_is_its_value() -> None:
    """In fields, keys, names of tallies and their groups, and in reasons. Its name is nothing that an org knows."""
    job = yielding(
        lambda one: [one.skip(Stage.WON)] if one.Kind == "skip" else marked(one, "k"),
        inserts("Item", key=KEY), updates("Contract"), upserts("Lead", KEY, "Name"),
    )  # fmt: skip
    ran = run_job(job, [contract(1), contract(2, "skip")])
    changed = ran.org.records["Contract"][contract(1).Id]
    assert {name: str(value) for name, value in changed.items()} == {
        "Stage": "Closed Won", "Rate": "1.50", "Level": "5", "Color": "red"
    }  # fmt: skip
    assert list(ran.org.records["Lead"].values()) == [{KEY: "Closed Won", "Name": "Closed Won"}]
    assert {tuple(map(str, each)) for each in ran.finish.totals} == {("Closed Won", "Closed Won")}
    assert ran.finish.total(Stage.WON) == 1
    assert ran.results[contract(2).Id].message == "Closed Won"


def test_a_member_of_an_enum_is_its_value_in_keys_and_prices() -> None:
    assert [str(key) for key in listed(Keys([Stage.WON]))] == ["Closed Won"]
    line = OpportunityLine(Id="00k1", Quantity=Decimal(2), UnitPrice=Decimal(100))

    def price(deal: Opportunity, priced: PricedQuote) -> PricedQuote | Skip:
        return deal.skip(Stage.WON) if deal.Id == "0062" else priced.with_fields(Stage__c=Stage.WON, Rate__c=Rate.HIGH)

    quote, skipped = run_pricing(price, Opportunity(Id="0061", lines=(line,)), Opportunity(Id="0062", lines=(line,)))
    assert isinstance(quote, PricedQuote)
    assert {name: str(value) for name, value in quote.copied.items()} == {"Stage__c": "Closed Won", "Rate__c": "1.50"}
    assert not isinstance(skipped, PricedQuote)
    assert skipped.message == "Closed Won"


@pytest.mark.parametrize(
    ("tallies", "code"),
    [
        (lambda one: [one.tally("x", Decimal("9E+999999"))], "NOT_A_NUMBER"),
        (lambda one: [one.tally("x", Decimal(10) ** 100)], "NOT_A_NUMBER"),
        (lambda one: [one.tally("x", Decimal("1E-101"))], "NOT_A_NUMBER"),
        (lambda one: [one.tally("x", Decimal("Infinity"))], "NOT_A_NUMBER"),
        (lambda one: [one.tally("x", by=str(n)) for n in range(MAX_GROUPS + 1)], "TOO_MANY_GROUPS"),
        (lambda one: [one.tally("x", Decimal("9" * 100)), one.tally("x", Decimal("1E-100"))], None),
        (lambda one: [one.tally("x", by=str(n)) for n in range(MAX_GROUPS)], None),
    ],
)
def test_tallies_that_cannot_be_summed_cost_their_record(tallies: Callable[[Contract], Any], code: str | None) -> None:
    """Before anything is written for it."""
    job = yielding(lambda one: [one.update(Kind="x"), *tallies(one)], updates("Contract", "Kind"))
    ran = run_job(job, [contract(1)])
    assert [result.code for result in ran.results.values()] == [code]
    assert bool(ran.org.records["Contract"]) is (code is None)


def test_totals_are_exact_and_never_an_error() -> None:
    """However many digits: what is counted may be written already."""
    large, small = Decimal("9" * 100), Decimal("1E-100")
    job = yielding(lambda one: [one.tally("x", large), one.tally("x", small, by=one.Id)])
    ran = run_job(job, [contract(n) for n in range(300)])
    with localcontext(prec=500):
        assert ran.finish.by("x")[""] == 300 * large
        assert ran.finish.total("x") == 300 * large + 300 * small != 300 * large
    assert summed([("x", "", "9E+999999")] * 20)["x", ""] > large, "as a version before may have stored it"


def test_groups_after_the_thousandth_are_counted_together() -> None:
    """In a group of their name, or of all names. What was summed in parts gives no other sum."""
    tallies = [(name, str(n), "1") for n in range(600) for name in ("a", "b")] + [(f"c{n}", "", "1") for n in range(50)]
    totals = summed(tallies)
    assert len(totals) == MAX_GROUPS + 3
    assert [totals[name, OTHERS] for name in ("a", "b", OTHERS)] == [Decimal(100), Decimal(100), Decimal(50)]
    parts = [*as_tallies(summed(tallies[:1100])), *as_tallies(summed(tallies[1100:]))]
    assert sum(summed(parts).values()) == sum(totals.values()) == len(tallies)
    assert {name: sum(n for (of, _), n in summed(parts).items() if of == name) for name in "ab"} == {"a": 600, "b": 600}


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_what_was_there_before_a_run_is_told_from_what_it_wrote(hours: int) -> None:
    """Whatever "now" is for its code: an answer is lost, and each record is the run's own. A second run is later."""
    job = yielding(lambda one: [one.insert("Log__c", key=f"log:{one.Id}")], inserts("Log__c", key="Key__c"))
    org, now = MemoryOrg(lose_every=2), NOW + timedelta(hours=hours)
    org.requests = 1  # the next answer is lost
    assert {one.code for one in run_job(job, [contract(1), contract(2)], org=org, now=now).results.values()} == {None}
    again = run_job(job, [contract(1), contract(3)], org=org, now=now).results
    assert [again[contract(n).Id].code for n in (1, 3)] == ["ALREADY_THERE", None]
