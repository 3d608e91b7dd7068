"""Every command of the README and of docs runs as it stands there, against a running bin/demo.

A shell block is a ``sh`` or ``bash`` fence. What cannot run here has a line before it: ``<!-- not run: why -->``. Only
the ports are replaced: those of a page may be taken on this machine.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from harness.process import ROOT, clean_environment

pytestmark = pytest.mark.timeout(600)

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "localorg/README.md", *sorted(ROOT.glob("docs/**/*.md"))]
TESTED_ELSEWHERE = "## Use it from"  # a section of localorg/README.md: tests/contract/test_readme_commands.py
REASONS = (
    "needs a real org",
    "needs Heroku",
    "needs a container engine",
    "needs a host with systemd",
    "needs a cluster",
    "needs your own code in the demo",  # tests/integration run it with real workers
    "takes ",
    "changes files, and bin/test does the same",
)
A_COMMAND = re.compile(r"(?:bin/\w|\.venv/|(?:python3?|celery|quotejob|curl|pytest|ruff|sf|heroku) \S)")
NOT_FROM_THE_CHECKOUT = re.compile(r"(?:celery|python|pytest|gunicorn) ")


@dataclass(frozen=True)
class Block:
    """A shell block of a page. ``why_not``: why it is not run here, or "" if it is."""

    page: str
    text: str
    why_not: str = ""

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:50]}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the shell blocks of a page."""
    before, _, after = page.read_text("utf-8").partition(f"\n{TESTED_ELSEWHERE}\n")
    text = before + "\n## ".join(["", *after.split("\n## ")[1:]])
    why_not = ""
    for token in MarkdownIt("commonmark").parse(text):
        if found := re.fullmatch(r"<!-- not run: (.+) -->\s*", token.content):
            why_not = found[1]
        elif token.type == "fence":
            if token.info in ("sh", "bash"):
                yield Block(str(page.relative_to(ROOT)), token.content, why_not)
            why_not = ""


ALL = [block for page in PAGES for block in blocks(page)]
RUN = [block for block in ALL if not block.why_not]
SKIPPED = [block for block in ALL if block.why_not]


class Demo:
    """A running bin/demo, and a shell beside it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process = subprocess.Popen(
            [ROOT / "bin" / "demo", "--opportunities", "30"], env=clean_environment(), stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.said = ""
        for line in self._process.stdout:
            self.said += line
            if "Ctrl-C stops everything" in line:
                break
        else:
            raise AssertionError(self.said)
        [note] = ROOT.glob(f".demo/{self._process.pid}/org.json")
        self.about: dict[str, str] = json.loads(note.read_text())

    def shell(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a block in bash, from the checkout; the first command that fails ends it."""
        more = {"ORG": self.about["url"], "TOKEN": self.about["token"], "HOME": str(self._home)}
        more["QUOTEJOB_URL"] = self.about["web_url"]  # another test may run a demo too
        script = text.replace("http://127.0.0.1:8000", self.about["web_url"])
        script = script.replace("http://127.0.0.1:8025", self.about["url"])
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT, env=clean_environment() | more, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip

    def stop(self) -> None:
        """End it with Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One for all pages, with 30 Opportunities, two jobs, and one record that failed."""
    running = Demo(tmp_path_factory.mktemp("home"))
    yield running
    running.stop()


def to_run(block: Block) -> str:
    """The block without the lines that other tests run: each of them starts a system, or all tests."""
    text = re.sub(r"^bin/(?:demo|test)\s*(?:#.*)?\n", "", block.text, flags=re.MULTILINE)
    return re.sub(r"^(bin/test tests\S*)", r"\1 --collect-only -q", text, flags=re.MULTILINE)


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_runs_as_it_stands(block: Block, demo: Demo) -> None:
    """Each command of it succeeds. A retry of what fails on purpose fails again, which is exit code 1."""
    text = to_run(block)
    if " -m localorg " in text:
        assert serves(text)
        return
    retried = "quotejob retry" in text
    if retried:
        demo.shell("bin/quotejob run \"Name LIKE '%that fails'\" --wait 5")
    done = demo.shell(text)
    assert done.returncode == (1 if retried else 0), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def serves(text: str) -> bool:
    """Start a local org as the block does, at a free port, until it says that it listens."""
    with subprocess.Popen(
        [*shlex.split(text), "--port", "0"], cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as org:
        assert org.stdout
        line = org.stdout.readline()
        org.terminate()
    return line.startswith("local org http://127.0.0.1:")


def test_the_commands_that_the_demo_prints_run(demo: Demo) -> None:
    """All of them, as they are printed."""
    found = re.findall(r"^(?:\s+\S+ (?:\w+ )?)?\s*((?:bin/|REDIS_URL=)\S+ .+)$", demo.said, re.MULTILINE)
    commands = dict.fromkeys(command for command in found if "http://" in command or "REDIS_URL" in command)
    assert len(commands) == 7, demo.said  # failures, retry, jobs, queue, run, by HTTP, the workers
    for command in commands:
        done = demo.shell(command)
        assert done.returncode == 0, command + done.stderr


@pytest.mark.parametrize("block", SKIPPED, ids=str)
def test_a_block_that_is_not_run_says_why(block: Block) -> None:
    """There are few reasons. What only takes long has options that exist."""
    assert block.why_not.startswith(REASONS)
    if block.why_not.startswith("takes"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            program = words[: 1 if not words[0].endswith("python") else 3 if words[1] == "-m" else 2]
            done = subprocess.run([*program, "--help"], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0
            options = [word.partition("=")[0] for word in words if word.startswith("--")]
            assert [option for option in options if option not in done.stdout] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_shell_blocks_and_run_from_the_checkout(page: Path) -> None:
    """No command is in a block that this test does not see, and none counts on an activated .venv."""
    for token in MarkdownIt("commonmark").parse(page.read_text("utf-8")):
        if token.type == "code_block" or (token.type == "fence" and not token.info):
            assert not A_COMMAND.match(token.content), token.content
        spans = [child.content for child in token.children or [] if child.type == "code_inline"]
        assert [span for span in spans if NOT_FROM_THE_CHECKOUT.match(span)] == []
