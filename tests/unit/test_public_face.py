"""What users import from quotejob: every name is there, and `import quotejob` stays quick."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import quotejob
from quotejob import testing

HEAVY = {"cryptography", "redis", "requests", "simple_salesforce", "structlog", "celery", "flask", "marshmallow"}


@pytest.mark.parametrize("package", [quotejob, testing])
def test_every_name_that_is_offered_can_be_imported(package: ModuleType) -> None:
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        exec(f"from {package.__name__} import {name}")
    assert set(package.__all__) <= set(dir(package))
    assert set(package._LATER) <= set(package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        _ = package.Nope


def test_names_imported_at_first_use_are_those_of_their_modules() -> None:
    from quotejob.jobtypes.base import JobHandler
    from quotejob.usercode.jobtype import JobType

    assert quotejob.JobHandler is JobHandler
    assert quotejob.JobType is JobType, "not the names of the built-in ones"


def test_the_import_loads_no_large_library() -> None:
    """A command or a test that needs one word does not wait for the org client, Redis or Celery."""
    assert HEAVY.isdisjoint(loaded_with("quotejob"))


def test_what_starts_a_redis_loads_only_its_client() -> None:
    """bin/demo and bin/quotejob up say what they do at once."""
    assert HEAVY & loaded_with("quotejob.testing.redis_server") <= {"redis", "cryptography"}  # one needs the other


def loaded_with(module: str) -> set[str]:
    """The packages that an import loads."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "quotejob" in loaded
    return set(loaded)
