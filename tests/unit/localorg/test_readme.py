"""The README of the local org says what the code does: resources, refusals, objects, options, faults, users."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localorg.__main__ import arguments
from localorg.app import make_app
from localorg.http.middleware import NOT_IMITATED
from localorg.http.registry import RESOURCES
from localorg.lab.costs import PROFILES
from localorg.lab.faults import KINDS
from localorg.org import Org
from localorg.rest import resources
from localorg.schema.loading import load_schema

README = (Path(__file__).parents[3] / "localorg" / "README.md").read_text("utf-8")
_DATA = re.compile(r"^/services/data/v\{version\}/?")
assert resources.LOADED  # every resource is registered


def section(title: str) -> str:
    """The text under a heading, to the next one of its level."""
    marks, _, _ = title.partition(" ")
    found = re.search(
        rf"^{re.escape(title)}[^\n]*\n(.*?)(?=^#{{1,{len(marks)}}} |\Z)", README, re.DOTALL | re.MULTILINE
    )
    assert found, title
    return found[1]


def first_cells(text: str) -> set[str]:
    """What stands in backticks in the first column of the tables of a text."""
    return {name for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)}


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every path of the application, with * for what varies; below a version without that."""
    org = Org(load_schema())
    found = {each.resource.canonical for each in make_app(org).router.routes() if each.resource}
    org.close()
    found = {
        re.sub(r"\{[^}]*\}", "*", _DATA.sub("", each).replace("{slash}", "").replace("{rest}", "")) for each in found
    }
    return found - {"*"}  # the resources that composite can reach too, which are told apart below


def registered() -> set[str]:
    """The paths of calls.RESOURCES in the same form."""
    patterns = {pattern.pattern.removesuffix("/?").lstrip("/") for _, pattern, _ in RESOURCES._paths}
    return {re.sub(r"\(\[\^/\]\+\)|\(\.\+\?\)", "*", pattern) for pattern in patterns}


def test_every_resource_is_named_and_every_named_one_is_there(routes: set[str]) -> None:
    text = section("## What it imitates")
    below = first_cells(text.partition("The 501s:")[0].partition("Beside it:")[0])
    assert below == registered() | {each for each in routes if not each.startswith("/")}
    beside = set(re.findall(r"`(/[^`]*)`", text.partition("Beside it:")[2].partition("A resource the platform")[0]))
    others = {each for each in routes if each.startswith("/") and not each.startswith("/localorg/")}
    assert beside == others
    control = {*re.findall(r"`(?:GET|POST) (/localorg/[^`?]+)`", section("## /localorg/"))}
    assert {re.sub(r"\{[^}]*\}", "*", each) for each in control} == {
        each for each in routes if each.startswith("/localorg/")
    }


def test_every_refusal_is_named_with_its_reason() -> None:
    table = section("## What it imitates").partition("The 501s:")[2]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", table.partition("### ")[0], re.MULTILINE)
    told = {name: reason for names, reason in rows for name in re.findall(r"`([^`]+)`", names)}
    assert told == NOT_IMITATED


def test_objects() -> None:
    told = re.search(r"\*\*Objects\*\*: (.*?),? with the price book", section("## What it imitates"), re.DOTALL)
    assert told
    assert set(re.findall(r"\w+", told[1])) == set(load_schema().objects)


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert set(re.findall(r"`?(--[a-z-]+)", "".join(re.findall(r"^\| `--.*", README, re.MULTILINE)))) == options


def test_fault_kinds_profiles_and_users() -> None:
    control = section("## /localorg/")
    assert set(KINDS) <= first_cells(control)
    assert set(PROFILES) <= set(re.findall(r"`--profile (\w+)`", section("## Costs")))
    org = Org(load_schema())
    assert {user.username for user in org.users.everyone} <= first_cells(section("### Logging in"))
    org.close()
