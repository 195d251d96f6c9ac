"""Splits, loads and masks the URL of an apprise channel. Apprise is imported when a URL is loaded."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from engine.errors import DeliveryError

if TYPE_CHECKING:
    import apprise

SOCKET_PREFIX = "Socket Exception"
DETAIL_PREFIXES = ("Response Details", SOCKET_PREFIX)
"""Prefixes of apprise's debug records with the reply of the service."""

# Their debug records contain whole URLs with tokens: none of them may reach our logs unmasked.
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())
logging.getLogger("urllib3").setLevel(logging.INFO)


def split_urls(text: str) -> list[str]:
    """Return the URLs of a text, which blanks, commas or semicolons separate."""
    return re.split(r"[\s,;]+(?=[A-Za-z][A-Za-z0-9]*://)", text.strip())


def load_service(url: str, warnings: list[str] | None = None) -> "apprise.NotifyBase":
    """Return the service of one URL, ready to send; add ignored parts of the URL, such as a target, to `warnings`.

    Raises
    ------
    DeliveryError
        Apprise has no such service, or cannot use the URL. The text quotes no part of the URL that may be a secret.
    """
    # The import takes 0.3 s, and the first service half a second more, so only a channel of this kind pays for it.
    import apprise

    # A redirect that is followed becomes a GET without the message, whose answer 200 would count as a delivery.
    asset = apprise.AppriseAsset(
        app_id="engine", app_desc="engine", pgp_autogen=False, pem_autogen=False, http_redirects=False
    )
    with listen_to_apprise() as warned:
        service = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(service, apprise.NotifyBase):
        raise DeliveryError(mask_url_parts(f"apprise cannot use the URL: {'; '.join(warned)}", url))
    if warnings is not None:
        warnings += warned
    return service


@contextmanager
def listen_to_apprise() -> Iterator[list[str]]:
    """Yield the list of apprise's messages in this thread: warnings, errors, and replies of services."""
    warned: list[str] = []
    listener = _Listener(threading.get_ident(), warned)
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(listener)
    try:
        yield warned
    finally:
        logger.removeHandler(listener)


class _Listener(logging.Handler):
    """Keeps the log records of one thread: another may still wait for a server after its timeout."""

    def __init__(self, thread: int, warned: list[str]) -> None:
        super().__init__()
        self._thread = thread
        self._warned = warned

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.thread == self._thread and (record.levelno >= logging.WARNING or text.startswith(DETAIL_PREFIXES)):
            self._warned.append(text)


def mask_url_parts(text: str, url: str) -> str:
    """Return `text` on one line with every part of `url` masked except its scheme and the name of a server."""
    rest = url.partition("://")[2] or url
    host = re.split("[/?#]", rest)[0].rpartition("@")[2].partition(":")[0]
    spellings = (
        spelling
        for part in re.split(r"[/:@?&=,#]+", rest)
        for spelling in (part, unquote(part), "".join(part.split()))  # apprise removes line breaks
    )
    parts = {spelling for spelling in spellings if len(spelling) >= 4}
    if "." in host or host == "localhost":
        parts.discard(host)
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    # Apprise's own mask of a part, such as f...y, keeps two of its characters.
    text = re.sub(r"(?<![^\s/:@])[^\s/:@]\.{3}[^\s/:@](?![^\s/:@])", "***", text)
    return " ".join(text.split())[:1000]


def list_services() -> list[str]:
    """Return the schemes of all services that apprise has."""
    from apprise.manager_plugins import NotificationManager

    manager = NotificationManager()  # type: ignore[no-untyped-call]  # theirs
    return sorted(manager.schemas())  # type: ignore[no-untyped-call]
