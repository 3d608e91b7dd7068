"""While a deploy is under way, workers of two versions share the queues: names and numbers of messages stay."""

from __future__ import annotations

import inspect

import pytest

import tasks.clean_up
import tasks.flow
import tasks.sweep
import tasks.ticks  # noqa: F401 (these four declare the tasks)
from tasks.app import app


@pytest.mark.usefixtures("settings")
def test_messages_of_an_older_version_are_understood() -> None:
    """A message that means something else needs another name: quotejob/formats.py. Older workers drop it, unharmed."""
    arguments = {
        name: list(inspect.signature(task.run).parameters) for name, task in app.tasks.items() if "quotejob." in name
    }
    assert arguments == {
        "quotejob.dispatch": ["org_id"],
        "quotejob.plan": ["run"],  # a step's message has job_id where its function has the run
        "quotejob.start_wave": ["run", "wave"],
        "quotejob.price_page": ["run", "wave", "page"],
        "quotejob.load_page": ["run", "wave", "page"],
        "quotejob.commit": ["run", "wave"],
        "quotejob.write_batch": ["run", "wave", "batch"],
        "quotejob.write_bulk": ["run", "wave", "batch"],
        "quotejob.wave_written": ["run", "wave"],
        "quotejob.round_off": ["run"],
        "quotejob.finish": ["run"],
        "quotejob.clean_up": ["job_id"],
        "quotejob.mirror": ["org_id"],
        "quotejob.notify": ["notice", "number"],
        "quotejob.sweep": [],
        "quotejob.tick": [],
        "quotejob.tick_at": [],
    }
