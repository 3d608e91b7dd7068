"""The errors of the command line, its exit codes, and its name as it was typed.

Help, errors and hints repeat the command as it was typed, so that they can be typed too.
"""

from __future__ import annotations

import os
import re
import shlex


def typed(usual: str) -> str:
    """Return what was typed, as the scripts in bin/ pass it on. Without one it is the ``usual`` name."""
    return shlex.quote(os.environ.get("QUOTEJOB_TYPED") or usual)


NAME = typed("quotejob")


def as_typed(line: str) -> str:
    """Return a line of commands of quotejob, with the name as it was typed."""
    return re.sub(r"(?<![\w/])quotejob(?= [a-z])", lambda _: NAME, line)


OK = 0
RECORDS_FAILED = 1
USAGE = 2
JOB_NOT_COMPLETED = 3
NOT_SERVED = 4
WAIT_RAN_OUT = 69
INTERRUPTED = 130
PIPE_CLOSED = 141  # 128 and the number of SIGPIPE, as shells say it

EXIT_CODES = {
    OK: "No error.",
    RECORDS_FAILED: f"The job is Completed, but records failed (see `{NAME} failures`).",
    USAGE: "The command, an id or a value is wrong, or the job's state does not allow this. Or nothing can be written.",
    JOB_NOT_COMPLETED: "The job is Failed or Aborted.",
    NOT_SERVED: "The API or the org did not answer, or refused (401, 403, 429, 5xx), or not as expected.",
    WAIT_RAN_OUT: "The time of --wait is over. The job goes on.",
    INTERRUPTED: "Ctrl-C. A submitted job goes on.",
    PIPE_CLOSED: "What read the output has ended.",
}


class CommandError(Exception):
    """The command cannot do what was asked. ``message`` says what is wrong and what to do.

    ``code`` is a MACHINE_WORD for --json, ``exit_code`` one of the above, ``job_id`` the job it is about.
    """

    def __init__(self, message: str, exit_code: int = USAGE, code: str = "USAGE", job_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code
        self.job_id = job_id
