"""The folder of Python files of a spec, and whether their code may run.

Loading a function requires a `CodeFolder`, and only a project creates one. So where code is refused, none is loaded.
"""

from pathlib import Path
from typing import NamedTuple


class CodeFolder(NamedTuple):
    """A folder of Python files; `refusal` is why their code may not run, empty if it may."""

    path: Path
    refusal: str = ""
