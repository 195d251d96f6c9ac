"""What `engine watch` tells of the messages of its runs."""

import http.server
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

from .watcher import Watcher


class Refusing(http.server.BaseHTTPRequestHandler):
    """Refuses what is sent to /refuse, and takes the rest."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400 if self.path == "/refuse" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_becomes_of_messages_is_told(project: Path, watch: Callable[..., Watcher]) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        with (project / "w.yaml").open("a") as spec:
            spec.write(
                textwrap.dedent(f"""
                    channels:
                      hook: {{kind: webhook, url: "http://127.0.0.1:{server.server_port}/refuse"}}
                      chat: {{kind: apprise, url: "ntfy://127.0.0.1:{server.server_port}/alerts/bad!room"}}
                    scenarios:
                      look:
                        steps: [{{name: build, kind: build, target: d}}]
                        reporters: [{{name: refused, channel: hook}}, {{name: remarked, channel: chat}}]
                """)
            )
        watcher = watch()
        found = {one["reporter"]: one for one in watcher.next_result()["deliveries"]}
        assert {name: one["state"] for name, one in found.items()} == {"refused": "REFUSED", "remarked": "SENT"}
        assert "Apprise warned" in found["remarked"]["remark"]
        watcher.wait_until_said("refused for good, see engine outbox: refused to hook: 127.0.0.1 answered 400")
        assert "tried again" not in watcher.said
        server.shutdown()
