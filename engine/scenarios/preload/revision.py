"""The state that the proofs of a revision of a deployment share."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine.bundles.manifest import (
    Manifest,
    Provenance,
)
from engine.errors import EngineError
from engine.pipeline.bundles.released_models import import_models
from engine.pipeline.log import LogLine
from engine.scenarios.requests import PreloadRequest
from engine.spec import ProjectSpec
from engine.store import Store
from engine.store.location import locate_state
from engine.store.state.temporary_copy import copy_state


@dataclass
class Revision:
    """What the proofs share: later proofs use the results of earlier ones."""

    request: PreloadRequest
    listen: Callable[[LogLine], None]
    manifest: Manifest
    provenance: Provenance
    stack: ExitStack
    project: ProjectSpec | None = None
    state: Path | None = None

    @property
    def loaded(self) -> ProjectSpec:
        """The project, which the first proof loads."""
        if self.project is None:
            raise RuntimeError("the spec was not proved valid")
        return self.project

    @property
    def state_copy(self) -> Path:
        """A copy of the state of the deployment, with the models of the release in it."""
        if self.state is None:
            self.state = self.stack.enter_context(copy_state(locate_state(self.loaded)))
            Store.open(self.state).close()
            import_models(self.loaded, self.manifest, self.request.released, self.state)
        return self.state


class ProofFailed(EngineError):  # noqa: N818  (a finding, not a fault of a program)
    """A proof failed; the text says what was found and what to do."""
