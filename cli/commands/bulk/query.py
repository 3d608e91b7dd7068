"""bulk query: the rows that a SOQL statement finds, as CSV."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import click

from cli import options
from cli.commands.bulk.org import BASE, ENDED, Json, Org
from cli.commands.bulk.places import check_writable
from cli.options import Session, common, examples
from cli.problems import JOB_NOT_COMPLETED, OK, WAIT_RAN_OUT, CommandError

_PARALLEL = 5  # pages read at a time; the org lists five


@click.command(
    epilog=examples(
        'quotejob bulk query "SELECT Id, Name, Amount FROM Opportunity" --wait 5 > deals.csv',
        'quotejob bulk query "SELECT Id FROM Account" --all --output accounts.csv --wait 5',
    )
)
@click.argument("soql")
@click.option("--all", "deleted", is_flag=True, help="With the rows in the recycle bin.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here.  [default: standard output]"
)
@options.wait
@common
def query(session: Session, soql: str, deleted: bool, output: Path | None, wait: float | None) -> int:
    """Run a SOQL statement as a Bulk job and write its rows as CSV. It waits for ten minutes, or for --wait."""
    if session.as_json and output is None:
        raise click.UsageError("With --json give --output: the rows need a place of their own.")
    new = output and output.with_name(f"{output.name}.new")
    if new:
        check_writable(new)
    org = Org(session)
    order = {"operation": "queryAll" if deleted else "query", "query": soql}
    job = _ended(org, str(org.post(f"{BASE}/query", json=order)["id"]), time.monotonic() + (wait or 10) * 60)
    if output is None or new is None:
        _write(org, job, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return OK
    with new.open("wb") as file:
        _write(org, job, file)
    new.replace(output)
    count = job["numberRecordsProcessed"]
    session.say({"job": job["id"], "rows": count, "file": str(output)}, f"{count:,} rows: {output}")
    return OK


def _ended(org: Org, job_id: str, deadline: float) -> Json:
    pause = 0.1
    while (job := org.get(f"{BASE}/query/{job_id}"))["state"] not in ENDED:
        if time.monotonic() > deadline:
            message = f"Job {job_id} is still {job['state']}; it goes on."
            raise CommandError(message, WAIT_RAN_OUT, "WAIT_RAN_OUT", job_id)
        time.sleep(min(pause, 5.0))
        pause *= 1.5
    if job["state"] != "JobComplete":
        reason = job.get("errorMessage") or "no reason is given"
        raise CommandError(f"Job {job_id} is {job['state']}: {reason}", JOB_NOT_COMPLETED, "JOB_NOT_COMPLETE", job_id)
    return job


def _pages(org: Org, job_id: str) -> Iterator[list[str]]:
    """Yield the addresses of the result's pages, some at a time."""
    path: str | None = f"{BASE}/query/{job_id}/resultPages"
    while path:
        listed = org.get(path)
        yield [each["resultUrl"] for each in listed["resultPages"]]
        path = None if listed["done"] else listed["nextRecordsUrl"]


def _write(org: Org, job: Json, out: IO[bytes]) -> None:
    """Write the pages in their order; they are read in parallel, into files. Only the first one keeps its header."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_PARALLEL) as pool:
        first = True
        for urls in _pages(org, job["id"]):
            files = pool.map(lambda place: _read(org, place[1], Path(folder) / str(place[0])), enumerate(urls))
            for path in files:
                with path.open("rb") as page:
                    if not first:
                        page.readline()
                    first = False
                    shutil.copyfileobj(page, out)


def _read(org: Org, url: str, path: Path) -> Path:
    with org.send("GET", url, stream=True, headers={"Accept": "text/csv"}) as answer, path.open("wb") as file:
        for piece in answer.iter_content(1 << 16):
            file.write(piece)
    return path
