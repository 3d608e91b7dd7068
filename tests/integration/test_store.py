"""The way to Redis: what could lose jobs is said at start; over TLS the server is verified, or knowingly is not."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from _scripted import serving
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.process import ROOT, free_port
from harness.stack import Stack
from quotejob.errors import SettingsError, StoreUnavailable
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


def changed(url: str, **parts: str) -> str:
    """The URL with another user and password, scheme or database."""
    found = urlsplit(url)
    login = f"{parts['login']}@" if "login" in parts else ""
    place = f"{found.hostname}:{parts.get('port', found.port)}/{parts.get('db', '0')}"
    return f"{parts.get('scheme', 'redis')}://{login}{place}"


def says(url: str, way: str = "a command") -> str:
    """What a user reads when this URL is REDIS_URL."""
    with pytest.raises(StoreUnavailable) as caught:
        WAYS[way](store.client(url, attempts=0, timeout=1))
    return str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_password_is_named(way: str) -> None:
    """A wrong one, and none. The password is not shown."""
    with redis_server.private() as url:
        store.client(url, attempts=0).config_set("requirepass", "right")
        assert "wants a password" in says(url, way)
        for login in (":wrong", "somebody:wrong"):
            said = says(changed(url, login=login), way)
            assert "does not accept the user name and password: correct them in REDIS_URL" in said
            assert "wrong" not in said


def test_a_wrong_address_is_named(redis_url: str) -> None:
    """The database, the port, the host, the scheme, and what is no Redis at all."""
    assert "no database with the number" in says(changed(redis_url, db="99999"))
    assert "nothing listens" in says(changed(redis_url, port="1"))
    assert "host in REDIS_URL is not known" in says("redis://redis.invalid:6379/0")
    assert "redis:// or rediss://" in says(changed(redis_url, scheme="rediss"))  # it waits for more, and times out
    with serving() as server:
        assert "not Redis, or it wants TLS" in says(server.url.replace("http", "redis"))
        assert "does not use TLS" in says(server.url.replace("http", "rediss"))


def test_tls_where_plain_text_is_sent_is_named(rediss_url: str) -> None:
    """The address of a TLS door with redis://."""
    assert "redis:// or rediss://" in says(rediss_url.replace("rediss", "redis"))


def test_a_redis_without_room_for_one_more_connection_is_named() -> None:
    """Hosted servers count them."""
    with redis_server.private() as url:
        client = store.client(url, attempts=0)
        client.config_set("maxclients", 1)
        assert "no connection left" in says(url)


def test_a_fault_of_our_own_is_not_the_fault_of_redis(redis_url: str) -> None:
    """A command that Redis does not know, or a value of another type, comes out as it is."""
    client = store.client(redis_url, attempts=0)
    client.set("text", "a")
    with pytest.raises(redis.ResponseError):
        client.execute_command("NOSUCHCOMMAND")
    with pytest.raises(redis.ResponseError):
        client.lpush("text", "b")


def _replica(client: store.RedisClient) -> None:
    client.execute_command("REPLICAOF", "127.0.0.1", "1")


def _disk_trouble(client: store.RedisClient) -> None:
    with tempfile.TemporaryDirectory() as folder:
        client.config_set("dir", folder)
    client.config_set("save", "3600 1000")
    client.bgsave()
    deadline = time.monotonic() + 60
    while client.info("persistence")["rdb_last_bgsave_status"] != "err":
        assert time.monotonic() < deadline
        time.sleep(0.05)


STATES: dict[str, tuple[Callable[[store.RedisClient], object], str]] = {
    "a replica": (_replica, "failover"),
    "disk trouble": (_disk_trouble, "disk"),
    "too few replicas": (lambda client: client.config_set("min-replicas-to-write", 1), "too few replicas"),
    "no permission": (lambda client: client.execute_command("ACL", "SETUSER", "default", "-@write"), "may not do"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", STATES)
def test_a_redis_that_takes_no_writes_says_why(state: str, way: str) -> None:
    """It is as good as away, whatever it answers: nobody gets an error of the library."""
    put_into, words = STATES[state]
    with redis_server.private() as url:
        client = store.client(url, attempts=0)
        client.zadd("open", {"a": 0})
        put_into(client)
        with pytest.raises(StoreUnavailable, match=words):
            WAYS[way](client)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A server in cluster mode, which has all slots."""
    with Stack(tmp_path) as stack:
        port = free_port(0)
        stack.start("redis", [*redis_server.command(port, tmp_path, durable=False), "--cluster-enabled", "yes"])
        url = f"redis://127.0.0.1:{port}/0"
        deadline = time.monotonic() + 60
        while not redis_server.answers(url):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with redis.Redis.from_url(url) as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield url


def test_a_redis_cluster_is_named_as_one(cluster: str) -> None:
    """Celery cannot use it: the keys of a pipeline, a script or a BRPOP would have to be in one slot."""
    client = store.client(cluster, attempts=0)
    with pytest.raises(SettingsError, match="cluster mode"):
        concerns(client)
    with pytest.raises(StoreUnavailable, match="cluster mode"):
        client.mset({"a": "1", "b": "2"})


def test_a_database_that_is_not_there_is_a_wrong_redis_url() -> None:
    """The message names the setting."""
    with redis_server.private() as url, pytest.raises(StoreUnavailable, match="REDIS_URL"):
        store.client(url.removesuffix("0") + "99", attempts=0).set("a", "b")


def test_a_redis_that_hides_its_settings_is_of_concern_and_no_obstacle() -> None:
    """Hosted servers often forbid INFO."""
    with redis_server.private() as url:
        client = store.client(url, attempts=0)
        client.execute_command("ACL", "SETUSER", "default", "-@dangerous")
        [concern] = concerns(client)
    assert "noeviction" in concern
    assert "appendonly" in concern
    with pytest.raises(StoreUnavailable, match="does not answer"):
        concerns(client)


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
