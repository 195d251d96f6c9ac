"""A server that sends, and mail servers to send to."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_string
from pathlib import Path

import pytest

from .delivering_server import Service


class ScriptedServer:
    """A mail server that does what `faults` says at a stage, in the first connections only, and else takes mail.

    A fault is ("hang" | "drop" | an answer). The stages are greeting, EHLO, MAIL, RCPT, DATA and body. A server that
    drops at the stage taken has taken the mail, but does not say so.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []
        self.mails: list[str] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._open: list[socket.socket] = []
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                self.connections += 1
                fault = self.faults.pop(0) if self.faults else ("", "")
                threading.Thread(target=self._talk, args=(connection, *fault), daemon=True).start()

    def _talk(self, connection: socket.socket, stage: str, fault: str) -> None:
        def answer(at: str, text: str) -> bool:
            """Say the text, or do what is wrong at this stage; return whether to go on."""
            if at != stage:
                lines.write(f"{text}\r\n")
                lines.flush()
            elif fault == "hang":
                time.sleep(30)
            elif fault == "drop":
                return False
            else:
                lines.write(f"{fault}\r\n")
                lines.flush()
            return True

        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rw", newline="") as lines:
            on = answer("greeting", "220 ready")
            while on and (line := lines.readline()):
                verb = line[:4].upper()
                if verb == "DATA":
                    on = answer("DATA", "354 go on")
                    if not on or stage == "DATA":
                        continue
                    body = ""
                    while (line := lines.readline()) not in (".\r\n", ""):
                        body += line
                    if stage != "body":
                        self.mails.append(body)
                    on = answer("taken" if stage == "taken" else "body", "250 taken")
                elif verb == "QUIT":
                    on = False
                else:
                    on = answer(verb, "250 OK")

    def subjects(self) -> list[str]:
        return [str(message_from_string(mail)["Subject"]) for mail in self.mails]

    def ids(self) -> list[str]:
        return [str(message_from_string(mail)["Message-ID"]) for mail in self.mails]

    def close(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def start_server() -> Iterator[Callable[[], ScriptedServer]]:
    running: list[ScriptedServer] = []

    def start() -> ScriptedServer:
        running.append(ScriptedServer())
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    if service.loop:
        service.loop.stop(3)
    service.store.close()
