"""What can go wrong with users' code, as values: they go from its process to ours."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from types import FrameType, TracebackType

import msgspec

MAX_MESSAGE = 500  # characters of a message in the results

RAISED = "USER_CODE_ERROR"
TOO_SLOW = "USER_CODE_TOO_SLOW"
DIED = "USER_CODE_DIED"
MEMORY = "USER_CODE_MEMORY"
NONSENSE = "USER_CODE_NONSENSE"  # what it gave is not what it should give
NOT_REACHED = "NOT_REACHED"
AWAY = "SOMETHING_AWAY"  # what users' code needs does not answer, as it says

_OURS = str(Path(__file__).resolve().parent.parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Retry(Exception):
    """Raise it when something else is away, such as a database: the page is tried again later, and no record fails.

    ``after``: seconds until then.
    """

    code = AWAY

    def __init__(self, reason: str, *, after: float = 30) -> None:
        super().__init__(reason)
        self.after = after


class Broken(msgspec.Struct, frozen=True, array_like=True):
    """A call that gave nothing: the place of the record that it took up last, and what happened."""

    suspect: int
    code: str
    message: str


def broken(suspect: int, error: BaseException) -> Broken:
    """Return what an exception of users' code means: its type, its message and the line of their code."""
    code = MEMORY if isinstance(error, MemoryError) else str(getattr(error, "code", RAISED))
    return Broken(suspect, code, told(error))


def told(error: BaseException) -> str:
    """Return an exception in one line: ``ValueError: no such price (line 12 of pricing.py)``."""
    place = where(error.__traceback__)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{text[:MAX_MESSAGE]}{f' ({place})' if place else ''}"


def where(trace: TracebackType | None) -> str:
    """Return the innermost line that is neither ours nor a library's. Empty: there is none."""
    found = ""
    while trace is not None:
        if _is_theirs(trace.tb_frame):
            found = f"line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name}"
        trace = trace.tb_next
    return found


def _is_theirs(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not file.startswith((_OURS, sys.base_prefix, *_LIBRARIES, "<frozen"))
