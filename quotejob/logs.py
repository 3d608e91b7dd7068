"""The form of log lines: a sentence, then names and values; or one JSON object. A bound job id is on every line.

A line is one line: control characters in what users and orgs send are written as escapes.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import traceback
from enum import StrEnum
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger

# C0, C1 and what some programs take for the end of a line; also what turns the direction of text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Form(StrEnum):
    """How a log line is written."""

    TEXT = "text"  # for people
    JSON = "json"  # for programs: one object, with event, level, timestamp and logger


def configure(level: str, form: Form = Form.TEXT) -> None:
    """Write all log lines of this process to standard output in one form, those of libraries too."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_AS_JSON if form is Form.JSON else _AS_TEXT),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("urllib3", "requests"):
        logging.getLogger(noisy).setLevel(max(logging.INFO, root.level))


def escape_controls(text: str) -> str:
    """Return the text with each control character as an escape of Python, so that it stays on its line."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape the sentence and all values, of our log lines and of those of libraries."""
    return {escape_controls(name): _escaped(name, value) for name, value in event.items()}


def _escaped(name: str, value: Any) -> Any:
    if name == "exc_info" or value is None or isinstance(value, bool | int | float):
        return value
    return escape_controls(str(value) if isinstance(value, str | BaseException) else repr(value))


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return the line as ASCII, so that no character of a value can be taken for the end of a line."""
    if exc_info := event.pop("exc_info", None):
        written = io.StringIO()
        _traceback(written, exc_info if isinstance(exc_info, tuple) else sys.exc_info())
        event["exception"] = written.getvalue()
    return json.dumps(event, default=_plain)


def _plain(value: Any) -> Any:
    """Return a value of a kind that JSON does not have."""
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return str(value) if isinstance(value, BaseException) else repr(value)


def _traceback(to: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback without local variables, which may be tokens. Each of its lines is indented."""
    lines = "".join(traceback.format_exception(*exc_info)).rstrip("\n").split("\n")
    to.write("\n".join(f"    {escape_controls(line)}" for line in lines))


_AS_TEXT: list[structlog.typing.Processor] = [
    _escape,
    structlog.dev.ConsoleRenderer(
        colors=False, pad_level=False, pad_event_to=0, sort_keys=False, exception_formatter=_traceback
    ),
]
_AS_JSON: list[structlog.typing.Processor] = [_as_json]
