"""Traces: the spans of a request, its job, each step and each call to the org, for OpenTelemetry.

Without OTEL_EXPORTER_OTLP_ENDPOINT nothing of it is imported, and a span is an empty context. A job keeps the place in
the trace where it was submitted, so messages of the broker need not carry it. Steps that are sent again, hours later or
by another process, have the same place. All of a job is in one trace.

A span has ids, words and numbers only: no clause, no token, and no message of an org.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from quotejob.errors import SettingsError

Value = str | int


class Span(Protocol):
    """What goes on."""

    def set_attribute(self, key: str, value: Value) -> None:
        """Say something of it."""
        ...


class Tracer(Protocol):
    """Where spans go."""

    def span(
        self, name: str, kind: str, parent: str | None, about: Mapping[str, Value]
    ) -> AbstractContextManager[Span]:
        """Return the context of a new span."""
        ...

    def place(self) -> str:
        """Return the current span's place."""
        ...


class _Nothing:
    def set_attribute(self, key: str, value: Value) -> None: ...


_NOTHING: AbstractContextManager[Span] = nullcontext(_Nothing())
_tracer: Tracer | None = None


def start(endpoint: str | None, service: str) -> None:
    """Send the spans of this process, which is part of ``service``, to the endpoint, if there is one.

    Raises SettingsError.
    """
    global _tracer
    if endpoint is None or _tracer is not None:
        return
    try:
        telemetry = importlib.import_module("quotejob.telemetry")
    except ImportError as missing:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            f"pip install -r ops/requirements-otel.txt ({missing})"
        ) from None
    _tracer = telemetry.Telemetry(endpoint, service)


def span(
    name: str, kind: str = "internal", parent: str | None = None, about: Mapping[str, Value] | None = None
) -> AbstractContextManager[Span]:
    """Return the context of a span: "internal", "server", "client", "producer" or "consumer".

    ``parent`` is a place; None: the current span; "": none. An error is noted by its code, and goes on.
    """
    return _NOTHING if _tracer is None else _tracer.span(name, kind, parent, about or {})


def place() -> str | None:
    """Return the place of the current span in its trace, as the header traceparent has it. None: there is no trace."""
    return None if _tracer is None else _tracer.place()
