"""Log lines: whatever users and orgs send, an entry is one line, and no terminal obeys it."""

from __future__ import annotations

import json
import logging
from decimal import Decimal

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quotejob import logs
from tasks.app import quiet_housekeeping

pytestmark = pytest.mark.usefixtures("logging_restored")
HOSTILE = [
    "a\nb",
    "a\r\n2026-01-31T09:00:00Z [info] Job submitted",
    "\x1b[2J\x1b[31mred",
    "\x9b31m",
    "\u2028next\u2029next\x85next",
    "a\x00b\x07\x08",
    "\u202egnp.exe",
    "\ud800",
]


def written(capsys: pytest.CaptureFixture[str]) -> str:
    """What was logged, checked: nothing in it controls a terminal, and only a line feed ends a line."""
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert not [letter for letter in out if (ord(letter) < 32 and letter != "\n") or 127 <= ord(letter) < 160]
    assert not set(out) & set("\u2028\u2029\u202e")
    return out


@pytest.mark.parametrize("text", HOSTILE)
def test_an_entry_is_one_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """In the sentence, in a value, in the name of a value, in a value that is no text, and in what libraries log."""
    logs.configure("INFO")
    structlog.get_logger().info(text)
    structlog.get_logger().info("A sentence", clause=text)
    structlog.get_logger().info("A sentence", **{text: "value"})
    structlog.get_logger().info("A sentence", clauses=[text], error=ValueError(text))
    with structlog.contextvars.bound_contextvars(request_id=text):
        structlog.get_logger().info("A sentence")
    logging.getLogger("library").warning("it says %s", text)
    assert written(capsys).count("\n") == 6


@pytest.mark.parametrize("text", HOSTILE)
def test_a_traceback_cannot_look_like_another_entry(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Its lines are indented, ours and those of libraries."""
    logs.configure("INFO")
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger().exception("A sentence")
        logging.getLogger("library").exception("A sentence")
    lines = written(capsys).rstrip("\n").split("\n")
    assert len([line for line in lines if not line.startswith("    ")]) == 2
    assert any("ValueError" in line for line in lines)


def test_plain_text_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Letters of every script, quotes and backslashes are no controls."""
    logs.configure("INFO")
    structlog.get_logger().info("grün 契約 🎉 'a' \\n", clause="Name = 'O\\'Brien'", count=3, none=None)
    out = written(capsys)
    assert "grün 契約 🎉 'a' \\n" in out
    assert "count=3" in out


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_json_is_one_object(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Whatever is logged, by us or by libraries: it can be read, has what programs sort by, and loses nothing."""
    logs.configure("INFO", logs.Form.JSON)
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(job_id=text):
        log.warning(text, clause=text, count=3, none=None, ids={text}, error=ValueError(text), price=Decimal("1.20"))
    logging.getLogger("library").error("it says %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("A sentence")
        logging.getLogger("library").exception("A sentence")
    lines = capsys.readouterr().out.splitlines()
    first, second, *failed = (json.loads(line) for line in lines)
    assert (first["event"], first["job_id"], first["clause"], first["error"]) == (text,) * 4
    assert (first["count"], first["none"], first["ids"], first["level"]) == (3, None, [text], "warning")
    assert second["event"] == f"it says {text}"
    assert all("ValueError" in each["exception"] and each["timestamp"].endswith("Z") for each in failed)
    assert len(failed) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=())))
@example("\n")
def test_escaped_text_has_no_control(text: str) -> None:
    """Whatever the text."""
    escaped = logs.escape_controls(text)
    assert escaped.splitlines() in ([], [escaped])
    assert "\x1b" not in escaped


@pytest.mark.parametrize("name", ["celery.worker.strategy", "celery.app.trace", "celery.beat"])
@pytest.mark.parametrize(
    ("task", "level", "shown"),
    [
        ("quotejob.tick", logging.INFO, False),
        ("quotejob.tick_at", logging.INFO, False),
        ("quotejob.sweep", logging.INFO, False),
        ("quotejob.sweep", logging.ERROR, True),
        ("quotejob.plan", logging.INFO, True),
        ("quotejob.tickets", logging.INFO, True),
    ],
)
def test_an_idle_worker_is_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, task: str, level: int, shown: bool
) -> None:
    """Ticks and sweeps come three times a second; Celery's line of each is for LOG_LEVEL=DEBUG. Errors are told."""
    monkeypatch.setattr(logging.getLogger(name), "filters", [])
    logs.configure("INFO")
    logging.getLogger(name).addFilter(quiet_housekeeping)
    logging.getLogger(name).log(level, "Task %s[1f0c] succeeded", task)
    assert (task in capsys.readouterr().out) is shown
    logs.configure("DEBUG")
    logging.getLogger(name).log(level, "Task %s[1f0c] succeeded", task)
    assert task in capsys.readouterr().out
