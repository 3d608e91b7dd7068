"""Users' own code: what it is made of, and how it runs without harm to the rest.

A module of job types imports from here.
"""

from quotejob.usercode.context import Context, Finish
from quotejob.usercode.jobtype import JobType, Keys
from quotejob.usercode.rows import Key, Row, children, path
from quotejob.usercode.trouble import Retry
from quotejob.usercode.writes import Write, Yielded, deletes, inserts, updates, upserts

__all__ = [
    "Context",
    "Finish",
    "JobType",
    "Key",
    "Keys",
    "Retry",
    "Row",
    "Write",
    "Yielded",
    "children",
    "deletes",
    "inserts",
    "path",
    "updates",
    "upserts",
]
