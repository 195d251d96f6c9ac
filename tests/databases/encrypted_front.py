"""A front that encrypts the connections to a PostgreSQL server that cannot: libpq sees a server with a certificate."""

import select
import socket
import ssl
import subprocess
import sys
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
    """A front on a port of this machine, which passes what it decrypts on to the port of a server.

    It is a process of its own: polars holds the interpreter's lock while it waits for rows, so that a thread of this
    process could not send any.
    """

    def __init__(self, port: int, certificate: tuple[Path, Path]) -> None:
        self._arguments = [str(port), *map(str, certificate)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.communicate()  # it ends with its standard input


def serve(server: int, certificate: str, key: str) -> None:
    """Print the port of the front, and serve connections to it until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, context, server), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


def _accept(listener: socket.socket, context: ssl.SSLContext, server: int) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_pass_on, args=(client, context, server), daemon=True).start()


def _pass_on(client: socket.socket, context: ssl.SSLContext, server: int) -> None:
    """Serve one connection; whoever wants no encryption is refused."""
    with closing(client), suppress(OSError):
        if client.recv(8, socket.MSG_WAITALL) != ENCRYPTION_REQUEST:
            return
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as inside,
            socket.create_connection(("127.0.0.1", server)) as outside,
        ):
            _exchange(inside, outside)


def _exchange(inside: ssl.SSLSocket, outside: socket.socket) -> None:
    """Pass on what comes, in both directions, until one side ends: in one thread, as an SSL socket is not for two."""
    pairs = {inside: outside, outside: inside}
    while True:
        ready = [inside] if inside.pending() else select.select(list(pairs), [], [])[0]
        for source in ready:
            if not (chunk := source.recv(65_536)):
                return
            pairs[source].sendall(chunk)


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:])
