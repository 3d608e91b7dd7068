"""https: with a certificate of the org's own, or with one's own."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from _server import Server, launch

from localorg.__main__ import main
from localorg.http.tls import self_signed

READY = re.compile(r"local org (https://127\.0\.0\.1:\d+) org \w+ user \w+ token (\S+)\n")


@contextmanager
def running(*words: str) -> Iterator[tuple[str, str]]:
    """A local org that speaks https: its address and its token."""
    process = launch("--port", "0", *words)
    assert process.stdout is not None
    try:
        ready = READY.fullmatch(process.stdout.readline())
        assert ready is not None
        yield ready[1], ready[2]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_a_client_that_trusts_the_certificate_is_served(tmp_path: Path) -> None:
    with running("--tls") as (url, token):
        (file := tmp_path / "org.pem").write_text(
            ssl.get_server_certificate(("127.0.0.1", int(url.rpartition(":")[2])))
        )
        headers = {"Authorization": f"Bearer {token}"}
        for host in (url, url.replace("127.0.0.1", "localhost")):
            body = requests.get(f"{host}/services/data/v66.0", headers=headers, verify=str(file), timeout=10).json()
            assert body["identity"].startswith(f"{host}/id/")
        handed_out = requests.get(f"{url}/localorg/certificate", verify=str(file), timeout=10)
        assert handed_out.text.strip() == file.read_text().strip()


def test_a_certificate_can_be_given(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for file, pem in zip((cert, key), self_signed("127.0.0.1"), strict=True):
        file.write_bytes(pem)
    with running("--cert", str(cert), "--key", str(key)) as (url, _):
        assert requests.get(f"{url}/services/data", verify=str(cert), timeout=10).status_code == 200


def test_a_certificate_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none.pem")
    assert main(["--port", "0", "--cert", missing, "--key", missing]) == 1
    assert "cannot open the org" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--cert", missing])


def test_plain_http_has_no_certificate(server: Server) -> None:
    assert server.get("/localorg/certificate").status_code == 404
