"""Parses the server-sent events of a node."""

from collections.abc import Iterator

from engine.service.deployments.node.client.failures import NodeError

EVENT_BYTES = 4 * 2**20


def parse_events(parts: Iterator[bytes], host: str) -> Iterator[tuple[str, bytes]]:
    """Yield the events of a stream of server-sent events, without those that have no data, such as comments."""
    buffer, kind, data = b"", "message", b""
    for part in parts:
        buffer += part
        *lines, buffer = buffer.split(b"\n")
        if len(buffer) + len(data) > EVENT_BYTES:
            raise NodeError(f"{host} sends an event of more than {EVENT_BYTES:,} bytes, which is not read")
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            value = value.removeprefix(b" ")
            if not line.strip():
                if data:
                    yield kind, data
                kind, data = "message", b""
            elif name == b"event":
                kind = value.decode("utf-8", "replace")
            elif name == b"data":
                data += (b"\n" if data else b"") + value
