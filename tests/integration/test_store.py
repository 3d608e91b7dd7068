"""The way to Redis: what could lose jobs is said at start; over TLS the server is verified, or knowingly is not."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.process import ROOT
from harness.stack import Stack
from quotejob.errors import StoreUnavailable
from quotejob.store import client as store
from quotejob.store import scripts
from quotejob.store.intake import concerns
from quotejob.testing import redis_server


def test_the_server_we_start_is_of_no_concern(tmp_path: Path) -> None:
    """Append-only file, no eviction."""
    with Stack(tmp_path) as stack:
        stack.start_redis()
        assert concerns(store.client(stack.redis_url or "", attempts=1)) == []


def test_what_could_lose_jobs_is_said(tmp_path: Path) -> None:
    """Each with what to set."""
    with Stack(tmp_path) as stack:
        stack.start_redis()
        client = store.client(stack.redis_url or "", attempts=1)
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        eviction, persistence = concerns(client)
        assert "noeviction" in eviction
        assert "append-only" in persistence


WAYS: dict[str, Callable[[store.RedisClient], object]] = {
    "a command": lambda client: client.set("a", "b"),
    "a pipeline": lambda client: client.pipeline().set("a", "b").execute(),  # type: ignore[union-attr]
    "a script": lambda client: scripts.run(client, "jobs/touch", open="open", id="a"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_redis_that_cannot_serve_is_one_error_of_ours(way: str) -> None:
    """When it is full and when it is gone, whichever way something is sent."""
    with redis_server.private() as url:
        client = store.client(url, attempts=0)
        client.zadd("open", {"a": 0})
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="full"):
            WAYS[way](client)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        WAYS[way](client)


def test_a_connection_of_ones_own_needs_a_redis() -> None:
    """It is opened at once."""
    with redis_server.private() as url:
        pool = store.client(url, attempts=0)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        pool.client()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate in one file, for another host's name, as hosted servers have it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def rediss_url(redis_url: str, certificate: Path) -> Iterator[str]:
    """The test's Redis behind a TLS door."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    behind = urlsplit(redis_url)
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_serve, args=(door, context, (behind.hostname, behind.port)), daemon=True).start()
        yield f"rediss://127.0.0.1:{door.getsockname()[1]}/0"
        door.shutdown(socket.SHUT_RDWR)


def _serve(door: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    while True:
        try:
            plain, _ = door.accept()
        except OSError:
            return
        threading.Thread(target=_pass_on, args=(plain, context, behind), daemon=True).start()


def _pass_on(plain: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(plain, server_side=True) as front,
        socket.create_connection(behind) as back,
    ):
        answers = threading.Thread(target=_copy, args=(back, front), daemon=True)
        answers.start()
        _copy(front, back)
        back.shutdown(socket.SHUT_RDWR)
        answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def test_an_unknown_certificate_is_refused(rediss_url: str) -> None:
    """And the sentence says which setting knows what to do about it."""
    with pytest.raises(StoreUnavailable, match="QUOTEJOB_REDIS_CA"):
        store.client(rediss_url, attempts=0).ping()


@pytest.mark.parametrize("pinned", [True, False])
def test_a_pinned_certificate_or_none_at_all_connects(
    rediss_url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    """The path of a certificate verifies; the word unverified is taken at its word. Celery reads the same setting."""
    monkeypatch.setenv("QUOTEJOB_REDIS_CA", str(certificate) if pinned else "unverified")
    assert store.client(rediss_url, attempts=0).ping()
    monkeypatch.setenv("REDIS_URL", rediss_url)
    asked = "from tasks import app; c = app.connection(); c.ensure_connection(max_retries=1, timeout=5); "
    asked += "print(app.backend.client.ping())"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True", done.stderr


def test_another_certificate_than_the_pinned_one_is_refused(
    rediss_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pin is a pin: the system's authorities do not vouch for this server either."""
    import certifi

    other = tmp_path / "other.pem"
    other.write_text(Path(certifi.where()).read_text())
    monkeypatch.setenv("QUOTEJOB_REDIS_CA", str(other))
    with pytest.raises(StoreUnavailable, match="certificate"):
        store.client(rediss_url, attempts=0).ping()
