"""bin/image, inside .venv: build the image, then run every process inside it and price Quotes. Needs root on Linux.

The base is made by debootstrap, or given by --base. The image is built by buildah. Each process runs in the files of
the image, read-only but for /tmp, as a user without capabilities, in a mount namespace of its own. Redis runs outside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import ROOT, Process, StackError
from harness.stack import CELERY, WORKER, Stack
from harness.terminal import clock, console, failed
from harness.verdict import check_job

DOCKERFILE = ROOT / "deploy" / "image" / "Dockerfile"
LARGEST_MB = 250
OPPORTUNITIES = 200
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # those of this machine also vouch for PyPI or its mirror
TOOLS = ("buildah", "debootstrap", "unshare", "setpriv")
TRIMMED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
NOT_NEEDED = "usr/lib/*/gconv"  # old character sets, for other programs
# Everything is one process, so that signals reach it: unshare, sh, chroot, setpriv and the program replace each other.
IN_THE_IMAGE = """
set -eu
mount --bind "$0" "$0"
mount --rbind /dev "$0/dev"
mount -t proc proc "$0/proc"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
mount -o remount,bind,ro "$0"
exec /usr/sbin/chroot "$0" /usr/bin/setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all -- /bin/sh -c 'cd /app && exec /app/deploy/image/start "$@"' start "$@"
"""


class Buildah:
    """buildah with a store of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        store = ["--root", str(folder / "store"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]
        self._command = ["buildah", *store]

    def __call__(self, *words: str) -> str:
        """Run a command and return what it prints. Raise StackError with its last words when it fails."""
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, cwd=ROOT)
        if done.returncode != 0:
            raise StackError(f"buildah {words[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout.strip()


class ImageStack(Stack):
    """A system whose processes run in the files of the image. Redis and the stack itself are outside."""

    root: Path

    def start(self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None) -> Process:
        """Start a process by the image's own words, with what the image sets and the variables of the system."""
        if name == "redis":
            return super().start(name, command, more)
        inside = ["unshare", "--mount", "sh", "-c", IN_THE_IMAGE, str(self.root), *in_words(name, list(command))]
        own = {
            name: value for name, value in self.environment.items() if name.startswith(("QUOTEJOB", "HEROKU", "REDIS"))
        }
        self.environment, kept = {**own, **image_environment()}, self.environment
        try:
            return super().start(name, inside, more)
        finally:
            self.environment = kept


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile sets."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    [line] = [line for line in text.splitlines() if line.startswith("ENV ")]
    return dict(word.split("=", 1) for word in line.split()[1:])


def in_words(name: str, command: list[str]) -> list[str]:
    """Return the words of deploy/image/start for a command of the stack."""
    if name == "web":
        return ["web", *command[4:]]
    if name == "worker-clock":
        return ["clock"]
    if name.startswith("worker"):
        return ["worker", *command[len(WORKER) :]]
    if name == "localorg":
        return ["localorg", *command[3:]]
    return command[len(CELERY) :]


@click.command(
    help="Build the image, run every process in it and price Quotes. Needs root, buildah and debootstrap.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--base", metavar="IMAGE", help="The base image.  [default: made by debootstrap]")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the images stay.  [default: removed at the end]")
def main(base: str | None, folder: Path | None) -> None:
    """Run it. The exit code is 0 when all is right, 1 when not, 2 when this machine cannot."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        click.echo(f"bin/image needs root on Linux, and these tools: {' '.join(TOOLS)}. Missing: {missing}", err=True)
        sys.exit(2)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    made = folder or Path(tempfile.mkdtemp(prefix="quotejob-image-"))
    try:
        sys.exit(build_and_try(Buildah(made), made, base))
    except StackError as error:
        sys.exit(failed(str(error)))
    finally:
        if not folder:
            shutil.rmtree(made, ignore_errors=True)


def build_and_try(buildah: Buildah, folder: Path, base: str | None) -> int:
    """Build, look at the image, run it. Return the exit code."""
    tell = clock()
    tell("The base")
    base = base or make_base(buildah, folder)
    tell("The image")
    build(buildah, base)
    [image] = json.loads(buildah("images", "--json", "quotejob"))
    tell(f"The image has {image['size']}")
    container = buildah("from", "--pull=never", "localhost/quotejob")
    root = Path(buildah("mount", container))
    try:
        problems = look_at(root, image["size"])
        with tempfile.TemporaryDirectory() as logs, ImageStack(Path(logs), tell=tell) as stack:
            stack.root = root
            problems += price(stack)
    finally:
        buildah("rm", container)
    if problems:
        raise StackError("; ".join(problems))
    console.print(
        f"[green]All right[/]: {OPPORTUNITIES} Quotes were made by processes inside the image, and are right."
    )
    return 0


def make_base(buildah: Buildah, folder: Path) -> str:
    """Make a small Debian as an image and return its name."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root = Path(name) / "root"
        command = ["debootstrap", "--variant=minbase", "bookworm", str(root), "http://deb.debian.org/debian"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise StackError(f"debootstrap failed:\n{done.stdout[-2000:]}")
        for each in TRIMMED:
            shutil.rmtree(root / each, ignore_errors=True)
            (root / each).mkdir(parents=True)
        for found in root.glob(NOT_NEEDED):
            shutil.rmtree(found)
        packed = Path(name) / "base.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(packed), "."], check=True)
        container = buildah("from", "scratch")
        buildah("add", "-q", container, str(packed), "/")
        buildah("commit", "-q", container, "localhost/debian-base")
        buildah("rm", container)
    return "localhost/debian-base"


def build(buildah: Buildah, base: str) -> None:
    """Build the image from the checkout."""
    network = ["--volume", f"{AUTHORITIES}:/run/authorities.pem:ro", "--build-arg", "PIP_CERT=/run/authorities.pem"]
    buildah(
        "build", "--isolation", "chroot", "--format", "docker", "--layers=false",
        *(network if AUTHORITIES.exists() else []), "--build-arg", f"BASE={base}",
        "--ignorefile", f"{DOCKERFILE}.dockerignore", "-f", str(DOCKERFILE), "-t", "quotejob", ".",
    )  # fmt: skip


def look_at(root: Path, size: str) -> list[str]:
    """Return what is wrong with the files of the image."""
    problems = []
    number, unit = size.split()
    if unit not in ("MB", "KB") or (unit == "MB" and float(number) > LARGEST_MB):
        problems.append(f"the image has {size}, more than {LARGEST_MB} MB")
    tools = [tool for tool in ("gcc", "strip", "pip", "pip3") if list(root.glob(f"*/**/bin/{tool}"))]
    if tools:
        problems.append(f"tools of the build are in the image: {tools}")
    bill = json.loads((root / "opt/quotejob/bom.json").read_text())
    named = {each["name"].lower() for each in bill["components"]}
    if bill.get("bomFormat") != "CycloneDX" or not {"flask", "celery", "redis"} <= named:
        problems.append("the bill of materials is not complete")
    return problems


def price(stack: ImageStack) -> list[str]:
    """Start everything, make and price sample Opportunities, stop everything. Return what is wrong."""
    stack.start_redis()
    org = stack.start_org()
    stack.start_web()
    stack.start_worker()
    stack.start_clock()
    stack.start_beat()
    stack.start_flower()
    stack.wait_ready()
    reader = OrgReader(org)
    api = Api(stack.web_url, org, reader.username())
    clause = "Name LIKE 'Sample Opportunity %'"
    job_id = ""
    for wanted in ("samples", "quotes"):
        if wanted == "samples":
            job_id = api.post(f"/api/data/create?numberOfOpportunities={OPPORTUNITIES}")["jobId"]
        else:
            job_id = api.submit(clause)
        job = api.follow(job_id, 120, lambda _: stack.check())
        if job["status"] != "Completed":
            return [f"the job is {job['status']}: {job['extendedStatus']}"]
        if job["records"]["failed"]:
            reasons = api.get(f"/api/jobs/{job_id}/failures")["failures"]
            return [f"records failed: {reason['code']}: {reason['message']}" for reason in reasons]
    verdict = check_job(reader, job_id, clause)
    problems = list(verdict.differences) + ill(stack)
    if verdict.quotes != OPPORTUNITIES:
        problems.append(f"{verdict.quotes} Quotes for {OPPORTUNITIES} Opportunities")
    return problems + stops(stack)


def ill(stack: ImageStack) -> list[str]:
    """Return which health checks of the image fail."""
    problems = []
    ports = {"PORT": stack.web_url, "FLOWER_PORT": stack.flower_url}
    more = {name: url.rpartition(":")[2] for name, url in ports.items()}
    for name in ("web", "worker", "flower"):
        health = stack.start(f"health-{name}", [*CELERY, "/app/deploy/image/health", name], more)
        health.finish(30)
        stack.processes.remove(health)
        if health.returncode != 0:
            problems.append(f"the health check of {name} fails: {health.tail()}")
    return problems


def stops(stack: ImageStack) -> list[str]:
    """End each process by SIGTERM, as a platform does. Return which of them did not end within 30 s."""
    begun = time.monotonic()
    ours = [process for process in stack.processes if process.name != "redis"]
    for process in ours:
        process.terminate()
    while any(process.running for process in ours) and time.monotonic() - begun < 30:
        time.sleep(0.1)
    return [f"{process.name} did not end within 30 s of SIGTERM" for process in ours if process.running]


if __name__ == "__main__":
    main(prog_name=os.environ.get("QUOTEJOB_TYPED", "bin/image"))
