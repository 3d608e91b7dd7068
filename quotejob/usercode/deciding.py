"""A call of users' code, so that a record which breaks it costs only itself.

How the record is found is in :mod:`quotejob.usercode.search`. Every record is decided exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from quotejob.usercode.context import Context, Finish
from quotejob.usercode.decisions import Decision, Refused, decisions, of_finish, without_conflicts
from quotejob.usercode.jobtype import JobType, Keys
from quotejob.usercode.rows import Row
from quotejob.usercode.search import isolate
from quotejob.usercode.trouble import MEMORY, RAISED, Broken, Retry, told
from quotejob.usercode.writes import plain

R = TypeVar("R", bound=Row)
Call = Callable[[Sequence[int]], "list[Decision] | Broken"]  # decides the records at some places
BAD_KEYS = "BAD_KEYS"


class UserCodeFailed(Exception):
    """``start`` or ``finish`` gave nothing. The message says what happened, and in which line."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Watched(Sequence[R]):
    """A page that notes which record was handed out last: the suspect, should nothing come back."""

    def __init__(self, records: Sequence[R], mark: Callable[[int], None]) -> None:
        self._records = records
        self._mark = mark
        self.last = 0

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> R: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[R]: ...

    def __getitem__(self, place: int | slice) -> R | Sequence[R]:
        found = self._records[place]
        if isinstance(place, int):
            self.last = place % len(self)
            self._mark(self.last)
        return found


def attempt(
    job: type[JobType[Any]], records: Sequence[Row], context: Context, mark: Callable[[int], None] = lambda _: None
) -> list[Decision] | Broken:
    """Call ``execute`` once. ``mark`` is told the place of each record that it takes up. Retry goes through."""
    page = _Watched(records, mark)
    try:
        return decisions(job, records, job().execute(page, context))
    except Retry:
        raise
    except Refused as refused:
        places = [place for place, record in enumerate(records) if record.Id == refused.source]
        return Broken(places[0] if places else page.last, refused.code, str(refused))
    except Exception as error:
        return Broken(page.last, MEMORY if isinstance(error, MemoryError) else RAISED, told(error))


def decide(ids: Sequence[str], call: Call) -> list[Decision]:
    """Return the decision of every record, in their order. A record fails only if it breaks the call when alone."""

    def failed(place: int, broken: Broken) -> Decision:
        return Decision(ids[place], "failed", code=broken.code, message=broken.message)

    return without_conflicts(isolate(len(ids), call, failed))


def started(job: type[JobType[Any]], context: Context) -> str | Keys:
    """Return what ``start`` gives. Raises UserCodeFailed, and Retry."""
    try:
        given: object = job().start(context)
    except Retry:
        raise
    except Exception as error:
        raise UserCodeFailed("START_FAILED", told(error)) from error
    if isinstance(given, str | Keys):
        return given
    raise UserCodeFailed("START_FAILED", f"start returned {type(given).__name__}; return a WHERE clause, or Keys")


def listed(given: Keys) -> list[str]:
    """Return the keys that ``start`` gave. Raises UserCodeFailed if one is no text, or making them fails. And Retry."""
    try:
        keys: list[object] = list(given.keys)
    except Retry:
        raise
    except Exception as error:
        raise UserCodeFailed("START_FAILED", told(error)) from error
    for key in keys:
        if not isinstance(key, str):
            raise UserCodeFailed(BAD_KEYS, f"Keys has a {type(key).__name__}: keys are texts")
    return [str(plain(key)) for key in keys]


def finished(job: type[JobType[Any]], finish: Finish) -> Decision:
    """Return what ``finish`` decides. Raises UserCodeFailed, and Retry."""
    try:
        return of_finish(job, job().finish(finish))
    except Retry:
        raise
    except Refused as refused:
        raise UserCodeFailed("FINISH_FAILED", f"{refused.code}: {refused}") from refused
    except Exception as error:
        raise UserCodeFailed("FINISH_FAILED", told(error)) from error
