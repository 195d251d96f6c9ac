"""A server that speaks S3, in a process of its own; a proxy that spoils what comes through; a server that lies."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

import pytest

from ..ports import find_free_port

needs_server = pytest.mark.skipif(find_spec("moto") is None, reason="moto is not installed")

STARTING_SECONDS = 60.0

OBJECTS_OF_A_PAGE = 200
"""How many names the server gives at once; S3 itself gives 1000."""


class StoreServer:
    """What tests do with a bucket themselves; the server looks at the name of a key, and at no signature."""

    def __init__(self, url: str, bucket: str) -> None:
        self.url, self.bucket = url, bucket

    def request(self, method: str, key: str = "", content: bytes | None = None) -> bytes:
        address = f"{self.url}/{self.bucket}" + (f"/{quote(key)}" if key else "")
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content or b""))}
        scope = "id/20260101/us-east-1/s3/aws4_request"
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        asked = urllib.request.Request(address, content, headers, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found: bytes = answer.read()
        return found

    def put(self, key: str, content: bytes) -> None:
        self.request("PUT", key, content)

    def names(self) -> list[str]:
        return re.findall("<Key>(.*?)</Key>", self.request("GET").decode())

    def connection(self, **settings: Any) -> dict[str, Any]:
        given = {"kind": "s3", "bucket": self.bucket, "endpoint": self.url, "access_key": "id", "secret_key": "key"}
        return {**given, "path_style": True, "allow_http": True, "timeout": 5, **settings}


@contextmanager
def run_server(**environ: str) -> Iterator[str]:
    """Give the address of a new server, whose objects are in its memory."""
    port = find_free_port()
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    pages = {"MOTO_S3_DEFAULT_MAX_KEYS": str(OBJECTS_OF_A_PAGE)}
    with subprocess.Popen(command, env={**os.environ, **pages, **environ}, stdout=quiet, stderr=quiet) as process:
        try:
            until = time.monotonic() + STARTING_SECONDS
            while True:
                assert process.poll() is None, "the server has ended"
                assert time.monotonic() < until, "the server does not answer"
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


class Proxy:
    """A TCP proxy on loopback; `spoil` gets what a server sends, piece by piece, and returns what is passed on.

    None cuts the connection.
    """

    def __init__(self, target: str, spoil: Callable[[bytes], bytes | None]) -> None:
        self.target, self.spoil = int(target.rpartition(":")[2]), spoil
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self.target))
                for source, sink, change in ((client, server, lambda piece: piece), (server, client, self.spoil)):
                    threading.Thread(target=self._pass_on, args=(source, sink, change), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes | None]) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                changed = change(piece)
                if changed is None:
                    break
                sink.sendall(changed)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def run_proxy(target: str, spoil: Callable[[bytes], bytes | None]) -> Iterator[Proxy]:
    """Give a proxy to a server."""
    proxy = Proxy(target, spoil)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def run_answering(status: int, body: str) -> Iterator[str]:
    """Give the address of a server that answers every request alike, as stores do that refuse."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_PUT = do_DELETE = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with run_handler(Answer) as url:
        yield url


@contextmanager
def run_handler(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Give the address of a server in this process."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
