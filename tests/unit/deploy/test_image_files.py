"""The files of the image agree with each other. `bin/image` builds it and runs every process in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from harness.process import ROOT

IMAGE = ROOT / "deploy" / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text("utf-8")


def last_stage() -> list[tuple[str, str]]:
    """The instructions of the stage that becomes the image."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    found = [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]
    return found[max(number for number, (word, _) in enumerate(found) if word == "FROM") :]


def test_the_image_keeps_to_its_rules() -> None:
    """A user by number who is not root, no tool of the build, a health check, and a base that can be chosen."""
    stage = last_stage()
    single = dict(stage)
    assert DOCKERFILE.index("ARG BASE=") < DOCKERFILE.index("FROM")
    assert single["FROM"] == "${BASE}"
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", single["USER"])
    assert single["STOPSIGNAL"] == "SIGTERM"
    assert "/app/deploy/image/health" in single["HEALTHCHECK"]
    assert single["ENTRYPOINT"] == '["/app/deploy/image/start"]'
    assert not any(word == "ADD" or "pip" in rest or "SECRET" in rest or "REDIS_URL" in rest for word, rest in stage)
    assert [rest for word, rest in stage if word == "COPY"] == [
        "--from=build /opt/quotejob /opt/quotejob",
        "--from=build /app /app",
    ]


def test_only_what_processes_read_is_copied() -> None:
    """Everything is left out but what is named, and what is named exists."""
    lines = [line for line in (IMAGE / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("", "#")]
    assert lines[0] == "*"
    named = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in named)
    assert not {".env", ".git", "tests", "bench", ".quotejob"} & {name.partition("/")[0] for name in named}


def test_the_words_are_those_of_the_procfile(tmp_path: Path) -> None:
    """Each process is started with the same options and the same SIGTERM; more words are more options."""
    for program in ("gunicorn", "celery", "python"):
        fake = tmp_path / program
        fake.write_text(f'#!/bin/sh\necho "${{REMAP_SIGTERM:-}}|{program} $*"\n')
        fake.chmod(0o755)
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, _, command = line.partition(": ")
        command = command.replace("APP_PORT=3000 heroku-applink-service-mesh ", "").replace("exec ", "")
        remap, command = re.sub(r"^REMAP_SIGTERM=\w+ ", "", command), command
        wanted = ("SIGQUIT" if "REMAP_SIGTERM" in command else "") + "|" + remap
        assert said(tmp_path, name) == wanted
        assert said(tmp_path, name, "-c", "8") == f"{wanted} -c 8"
    assert said(tmp_path, "localorg", "--port", "1") == "|python -m localorg --port 1"
    assert said(tmp_path, "celery", "-A", "tasks", "status") == "|celery -A tasks status"


def said(programs: Path, *words: str) -> str:
    """What the start script runs."""
    path = f"{programs}:/usr/bin:/bin"
    return subprocess.run([IMAGE / "start", *words], env={"PATH": path}, capture_output=True, text=True).stdout.strip()
