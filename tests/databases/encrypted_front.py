"""A front that encrypts the connections to a PostgreSQL server that cannot: libpq sees a server with a certificate."""

import socket
import ssl
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ENCRYPTION_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""What a client of PostgreSQL sends first if it wants an encrypted connection."""


def write_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate that has signed itself, for a name or an address, and its key; return the paths of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    known: x509.GeneralName = x509.DNSName(name)
    with suppress(ValueError):
        known = x509.IPAddress(ip_address(name))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([known]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class EncryptedFront:
    """Listens on a port of this machine, and passes what is decrypted on to the port of a server."""

    def __init__(self, port: int, certificate: tuple[Path, Path]) -> None:
        self._server = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.encrypted = 0
        """How many connections were encrypted."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            if client.recv(8, socket.MSG_WAITALL) != ENCRYPTION_REQUEST:
                return  # it refuses whoever wants no encryption
            client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as inside:
                self.encrypted += 1
                with socket.create_connection(("127.0.0.1", self._server)) as server:
                    pump = threading.Thread(target=_copy, args=(server, inside), daemon=True)
                    pump.start()
                    _copy(inside, server)
                    pump.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            target.sendall(chunk)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
