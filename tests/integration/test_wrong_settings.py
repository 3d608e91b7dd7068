"""A wrong setting ends every process with one sentence: which setting, what it is, what it should be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from harness.process import ROOT, clean_environment

AT_ONCE = """
import os, signal, subprocess, sys, time
me, gunicorn = os.getpid(), os.getppid()
open(f"loads-{me}", "w").close()
while len(found := [name for name in os.listdir() if name.startswith("loads-")]) < 4:
    time.sleep(0.001)
os.kill(gunicorn, signal.SIGSTOP)
if f"loads-{me}" == min(found):
    subprocess.Popen(["/bin/sh", "-c", f"sleep 2; kill -CONT {gunicorn}"])
sys.exit(4)
"""  # four processes end while gunicorn does not look
CELERY = (sys.executable, "-m", "celery", "-A", "tasks")
WEB = (sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0")
COMMANDS = {
    "worker": (*CELERY, "worker", "-c", "1"),
    "beat": (*CELERY, "beat"),
    "web": (*WEB, "api.wsgi:app"),
    "status": (*CELERY, "status"),
    "flower": (*CELERY, "flower", "--port=0"),
}
RIGHT = {"REDIS_URL": "redis://127.0.0.1:1/0", "QUOTEJOB_SECRET_KEY": Fernet.generate_key().decode()}


@pytest.mark.parametrize(
    ("what", "name", "value"),
    [
        ("worker", "QUOTEJOB_PAGE_SIZE", "9999"),
        ("worker", "REDIS_URL", ""),
        ("worker", "QUOTEJOB_SECRET_KEY", "not-a-key"),
        ("beat", "LOG_LEVEL", "LOUD"),
        ("beat", "REDIS_URL", "http://user:hidden@host"),
        ("web", "QUOTEJOB_ORG_HOSTS", "com"),
        ("web", "REDIS_URL", ""),
        ("status", "REDIS_URL", ""),
        ("flower", "REDIS_URL", "rediss://:hidden@host:port"),
    ],
)
def test_the_sentence_and_no_traceback(what: str, name: str, value: str, tmp_path: Path) -> None:
    """The process ends by itself, with an exit code that is not 0, and shows no secret."""
    arguments = ("--schedule", str(tmp_path / "beat")) if what == "beat" else ()
    environment = {**clean_environment(), **RIGHT, name: value}
    done = subprocess.run(
        [*COMMANDS[what], *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode not in (0, None)
    assert f"quotejob cannot start: {name} " in said
    assert "it should be" in said
    assert "Traceback" not in said
    assert "hidden" not in said
    assert "not-a-key" not in said


def test_web_processes_that_cannot_load_at_the_same_time(tmp_path: Path) -> None:
    """gunicorn says why, and ends with the exit code of the first; never with a traceback."""
    (tmp_path / "fails.py").write_text(AT_ONCE)
    arguments = ("--config", str(ROOT / "gunicorn.conf.py"), "--chdir", str(tmp_path), "--workers", "4", "fails:app")
    done = subprocess.run(
        [*WEB, *arguments], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 4
    assert "Reason: App failed to load" in done.stderr
    assert "Traceback" not in done.stderr
