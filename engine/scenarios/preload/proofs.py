"""Proves that a revision of a deployment can run, in a separate process, before the revision is activated.

The proofs are made in a fixed order, with the settings of the deployment and on a copy of its state. The first failure
ends them, because later proofs depend on earlier ones. Nothing is kept, and nothing is sent.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from engine.bundles.manifest import (
    MANIFEST_FILE,
    MOST_MANIFEST_BYTES,
    PROVENANCE_FILE,
    Provenance,
    decode_document,
    parse_manifest,
)
from engine.errors import EngineError
from engine.pipeline.actions import FrozenModel
from engine.pipeline.log import LogLine
from engine.scenarios.preload.machine_proofs import prove_channels, prove_connections, prove_disk, prove_state
from engine.scenarios.preload.release_proofs import prove_code, prove_models, prove_packages, prove_secrets, prove_spec
from engine.scenarios.preload.revision import Revision
from engine.scenarios.preload.run_proofs import prove_dry_runs, prove_schemas
from engine.scenarios.requests import LineReply, PreloadRequest, ProofReply
from engine.spec.secrets.values import Secrets

NOT_PROVED = (
    "that data will come, what it will hold, that recipients get messages, and what a computation needs of "
    "time and memory (`preload: {dry_run: …}` computes scenarios completely)"
)

PROOFS: dict[str, Callable[[Revision], str]] = {
    "spec": prove_spec,
    "secrets": prove_secrets,
    "code": prove_code,
    "packages": prove_packages,
    "connections": prove_connections,
    "schemas": prove_schemas,
    "models": prove_models,
    "channels": prove_channels,
    "state": prove_state,
    "disk": prove_disk,
    "dry runs": prove_dry_runs,
}
"""The proofs, in the order in which they are made."""


def prove_revision(request: PreloadRequest, send: Callable[[FrozenModel], None]) -> None:
    """Make the proofs of a request in order and send the result of each, until one fails."""

    def listen(line: LogLine) -> None:
        if line.level != "info":
            send(LineReply(line=line))

    with ExitStack() as stack:
        manifest = parse_manifest(_read_own_file(request.released, MANIFEST_FILE))
        provenance = decode_document(Provenance, _read_own_file(request.released, PROVENANCE_FILE), "provenance")
        revision = Revision(request, listen, manifest, provenance, stack)
        for name, prove in PROOFS.items():
            try:
                send(ProofReply(name=name, text=prove(revision)))
            except (EngineError, OSError) as problem:
                text = str(problem) if isinstance(problem, EngineError) else f"{type(problem).__name__}: {problem}"
                secrets = None if revision.project is None else Secrets(revision.project, os.environ)
                send(ProofReply(name=name, problem=secrets.redact(text) if secrets else text))
                return
        send(ProofReply(name="not proved", text=NOT_PROVED))


def _read_own_file(release: Path, name: str) -> bytes:
    with (release / name).open("rb") as file:
        return file.read(MOST_MANIFEST_BYTES)
