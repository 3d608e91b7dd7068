"""`python -m localorg`: its one line, its data, its end."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from _server import Server, Start, launch


def test_it_prints_one_line_and_stops_cleanly(start: Start) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        server = start()
        server.process.send_signal(number)
        rest, _ = server.process.communicate(timeout=10)
        assert (server.process.returncode, rest) == (0, "")


def test_the_same_seed_gives_the_same_org(start: Start) -> None:
    soql = "SELECT Id, Name, UnitPrice, Pricebook2Id FROM PricebookEntry ORDER BY Id"

    def identity(*words: str) -> tuple[object, ...]:
        server = start(*words)
        return server.organization_id, server.user_id, server.token, [row["UnitPrice"] for row in server.query(soql)]

    assert identity() == identity("--seed", "1")
    assert identity() != identity("--seed", "2")


def test_a_token_of_ones_own_is_accepted(start: Start) -> None:
    server = start("--token", "00D000000000001!mine")
    assert server.token == "00D000000000001!mine"
    assert server.get("limits").status_code == 200


def test_the_seeded_org_has_what_pricing_needs(server: Server) -> None:
    countries = {row["BillingCountry"] for row in server.query("SELECT BillingCountry FROM Account")}
    assert {"US", "CA", "MX", "GB", "DE", "FR", "CH", "JP", "IN", "SG", "AU", "BR", "ZA", "AE", None} <= countries
    soql = "SELECT Id, Name, IsStandard, IsActive FROM Pricebook2 WHERE Name LIKE '%Price Book' ORDER BY Id"
    books = server.query(soql)
    assert [(book["Name"], book["IsStandard"], book["IsActive"]) for book in books] == [
        ("Standard Price Book", True, True),
        ("Partner Price Book", False, True),
    ]
    for book in books:
        soql = f"SELECT IsActive, Product2.Family FROM PricebookEntry WHERE Pricebook2Id = '{book['Id']}'"
        entries = server.query(soql)
        assert len(entries) >= 200
        assert {entry["IsActive"] for entry in entries} == {True, False}
        assert {"Hardware", "Software", "Services"} <= {entry["Product2"]["Family"] for entry in entries}


def test_made_opportunities_are_as_if_written_through_the_api(start: Start) -> None:
    server = start("--opportunities", "50", "--lines", "3")
    soql = (
        "SELECT Name, Amount, Pricebook2Id, HasOpportunityLineItem, ExpectedRevenue, Probability, AccountId,"
        " (SELECT Quantity, UnitPrice, ListPrice, TotalPrice, PricebookEntry.Pricebook2Id, PricebookEntry.IsActive"
        " FROM OpportunityLineItems) FROM Opportunity ORDER BY Id"
    )
    rows = server.query(soql)
    assert [row["Name"] for row in rows] == [f"Opportunity {n}" for n in range(50)]
    assert len({row["Pricebook2Id"] for row in rows}) == 2
    assert len({row["AccountId"] for row in rows}) == 50
    for row in rows:
        lines = row["OpportunityLineItems"]["records"]
        assert len(lines) == 3
        assert row["HasOpportunityLineItem"] is True
        assert row["Amount"] == pytest.approx(sum(line["TotalPrice"] for line in lines), abs=0.001)
        assert row["ExpectedRevenue"] == pytest.approx(row["Amount"] * row["Probability"] / 100, abs=0.0051)
        for line in lines:
            assert line["TotalPrice"] == pytest.approx(line["Quantity"] * line["UnitPrice"], abs=0.001)
            assert line["PricebookEntry"]["Pricebook2Id"] == row["Pricebook2Id"]
            assert line["PricebookEntry"]["IsActive"] is True
    # Writing to a row through the API leaves its totals as they are.
    one = server.query("SELECT Id, Amount FROM Opportunity LIMIT 1")[0]
    server.patch(f"sobjects/Opportunity/{one['Id']}", {"NextStep": "x"})
    assert server.row("Opportunity", one["Id"])["Amount"] == one["Amount"]


def test_a_database_file_outlives_the_process(start: Start, tmp_path: Path) -> None:
    words = ("--db", str(tmp_path / "org.db"), "--opportunities", "20")
    first = start(*words)
    kept = first.create("Account", Name="Kept")
    assert first.stop() == 0
    second = start(*words)
    assert (second.organization_id, second.user_id, second.token) == (first.organization_id, first.user_id, first.token)
    assert second.row("Account", kept)["Name"] == "Kept"
    assert second.create("Account", Name="Next") > kept
    assert len(second.query("SELECT Id FROM Opportunity")) == 20


def test_a_database_survives_a_kill(start: Start, tmp_path: Path) -> None:
    words = ("--db", str(tmp_path / "org.db"))
    first = start(*words)
    kept = first.create("Account", Name="Kept")
    first.process.kill()
    first.process.communicate()
    assert start(*words).row("Account", kept)["Name"] == "Kept"


def test_a_database_serves_one_process_only(start: Start, tmp_path: Path) -> None:
    words = ("--db", str(tmp_path / "org.db"))
    start(*words)
    process = launch("--port", "0", *words)
    said, complaint = process.communicate(timeout=20)
    assert (process.returncode, said) == (1, "")
    assert complaint == "localorg cannot open the org: database is locked\n"


def test_custom_fields_come_from_the_force_app_folder(start: Start, server: Server, tmp_path: Path) -> None:
    def names(running: Server) -> set[str]:
        return {field["name"] for field in running.get("sobjects/Quote/describe").json()["fields"]}

    assert "QuoteJobKey__c" in names(server)
    assert "QuoteJobKey__c" not in names(start("--force-app", str(tmp_path)))


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = launch("--port", str(taken.getsockname()[1]))
        said, complaint = process.communicate(timeout=10)
    assert (process.returncode, said) == (1, "")
    assert complaint.count("\n") == 1
    assert "cannot listen on 127.0.0.1:" in complaint


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--port", "99999"), "99999 is not a port"),
        (("--port", "-1"), "-1 is not a port"),
        (("--pubsub-port", "65536"), "65536 is not a port"),
        (("--force-app", "/nonexist"), "--force-app: /nonexist is no folder"),
        (("--force-app", __file__), "is no folder"),
    ],
)
def test_what_cannot_be_used_is_a_wrong_command(words: tuple[str, str], reason: str) -> None:
    """And not an org without its fields, or a traceback."""
    process = launch(*words)
    said, complaint = process.communicate(timeout=20)
    assert (process.returncode, said) == (2, "")
    assert reason in complaint.splitlines()[-1]
