"""What do eight open tabs of the console cost? The share of a core that the web process takes, and the first view.

    .venv/bin/python bench/console.py --jobs 10000

The tabs show pages of an org with 10,000 ended jobs, 5 that run and 100 that hold. They ask as a browser does: each
part every 2 seconds, with the tag of its last answer. First nothing changes, then something does every 2 seconds. The
first view is the time until a page has loaded in Chromium (chromium on PATH), with an empty cache.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import requests
from playwright.sync_api import sync_playwright

from bench.monitoring import fill
from console.sessions import Door, Role, Sessions
from harness.stack import Stack
from quotejob.doors import Doors
from quotejob.jobs.workers import NEEDED
from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys

TABS = ("", "", "/jobs", "/jobs", "/queue", "/queue", "/schedules", "job")
EVERY = 2.0  # seconds
PART = re.compile(r'hx-get="([^"]+)" hx-trigger="every (\d+)s" [^>]*hx-ptag="([^"]*)"')
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Fill, open the tabs, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder, Stack(Path(folder)) as stack:
        stack.start_redis()
        stack.start_web()
        settings = Settings(
            redis_url=stack.redis_url or "", secret_keys=(stack.environment["QUOTEJOB_SECRET_KEY"],), doors=Doors()
        )
        services = Services.connected(settings)
        person = CallerContext(
            request_id="r", org_id=to18("00D" + uuid.uuid4().hex[:12]), org_domain_url="https://x.my.salesforce.com",
            api_version=API_VERSION, namespace="", access_token="t", user_id=to18("005RO0000000001"), username="u",
        )  # fmt: skip
        fill(services.jobs, person, asked.jobs)
        for queue in NEEDED:  # as if a worker ran: without one no job has estimates
            services.client.set(keys.worker(queue), 1)
        cookie = Sessions(services.client, settings).begin(person, Role.OPERATOR, Door.LINK)
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
        version = keys.version(person.org_id)
        [job_id, *_] = services.client.members(keys.jobs_of(person.org_id, "active"))
        pages = [f"/jobs/{job_id}" if tab == "job" else tab for tab in TABS]
        for what, change in (
            ("nothing changes", lambda: None),
            ("a change every 2 s", partial(services.client.incr, version)),
        ):
            share, count = looked(stack, cookie, pages, asked.seconds, change)
            print(f"8 tabs, {asked.jobs:,} jobs, {what}: {share:.1%} of a core, {count / asked.seconds:.1f} requests/s")
        for name, path in (("overview", ""), ("jobs", "/jobs"), ("a job", f"/jobs/{job_id}")):
            first_view(f"{stack.web_url}/console{path}", name, cookie)


def looked(
    stack: Stack, cookie: str, pages: list[str], seconds: float, change: Callable[[], object]
) -> tuple[float, int]:
    """Let the tabs ask for so long. Return the share of a core that the web processes took, and the requests."""
    counts: list[int] = []
    until, ready = threading.Event(), threading.Barrier(len(pages) + 1)

    def tab(page: str) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.cookies.set("quotejob_console", cookie, path="/console")
            found = session.get(f"{stack.web_url}/console{page}", timeout=30)
            assert found.status_code == 200, found.text[:300]
            parts = [
                [part.replace("&amp;", "&"), int(every), tag, 0.0] for part, every, tag in PART.findall(found.text)
            ]
            assert parts, page
            ready.wait()
            asked = 0
            while not until.wait(EVERY):
                for part in (each for each in parts if time.monotonic() - each[3] >= each[1] - 0.5):
                    headers = {"HX-Request": "true", "HX-PTag": part[2], "Accept-Encoding": "gzip"}
                    answer = session.get(stack.web_url + part[0], headers=headers, timeout=30)
                    assert answer.status_code in (200, 304), answer.status_code
                    part[2], part[3] = answer.headers.get("HX-PTag", part[2]), time.monotonic()
                    asked += 1
            counts.append(asked)

    threads = [threading.Thread(target=tab, args=(page,)) for page in pages]
    for each in threads:
        each.start()
    ready.wait()
    before, start = processor_seconds(stack), time.monotonic()
    while time.monotonic() - start < seconds:
        time.sleep(EVERY)
        change()
    share = (processor_seconds(stack) - before) / (time.monotonic() - start)
    until.set()
    for each in threads:
        each.join()
    return share, sum(counts)


def processor_seconds(stack: Stack) -> float:
    """Return what the web process and its children have used of the processor."""
    group, used = stack.process("web").pid, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[2]) == group:
            used += int(fields[11]) + int(fields[12])
    return used / TICKS


def first_view(address: str, name: str, cookie: str) -> None:
    """Print how long it takes until a page has loaded, ten times."""
    program = shutil.which("chromium")
    if program is None:
        print("first view: not measured, there is no chromium")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        times = []
        for _number in range(10):
            context = browser.new_context(timezone_id="UTC")
            context.add_cookies(
                [{"name": "quotejob_console", "value": cookie, "domain": "127.0.0.1", "path": "/console"}]
            )
            view = context.new_page()
            view.goto(address, wait_until="load")
            times.append(float(view.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")))
            context.close()
        browser.close()
    print(f"first view of {name}: {statistics.median(times):.0f} ms (median of ten), {max(times):.0f} ms (largest)")


if __name__ == "__main__":
    main()
