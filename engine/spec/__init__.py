"""The spec language: turns the text of a spec into a frozen project, or reports all of its problems."""

from engine.spec.project import ProjectSpec, list_spec_files, load
from engine.spec.secrets import Secrets

__all__ = ["ProjectSpec", "Secrets", "list_spec_files", "load"]
