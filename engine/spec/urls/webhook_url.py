"""The URL and the headers of a webhook channel: what cannot be sent is found before anything is sent."""

import re
from urllib.parse import urlsplit

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OWN_HEADERS = ("content-type", "content-length", "host", "idempotency-key", "user-agent", "transfer-encoding")
"""Headers that are set by the engine or by HTTP itself, in small letters."""


def find_webhook_problem(url: str) -> str | None:
    """Return why messages cannot be posted to a URL, without quoting it; None if they can."""
    if not re.fullmatch(r"[\x21-\x7e]+", url):
        return "this is not a URL: it contains a space or another character that must be percent-encoded"
    try:
        parts = urlsplit(url)
        port_is_legal = parts.port is None or parts.port > 0
    except ValueError:
        return "this is not a URL: its host or port cannot be read"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_legal:
        return "this is not the URL of a webhook, which begins with https:// or http:// and a host"
    if parts.username is not None:
        return "a URL with a user name cannot be posted to; write headers: {Authorization: …}"
    return None


def find_header_problem(name: str, value: str) -> str | None:
    """Return why a header cannot be sent, without quoting its value; None if it can."""
    if not HEADER_NAME.fullmatch(name):
        return f'"{name[:60]}" is not the name of an HTTP header'
    if name.lower() in OWN_HEADERS:
        return f"the engine sets the header {name} itself"
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", value):
        return f"the value of the header {name} is empty, or has a character that a header cannot have"
    return None
