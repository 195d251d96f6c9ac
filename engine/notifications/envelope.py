"""A message together with what a channel needs, beside its settings, to send it; and the answer that it is refused."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from engine.errors import DeliveryError
from engine.outcome import Outcome
from engine.store import OutboxMessage

CONTENT_CODES = frozenset({400, 406, 413, 414, 415, 422})
"""HTTP answers that refuse the message itself."""
PASSING_CODES = frozenset({408, 425, 429})
"""HTTP answers 4xx that only delay it."""
PATIENCE = 3
"""The number of refusals, other than for the content, that are final."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message ready to send.

    `url` is the channel's URL with secrets revealed, empty for a kind without URL. The relative paths of what the
    channel reads start at `folder`, of what it writes at `home`. `sender` is a mail address. `outcome` is the run's
    outcome, None before its end. The channel adds each receiver to `reached` as soon as it has taken the message, so
    that it does not get it again if another one fails, and to `remarks` what was warned of although it did. `headers`
    are HTTP headers with secrets revealed. The sending may take `seconds`; the channel adds to `cuts` what closes its
    connection, which is called from another thread when they are over. `environ` is the environment of a program that
    gets the message.
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
    """The receiver asks to try again after some `seconds`."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


class RefusedError(DeliveryError):
    """The message was refused, not delayed.

    `refused` are the receivers that have refused it for good, with their words; `complete` says that none is left to
    try. A refusal that may pass, such as by an address that is not found, is `counted` instead: the channel makes it
    final after some tries.
    """

    def __init__(self, text: str, refused: Mapping[str, str], *, complete: bool, counted: int = 0) -> None:
        super().__init__(text)
        self.refused = refused
        self.complete = complete
        self.counted = counted
