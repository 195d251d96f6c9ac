"""The records of trained models: their versions, and the active ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version (1, 2, 3 …) of a trained model, with its files in `folder`.

    `fingerprint` is the digest of the training inputs, `identity` that of the trained model: the same model has the
    same identity under another number and in another state, and evaluations stay valid as long as it does not change.
    `facts` are the inputs of the fingerprint, and contain the values of the properties below. A version made by an
    early engine has no such values, and its identity is valid only in its state.
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
        """The versions of libraries that the model was last confirmed with, other than those that saved it."""
        return dict(self.facts.get("confirmed", {}))

    @property
    def held_out(self) -> str:
        """The identity of its held-out rows; for an early version, the fingerprint and number that seeded it."""
        return str(self.facts.get("held_out") or f"{self.fingerprint}.{self.facts.get('held_out_by', self.version)}")


class ActiveModel(NamedTuple):
    """The active version of a model, set by the release or the run `by`.

    If `version` is None, the training data decide.
    """

    model: str
    version: int | None
    since: datetime
    by: str
