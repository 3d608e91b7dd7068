"""bin/demo, run as a newcomer runs it: from another folder, again and again, stopped in every way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from harness.process import ROOT, clean_environment
from localorg.lab.costs import PROFILES

DEMO = str(ROOT / "bin" / "demo")


@pytest.fixture
def environment() -> dict[str, str]:
    """What a user's shell would have."""
    return clean_environment()


def children(process: psutil.Process) -> list[psutil.Process]:
    """All of its descendants."""
    found: list[psutil.Process] = process.children(recursive=True)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    """None of these processes is left."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    return not alive


@pytest.mark.timeout(240)
def test_once_checks_every_quote_and_leaves_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    """Exit code 0, says what it checked, and leaves no process and no file, whatever folder it was called from."""
    before = set(os.listdir(ROOT))
    seen: dict[int, psutil.Process] = {}
    with subprocess.Popen(
        [DEMO, "--once", "--opportunities", "40", "--workers", "2"],
        cwd=tmp_path,
        env=environment | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout
        lines = []
        for line in demo.stdout:
            lines.append(line)
            seen.update({process.pid: process for process in children(psutil.Process(demo.pid))})
    output = "".join(lines)
    assert demo.returncode == 0, output
    assert "Checked all 40 Quotes and 80 lines" in output
    assert "/docs" in output
    assert re.search(r"Net total", output)
    assert len(seen) >= 7  # Redis, local org, web, two workers, beat, Flower
    assert gone(list(seen.values()))
    assert os.listdir(tmp_path) == []
    assert not (ROOT / ".demo" / str(demo.pid)).exists()
    assert set(os.listdir(ROOT)) - before <= {"__pycache__", ".hypothesis", ".demo"}  # of tests beside this one
    assert not re.search("00D[0-9A-Za-z]{12,15}!", output)  # an access token


@pytest.mark.timeout(400)
def test_the_example_of_who_runs_when_ends_as_drawn(environment: dict[str, str]) -> None:
    """As docs/api.md draws it: three jobs, one of them waits, a guaranteed one past a full queue, one moved by hand."""
    done = subprocess.run([DEMO, "--queue", "--once"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "The flex queue is full: 429" in done.stdout
    assert re.findall(r"^([A-E])  ?[ ·]*█+", done.stdout, re.MULTILINE) == ["A", "B", "C", "D", "E"]
    assert "As drawn" in done.stdout


@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopping_leaves_no_process(how: signal.Signals, environment: dict[str, str]) -> None:
    """bin/invoke.sh reaches the running demo; Ctrl-C and SIGTERM end it with 0; even after kill -9 nothing stays."""
    with subprocess.Popen(
        [DEMO, "--opportunities", "5"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if "Ctrl-C stops everything" in line:
                break
        started = children(psutil.Process(demo.pid))
        assert len(started) >= 5, "".join(lines)
        call = re.search(r"bin/invoke.sh (local) (\S+)", "".join(lines))
        assert call
        invoked = subprocess.run([ROOT / "bin" / "invoke.sh", *call.groups()], capture_output=True, text=True)
        assert len(json.loads(invoked.stdout)["jobs"]) == 2, invoked.stderr
        demo.send_signal(how)
        lines += demo.stdout.readlines()
        code = demo.wait()
    assert code == (0 if how != signal.SIGKILL else -signal.SIGKILL), "".join(lines)
    assert gone(started)


@pytest.mark.timeout(240)
def test_two_at_once_do_not_meet(environment: dict[str, str]) -> None:
    """Each has its own ports, and says them; each checks its own Quotes only."""
    command = [DEMO, "--once", "--opportunities", "5"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [demo.communicate()[0] for demo in both]
    assert [demo.returncode for demo in both] == [0, 0], "".join(said)
    for name in ("Web", "Local org"):  # Flower is the last: the first demo may have ended by then
        ports = [re.findall(rf"{name} on port (\d+)", text) for text in said]
        assert ports[0] != ports[1], ports
    for text in said:
        [port] = re.findall(r"Web on port (\d+)", text)
        assert set(re.findall(r"--url http://127.0.0.1:(\d+)\n", text)) == {port}
        assert re.search(rf"bin/quotejob failures \w+ --url http://127.0.0.1:{port}\n", text)


@pytest.mark.timeout(120)
def test_stopped_while_starting(environment: dict[str, str]) -> None:
    """Stopped before the job is done: exit code 130, and nothing stays."""
    with subprocess.Popen(
        [DEMO, "--opportunities", "5"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if "Web on port" in line:
                break
        started = children(psutil.Process(demo.pid))
        demo.terminate()
        demo.stdout.readlines()
        assert demo.wait() == 130
    assert gone(started)


@pytest.mark.timeout(120)
def test_a_process_that_cannot_start_is_named(environment: dict[str, str]) -> None:
    """Code of one's own that is not there: exit code 1, the worker's own words, and where the logs are."""
    own = environment | {"QUOTEJOB_PRICING": "none_such:price"}
    done = subprocess.run([DEMO, "--once"], env=own, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "worker1 has ended" in done.stdout
    assert "none_such:price cannot be used" in done.stdout
    kept = re.search(r"The logs are in (.+) until", done.stdout)
    assert kept
    assert (Path(kept[1]) / "worker1.log").is_file()
    shutil.rmtree(kept[1])


@pytest.mark.timeout(240)
def test_code_of_ones_own_that_fails_fails_the_demo(tmp_path: Path, environment: dict[str, str]) -> None:
    """With the real count, and the reason that the records have."""
    code = "from quotejob import Opportunity, PricedQuote\n\n\ndef price(deal: Opportunity, priced: PricedQuote)"
    (tmp_path / "wrong_price.py").write_text(f"{code} -> PricedQuote:\n    raise ValueError('no price')\n")
    own = environment | {"QUOTEJOB_PRICING": "wrong_price:price", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([DEMO, "--once", "--opportunities", "5"], env=own, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "6 records failed, one of them on purpose" in done.stdout
    assert "ValueError: no price (line 5 of wrong_price.py)" in done.stdout
    assert "6 of 6 records failed, and only one of them on purpose." in done.stdout
    kept = re.search(r"The logs are in (.+) until", done.stdout)
    assert kept
    shutil.rmtree(kept[1])


def test_a_profile_that_is_none_is_said_at_once(environment: dict[str, str]) -> None:
    """Nothing is started, and the profiles are named: those of the local org."""
    done = subprocess.run([DEMO, "--profile", "slow"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(f"'{name}'" in done.stderr for name in PROFILES), done.stderr


def test_help_names_the_options(environment: dict[str, str]) -> None:
    """`bin/demo --help` starts nothing."""
    done = subprocess.run([DEMO, "--help"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    for option in ("--opportunities", "--once", "--workers", "--profile", "--queue"):
        assert option in done.stdout
