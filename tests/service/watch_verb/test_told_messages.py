"""What `engine watch` tells of the messages of its runs."""

import textwrap
from collections.abc import Callable
from pathlib import Path

from ...webhooks import receive_webhooks
from .watcher import Watcher


def test_what_becomes_of_messages_is_told(project: Path, watch: Callable[..., Watcher]) -> None:
    with receive_webhooks(lambda path: 400 if path == "/refuse" else 200) as service:
        with (project / "w.yaml").open("a") as spec:
            spec.write(
                textwrap.dedent(f"""
                    channels:
                      hook: {{kind: webhook, url: "http://127.0.0.1:{service.port}/refuse"}}
                      chat: {{kind: apprise, url: "ntfy://127.0.0.1:{service.port}/alerts/bad!room"}}
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
