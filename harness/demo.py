"""bin/demo, inside .venv: start everything, create sample Opportunities, price them through the API, show and check."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
import requests

from cli.local import DEMOS, NOTE, alive
from cli.problems import typed
from cli.render import Column, table
from harness import example as _example
from harness.api import Api, ApiError, Json
from harness.bar import bar
from harness.org_reader import OrgReader
from harness.process import ROOT, StackError, clean_environment
from harness.stack import Stack
from harness.terminal import (
    addresses,
    celery_command,
    clock,
    console,
    escape,
    failed,
    handle_signals,
    stopping,
    wait,
    write_org,
)
from harness.venv import alone
from harness.verdict import WHAT, Verdict, check_job

WHERE = "Name LIKE 'Sample Opportunity %'"
AGAIN = "Name LIKE 'Sample Opportunity 1%'"
FAILS = {"Name": "Sample Opportunity that fails", "CloseDate": "4000-12-31"}  # its Quote would expire after that
PRICED = f"{WHERE} AND CloseDate < {FAILS['CloseDate']}"
WEB_PORT, ORG_PORT, FLOWER_PORT = 8000, 8025, 5555  # that of web is in the README
QUIET_SECONDS = 180.0  # a job that shows no change for so long is given up
PROFILES = "instant", "seed"  # of the local org, which is not imported here
SHOWN = 6  # Quotes in the table


class Failure(Exception):
    """The demo did not do what it should. The message says what."""


@click.command(
    help="The whole system on this machine: sample Opportunities in, priced Quotes out.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--opportunities", default=1000, show_default=True, type=click.IntRange(1, 1_000_000), metavar="N")
@click.option("--once", is_flag=True, help="Stop after the job; exit 0 only if every Quote is right.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 32), metavar="N", help="Celery workers."
)
@click.option(
    "--profile", type=click.Choice(PROFILES), help="How slow the local org is.  [default: instant; seed with --queue]"
)
@click.option("--queue", is_flag=True, help="Instead of one large job: the example of who runs when in docs/api.md.")
def main(opportunities: int, once: bool, workers: int, profile: str | None, queue: bool) -> NoReturn:
    """Run the demo. The exit code is 0 when all is right, 1 when not, 130 when stopped before the job was done."""
    handle_signals(signal.default_int_handler)
    folder = run_folder()
    given, authority = os.environ.get("REDIS_URL", "").strip(), os.environ.get("QUOTEJOB_REDIS_CA", "")
    extra = {"QUOTEJOB_DEMO_ORG": str(folder / NOTE), **_own_code()}
    if given and authority:
        extra["QUOTEJOB_REDIS_CA"] = authority
    if queue:
        extra["QUOTEJOB_HOLDING_JOBS"] = str(_example.HOLDING)
    with Stack(folder, redis_url=given or None, extra=extra, tell=clock()) as stack:
        start_all = partial(start, stack, workers, profile or ("seed" if queue else "instant"))
        play = partial(show_queue, stack) if queue else partial(show, stack, opportunities, once=once)
        code = run(stack, start_all, play, once=once)
    clear(folder, keep_logs=code == 1)
    sys.exit(code)


def _own_code() -> dict[str, str]:
    """Return the settings of the user's own code: a demo runs that too."""
    names = ("QUOTEJOB_PRICING", "QUOTEJOB_JOBS", "QUOTEJOB_EXPLAIN_FIELD")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def run(stack: Stack, start_all: Callable[[], None], play: Callable[[], None], *, once: bool) -> int:
    """Start, play and, unless ``once``, wait for Ctrl-C. Return the exit code. When it is 1, the reason is printed."""
    done = False
    try:
        start_all()
        look_around(stack)
        play()
        done = True
        if not once:
            look_around(stack)
            type_next(stack)
            wait(stack, "Running. Ctrl-C stops everything.")
        return 0
    except KeyboardInterrupt:
        return 0 if done else 130
    except StackError as error:
        return failed(str(error))
    except (ApiError, Failure, requests.RequestException) as error:
        return failed(str(error) + stack.obituaries())
    finally:
        stopping()


def start(stack: Stack, workers: int, profile: str) -> None:
    """Start every process in the order in which they need each other."""
    console.print("[bold]Starting[/]")
    stack.start_redis()
    with alone(DEMOS, "bin/demo that takes its ports"):  # or two that start at once find the same ports free
        org = stack.start_org(ORG_PORT, "--profile", profile)
        stack.start_web(WEB_PORT)
        write_org(stack.folder, org, stack.web_url)
        for number in range(1, workers + 1):
            stack.start_worker(number)
        stack.start_beat()
        stack.start_flower(FLOWER_PORT)
    stack.wait_ready()


def show(stack: Stack, opportunities: int, *, once: bool) -> None:
    """Create sample data, run the job and show its Quotes. Raise Failure when anything is not right.

    What users' own code fails is only shown, unless ``once``: a demo that goes on lets them look at it.
    """
    assert stack.org
    reader = OrgReader(stack.org)
    api = Api(stack.web_url, stack.org, reader.username())

    console.print(f"\n[bold]POST /api/data/create?numberOfOpportunities={opportunities}[/]")
    created = api.post(f"/api/data/create?numberOfOpportunities={opportunities}")["jobId"]
    ended(follow(stack, api, created, "Opportunities"), stack)
    add_one_that_fails(reader)

    console.print(f'\n[bold]POST /api/executebatch[/] {{"soqlWhereClause": "{WHERE}"}}')
    begun = time.monotonic()
    job_id = api.submit(WHERE)
    job = follow(stack, api, job_id, "Opportunities")
    ended(job, stack, failed=job["records"]["failed"] if _own_code() else 1)
    seconds = time.monotonic() - begun

    show_quotes(reader, job_id)
    verdict = check_job(reader, job_id, PRICED)
    records = job["records"]
    expected = records["total"], records["succeeded"], records["skipped"], records["failed"], job["quotesCreated"]
    if expected != (opportunities + 1, opportunities, 0, 1, opportunities) or verdict.quotes != opportunities:
        verdict.differences.append(f"{opportunities} Opportunities, but the job says {job}")
    totals(verdict, seconds, job)
    if own := _own_code().get("QUOTEJOB_PRICING"):
        console.print(f"Priced by {escape(own)}, so the Quotes were not compared with pricing.yaml.")
    else:
        judge(verdict, api, job_id)
    explain(stack, job_id, records["failed"])
    if once and records["failed"] > 1:
        raise Failure(f"{records['failed']:,} of {records['total']:,} records failed, and only one of them on purpose.")


def show_queue(stack: Stack) -> None:
    """Run the scheduler's example. Raise Failure when it does not end as drawn in docs/api.md."""
    stack.start_clock()
    wrong = _example.tell(stack, lambda line: console.print(escape(line), soft_wrap=True))
    if wrong:
        raise Failure("Not as drawn: " + "; ".join(wrong))
    console.print(
        "\n[green]As drawn[/]: C ran after A, B and its time, D at its time past a full queue, E before those that had "
        "come before it. Every Quote of A, B, C and D is right.",
        soft_wrap=True,
    )


def follow(stack: Stack, api: Api, job_id: str, what: str) -> Json:
    """Watch the job until it ends: with a live bar on a terminal, otherwise with a line every few seconds."""
    with bar(console, what) as update:

        def each(job: Json) -> None:
            stack.check()
            update(job)

        return api.follow(job_id, QUIET_SECONDS, each)


def ended(job: Json, stack: Stack, failed: int = 0) -> Json:
    """Return the job if it is Completed and so many records failed.

    Otherwise raise Failure with the words of the job and the workers.
    """
    if job["status"] == "Completed" and job["records"]["failed"] == failed:
        return job
    words = "\n".join(f"-- {p.name}:\n{p.tail()}" for p in stack.processes if p.name.startswith("worker"))
    reason = f"{job['extendedStatus']}, {job['records']['failed']} records failed."
    raise Failure(f"Job {job['jobId']} is {job['status']}: {reason}\n{words}")


def add_one_that_fails(reader: OrgReader) -> None:
    """Create an Opportunity for which there can be no Quote, with a line of its own as any other."""
    [like] = reader.query(f"{_ONE_OPPORTUNITY} WHERE {WHERE} LIMIT 1")
    [line, *_] = like["OpportunityLineItems"]
    opportunity = {name: like[name] for name in ("AccountId", "StageName", "Pricebook2Id")}
    item = {"PricebookEntryId": line["PricebookEntryId"], "Quantity": 1, "UnitPrice": 100}
    reader.graph(
        [
            reader.node("opportunity", "Opportunity", {**opportunity, **FAILS}),
            reader.node("line", "OpportunityLineItem", {**item, "OpportunityId": "@{opportunity.id}"}),
        ]
    )


_ONE_OPPORTUNITY = """
    SELECT AccountId, StageName, Pricebook2Id,
           (SELECT PricebookEntryId FROM OpportunityLineItems) FROM Opportunity"""


def explain(stack: Stack, job_id: str, failed: int) -> None:
    """Show the command that says why records failed, and what it prints."""
    purpose = "on purpose: the demo gave it a close date that no Quote can have. To see why:"
    count = "One record failed," if failed == 1 else f"{failed:,} records failed, one of them"
    console.print(f"\n{count} {purpose}", soft_wrap=True)
    why = quotejob(stack, f"failures {job_id[:8]}")
    console.print(f"[bold]{why}[/]", soft_wrap=True)
    command = [sys.executable, "-P", "-m", "cli.main", *why.split()[1:]]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"This command does not work: {done.stderr}")
    console.print(escape(done.stdout.rstrip()))
    console.print("\nWhen the close date is right, this prices the record again, in a new job:")
    console.print(f"[bold]{quotejob(stack, f'retry {job_id[:8]}')}[/]", soft_wrap=True)


def show_quotes(reader: OrgReader, job_id: str) -> None:
    """Print a table of a few Quotes with different discounts and countries, read from the org by SOQL."""
    rows: dict[tuple[int, str], tuple[str, ...]] = {}  # by earlier rows of its discount, then by the discount
    countries: dict[str, set[str]] = {}
    for quote in reader.query(_SOME_QUOTES.format(job_id=job_id)):
        deal, net = quote["Opportunity"], quote["GrandTotal"]
        country = (deal["Account"] or {}).get("BillingCountry") or "-"
        off = f"{(1 - net / deal['Amount']) * 100:.1f} %" if deal["Amount"] else "-"
        seen = countries.setdefault(off, set())
        if country not in seen:
            cells = deal["Name"], country, str(quote["LineItemCount"]), f"{deal['Amount']:,.2f}", off, f"{net:,.2f}"
            rows[len(seen), off] = cells
            seen.add(country)
    if not rows:
        return
    console.print("\nA few of the Quotes, as the org has them:\n")
    table(console, _COLUMNS, [rows[key] for key in sorted(rows)[:SHOWN]])


_COLUMNS = (
    Column("Opportunity"),
    Column("Country", rank=3),
    Column("Lines", rank=4, justify="right"),
    Column("List total", rank=2, justify="right"),
    Column("Discount", rank=1, justify="right"),
    Column("Net total", justify="right"),
)
_SOME_QUOTES = """
    SELECT LineItemCount, GrandTotal, Opportunity.Name, Opportunity.Amount, Opportunity.Account.BillingCountry
    FROM Quote WHERE QuoteJobKey__c LIKE '{job_id}:%' ORDER BY Opportunity.Name LIMIT 200"""


def totals(verdict: Verdict, seconds: float, job: Json) -> None:
    """Print the sums of all Quotes, the time and the number of requests."""
    discount = verdict.list_total - verdict.net_total
    console.print(
        f"\n{verdict.quotes:,} Quotes with {verdict.lines:,} lines in {seconds:.1f} s "
        f"({verdict.quotes / seconds:,.0f} Quotes/s, {job['apiCalls']:,} requests to the org).\n"
        f"List {verdict.list_total:,.2f}, discount {discount:,.2f}, net {verdict.net_total:,.2f}."
    )


def judge(verdict: Verdict, api: Api, job_id: str) -> None:
    """Say what was checked. Raise Failure with the first differences."""
    if len(api.results(job_id, "succeeded")) != verdict.quotes:
        verdict.differences.append("The job's results do not name every Opportunity as succeeded")
    if verdict.differences:
        more = len(verdict.differences) - 10
        lines = verdict.differences[:10] + ([f"... and {more} more"] if more > 0 else [])
        raise Failure(f"{len(verdict.differences)} differences:\n" + "\n".join(lines))
    console.print(
        f"[green]Checked all {verdict.quotes:,} Quotes and {verdict.lines:,} lines against the org by its own "
        f"query[/] ({WHAT}): no difference."
    )


def look_around(stack: Stack) -> None:
    """Print the addresses of the running system."""
    assert stack.org
    console.print("\n[bold]Look around[/]")
    addresses(
        {
            "Console": console_link(stack),
            "Swagger UI": f"{stack.web_url}/docs",
            "Flower": stack.flower_url,
            "Local org": stack.org.url,
            "Logs": str(stack.folder),
        }
    )
    if stack.web_url != f"http://127.0.0.1:{WEB_PORT}":
        console.print(
            f"[yellow]Port {WEB_PORT} is taken by another program. In the commands of the README, write "
            f"{stack.web_url} instead of http://127.0.0.1:{WEB_PORT}.[/]",
            soft_wrap=True,
        )


def type_next(stack: Stack) -> None:
    """Print the commands that a newcomer tries first."""
    console.print("\n[bold]Type in another shell[/]")
    words = {"Jobs": "jobs", "Queue": "queue", "Again": f'run "{AGAIN}" --wait 5'}
    commands = {name: quotejob(stack, each) for name, each in words.items()}
    call = f"bin/invoke.sh local {stack.web_url}/api/jobs"
    addresses({**commands, "By HTTP": call, **celery_command(stack)})


def quotejob(stack: Stack, words: str) -> str:
    """Return a command of bin/quotejob for this demo: two may run at once."""
    return f"bin/quotejob {words} --url {stack.web_url}"


def console_link(stack: Stack) -> str:
    """Return a link that opens the console once, within 15 minutes. `bin/quotejob console` makes another."""
    assert stack.org
    return str(Api(stack.web_url, stack.org, OrgReader(stack.org).username()).post("/console/link")["url"])


def run_folder() -> Path:
    """Create this run's own folder and return it. Remove the folders of earlier runs that have ended."""
    with contextlib.suppress(FileNotFoundError):
        for old in DEMOS.iterdir():
            if not alive(old.name):
                shutil.rmtree(old, ignore_errors=True)
    folder = DEMOS / str(os.getpid())
    folder.mkdir(parents=True)
    return folder


def clear(folder: Path, *, keep_logs: bool) -> None:
    """Remove the run's folder. After a failure, keep its logs and say where they are."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix != ".log" or not keep_logs:
            path.unlink()
    if keep_logs and any(folder.iterdir()):
        console.print(f"The logs are in {folder} until the next bin/demo.", soft_wrap=True)
        return
    for path in (folder, DEMOS):
        with contextlib.suppress(OSError):  # another run's folder is in there
            path.rmdir()


if __name__ == "__main__":
    main(prog_name=typed("bin/demo"))
