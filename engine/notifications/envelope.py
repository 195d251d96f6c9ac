"""The input of a channel's `send`, and the errors for delayed and refused messages."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from engine.errors import DeliveryError
from engine.outcome import Outcome
from engine.store import OutboxMessage

CONTENT_CODES = frozenset({400, 406, 413, 414, 415, 422})
"""HTTP status codes that refuse the content of the message."""
PASSING_CODES = frozenset({408, 425, 429})
"""HTTP status codes 4xx that only delay the message."""
PATIENCE = 3
"""After this many refusals that are not about the content, a message is refused for good."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message ready to send.

    Attributes
    ----------
    url
        The channel's URL with secrets inserted; empty for a kind without URL.
    folder, home
        The folders where relative paths start: `folder` for files that are read, `home` for files that are written.
    sender
        A mail address.
    outcome
        The run's outcome; None before its end.
    reached
        The channel adds each recipient as soon as it has accepted the message, so that it does not get it again if
        another one fails.
    headers
        HTTP headers with secrets inserted.
    seconds, cuts
        The time limit for sending; after it, another thread calls the functions that the channel has added to `cuts` to
        close its connection.
    environ
        The environment variables of a program that gets the message.
    remarks
        The channel adds the warnings of recipients that have accepted the message.
    """

    message: OutboxMessage
    url: str
    folder: Path
    home: Path
    sender: str
    outcome: Outcome | None
    reached: list[str] = field(default_factory=list)
    project: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = inf
    cuts: list[Callable[[], None]] = field(default_factory=list)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    remarks: list[str] = field(default_factory=list)


class DelayedError(DeliveryError):
    """The recipient asks to try again after `seconds`."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


class RefusedError(DeliveryError):
    """The message was refused, not delayed.

    `refused` has the recipients that have refused it for good, with their answers; `complete` says that no recipient is
    left to try. A refusal that may be temporary, such as "not found", is `counted` instead, and is final after PATIENCE
    attempts.
    """

    def __init__(self, text: str, refused: Mapping[str, str], *, complete: bool, counted: int = 0) -> None:
        super().__init__(text)
        self.refused = refused
        self.complete = complete
        self.counted = counted
