"""Bulk API 2.0: whole files of rows written, and whole tables read, in the background.

job.py is a job and its life, table.py the files of ingest jobs, operations.py what is done with a row, query.py the
query jobs with their files, store.py what outlives the process, worker.py the jobs of an org and the tasks that work
them off, handlers.py and query_handlers.py the requests.
"""

from itertools import chain

from localorg.bulk import handlers, query_handlers
from localorg.bulk.handlers import BULK_JOBS, objects_of, working
from localorg.bulk.worker import BulkJobs

routes = [*chain(handlers.routes, query_handlers.routes)]

__all__ = ["BULK_JOBS", "BulkJobs", "objects_of", "routes", "working"]
