"""Traces that nobody asked for cost nothing; those that cannot be sent are said at the start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from quotejob import tracing
from quotejob.errors import SettingsError


def test_nothing_is_imported_without_an_endpoint() -> None:
    """Neither by the web process nor by a worker: both start where OpenTelemetry is not installed.

    Where it is installed, redis-py imports its interfaces, whatever we do.
    """
    code = (
        "import sys; sys.modules['opentelemetry'] = None; import api, tasks.flow; "
        "print('quotejob.telemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"REDIS_URL": "redis://x"}, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_span_is_nothing_then() -> None:
    """It is one object for all, and has no place."""
    with tracing.span("page") as span:
        span.set_attribute("http.response.status_code", 200)
        assert tracing.place() is None
    assert tracing.span("a") is tracing.span("b")


def test_missing_packages_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs them."""
    monkeypatch.setitem(sys.modules, "quotejob.telemetry", None)
    with pytest.raises(SettingsError, match=r"pip install -r ops/requirements-otel\.txt"):
        tracing.start("http://127.0.0.1:9", "quotejob")
