"""A message together with what a channel needs, beside its settings, to send it."""

from dataclasses import dataclass
from pathlib import Path

from engine.outcome import Outcome
from engine.store.records import OutboxMessage


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message ready to send.

    `url` is the channel's URL with secrets revealed, empty for a kind without URL. The channel's relative paths start
    at `folder`. `sender` is a mail address. `outcome` is the run's outcome, None before its end.
    """

    message: OutboxMessage
    url: str
    folder: Path
    sender: str
    outcome: Outcome | None
