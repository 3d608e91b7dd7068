"""The job types of users that this process knows: those of QUOTEJOB_JOBS, and those of installed packages.

A module of QUOTEJOB_JOBS gives every JobType that is written in it and has no ``_`` before its name. A package names
each of its own by an entry point in the group ``quotejob.jobtypes``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from quotejob.usercode.jobtype import JobType, JobTypeError, check
from quotejob.usercode.trouble import told

GROUP = "quotejob.jobtypes"
SETTING = "QUOTEJOB_JOBS"
Known = dict[str, type[JobType[Any]]]


def find(modules: Sequence[str], points: Sequence[EntryPoint] | None = None) -> Known:
    """Return the job types of these modules and of the entry points, by name.

    ``points``: None means those of the installed packages. Raises JobTypeError for a module that cannot be imported or
    has no job type, for two job types of one name, and for one that could not run.
    """
    found: Known = {}
    for module in modules:
        for job in _of_module(module):
            _add(found, job)
    for point in entry_points(group=GROUP) if points is None else points:
        _add(found, _of_entry_point(point))
    return found


def _of_module(name: str) -> Iterator[type[JobType[Any]]]:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise JobTypeError(f"{SETTING}: {name} cannot be imported: {told(error)}") from error
    jobs = [each for each in vars(module).values() if _is_job(each) and _is_here(each, module.__name__)]
    if not jobs:
        raise JobTypeError(f"{SETTING}: {name} has no class of JobType[...]")
    yield from jobs


def _of_entry_point(point: EntryPoint) -> type[JobType[Any]]:
    try:
        job = point.load()
    except Exception as error:
        raise JobTypeError(f"The entry point {point.name} = {point.value} cannot be loaded: {told(error)}") from error
    if not _is_job(job):
        raise JobTypeError(f"The entry point {point.name} = {point.value} is not a class of JobType[...]")
    found: type[JobType[Any]] = job
    return found


def _is_here(job: type, module: str) -> bool:
    return job.__module__ == module and not job.__name__.startswith("_")


def _is_job(thing: object) -> bool:
    return inspect.isclass(thing) and issubclass(thing, JobType) and thing is not JobType


def _add(found: Known, job: type[JobType[Any]]) -> None:
    check(job)
    known = found.setdefault(job.__name__, job)
    if known is not job:
        places = f"{known.__module__} and {job.__module__}"
        raise JobTypeError(f"There are two job types {job.__name__}, in {places}; rename one")
