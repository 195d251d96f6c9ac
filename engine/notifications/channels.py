"""The kinds of channels, and the functions that send through any of them.

A kind is a module of its name with `send`, which raises DeliveryError, and `describe`, which returns where messages go,
without credentials. It is imported by the first channel of the kind. The secrets in a channel's URL are
revealed here, just before use, and masked here in the replies of servers.
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
"""How many seconds the sending of one message may take on a channel that declares no timeout."""


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
    """Send `message` through `channel`, or through its `fallback` where its secret is absent.

    Returns
    -------
    Where the message went, and why if that is the fallback.

    Parameters
    ----------
    folder
        The folder of the file that declares the channel: the relative paths of what it reads start there.
    home
        The folder that the relative paths of what it writes start from.
    project
        The project's name.
    seconds
        How long the sending may take.
    outcome
        The outcome of the run that the message is about.
    reached
        Each receiver is added as soon as it has taken the message, also if the sending fails later.
    cuts
        Functions are added that cut the sending off, from another thread.
    environ
        The environment of a program that gets the message.
    remarks
        What receivers that took the message warned of is added, also if the sending fails later.

    Raises
    ------
    RefusedError
        Receivers have refused the message for good.
    DeliveryError
        The message was not accepted. The text quotes the reply of the receiver, secrets masked.
    """
    sender = message.sender or (channel.from_ if isinstance(channel, MailChannel) else DEFAULT_SENDER)
    try:
        used, url, headers = _resolve_channel(channel, secrets)
        sent_to = [] if reached is None else reached
        cut = [] if cuts is None else cuts
        told: list[str] = []
        envelope = Envelope(
            message, url, folder, home, sender, outcome, sent_to, project, headers, seconds, cut, environ, told
        )
        try:
            _find_kind(used).send(used, envelope)
        finally:
            if remarks is not None:
                remarks += map(secrets.redact, told)
    except DeliveryError as error:
        error.args = (secrets.redact(str(error)),)
        raise
    return describe_channel(channel, secrets)


def limit_sending(channel: Channel) -> float:
    """Return how many seconds the sending of one message may take: a mail takes several answers of its server."""
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


def greet_channel(channel: Channel, secrets: Secrets, folder: Path) -> str:
    """Greet the server of a mail channel, without sending anything; return what was done, empty for other kinds.

    Raises
    ------
    DeliveryError
        The channel cannot be used, or its server does not answer.
    """
    used, url, _ = _resolve_channel(channel, secrets)
    return f", {_find_kind(used).greet_mail_server(used, url, folder)}" if isinstance(used, MailChannel) else ""


def _resolve_channel(channel: Channel, secrets: Secrets) -> tuple[Channel, str, dict[str, str]]:
    """Return the channel to use, which may be the fallback, and its URL and headers with secrets revealed.

    Raises
    ------
    UnreachableError
        A secret is absent, for this message as for any other.
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
        where = next(place[0] for place in revealed if place not in known)
        raise UnreachableError(
            f"the secret in the {where} of this channel is absent. Provide it, or declare a fallback:."
        )
    return channel.fallback, "", {}
