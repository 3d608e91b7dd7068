"""Bulk API 2.0: write whole files of rows, and read whole tables, in the background.

job.py has a job and its states, table.py the files of ingest jobs, operations.py the work on a row, query.py the query
jobs with their files, store.py the jobs kept in the database, worker.py the jobs of an org and the tasks that process
them, handlers.py and query_handlers.py the requests.
"""

from itertools import chain

from localorg.bulk import handlers, query_handlers
from localorg.bulk.handlers import BULK_JOBS, objects_of, working
from localorg.bulk.worker import BulkJobs

routes = [*chain(handlers.routes, query_handlers.routes)]

__all__ = ["BULK_JOBS", "BulkJobs", "objects_of", "routes", "working"]
