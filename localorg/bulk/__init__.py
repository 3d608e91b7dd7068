"""Bulk API 2.0: write whole files of rows, and read whole tables, in the background.

* ``job`` has a job and its states, ``store`` the jobs kept in the database.
* ``table`` has the files of ingest jobs, ``operations`` the work on a row.
* ``query`` has the query jobs with their files.
* ``worker`` has the jobs of an org, and the tasks that process them.
* ``handlers`` and ``query_handlers`` have the requests.
"""

from itertools import chain

from localorg.bulk import handlers, query_handlers
from localorg.bulk.handlers import BULK_JOBS, CLASSIC_JOBS, objects_of, working
from localorg.bulk.worker import BulkJobs

routes = [*chain(handlers.routes, query_handlers.routes)]

__all__ = ["BULK_JOBS", "CLASSIC_JOBS", "BulkJobs", "objects_of", "routes", "working"]
