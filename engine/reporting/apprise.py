"""The apprise channel: Slack, Teams, Telegram, webhooks and a hundred more.

Apprise returns a boolean and writes the cause to its log. The log is captured while it sends, so that an error holds
the reply of the service. The parts of the URL, which are the credentials of most services, are masked in them.
"""

import logging
import re
from urllib.parse import unquote

from engine.errors import DeliveryError, UnreachableError
from engine.outcome import Outcome
from engine.reporting.envelope import Envelope
from engine.reporting.mime import is_html_part
from engine.spec.resources.channels import AppriseChannel

NOTIFICATION_TYPES: dict[Outcome | None, str] = {
    Outcome.SUCCESS: "success",
    Outcome.WARNING: "warning",
    Outcome.FAILED: "failure",
    Outcome.ABORTED: "failure",
}
"""The type of a notification: services show it as a colour, incident services open and close incidents by it."""
SOCKET_PREFIX = "Socket Exception"
DETAIL_PREFIXES = ("Response Details", SOCKET_PREFIX)
"""How apprise begins the debug records that hold the reply of the service."""

# Their debug records hold whole URLs, and with them tokens: none of them may reach a log of ours unmasked.
logging.getLogger("apprise").propagate = False
logging.getLogger("urllib3").setLevel(logging.INFO)


def send(_channel: AppriseChannel, post: Envelope) -> None:
    """Send a message to the service of the channel's URL, with its attachments where the service takes any.

    Raises
    ------
    DeliveryError
        The URL is wrong, or the service did not accept the message.
    """
    # The import takes 0.3 s, so only a message of this kind pays for it.
    import apprise
    from apprise.attachment.memory import AttachMemory

    message, url = post.message, post.url
    asset = apprise.AppriseAsset(app_id="engine", app_desc="engine", pgp_autogen=False, pem_autogen=False)
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:  # type: ignore[no-untyped-call]  # theirs
        service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        raise DeliveryError(_mask_url_parts(f"apprise cannot use the URL: {log.getvalue()}", url))
    notifier = apprise.Apprise(asset=asset)
    notifier.add(service)
    files = [
        AttachMemory(content=file.content, name=file.name, mimetype=file.media_type)  # type: ignore[no-untyped-call]  # theirs
        for file in message.attachments
        if not is_html_part(file)
    ]
    with (
        apprise.LogCapture(level=logging.DEBUG),  # type: ignore[no-untyped-call]  # theirs
        notifier.notify(
            title=message.subject,
            body=message.text,
            body_format=apprise.NotifyFormat.TEXT,
            notify_type=NOTIFICATION_TYPES.get(post.outcome, "info"),
            attach=files or None,
            log_level=logging.DEBUG,
        ) as result,
    ):
        words = [
            e.message for e in result.logs() if e.level in ("WARNING", "ERROR") or e.message.startswith(DETAIL_PREFIXES)
        ]
    if not result:
        unreachable = any(word.startswith(SOCKET_PREFIX) for word in words)
        raise (UnreachableError if unreachable else DeliveryError)(
            _mask_url_parts("; ".join(words) or f"{service.service_name} failed and does not say why", url)
        )


def describe(_channel: AppriseChannel, url: str) -> str:
    """Return where messages go: the service alone, because the rest of the URL may be its token."""
    scheme, mark, _ = url.partition("://")
    return f"{scheme} through apprise" if mark else "apprise"


def _mask_url_parts(text: str, url: str) -> str:
    """Return `text` on one line with every part of `url` masked except its scheme and the name of a server."""
    rest = url.partition("://")[2] or url
    host = re.split("[/?#]", rest)[0].rpartition("@")[2].partition(":")[0]
    parts = {
        spelling for part in re.split(r"[/:@?&=,#]+", rest) for spelling in (part, unquote(part)) if len(part) >= 4
    }
    if "." in host or host == "localhost":
        parts.discard(host)
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    return " ".join(text.split())[:1000]
