"""The units for plain hosts: systemd itself reads them and finds them hardened, and they have every process."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.process import ROOT, clean_environment, free_port

UNITS = ROOT / "deploy" / "systemd"
MOST_EXPOSED = 20  # tenths of a point, on systemd's scale from 0 (nothing is open) to 100
Analyze = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the units, with this checkout in the place of /opt/quotejob, and one worker."""
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for file in tmp_path.glob("*.service"):
        file.write_text(file.read_text("utf-8").replace("/opt/quotejob", str(ROOT)), "utf-8")
    (tmp_path / "quotejob-worker@.service").rename(tmp_path / "quotejob-worker@1.service")
    return tmp_path


@pytest.fixture
def analyze(copy: Path, optional_tool: Callable[[str], str]) -> Analyze:
    """Run systemd-analyze over the copy and systemd's own units."""
    tool = optional_tool("systemd-analyze")
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{copy}:/lib/systemd/system"}
    return lambda *words: subprocess.run([tool, *words], capture_output=True, text=True, env=environment)


def test_systemd_has_nothing_to_say(copy: Path, analyze: Analyze) -> None:
    """It says something about a wrong key, in a unit and in what all units share."""
    units = [str(file) for file in sorted(copy.glob("quotejob*.*")) if file.is_file()]
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for file in (copy / "quotejob-beat.service", copy / "quotejob-.service.d" / "hardened.conf"):
        whole = file.read_text("utf-8")
        file.write_text(whole.replace("[Service]\n", "[Service]\nRestrt=always\n"), "utf-8")
        assert "Restrt" in analyze("verify", "--man=no", *units).stderr
        file.write_text(whole, "utf-8")


def test_certificates_for_redis_as_the_page_has_them(copy: Path, analyze: Analyze) -> None:
    """The lines are valid, and units with them are as hardened as before."""
    [lines] = re.findall(r"```ini\n(.+?)```", (ROOT / "docs" / "deploying.md").read_text("utf-8"), re.S)
    file = copy / "quotejob-.service.d" / "redis.conf"
    file.write_text(lines, "utf-8")
    units = [str(each) for each in sorted(copy.glob("quotejob*.*")) if each.is_file()]
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "quotejob-web.service")
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(lines.replace("LoadCredential", "LoadCredentail"), "utf-8")
    assert "LoadCredentail" in analyze("verify", "--man=no", *units).stderr


@pytest.mark.parametrize("unit", ["web", "worker@1", "clock", "beat", "flower"])
def test_a_unit_is_hardened(unit: str, analyze: Analyze) -> None:
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", f"quotejob-{unit}.service")
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_the_shared_file_they_would_not_be(copy: Path, analyze: Analyze) -> None:
    (copy / "quotejob-.service.d" / "hardened.conf").unlink()
    assert analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "quotejob-web.service").returncode != 0


def test_there_is_a_unit_for_every_process() -> None:
    """Each starts what the image starts. A worker has its number in its name, as two on a host need two names."""
    processes = {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}
    starts = {}
    for file in UNITS.glob("*.service"):
        [(name, more)] = re.findall(
            r"^ExecStart=/opt/quotejob/deploy/image/start (\w+)(.*)$", file.read_text("utf-8"), re.M
        )
        assert file.name == f"quotejob-{name}{'@' * (name == 'worker')}.service"
        starts[name] = more.strip()
    assert starts == dict.fromkeys(processes, "") | {
        "worker": "-n worker-%i@%%h",
        "flower": "--address=127.0.0.1",
    }


def test_the_web_process_tells_systemd_when_it_is_ready(tmp_path: Path) -> None:
    """Type=notify: the unit counts as started only when the sockets listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        environment = clean_environment() | {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "APP_PORT": str(free_port()),
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "QUOTEJOB_SECRET_KEY": "0" * 64,
        }
        web = subprocess.Popen([ROOT / "deploy" / "image" / "start", "web"], env=environment, stderr=subprocess.DEVNULL)
        try:
            assert systemd.recv(4096).startswith(b"READY=1")
        finally:
            web.terminate()
            assert web.wait(30) == 0
