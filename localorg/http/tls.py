"""https for the local org: some clients (simple-salesforce, CumulusCI) use https in every address.

A client must be told to trust the certificate, for instance by `REQUESTS_CA_BUNDLE` or `NODE_EXTRA_CA_CERTS`.
`GET /localorg/certificate` returns it.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAYS = 30


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate in use: the TLS settings of the server, and both parts in PEM. Clients see the public one."""

    context: ssl.SSLContext
    public: str
    private: bytes = field(repr=False)

    @classmethod
    def kept(cls, certificate: Path, key: Path) -> Certificate:
        """Read a certificate from two PEM files; raise OSError or ValueError when they cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return cls(context, certificate.read_text("ascii"), key.read_bytes())

    @classmethod
    def made(cls, host: str) -> Certificate:
        """Make a new self-signed certificate for this host and for localhost; it is valid for 30 days."""
        public, private = self_signed(host)
        # The ssl module reads keys only from files.
        with TemporaryDirectory() as folder:
            cert_file, key_file = Path(folder, "cert.pem"), Path(folder, "key.pem")
            cert_file.write_bytes(public)
            key_file.write_bytes(private)
            return cls.kept(cert_file, key_file)


def self_signed(host: str) -> tuple[bytes, bytes]:
    """Return a new certificate for this host and for localhost, and its private key, both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _signed(key, host).public_bytes(serialization.Encoding.PEM), private


def _signed(key: ec.EllipticCurvePrivateKey, host: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in _hosts(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _hosts(host: str) -> list[str]:
    return list(dict.fromkeys([host, "localhost", "127.0.0.1", "::1"]))


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
