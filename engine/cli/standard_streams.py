"""The standard streams of the command line: the answer alone reaches standard output, and every text can be written.

Functions of users, their libraries and their child processes write to descriptor 1 whenever they like, some of them
when the process ends. So the answer gets a descriptor of its own, and descriptor 1 becomes standard error for the rest
of the process.
"""

import os
import sys
import warnings
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from engine.spec import ProjectSpec


def set_up_standard_streams() -> None:
    """Separate the answer from all other output, and make both streams usable whatever the caller has done to them."""
    for descriptor in range(3):  # a closed one would be given to the next file that is opened, such as a database
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _separate_answer(sys.stdout)
    sys.stderr = sys.stderr or _open_stream(os.dup(2), "utf-8")
    warnings.showwarning = _print_warning


def mask_secrets(project: "ProjectSpec") -> None:
    """Mask the values of a project's secrets in everything that is printed from now on."""
    if project.secrets:
        from engine.formatting.redacted_output import redact_standard_streams
        from engine.spec import Secrets

        redact_standard_streams(Secrets(project).redact)


def _separate_answer(stdout: TextIO | None) -> TextIO:
    """Return a stream on a copy of descriptor 1, which then leads to standard error."""
    encoding = stdout.encoding if stdout is not None else "utf-8"
    answer = os.dup(1)
    os.dup2(2, 1)
    return _open_stream(answer, encoding)


def _open_stream(descriptor: int, encoding: str) -> TextIO:
    # A character that the encoding lacks is written as an escape: no name of a file or a column stops the output.
    return open(descriptor, "w", encoding=encoding, errors="backslashreplace")


def _print_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Print a library's warning as one line, without the source that raised it."""
    print(f"engine: {category.__name__}: {str(message).strip().partition(chr(10))[0]}", file=sys.stderr)
