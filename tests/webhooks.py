"""A service that is sent webhooks, or the messages of a chat."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class WebhookService:
    """The port of a service, and what was posted to it: each time the path, the headers and the body."""

    port: int
    posted: list[str] = field(default_factory=list)


@contextmanager
def receive_webhooks(answer: Callable[[str], int] = lambda _path: 200) -> Iterator[WebhookService]:
    """Yield a service; `answer` returns the status of its answer to a path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service.posted.append(f"{self.path}\n{self.headers}\n{body.decode('utf-8', 'replace')}")
            self.send_response(answer(self.path))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = WebhookService(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
