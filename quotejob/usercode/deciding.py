"""A call of users' code, so that a record which breaks it costs only itself.

If a call gives nothing, the record that it had in hand is tried alone, then the rest; if that record is not guilty,
the halves; after three such rounds each record alone. So every record is decided exactly once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import msgspec

from quotejob.usercode.context import Context, Finish, Retry
from quotejob.usercode.decisions import MAX_TEXT, Decision, Refused, decisions, of_finish
from quotejob.usercode.jobtype import JobType, Keys
from quotejob.usercode.rows import Row

USER_CODE_ERROR = "USER_CODE_ERROR"
R = TypeVar("R", bound=Row)
Call = Callable[[Sequence[Row]], "list[Decision] | Broken"]


class Broken(msgspec.Struct, frozen=True, array_like=True):
    """A call that gave nothing: the place of the record that it had in hand, and what happened."""

    suspect: int
    code: str
    message: str


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
        return Broken(places[0] if places else page.last, refused.code, str(refused)[:MAX_TEXT])
    except Exception as error:
        return Broken(page.last, USER_CODE_ERROR, told(error))


def isolate(records: Sequence[Row], call: Call, *, rounds: int = 3) -> list[Decision]:
    """Return the decision of every record. A record fails only if it breaks the call when it is alone."""
    got = call(records)
    if not isinstance(got, Broken):
        return got
    if len(records) == 1:
        return [Decision(records[0].Id, "failed", code=got.code, message=got.message)]
    if rounds == 0:
        return [one for record in records for one in isolate([record], call)]
    suspect, rest = records[got.suspect], [*records[: got.suspect], *records[got.suspect + 1 :]]
    alone = isolate([suspect], call)
    if alone[0].outcome == "failed":
        return alone + isolate(rest, call, rounds=rounds - 1)
    middle = (len(rest) + 1) // 2
    halves = [half for half in (rest[:middle], rest[middle:]) if half]
    return alone + [one for half in halves for one in isolate(half, call, rounds=rounds - 1)]


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


def told(error: BaseException) -> str:
    """Return an error in one line: its type, its message, and the line of the code where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" (line {trace.tb_lineno} of {os.path.basename(trace.tb_frame.f_code.co_filename)})" if trace else ""
    return f"{type(error).__name__}: {error}"[: MAX_TEXT - len(where)] + where
