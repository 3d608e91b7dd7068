"""What users import from quotejob: every name is there, and `import quotejob` stays quick."""

from __future__ import annotations

import subprocess
import sys

import pytest

import quotejob

HEAVY = {"cryptography", "redis", "requests", "simple_salesforce", "structlog", "celery", "flask", "marshmallow"}


def test_every_name_that_is_offered_can_be_imported() -> None:
    assert len(set(quotejob.__all__)) == len(quotejob.__all__)
    for name in quotejob.__all__:
        exec(f"from quotejob import {name}")
    assert set(quotejob.__all__) <= set(dir(quotejob))


def test_names_imported_at_first_use_are_those_of_their_modules() -> None:
    from quotejob.jobtypes.base import JobHandler
    from quotejob.usercode.jobtype import JobType

    assert quotejob.JobHandler is JobHandler
    assert quotejob.JobType is JobType, "not the names of the built-in ones"
    assert set(quotejob._LATER) <= set(quotejob.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        _ = quotejob.Nope


def test_the_import_loads_no_large_library() -> None:
    """A command or a test that needs one word does not wait for the org client, Redis or Celery."""
    code = "import sys, quotejob; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "quotejob" in loaded
    assert HEAVY.isdisjoint(loaded)
