"""The folder of Python files of a spec, with whether their code runs.

Whoever loads a function needs one, and only a project makes it. So where code is refused, none is loaded by any way.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CodeFolder:
    """A folder of Python files; `refusal` is why their code does not run, empty if it does."""

    path: Path
    refusal: str = ""
