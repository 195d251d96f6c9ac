"""The records of trained models: their versions, and which of them counts in a deployment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version (1, 2, 3 …) of a trained model, with its files in `folder`.

    `fingerprint` is of what it was trained from, `identity` of what came out: it is the same for the same model under
    another number and in another state, and evaluations are valid as long as it is. `facts` are those behind the
    fingerprint; the properties are what else is kept with them. A version that an early engine has made has none of
    these, and an identity that holds in its state alone.
    """

    model: str
    version: int
    fingerprint: str
    created: datetime
    folder: Path
    identity: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> Mapping[str, str]:
        """The digests of its files, by name."""
        return dict(self.facts.get("files", {}))

    @property
    def confirmed(self) -> Mapping[str, str]:
        """The versions of libraries that it has last been confirmed with, other than those that saved it."""
        return dict(self.facts.get("confirmed", {}))

    @property
    def held_out(self) -> str:
        """The identity of its held-out rows; of an early version, the fingerprint and number that drew them."""
        return str(self.facts.get("held_out") or f"{self.fingerprint}.{self.facts.get('held_out_by', self.version)}")


@dataclass(frozen=True, slots=True)
class ActiveModel:
    """The version of a model that counts in a deployment: of the release `by`, or of the run `by` that has built it.

    None: the data decide.
    """

    model: str
    version: int | None
    since: datetime
    by: str
