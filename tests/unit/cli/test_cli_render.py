"""Tables at every width, and text of others made harmless."""

from __future__ import annotations

import io
import subprocess
import sys

import click
import pytest
from rich.console import Console

from cli import render, times
from cli.api import Json
from cli.commands import jobs
from harness.process import ROOT, clean_environment

JOB: Json = {
    "jobId": "1f0c7a2b-fdd0-4652-8bae-a742e541bb37",
    "name": None,
    "status": "Processing",
    "jobType": "SampleDataCreate",
    "records": {"total": 20_000, "succeeded": 12_345, "skipped": 0, "failed": 0},
    "createdDate": "2026-01-31T21:00:00Z",
    "completedDate": None,
    "estimatedEnd": None,
    "soqlWhereClause": "[red]Name[/red] = '\x1b[31mx\x1b[0m\u202e' " + "OR Amount > 1 " * 20,
}


def printed(width: int, terminal: bool = True) -> str:
    """Return the table of one job."""
    out = io.StringIO()
    screen = Console(file=out, width=width, force_terminal=terminal, markup=False, color_system=None)
    jobs.job_table(screen, [JOB])
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_table_holds_at_this_width(width: int) -> None:
    """No line is longer, each job is one line, and its id can be copied."""
    lines = printed(width).splitlines()
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)
    assert "1f0c7a2b" in lines[1].split()
    assert "12,345/20,000" in lines[1]


def test_the_less_important_columns_go_first() -> None:
    """A narrow terminal has no clause, a wide one has."""
    assert "CLAUSE" not in printed(60)
    assert "[red]Name[/red] = 'x'" in printed(140)


def test_a_pipe_has_everything() -> None:
    """Whole ids, nothing cut, no ANSI."""
    text = printed(100_000, terminal=False)
    assert JOB["jobId"] in text
    assert text.count("OR Amount") == 20
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_every_help_holds_at_this_width(width: int) -> None:
    """Examples go on in the next line as a shell takes it, so that they can be copied."""
    program = (
        "import click; from cli.main import quotejob\n"
        "def show(command, parent, name):\n"
        "    context = click.Context(command, info_name=name, parent=parent)\n"
        "    print(command.get_help(context))\n"
        "    for name, each in getattr(command, 'commands', {}).items(): show(each, context, name)\n"
        "show(quotejob, None, 'quotejob')"
    )
    environment = clean_environment() | {"PYTHONPATH": str(ROOT), "COLUMNS": str(width)}
    done = subprocess.run([sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) > 300, done.stderr
    assert [line for line in lines if len(line) > width] == []
    examples = "\n".join(line.strip() for line in lines).replace(" \\\n", " ")
    assert "quotejob run \"Name LIKE 'Sample Opportunity %'\" --wait 10\n" in examples


def test_a_long_sentence_keeps_its_command_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal breaks it between words; the command at its end, and an address, can be copied."""
    screen = Console(width=40, force_terminal=True, color_system=None, markup=False)
    render.sentence(screen, "3 records of this job failed. See why: quotejob failures 1f0c7a2b-fdd0-4652-8bae")
    render.sentence(screen, "http://127.0.0.1:8000/console/enter/oueSm0ul74")
    assert capsys.readouterr().out.splitlines() == [
        "3 records of this job failed. See why:",
        "quotejob failures 1f0c7a2b-fdd0-4652-8bae",
        "http://127.0.0.1:8000/console/enter/oueSm0ul74",
    ]


def test_plain_text() -> None:
    """ANSI sequences, control and direction characters go; letters and markup stay as they are."""
    assert (
        render.plain("a\x1b[31mb\x1b]0;title\x07c\x00\u202ed\u009b1me\nf [bold]Zürich 東京")
        == "abcde f [bold]Zürich 東京"
    )


def test_short_ids_are_unique() -> None:
    """Longer than eight characters when that is needed to tell them apart."""
    assert render.short(["aaaaaaaa1", "aaaaaaaa2"]) == {"aaaaaaaa1": "aaaaaaaa1", "aaaaaaaa2": "aaaaaaaa2"}
    assert render.short(["1234567890", "abcdefghij"])["1234567890"] == "12345678"


def test_distances() -> None:
    """One unit for a distance, two for a duration."""
    now = times.parse("2026-01-31T21:00:00Z")
    assert times.relative("2026-01-31T20:57:30Z", now) == "2 min ago"
    assert times.relative("2026-02-02T21:00:00Z", now) == "in 2 d"
    assert times.relative(None, now) == "-"


@pytest.mark.parametrize("text", ["٣d", "２h", "3 d ago", "", "1e3s"])
def test_a_distance_has_digits_0_to_9(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        times.Moment().convert(text, None, None)
