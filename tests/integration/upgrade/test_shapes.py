"""The shapes of what is kept in Redis change only on purpose, because two versions share one Redis during a deploy.

The names and numbers of messages are in tests/integration/tasks/test_message_names.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import fields as struct_fields

from quotejob import formats
from quotejob.jobs.job import Job
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.receipt import ExplainedLine, Explanation, Planned, PlannedQuote, Receipt, Result
from quotejob.run.results import explained
from quotejob.schedules.schedule import Schedule
from quotejob.store import keys

KEPT = Path(__file__).parent / "shapes.txt"
KINDS: tuple[Any, ...] = (
    *(Job, Schedule, Receipt, Result, Planned, PlannedQuote, Explanation, ExplainedLine, explained._Page),
    *(PricedQuote, PricedLine),
)
WHAT_TO_DO = f"""
What is kept in Redis has another shape now. Would the version before do something wrong with it?
- If so, raise FORMAT in quotejob/formats.py and say there which field needs it. The version before then waits.
- If not (a field that it may ignore), nothing is needed.
Then write the shapes again: PYTHONPATH=. python {Path(__file__).relative_to(Path.cwd())}
"""


def shapes() -> str:
    return "\n".join([f"format {formats.FORMAT}", *_needed(), *_kinds(), *_keys()]) + "\n"


def _needed() -> Iterator[str]:
    for field, number in sorted(formats.NEEDED_BY.items()):
        yield f"{field} needs {number}"


def _kinds() -> Iterator[str]:
    for kind in KINDS:
        parts = fields(kind) if is_dataclass(kind) else struct_fields(kind)
        yield f"{kind.__name__}: {', '.join(part.name for part in parts)}"


def _keys() -> Iterator[str]:
    yield "job: " + ", ".join(key.removeprefix("quotejob:job:J:") for key in keys.kept_after_end("J"))
    yield "for a resume: " + ", ".join(key.removeprefix("quotejob:job:J:") for key in keys.needed_for_resume("J", 1))
    yield "all: " + ", ".join(sorted(text for name, text in vars(keys).items() if name.isupper() and name[0] != "_"))


def test_what_is_kept_has_the_shape_that_other_versions_know() -> None:
    assert shapes() == KEPT.read_text(), WHAT_TO_DO


if __name__ == "__main__":
    KEPT.write_text(shapes())
