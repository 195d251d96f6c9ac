"""The apprise channel: Slack, Teams, Telegram, webhooks and a hundred more.

Apprise returns a boolean and writes the cause to its log. The log is read during the sending, so that an error contains
the reply of the service. The parts of the URL, which are the credentials of most services, are masked in it.

Each service is called in the caller's thread: a thread of apprise's own pool that waits for a server forever would keep
the process from ending. So `retry=`, `wait=` and `optional=` of a URL have no effect: the outbox tries again, and a
message that was not sent is reported.

**No repeated messages.** A URL may name several services (separated by blanks or commas), and a service several
targets, such as two rooms. Each one that has accepted a message is recorded by a digest that reveals nothing of its
token, and does not get the message again when another one fails. The few services that do not distinguish their targets
(dingtalk, msg91, notifyre, smsc, xmatters) repeat the message to all, and so does `overflow=split`.

**Length.** A text that is longer than the service allows is shortened here, unless the URL has `overflow=`; the whole
text is attached if the service accepts files. If the service still refuses the content, the text is halved repeatedly.

**Final refusals.** An answer 400, 406, 413, 414, 415 or 422 is about the message, and final at once. Any other 4xx,
except 408, 425 and 429, may be repaired by the owner of the service, and is final at the third attempt. So is a
redirect, which is followed only if the URL has `redirect=yes`.

**Partial delivery.** Some services omit a file or a target and still report success. The warnings of apprise then
become a remark on the delivery. The message counts as sent, since another attempt would repeat it to the others.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import DeliveryError, UnreachableError
from engine.formatting.control_characters import single_line
from engine.notifications.bounded_answers import bound_answers
from engine.notifications.envelope import CONTENT_CODES, PASSING_CODES, PATIENCE, Envelope, RefusedError
from engine.notifications.mime import add_left_out_files, list_files
from engine.notifications.shortening import shorten_text
from engine.outcome import Outcome
from engine.spec.resources.channels import AppriseChannel
from engine.spec.urls.apprise_url import (
    DETAIL_PREFIXES,
    SOCKET_PREFIX,
    listen_to_apprise,
    load_service,
    mask_url_parts,
    split_urls,
)
from engine.store import Attachment

if TYPE_CHECKING:
    import apprise
    from apprise.attachment.base import AttachBase

NOTIFICATION_TYPES: dict[Outcome | None, str] = {
    Outcome.SUCCESS: "success",
    Outcome.WARNING: "warning",
    Outcome.FAILED: "failure",
    Outcome.ABORTED: "failure",
}
"""The apprise type of a message for each outcome: services show it as a colour, or open and close incidents."""
READ_SECONDS = 30.0
"""Seconds to wait for an answer, unless the URL has rto=. Apprise's own 4 s are too short: a message that a slow
service has accepted would count as not sent, and be repeated."""

SHORTEST_TEXT = 250
"""Characters: a text that a service refuses is not shortened much below this, because it would say too little."""

MODES_WITHOUT_FILES = {"hook", "webhook", "sms", "matrix", "slack", "t2bot", "hookshot"}
"""The values of `mode` (of Slack, Webex, Notifyre and Matrix) in which the service accepts no files. Apprise then sends
the text, drops the files and reports success."""

TITLE_MARGIN = 32
"""Most characters that apprise adds to a title that it puts into the text."""


@dataclass(slots=True)
class Answer:
    """The answer of a service: whether it accepted the message, its text, and the HTTP codes in it if it did not."""

    taken: bool
    words: str = ""
    warnings: Sequence[str] = ()
    codes: frozenset[int] = frozenset()
    reachable: bool = True

    @property
    def is_refusal(self) -> bool:
        """Whether every code means that the message is refused, not delayed."""
        return bool(self.codes) and all(300 <= code < 500 and code not in PASSING_CODES for code in self.codes)

    @property
    def is_about_content(self) -> bool:
        """Whether every code means that the content of the message is refused."""
        return bool(self.codes) and self.codes <= CONTENT_CODES


def send(_channel: AppriseChannel, post: Envelope) -> None:
    """Send a message to each service of the channel's URL that does not have it yet.

    Raises
    ------
    RefusedError
        Services have refused the message.
    UnreachableError
        None of the services can be reached, or a URL is wrong.
    DeliveryError
        A service did not accept the message, but may accept it later.
    """
    settled = {*post.message.reached, *post.message.refused}
    services = {_digest_target(post, url): url for url in split_urls(post.url)}
    services = {key: url for key, url in services.items() if key not in settled}
    # All services are loaded before one is used, so that a wrong URL does not repeat the message to the others.
    unused: dict[str, list[str]] = {key: [] for key in services}
    try:
        loaded = {key: load_service(url, unused[key]) for key, url in services.items()}
    except DeliveryError as error:
        raise UnreachableError(str(error)) from None
    failed: dict[str, Answer] = {}
    for key, service in loaded.items():
        answer = _send_to_service(service, services[key], post)
        if answer.taken:
            post.reached.append(key)
            _remark_warnings([*unused[key], *answer.warnings], services[key], post)
        else:
            failed[key] = answer
    if failed:
        _raise_failures(failed, post)


def _remark_warnings(warnings: Sequence[str], url: str, post: Envelope) -> None:
    """Add the warnings of a service that accepted the message to the remarks, on one line, with the URL masked."""
    if warnings:
        scheme = url.partition("://")[0]
        words = mask_url_parts("; ".join(dict.fromkeys(warnings)), url)
        post.remarks.append(f"{scheme} accepted it, but Apprise warned: {words}")


def _raise_failures(failed: dict[str, Answer], post: Envelope) -> None:
    text = "; ".join(answer.words for answer in failed.values())
    counted = any(answer.is_refusal and not answer.is_about_content for answer in failed.values())
    last = post.message.refusals + 1 >= PATIENCE
    final = {
        key: answer.words for key, answer in failed.items() if answer.is_about_content or (answer.is_refusal and last)
    }
    if final or counted:
        raise RefusedError(text, final, complete=len(final) == len(failed), counted=int(counted))
    alive = post.reached or any(answer.reachable for answer in failed.values())
    raise (DeliveryError if alive else UnreachableError)(text)


def _send_to_service(service: "apprise.NotifyBase", url: str, post: Envelope) -> Answer:
    """Send the message, shortened to what the service allows, and halve it while the service refuses the content."""
    if "rto=" not in url:
        service.socket_read_timeout = READ_SECONDS
    if service.overflow_mode.value != "split":  # with "split", apprise marks each piece as a target's whole message
        _remember_targets(service, url, post)
    text, left_out = post.message.text, [] if takes_files(service) else list_files(post.message)

    def complete(part: str) -> str:
        return add_left_out_files(part, left_out, "this service does not accept files")

    if "overflow=" in url:
        return _notify(service, url, post, complete(text))
    shorter = complete(shorten_text(text, lambda part: _fits(service, post.message.subject, complete(part))))
    answer = _notify(service, url, post, shorter)
    while not answer.taken and answer.is_about_content and len(shorter) >= 2 * SHORTEST_TEXT:
        room = len(shorter) // 2
        shorter = complete(shorten_text(text, lambda part, room=room: len(complete(part)) <= room))  # type: ignore[misc]  # a default
        answer = _notify(service, url, post, shorter)
    return answer


def _fits(service: "apprise.NotifyBase", title: str, text: str) -> bool:
    """Return whether a text, as apprise formats it for the service, is within the limits of the service."""
    from apprise import NotifyFormat
    from apprise.conversion import convert_between

    def convert(part: str) -> str:
        format_ = service.resolve_format(NotifyFormat.TEXT)
        return service.dialect_convert(
            convert_between(NotifyFormat.TEXT, format_, part),  # type: ignore[no-untyped-call]  # theirs
            format_,
        )

    lines = service.body_max_line_count
    if lines > 0 and text.count("\n") >= lines:
        return False
    inside = service.title_maxlen <= 0 or service.overflow_amalgamate_title
    room = service.body_maxlen - (len(convert(title)) + TITLE_MARGIN if inside else 0)
    return service.body_maxlen <= 0 or len(convert(text)) <= max(room, 1)


def _remember_targets(service: "apprise.NotifyBase", url: str, post: Envelope) -> None:
    """Make a service skip the targets that have the message already, and record those that accept it now.

    Apprise calls these two methods of a service before and after it sends to a target.
    """
    known = {*post.message.reached}

    def is_delivered(key: Any, per_message: bool = False) -> bool:
        return _digest_target(post, url, key) in known

    def mark_delivered(key: Any, per_message: bool = False) -> None:
        if type(key) is not object:  # an internal mark of apprise, whose digest would differ in each process
            known.add(_digest_target(post, url, key))
            post.reached.append(_digest_target(post, url, key))

    service.is_delivered = is_delivered  # type: ignore[method-assign]  # of this service alone
    service.mark_delivered = mark_delivered  # type: ignore[method-assign]


def _digest_target(post: Envelope, url: str, target: Any = None) -> str:
    """Return an identifier for a service or one of its targets that reveals neither tokens nor phone numbers.

    24 bits suffice to distinguish the few targets of a message, and match so many tokens that they reveal none.
    """
    words = repr((post.message.id, url, type(target).__name__, repr(target)))
    return hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=3).hexdigest()


def takes_files(service: "apprise.NotifyBase") -> bool:
    """Return whether a service accepts files in the mode of its URL."""
    return bool(service.attachment_support) and getattr(service, "mode", None) not in MODES_WITHOUT_FILES


def _notify(service: "apprise.NotifyBase", url: str, post: Envelope, text: str) -> Answer:
    """Send a text to a service, and return its answer."""
    from apprise import NotifyFormat
    from apprise.exception import AppriseException

    files = list_files(post.message) if takes_files(service) else []
    if text != post.message.text and takes_files(service):
        files.append(Attachment("message.txt", "text/plain", post.message.text.encode("utf-8", "replace")))
    title = post.message.subject
    if service.title_maxlen > 0:
        title = single_line(title, service.title_maxlen)
    with _attach_files(files) as attached, listen_to_apprise() as logged, bound_answers():
        try:
            taken = service.notify(
                title=title,
                body=text,
                body_format=NotifyFormat.TEXT,
                notify_type="success" if post.message.recovered else NOTIFICATION_TYPES.get(post.outcome, "info"),
                attach=attached or None,
            )
        except AppriseException as error:
            taken = False
            logged.append(str(error))
    if taken:
        return Answer(True, warnings=[text for text in logged if not text.startswith(DETAIL_PREFIXES)])
    words = "; ".join(logged) or f"{service.service_name} failed without a reason"
    codes = frozenset(int(code) for code in re.findall(r"\berror=(\d{3})\b", words))
    if any(300 <= code < 400 for code in codes):
        words += " (redirects are not followed: write the final address into the URL)"
    reachable = not any(word.startswith(SOCKET_PREFIX) for word in logged)
    return Answer(False, mask_url_parts(words, url), codes=codes, reachable=reachable)


@contextmanager
def _attach_files(files: Sequence[Attachment]) -> "Iterator[list[AttachBase]]":
    """Yield files as apprise attaches them. They are in memory, so that nothing of a killed process stays on the disk.

    A dozen of apprise's services, such as Matrix and Mailgun, open the path of a file, which on Linux one in memory has
    too. On other systems they send no file, and say so.

    Raises
    ------
    DeliveryError
        A file cannot be written, for example because the disk is full.
    """
    from apprise.attachment.file import AttachFile
    from apprise.attachment.memory import AttachMemory

    with ExitStack() as held:
        attached: list[AttachBase] = []
        try:
            for file in files:
                if sys.platform == "linux":
                    descriptor = os.memfd_create("attachment")
                    held.callback(os.close, descriptor)
                    path = Path(f"/proc/self/fd/{descriptor}")
                    path.write_bytes(file.content)
                    attached.append(AttachFile(str(path), name=file.name, mimetype=file.media_type))  # type: ignore[no-untyped-call]  # theirs
                else:
                    attached.append(AttachMemory(file.content, name=file.name, mimetype=file.media_type))
        except OSError as error:
            raise DeliveryError(f"there is no room for the attached files: {error.strerror or error}") from None
        yield attached


def describe(_channel: AppriseChannel, url: str) -> str:
    """Return the names of the services, without the rest of the URL, which may be a token."""
    schemes = [scheme for scheme, mark, _ in (one.partition("://") for one in split_urls(url)) if mark]
    return f"{', '.join(schemes)} through apprise" if schemes else "apprise"
