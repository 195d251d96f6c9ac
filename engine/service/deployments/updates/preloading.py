"""Runs the proofs of a revision in a process, with a time limit."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError
from engine.pipeline.log import LogLine
from engine.scenarios.process import run_in_process
from engine.scenarios.requests import PreloadRequest, ProofReply
from engine.service.deployments.settings import Care


class PreloadError(EngineError):
    """A proof of a revision failed; `log` has the proofs up to the failed one."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True, slots=True)
class _Warnings:
    lines: list[str]

    def take(self, line: LogLine) -> None:
        self.lines.append(f"{line.level}: {line.text}")


def preload_revision(spec: Path, release: Path, care: Care, environ: Mapping[str, str]) -> str:
    """Prove that a revision can run, and return the log of the proofs.

    Raises
    ------
    PreloadError
        A proof failed, or the process died or took too long.
    """
    warnings = _Warnings([])
    request = PreloadRequest(
        spec=spec,
        released=release,
        scenarios=care.health_run,
        dry_run=care.dry_run,
        probe_channels=care.probe_channels,
    )
    deadline = time.monotonic() + care.preload_seconds
    found = run_in_process(request, environ, deadline=deadline, pass_on=warnings.take)
    log = "\n".join([*map(_render_proof, found.proofs), *warnings.lines])
    failed = next((one for one in found.proofs if one.problem), None)
    if failed is not None:
        raise PreloadError(f"{failed.name}: {failed.problem}", log)
    if found.call is None:
        if time.monotonic() >= deadline:
            raise PreloadError(f"the proofs took longer than {care.preload_seconds:g} s and were stopped", log)
        raise PreloadError(f"the proofs did not end: {found.describe_failure()}", log)
    return log


def _render_proof(proof: ProofReply) -> str:
    return f"{proof.name}: FAILED" if proof.problem else f"{proof.name}: {proof.text}"
