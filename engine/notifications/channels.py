"""The kinds of channels, and the functions that send through any of them.

Each kind has a module of its name with `send`, which raises DeliveryError, and `describe`, which returns where messages
go, without credentials. It is imported with the first channel of the kind. The secrets in a channel's URL are inserted
here, just before use, and masked here in the replies of servers.
"""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import DeliveryError, SpecError, UnreachableError
from engine.formatting.lists import join_words
from engine.notifications.envelope import Envelope
from engine.outcome import Outcome
from engine.spec.resources.channels import (
    Channel,
    CommandChannel,
    MailChannel,
    ServerChannel,
    WebhookChannel,
    list_secret_texts,
)
from engine.spec.secrets.values import Secrets
from engine.store import OutboxMessage

DEFAULT_SENDER = "engine@localhost"
"""The sender of a message whose channel has no `from`."""


SENDING_SECONDS = 60.0
"""Seconds to send one message through a channel that has no timeout setting."""


def _find_kind(channel: Channel) -> Any:
    return import_module(f"engine.notifications.{channel.kind}")


def send_message(
    channel: Channel,
    message: OutboxMessage,
    secrets: Secrets,
    folder: Path,
    home: Path,
    project: str,
    seconds: float,
    outcome: Outcome | None = None,
    reached: list[str] | None = None,
    cuts: list[Callable[[], None]] | None = None,
    environ: Mapping[str, str] = os.environ,
    remarks: list[str] | None = None,
) -> str:
    """Send `message` through `channel`, or through its `fallback` if its secret is absent.

    Returns
    -------
    Where the message was sent, and why if that is the fallback.

    Parameters
    ----------
    folder
        The folder of the file that declares the channel; relative paths that are read start there.
    home
        The folder where relative paths that are written start.
    project
        The project's name.
    seconds
        The time limit for sending.
    outcome
        The outcome of the run that the message is about.
    reached
        Each recipient is added as soon as it has accepted the message, also if sending to others fails later.
    cuts
        Functions are added that close the connection from another thread.
    environ
        The environment variables of a program that gets the message.
    remarks
        Warnings of recipients that accepted the message are added, also if sending to others fails later.

    Raises
    ------
    RefusedError
        Recipients have refused the message for good.
    DeliveryError
        The message was not accepted. The text quotes the reply of the recipient, secrets masked.
    """
    sender = message.sender or (channel.from_ if isinstance(channel, MailChannel) else DEFAULT_SENDER)
    try:
        used, url, headers = _resolve_channel(channel, secrets)
        sent_to = [] if reached is None else reached
        cut = [] if cuts is None else cuts
        warned: list[str] = []
        envelope = Envelope(
            message, url, folder, home, sender, outcome, sent_to, project, headers, seconds, cut, environ, warned
        )
        try:
            _find_kind(used).send(used, envelope)
        finally:
            if remarks is not None:
                remarks += map(secrets.redact, warned)
    except DeliveryError as error:
        error.args = (secrets.redact(str(error)),)
        raise
    return describe_channel(channel, secrets)


def limit_sending(channel: Channel) -> float:
    """Return the seconds that sending one message may take: SMTP needs several answers, each within the timeout."""
    if isinstance(channel, MailChannel):
        return 4 * channel.timeout
    if isinstance(channel, WebhookChannel | CommandChannel):
        return 2 * channel.timeout  # to connect and to be answered; to run and to be killed
    return SENDING_SECONDS


def describe_channel(channel: Channel, secrets: Secrets) -> str:
    """Return where messages go, without credentials.

    Raises
    ------
    DeliveryError
        The channel cannot be used.
    """
    used, url, _ = _resolve_channel(channel, secrets)
    description = str(_find_kind(used).describe(used, url))
    if used is not channel and isinstance(channel, ServerChannel):
        absent = [name for text in list_secret_texts(channel).values() for name in secrets.list_absent(text)]
        description += f", because the secret {join_words(absent, 'and')} is absent"
    return secrets.redact(description)


def explain_absence(channel: Channel, secrets: Secrets) -> str:
    """Return which secret a channel lacks, as the error says it when a message is sent; empty if it lacks none."""
    try:
        _resolve_channel(channel, secrets)
    except UnreachableError as error:
        return secrets.redact(str(error))
    return ""


def greet_channel(channel: Channel, secrets: Secrets, folder: Path) -> str:
    """Connect to the server of a mail channel without sending; return what was done, empty for other kinds.

    Raises
    ------
    DeliveryError
        The channel cannot be used, or its server does not answer.
    """
    used, url, _ = _resolve_channel(channel, secrets)
    return f", {_find_kind(used).greet_mail_server(used, url, folder)}" if isinstance(used, MailChannel) else ""


def _resolve_channel(channel: Channel, secrets: Secrets) -> tuple[Channel, str, dict[str, str]]:
    """Return the channel to use, which may be the fallback, and its URL and headers with secrets inserted.

    Raises
    ------
    UnreachableError
        A secret is absent, so no message can be sent through the channel.
    """
    if not isinstance(channel, ServerChannel):
        return channel, "", {}
    try:
        revealed = {place: secrets.reveal(text) for place, text in list_secret_texts(channel).items()}
    except SpecError as error:
        raise UnreachableError(str(error)) from None
    known = {place: text for place, text in revealed.items() if text is not None}
    if len(known) == len(revealed):
        return channel, known[("url",)], {place[-1]: text for place, text in known.items() if place != ("url",)}
    if channel.fallback is None:
        where, text = next((place[0], text) for place, text in list_secret_texts(channel).items() if place not in known)
        absent = join_words(secrets.list_absent(text), "and")
        raise UnreachableError(
            f"the secret {absent} in the {where} of this channel is absent. Provide it, or declare a fallback:."
        )
    return channel.fallback, "", {}
