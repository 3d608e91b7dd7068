"""Redis starts twice from an append-only file that was cut in the middle of a script. What it then knows is right.

After the first start, such a Redis appends to the half of the script that is left in the file. So the next start
repeats this half, before the commands that came instead of it (valkey#4342).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from _callers import new_caller
from cryptography.fernet import Fernet
from systems.waiting import wait

from harness.process import free_port
from quotejob.jobs.job import BuiltIn, Status
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.testing import redis_server

Place = Callable[[bytes], int]  # where to cut a file with this text
Restart = Callable[[Place], None]
RECORDS = [f"006{number}" for number in range(4)]
RECEIPT = Receipt("0", tuple(Result(each, Outcome.SUCCEEDED) for each in RECORDS), api_calls=2)


@pytest.fixture
def url() -> str:
    return f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture
def restart(url: str, tmp_path: Path) -> Iterator[Restart]:
    """``restart(place)``: kill Redis, cut its file at this place, and start it again.

    Each command is in the file before its answer. Else Redis may write it two seconds later, while an fsync lasts.
    """
    command = [*redis_server.command(urlsplit(url).port or 0, tmp_path), "--appendfsync", "always"]

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            made = subprocess.Popen(command, stdout=log)
        wait(lambda: redis_server.answers(url), 20)
        return made

    process = start()

    def again(place: Place) -> None:
        nonlocal process
        process.kill()
        process.wait()
        [file] = tmp_path.rglob("*.aof")
        os.truncate(file, place(file.read_bytes()))
        process = start()

    yield again
    process.kill()
    process.wait()


def in_the_last_script(job_id: str, share: float, text: bytes) -> int:
    """Return the place before which this share of the commands of the job's last script is, and a part of one more."""
    script = text.rindex(b"\r\nMULTI\r\n", 0, text.rindex(job_id.encode()))  # others may have written since then
    end = text.index(b"\r\nEXEC\r\n", script)
    begins = [place for place in range(script, end) if text.startswith(b"\r\n*", place)]
    return begins[int(len(begins) * share)] + 5


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_receipt_counts_once(url: str, restart: Restart, tmp_path: Path, share: float) -> None:
    """The receipt is lost by the cut, and stored again. Then Redis repeats a part of the first one."""
    services = Services.connected(Settings(redis_url=url, secret_keys=(Fernet.generate_key().decode(),)), patient=True)
    job, _ = services.jobs.submit(new_caller(), BuiltIn.BATCH_QUOTE, soql_where_clause="a")
    services.jobs.promote(job.org_id)
    services.jobs.move(job.job_id, Status.PREPARING)
    services.progress.store_plan(job.job_id, [RECORDS], 1, lambda: 0)
    services.jobs.move(job.job_id, Status.PROCESSING)
    assert services.progress.record_page(job.job_id, 0, RECEIPT)
    restart(partial(in_the_last_script, job.job_id, share))
    assert services.progress.record_page(job.job_id, 0, RECEIPT)
    after = services.jobs.get(job.job_id)
    restart(len)
    assert b"MULTI calls can not be nested" in (tmp_path / "log").read_bytes()
    assert services.jobs.get(job.job_id) == after
    assert (after.succeeded, after.api_calls) == (len(RECORDS), 2)
