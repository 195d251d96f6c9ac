"""A front of a server that speaks S3, as a process of its own: it passes requests on, and spoils some of them.

The arguments are the port of the server, a file for the requests that came, and rules as JSON: each is the method, a
pattern of the path with its query, the fault and how many times. Faults:

    answer STATUS CODE   answer so, and pass nothing on
    refuse               cut the connection, and pass nothing on
    lose                 pass the request on, and cut the connection instead of answering
    cut BYTES            cut the connection after so many bytes of the answer
    hold BYTES           print "held" after so many bytes of the answer, and go on after the next line of the input
    break BYTES          hold it so, then cut the connection
    delay SECONDS        wait before the request is passed on
    strip HEADER         pass the request on without a header

Prints its port first, and ends with its input.
"""

import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Rule = tuple[str, str, str, int]


class Front:
    """A running front.

    Attributes
    ----------
    url
        Its address.
    """

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdout is not None
        self._process, self._log = process, log
        self.url = f"http://127.0.0.1:{process.stdout.readline().strip()}"

    def list_requests(self, method: str = "") -> list[str]:
        """Return the requests that came, each as its method and path."""
        return [line for line in self._log.read_text().splitlines() if line.startswith(method)]

    def wait_until_held(self) -> None:
        """Wait until an answer is held."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"

    def release(self) -> None:
        """Let an answer that is held go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


@contextmanager
def run_front(server: str, folder: Path, *rules: Rule) -> Iterator[Front]:
    """Give a front of the server at an address."""
    log = folder / f"requests-{time.monotonic_ns()}"
    log.touch()
    command = [sys.executable, __file__, server.rpartition(":")[2], str(log), json.dumps(rules)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Front(process, log)
        finally:
            process.kill()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        with LOCK, LOG.open("a") as log:
            log.write(f"{self.command} {self.path}\n")
            fault, _, value = _take_fault(self.command, self.path).partition(" ")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "refuse":
            return self._cut()
        if fault == "answer":
            status, _, code = value.partition(" ")
            text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            return self._answer(int(status), [("Content-Length", str(len(text)))], text)
        if fault == "delay":
            time.sleep(float(value))
        server = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, given in self.headers.items():
            if not (fault == "strip" and name.lower() == value.lower()):
                server.putheader(name, given)
        server.endheaders(body)
        got = server.getresponse()
        content = got.read()
        server.close()
        kept = [(name, given) for name, given in got.getheaders() if name.lower() not in ("connection", "date")]
        if fault == "lose":
            return self._cut()
        return self._answer(got.status, kept, content, fault, int(value) if fault in ("cut", "hold", "break") else 0)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, fault: str = "", after: int = 0
    ) -> None:
        self.send_response(status)
        for name, given in headers:
            self.send_header(name, given)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[:after])
        if fault in ("hold", "break"):
            print("held", flush=True)
            RELEASED.wait()
        if fault in ("cut", "break"):
            self._cut()
            return
        self.wfile.write(content[after:])

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        with suppress(OSError):  # the client has gone
            super().handle()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()


def _take_fault(method: str, path: str) -> str:
    for rule in RULES:
        if rule[0] == method and re.search(rule[1], path) and rule[3]:
            rule[3] -= 1
            return str(rule[2])
    return ""


if __name__ == "__main__":
    PORT, LOG, RULES = int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    LOCK, RELEASED = threading.Lock(), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    while sys.stdin.readline():
        RELEASED.set()
    os._exit(0)
