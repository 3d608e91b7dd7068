"""Bulk API 2.0, ingest: whole files of rows, worked off in the background.

job.py is a job and its life, table.py the files it reads and writes, operations.py what is done with a row, worker.py
the jobs of an org and the task that works them off, handlers.py the requests.
"""

from localorg.bulk.handlers import routes, working
from localorg.bulk.worker import Jobs

__all__ = ["Jobs", "routes", "working"]
