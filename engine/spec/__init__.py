"""The spec language: turns the text of a spec into a frozen project, or reports all of its problems."""

from engine.spec.project import Project, load
from engine.spec.secrets import Secrets

__all__ = ["Project", "Secrets", "load"]
