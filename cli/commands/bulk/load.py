"""bulk load: the rows of a file into the org, each once, and what became of each of them."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import click

from cli import options, render
from cli.commands.bulk import ledger as ledgers
from cli.commands.bulk.ledger import Ledger, Part
from cli.commands.bulk.org import BASE, ENDED, Json, Org
from cli.commands.bulk.outcome import FAILED, SUCCESS, UNKNOWN, UNPROCESSED, Outcome, Outcomes
from cli.commands.bulk.places import check_writable
from cli.commands.bulk.source import LINE, Form, Source, find_form, mapped
from cli.options import Session, common, examples
from cli.problems import INTERRUPTED, JOB_NOT_COMPLETED, OK, RECORDS_FAILED, WAIT_RAN_OUT, CommandError

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
_MULTIPART = 90_000  # bytes of content in the request that creates a job; the org takes 100,000 characters
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "caret": "^", "backquote": "`"}
_FILES = (SUCCESS, FAILED, UNPROCESSED)
_HEADS = {SUCCESS: ("sf__Id", "sf__Created"), FAILED: ("sf__Id", "sf__Error"), UNPROCESSED: (), UNKNOWN: ()}


@click.command(
    epilog=examples(
        "quotejob bulk load deals.csv --object Opportunity --operation insert --wait 10",
        "quotejob bulk load quotes.csv --object Quote --operation upsert --external-id QuoteJobKey__c --wait 10",
        'quotejob bulk load list.csv --object Account --operation insert --map "Company=Name" --map "Remarks="',
        "quotejob bulk load deals.csv --resume --wait 10",
    )
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--object", "object_name", metavar="NAME", help="The object of the rows, such as Account.")
@click.option("--operation", type=click.Choice(OPERATIONS))
@click.option("--external-id", metavar="FIELD", help="With upsert: the field that finds the rows.")
@click.option(
    "--map", "maps", multiple=True, metavar="COLUMN=FIELD", help="The field of a column; COLUMN= leaves it out."
)
@click.option("--delimiter", type=click.Choice(list(_DELIMITERS)), help="[default: found out]")
@click.option("--encoding", metavar="NAME", help="[default: found out]")
@click.option(
    "--part-mb", type=options.Finite(0, 100, min_open=True), help="The most megabytes of a job.  [default: 100]"
)
@click.option("--resume", is_flag=True, help="Go on with a load that was interrupted.")
@options.wait
@common
def load(
    session: Session,
    file: Path,
    object_name: str | None,
    operation: str | None,
    external_id: str | None,
    maps: tuple[str, ...],
    delimiter: str | None,
    encoding: str | None,
    part_mb: float | None,
    resume: bool,
    wait: float | None,
) -> int:
    """Write the rows of a CSV FILE into the org, by Bulk API 2.0.

    With --wait three files are written beside FILE: .success.csv, .failed.csv and .unprocessed.csv. They have the
    columns of FILE, and the line of each row in sf__Line. Load FILE.failed.csv to try only the failed rows again.
    """
    settings: dict[str, Any] = {
        "object": object_name,
        "operation": operation,
        "externalId": external_id,
        "maps": list(maps) or None,
        "delimiter": delimiter and _DELIMITERS[delimiter],
        "encoding": encoding,
        "partMb": part_mb,
        "size and time of the file": [file.stat().st_size, file.stat().st_mtime_ns],
    }
    if not resume and not (object_name and operation):
        raise click.UsageError("Give --object and --operation.")
    if external_id == "" or (not resume and (operation == "upsert") != (external_id is not None)):
        raise click.UsageError("Give --external-id with --operation upsert, and with no other one.")
    with ledgers.opened(file, settings, resume=resume) as ledger:
        try:
            return Load(session, file, ledger).run(wait)
        except KeyboardInterrupt:
            if not ledger.is_sent():
                raise
            message = f"Stopped. Go on with it: {ledgers.to_go_on(file, wait)}"
            raise CommandError(message, INTERRUPTED, "INTERRUPTED") from None


class Load:
    """One load, new or resumed."""

    def __init__(self, session: Session, path: Path, ledger: Ledger) -> None:
        self._session = session
        self._path = path
        self._ledger = ledger
        self._settings = ledger.settings
        if not (self._settings["object"] and self._settings["operation"]):
            raise CommandError(f"The load of {path} has sent nothing: begin it again, without --resume.")
        self._form: Form = find_form(path, self._settings["encoding"], self._settings["delimiter"])
        self._source = Source(path, self._form)
        self._org = Org(session)

    def run(self, wait: float | None) -> int:
        """Send what is not sent, and with a time to wait also collect the results."""
        for kind in _FILES:
            check_writable(self._file(kind))
        self._cut()
        for number, part in enumerate(self._ledger.parts):
            self._send(number, part)
        if wait is None and self._ledger.parts:
            return self._sent()
        ended = self._follow(time.monotonic() + (wait or 0) * 60)
        return self._report(ended)

    def _tell(self, text: str) -> None:
        render.sentence(self._session.side, render.plain(text))

    def _cut(self) -> None:
        self._tell(f"{self._path.name}: {self._form}; {len(self._source.header)} columns.")
        if not self._ledger.parts:
            fields = mapped(self._source.header, self._settings["maps"] or ())
            ledgers.cut(self._ledger, self._source, fields, int((self._settings["partMb"] or 100) * 1_000_000))
        parts = self._ledger.parts
        self._tell(f"{sum(part.rows for part in parts):,} rows to {self._settings['operation']}, jobs: {len(parts)}.")

    # --- sending ----------------------------------------------------------------------------------------------------

    def _send(self, number: int, part: Part) -> None:
        """Bring a part to the org, and close its job; if the org has the job already, only what is missing."""
        if part.job:
            state = self._state(part)
            if state == "Open" and part.closing:  # all of its rows are there
                self._close(part)
                return
            if state not in ("Open", None):
                return
            self._begin_again(part, state)
        if not part.job and self._is_harmless() and self._ledger.part_file(number).stat().st_size <= _MULTIPART:
            self._send_at_once(number, part)
            return
        if not part.job:
            part.job = self._org.post(f"{BASE}/ingest", json=self._order())["id"]
            self._ledger.save()
        path = f"{BASE}/ingest/{part.job}"
        with self._ledger.part_file(number).open("rb") as rows:
            self._org.send("PUT", f"{path}/batches", data=rows, headers={"Content-Type": "text/csv"})
        part.closing = True
        self._ledger.save()
        self._close(part)

    def _begin_again(self, part: Part, state: str | None) -> None:
        """Let a new job take the rows: how an upload into a job that has rows ends is not documented."""
        if state == "Open":
            self._org.patch(f"{BASE}/ingest/{part.job}", "Aborted")
        part.job, part.closing = "", False

    def _state(self, part: Part) -> str | None:
        """Return the state of a part's job. None: it is gone, and its rows may be sent again."""
        try:
            return str(self._org.get(f"{BASE}/ingest/{part.job}")["state"])
        except CommandError as error:
            if error.code != "NOT_FOUND":
                raise
        if part.closing and not self._is_harmless():
            message = (
                f"Job {part.job} is no longer in the org, so nobody knows which of its {part.rows:,} rows are done: "
                f"lines {part.first:,} to {part.last:,} of {self._path}. Look in the org, remove "
                f"{self._ledger.folder}, and load only what is missing."
            )
            raise CommandError(message, JOB_NOT_COMPLETED, "OUTCOME_UNKNOWN", part.job)
        return None

    def _is_harmless(self) -> bool:
        """Return whether rows can be sent twice with the same effect, and the same results."""
        return self._settings["operation"] in ("update", "upsert")

    def _order(self) -> Json:
        given = {"externalIdFieldName": self._settings["externalId"]} if self._settings["externalId"] else {}
        names = {"object": self._settings["object"], "operation": self._settings["operation"]}
        return {**names, **given, "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}

    def _send_at_once(self, number: int, part: Part) -> None:
        """Create the job with its rows in one request. If the answer is lost, the rows are sent again."""
        rows = self._ledger.part_file(number).read_bytes()
        parts = {
            "job": (None, json.dumps(self._order()), "application/json"),
            "content": ("content", rows, "text/csv"),
        }
        part.job = self._org.post(f"{BASE}/ingest", files=parts)["id"]
        part.closing = True
        self._ledger.save()

    def _close(self, part: Part) -> None:
        """Close the job. If the answer is lost, its state says whether it is closed."""
        path = f"{BASE}/ingest/{part.job}"
        try:
            self._org.patch(path, "UploadComplete")
        except CommandError:
            if self._org.get(path)["state"] == "Open":
                self._org.patch(path, "UploadComplete")

    def _sent(self) -> int:
        jobs = [part.job for part in self._ledger.parts]
        again = f"Results: {ledgers.to_go_on(self._path)}"
        self._session.say({"jobs": jobs}, *(f"Job {job} is in the org." for job in jobs), again)
        return OK

    # --- waiting ----------------------------------------------------------------------------------------------------

    def _follow(self, deadline: float) -> list[Json]:
        """Return the ended jobs; raise CommandError when the time is over."""
        told, ended = "", []
        for part in self._ledger.parts:
            pause = 0.1
            while (job := self._org.get(f"{BASE}/ingest/{part.job}"))["state"] not in ENDED:
                if time.monotonic() > deadline:
                    message = f"Job {part.job} is still {job['state']}; it goes on. Results: add --resume."
                    raise CommandError(message, WAIT_RAN_OUT, "WAIT_RAN_OUT", part.job)
                time.sleep(min(pause, 5.0))
                pause *= 1.5
                line = f"Job {part.job}: {job['state']}, {job.get('numberRecordsProcessed', 0):,}/{part.rows:,} rows"
                if line != told:
                    self._tell(line)
                    told = line
            ended.append(job)
        return ended

    # --- results ----------------------------------------------------------------------------------------------------

    def _report(self, ended: list[Json]) -> int:
        """Write the result files, print the counts, and return the exit code."""
        outcomes = [Outcomes(self._ledger, number) for number in range(len(self._ledger.parts))]
        for each, part in zip(outcomes, self._ledger.parts, strict=True):
            each.collect(self._org, part)
        counts, unknown = self._write(chain.from_iterable(each.each() for each in outcomes))
        files = {kind: str(self._file(kind)) for kind in _FILES}
        reasons = sorted({job["errorMessage"] for job in ended if job.get("errorMessage")})
        told = {"jobs": [job["id"] for job in ended], "counts": counts, "files": files, "reasons": reasons}
        lines = [f"{kind}: {counts[kind]:,}, see {files[kind]}" for kind in files if counts[kind]]
        self._session.say({**told, "unknownLines": unknown[:100]}, *lines, *reasons)
        if counts[UNKNOWN]:
            some = ", ".join(map(str, unknown[:20]))
            message = (
                f"Of {counts[UNKNOWN]:,} rows nobody knows whether they were written: lines {some}. Look in the org."
            )
            self._tell(message)
        self._ledger.remove()
        if any(job["state"] != "JobComplete" for job in ended) or counts[UNKNOWN]:
            return JOB_NOT_COMPLETED
        return RECORDS_FAILED if counts[FAILED] or counts[UNPROCESSED] else OK

    def _file(self, kind: str) -> Path:
        return ledgers.result_file(self._path, kind)

    def _write(self, outcomes: Iterator[Outcome]) -> tuple[Counter[str], list[int]]:
        """Write each row with its outcome into the file of its kind; the rows are in their own order."""
        counts: Counter[str] = Counter()
        unknown: list[int] = []
        with ExitStack() as stack:
            writers = {}
            for kind in _FILES:
                file = stack.enter_context(self._file(kind).open("w", encoding="utf-8", newline=""))
                ending = "\r\n" if self._form.ending == "\r\n" else "\n"
                writers[kind] = csv.writer(file, delimiter=self._form.delimiter, lineterminator=ending)
                writers[kind].writerow([LINE, *_HEADS[kind], *self._source.header])
            for row in self._source.rows():
                outcome = Outcome(FAILED, "", row.fault) if row.fault else next(outcomes)
                counts[outcome.kind] += 1
                if outcome.kind == UNKNOWN:
                    unknown.append(row.line)
                else:
                    heads = outcome[1 : 1 + len(_HEADS[outcome.kind])]
                    writers[outcome.kind].writerow([row.line, *heads, *row.values])
        return counts, unknown
