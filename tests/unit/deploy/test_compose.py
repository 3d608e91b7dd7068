"""compose.yaml is valid by the schema of Compose, and both profiles have every process of the Procfile."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.process import ROOT, free_port

FILE = ROOT / "deploy" / "compose" / "compose.yaml"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))["services"]
    return found


def test_it_is_valid_by_the_schema() -> None:
    """A file with a wrong key is refused by the same check."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(FILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = FILE.read_text("utf-8").replace("    command: [web]", "    comand: [web]")
    assert subprocess.run([*check, "-"], input=broken, capture_output=True, text=True).returncode == 1


def test_both_profiles_have_every_process(services: dict[str, dict[str, Any]]) -> None:
    """The demo without Flower. Each is read-only and without capabilities, and waits for Redis. Prometheus is extra."""
    processes = {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}
    for profile, more in (("real", {"flower"}), ("demo", {"localorg"})):
        mine = [service for service in services.values() if profile in service.get("profiles", [])]
        mine.remove(services["prometheus"])
        assert {service["command"][0] for service in mine} == processes | more
        for service in mine:
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert services["prometheus"]["read_only"] is True
    assert services["prometheus"]["cap_drop"] == ["ALL"]


def test_each_process_may_use_as_much_memory_everywhere(services: dict[str, dict[str, Any]]) -> None:
    """With Compose, on Kubernetes and with systemd. Those of the demos have a limit, too."""
    limits = {name: bytes_of(each["deploy"]["resources"]["limits"]["memory"]) for name, each in services.items()}
    kubernetes = ROOT / "deploy" / "kubernetes"
    for file in (
        *kubernetes.glob("base/*.yaml"),
        kubernetes / "flower" / "flower.yaml",
        *kubernetes.glob("demo/*.yaml"),
    ):
        for manifest in yaml.safe_load_all(file.read_text("utf-8")):
            pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
            for container in (*pod.get("initContainers", []), *pod.get("containers", [])):
                assert bytes_of(container["resources"]["limits"]["memory"]) == limits[container["name"]], file
    for file in (ROOT / "deploy" / "systemd").glob("*.service"):
        name = file.name.removeprefix("quotejob-").partition(".")[0].rstrip("@")
        [most] = re.findall(r"^MemoryMax=(\w+)$", file.read_text("utf-8"), re.M)
        assert bytes_of(most) == limits[name], file
    for name, limit in limits.items():
        assert limit == limits[name.removeprefix("demo-")]


def bytes_of(text: str) -> int:
    """512M, 512Mi, 1G and 1Gi, which all count by 1,024 but Kubernetes' own M and G."""
    found = re.fullmatch(r"(\d+)([MG])i?", text)
    assert found, text
    return int(found[1]) * {"M": 1024**2, "G": 1024**3}[found[2]]


def test_jobs_are_kept_and_the_key_is_not_in_the_file(services: dict[str, dict[str, Any]]) -> None:
    """Redis has an append-only file on a volume and evicts nothing. Only this host reaches the ports."""
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert services["redis"]["volumes"] == ["redis:/data"]
    for name in ("QUOTEJOB_SECRET_KEY", "QUOTEJOB_METRICS_TOKEN"):
        assert services["web"]["environment"][name].startswith(f"${{{name}:?")
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_prometheus_scrapes_web_with_the_token(
    services: dict[str, dict[str, Any]], optional_tool: Callable[[str], str], tmp_path: Path
) -> None:
    """By the command, the files and the variable of Compose; only paths and ports are those of this machine."""
    service, program = services["prometheus"], optional_tool("prometheus")
    places = {}
    for volume in service["volumes"][:2]:
        here, there, _ = volume.split(":")
        places[there] = tmp_path / Path(there).name
        places[there].write_text((FILE.parent / here).read_text("utf-8"), "utf-8")
    settings = places["/etc/prometheus/prometheus.yml"]
    with metrics() as (port, asked):
        text = settings.read_text("utf-8").replace("/tmp/token", f"{tmp_path}/token").replace("15s", "1s")
        assert "web:8000" in text
        settings.write_text(text.replace("web:8000", f"127.0.0.1:{port}"), "utf-8")
        words = [*service["entrypoint"], *service["command"], f"--web.listen-address=127.0.0.1:{free_port(0)}"]
        words = [word.replace("$$", "$").replace("/tmp/token", f"{tmp_path}/token") for word in words]
        words = [
            word.replace("/etc/prometheus/", f"{tmp_path}/").replace("=/prometheus", f"={tmp_path}/data")
            for word in words
        ]
        environment = {"PATH": f"{Path(program).parent}:{os.environ['PATH']}", "QUOTEJOB_METRICS_TOKEN": "the token"}
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                assert asked.get(timeout=30) == ("/metrics", "Bearer the token")
            finally:
                process.terminate()
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0
    promtool = [optional_tool("promtool"), "check", "config", str(settings)]
    done = subprocess.run(promtool, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


@contextmanager
def metrics() -> Iterator[tuple[int, queue.Queue[tuple[str, str]]]]:
    """A server that notes the path and the authorization of each request. Yield its port and these notes."""
    asked: queue.Queue[tuple[str, str]] = queue.Queue()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.put((self.path, self.headers.get("Authorization", "")))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()
