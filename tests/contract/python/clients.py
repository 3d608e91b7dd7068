"""Runs in the environment of requirements.txt: reads a JSON object, calls the function it names, prints JSON."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import Any

from salesforce_bulk import BulkApiError, CsvDictsAdapter, SalesforceBulk


def salesforce_bulk(url: str, token: str, name: str) -> dict[str, Any]:
    """Insert and query with salesforce-bulk."""
    bulk = SalesforceBulk(sessionId=token, host=url, API_version="66.0")
    job = bulk.create_insert_job("Account", contentType="CSV", concurrency="Parallel")
    rows = iter([{"Name": f"{name} {number}", "Site": "é, x"} for number in range(250)])
    batches = []
    while some := list(islice(rows, 100)):
        batches.append(bulk.post_batch(job, CsvDictsAdapter(iter(some))))
    bulk.close_job(job)
    for batch in batches:
        bulk.wait_for_batch(job, batch, sleep_interval=0.1)
    written = [result for batch in batches for result in bulk.get_batch_results(batch)]
    reading = bulk.create_query_job("Account", contentType="JSON")
    query = bulk.query(reading, f"SELECT Name, Site FROM Account WHERE Name LIKE '{name}%'")
    bulk.wait_for_batch(reading, query, sleep_interval=0.1)
    found = [row for result in bulk.get_all_results_for_query_batch(query) for row in json.load(result)]
    chunked = bulk.create_query_job("Account", contentType="CSV", pk_chunking=100_000)
    bulk.query(chunked, "SELECT Name FROM Account")
    aborted = bulk.create_insert_job("Account", contentType="CSV")
    bulk.abort_job(aborted)
    try:
        bulk.create_insert_job("Nonsense__c")
    except BulkApiError as error:
        refused = [error.status_code, str(error)]
    return {
        "written": [result.success for result in written],
        "ids": len({result.id for result in written}),
        "status": bulk.job_status(job),
        "found": found,
        "aborted": bulk.job_state(aborted),
        "refused": refused,
    }


def cumulusci(url: str, token: str, folder: str) -> dict[str, Any]:
    """Load a data set of 2,500 Accounts with CumulusCI's load_dataset and no option but its two files."""
    from cumulusci.core.config import BaseProjectConfig, OrgConfig, TaskConfig, UniversalConfig
    from cumulusci.core.keychain import BaseProjectKeychain
    from cumulusci.tasks.bulkdata import LoadData

    universal = UniversalConfig()
    project = BaseProjectConfig(universal, config={"project": {"package": {"api_version": "66.0"}}})
    project.keychain = BaseProjectKeychain(project, None)
    org = OrgConfig({"instance_url": url, "access_token": token, "userinfo": {}}, "local")
    org.refresh_oauth_token = lambda *_, **__: None
    org.save = lambda: None
    options = {"sql_path": f"{folder}/data.sql", "mapping": f"{folder}/mapping.yml"}
    task = LoadData(project, TaskConfig({"options": options}), org)
    task()
    return {"results": {name: dict(each) for name, each in task.return_values["step_results"].items()}}


if __name__ == "__main__":
    given = json.loads(sys.stdin.read())
    print(json.dumps(globals()[given.pop("function")](**given)))
