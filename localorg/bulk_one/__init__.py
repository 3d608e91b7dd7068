"""Bulk API 1.0: jobs of many batches, which clients cut themselves; in CSV, XML or JSON.

* ``job`` has a job, its batches and their states, ``store`` both kept in the database.
* ``wire`` reads and writes XML and JSON, ``tables`` makes rows of the records of a batch.
* ``results`` has what became of each record, ``query`` the queries and their chunks.
* ``worker`` has the jobs of an org, and the tasks that process batches.
* ``handlers`` has the requests.

The work on a row, CSV and the reading of records are those of Bulk API 2.0, in ``localorg.bulk``.
"""

from localorg.bulk_one.handlers import JOBS, objects_of, routes, working
from localorg.bulk_one.worker import Jobs

__all__ = ["JOBS", "Jobs", "objects_of", "routes", "working"]
