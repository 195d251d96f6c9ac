"""The apprise channel: Slack, Teams, Telegram, webhooks and a hundred more.

Apprise returns a boolean and writes the cause to its log. The log is read while it sends, so that an error holds the
reply of the service. The parts of the URL, which are the credentials of most services, are masked in them.

Each service is called in the thread of the caller: a thread of apprise's own pool that waits for a server without end
would keep the process from ending. So `retry=`, `wait=` and `optional=` of a URL have no effect: the outbox tries
again, and a message that was not sent is told.

**Once.** A URL may name several services (separated by blanks or commas), and a service several targets, such as two
rooms. Each that has taken a message is remembered by a digest that tells nothing of its token, and does not get it
again when another one fails. The few services that do not tell their targets apart (dingtalk, msg91, notifyre, smsc,
xmatters) repeat the message to all, and so does `overflow=split`.

**In a form that the service takes.** A text that is longer than the service allows is shortened here, unless the URL
says `overflow=`; the whole text is attached where the service takes files. A service that refuses it all the same gets
half of it, and half of that.

**Not for ever.** An answer 400, 406, 413, 414, 415 or 422 is about the message, so that it is refused for good; any
other 4xx, except 408, 425 and 429, may be mended by the service's owner, and is final at the third time. So is a
redirect, which is followed only where the URL says `redirect=yes`.

**Taken, but not whole.** Some services leave a file or a target out and still say that all is sent. What apprise warns
of then is a remark beside the delivery: the message counts as sent, since another try would repeat it to the others.
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
"""The type of a notification: services show it as a colour, incident services open and close incidents by it."""
READ_SECONDS = 30.0
"""How long to wait for an answer, unless the URL says rto=. Apprise waits 4 s: a message that a slower service has
taken would count as not sent, and be repeated."""

SHORTEST_TEXT = 250
"""Characters: a service that refuses the content gets no shorter text than about this."""

MODES_WITHOUT_FILES = {"hook", "webhook", "sms", "matrix", "slack", "t2bot", "hookshot"}
"""Modes, as Slack, Webex, Notifyre and Matrix call theirs, of services that take files in another mode only. Apprise
sends the text, drops the files and says that all is sent."""

TITLE_MARGIN = 32
"""Characters that apprise may add to a title that it puts into the text."""


@dataclass(slots=True)
class Answer:
    """What a service answered: whether it took the message, its words, and the HTTP codes in them if it did not."""

    taken: bool
    words: str = ""
    warnings: Sequence[str] = ()
    codes: frozenset[int] = frozenset()
    reachable: bool = True

    @property
    def is_refusal(self) -> bool:
        """Whether every code says that the message is refused, not delayed."""
        return bool(self.codes) and all(300 <= code < 500 and code not in PASSING_CODES for code in self.codes)

    @property
    def is_about_content(self) -> bool:
        """Whether every code says that the message itself is refused."""
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
        A service did not accept the message; it may do so later.
    """
    settled = {*post.message.reached, *post.message.refused}
    services = {_digest_target(post, url): url for url in split_urls(post.url)}
    services = {key: url for key, url in services.items() if key not in settled}
    # All are loaded before any is used, so that a wrong URL does not repeat the message to the others.
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
    """Add what a service that took the message warned of to the remarks, on one line without parts of the URL."""
    if warnings:
        scheme = url.partition("://")[0]
        words = mask_url_parts("; ".join(dict.fromkeys(warnings)), url)
        post.remarks.append(f"{scheme} took it, but apprise warned: {words}")


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
    """Send the message, shortened as far as the service allows, and shorter still while it refuses the content."""
    if "rto=" not in url:
        service.socket_read_timeout = READ_SECONDS
    if service.overflow_mode.value != "split":  # there a target takes several pieces, each of which counts
        _remember_targets(service, url, post)
    text, left_out = post.message.text, [] if takes_files(service) else list_files(post.message)

    def complete(part: str) -> str:
        return add_left_out_files(part, left_out, "this service takes no files")

    if "overflow=" in url:
        return _notify(service, url, post, complete(text))
    shorter = complete(shorten_text(text, lambda part: _fits(service, post.message.subject, complete(part))))
    answer = _notify(service, url, post, shorter)
    while not answer.taken and answer.is_about_content and len(shorter) >= 2 * SHORTEST_TEXT:
        room = len(shorter) // 2
        shorter = complete(shorten_text(text, lambda part, room=room: len(complete(part)) <= room))  # type: ignore[misc]
        answer = _notify(service, url, post, shorter)
    return answer


def _fits(service: "apprise.NotifyBase", title: str, text: str) -> bool:
    """Return whether a service takes a text, as apprise writes it for this service."""
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
    """Make a service skip the targets that have the message, and remember those that take it now.

    Apprise asks these two methods of a service before and after it sends to a target.
    """
    known = {*post.message.reached}

    def is_delivered(key: Any, per_message: bool = False) -> bool:
        return _digest_target(post, url, key) in known

    def mark_delivered(key: Any, per_message: bool = False) -> None:
        if type(key) is not object:  # apprise's own mark, which differs from process to process
            known.add(_digest_target(post, url, key))
            post.reached.append(_digest_target(post, url, key))

    service.is_delivered = is_delivered  # type: ignore[method-assign]  # of this service alone
    service.mark_delivered = mark_delivered  # type: ignore[method-assign]


def _digest_target(post: Envelope, url: str, target: Any = None) -> str:
    """Return a name for a service, or a target of it, from which neither its token nor its number can be found.

    24 bits tell the few targets of a message apart, and fit to so many numbers and tokens that they reveal none.
    """
    words = repr((post.message.id, url, type(target).__name__, repr(target)))
    return hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=3).hexdigest()


def takes_files(service: "apprise.NotifyBase") -> bool:
    """Return whether a service takes files in the mode that its URL chooses."""
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
    with _attach_files(files) as attached, listen_to_apprise() as heard:
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
            heard.append(str(error))
    if taken:
        return Answer(True, warnings=[text for text in heard if not text.startswith(DETAIL_PREFIXES)])
    words = "; ".join(heard) or f"{service.service_name} failed and does not say why"
    codes = frozenset(int(code) for code in re.findall(r"\berror=(\d{3})\b", words))
    if any(300 <= code < 400 for code in codes):
        words += " (redirects are not followed: write the final address into the URL)"
    reachable = not any(word.startswith(SOCKET_PREFIX) for word in heard)
    return Answer(False, mask_url_parts(words, url), codes=codes, reachable=reachable)


@contextmanager
def _attach_files(files: Sequence[Attachment]) -> "Iterator[list[AttachBase]]":
    """Yield files as apprise attaches them. They are in memory, so that nothing of a killed process stays on the disk.

    A dozen of apprise's services, such as Matrix and Mailgun, open the path of a file, which on Linux one in memory has
    too. On other systems they send no file, and say so.

    Raises
    ------
    DeliveryError
        There is no room for them.
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
    """Return where messages go: the services alone, because the rest of a URL may be its token."""
    schemes = [scheme for scheme, mark, _ in (one.partition("://") for one in split_urls(url)) if mark]
    return f"{', '.join(schemes)} through apprise" if schemes else "apprise"
