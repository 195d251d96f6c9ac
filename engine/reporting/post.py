"""A message on its way: what it takes, beyond the channel's own settings, to send it."""

from dataclasses import dataclass
from pathlib import Path

from engine.outcome import Outcome
from engine.store.records import OutboxMessage


@dataclass(frozen=True, slots=True)
class Post:
    """A message on its way.

    `url` is the channel's, revealed; empty where the kind has none. Relative paths of the channel start from `folder`.
    `sender` is the address it is from. `outcome` is the run's, None while it is going on: services show it as a colour.
    """

    message: OutboxMessage
    url: str
    folder: Path
    sender: str
    outcome: Outcome | None
