"""The language: text to a frozen Project, or every problem of it at once."""

from engine.spec.project import Project, load
from engine.spec.secrets import Secrets

__all__ = ["Project", "Secrets", "load"]
