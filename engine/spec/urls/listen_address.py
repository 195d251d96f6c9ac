"""The address at which a server listens: HOST:PORT."""

import ipaddress

EXAMPLES = "write HOST:PORT, such as 127.0.0.1:7310 or [::1]:7310"


def parse_listen_address(text: str) -> tuple[str, int]:
    """Return the host, without brackets, and the port; raise ValueError if the text is not an address."""
    host, colon, port = text.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    is_six = host != name
    if colon and name and (is_six or ":" not in host) and port.isdecimal() and len(port) <= 5 and int(port) < 65536:
        return name, int(port)
    raise ValueError(text)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
