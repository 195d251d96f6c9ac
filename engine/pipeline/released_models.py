"""What a release puts in the place of parts of its spec, and its models in a state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.bundles.manifest import Manifest
from engine.spec import ProjectSpec


def collect_replacements(manifest: Manifest, release: Path) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Return the included datasets, and the declarations that take the place of those of the spec."""
    return tuple(manifest.datasets), {}


def import_models(project: ProjectSpec, manifest: Manifest, release: Path, state: Path) -> None:
    """Import."""


def reproduce_models(project: ProjectSpec, manifest: Manifest, release: Path, state: Path) -> str:
    """Reproduce."""
    return ""


def activate_models(spec: Path, release: Path, environ: Mapping[str, str]) -> None:
    """Activate."""
