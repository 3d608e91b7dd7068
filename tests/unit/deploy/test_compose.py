"""compose.yaml is valid by the schema of Compose, and both profiles have every process of the Procfile."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from harness.process import ROOT

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
    """The demo without Flower. Each of them is read-only, without capabilities, and waits for Redis."""
    processes = {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}
    for profile, more in (("real", {"flower"}), ("demo", {"localorg"})):
        mine = [service for service in services.values() if profile in service.get("profiles", [])]
        assert {service["command"][0] for service in mine} == processes | more
        for service in mine:
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["depends_on"]["redis"] == {"condition": "service_healthy"}


def test_jobs_are_kept_and_the_key_is_not_in_the_file(services: dict[str, dict[str, Any]]) -> None:
    """Redis has an append-only file on a volume and evicts nothing. Only this host reaches the ports."""
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert services["web"]["environment"]["QUOTEJOB_SECRET_KEY"].startswith("${QUOTEJOB_SECRET_KEY:?")
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
