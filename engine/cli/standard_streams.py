"""The standard streams of the command line: standard output gets only the answer, and every text can be written.

Users' functions, their libraries and their child processes write to descriptor 1 at any time, even when the process
ends. So the answer gets its own descriptor, and descriptor 1 becomes standard error for the rest of the process.
"""

import os
import sys
import warnings
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from engine.spec import ProjectSpec


def set_up_standard_streams() -> None:
    """Separate the answer from all other output, and make both streams usable in whatever state they are."""
    for descriptor in range(3):  # a closed one would be given to the next opened file, such as a database
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _separate_answer(sys.stdout)
    sys.stderr = _open_stream(os.dup(2), sys.stderr.encoding if sys.stderr else "utf-8", by_line=True)
    warnings.showwarning = _print_warning


def mask_secrets(project: "ProjectSpec") -> None:
    """Mask the values of a project's secrets in everything printed from now on."""
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


class _StreamFile(FileIO):
    """The file of a standard stream: what cannot be written is dropped, because the run and its exit code matter.

    If its reader (such as `head`) closes it, that is no error. Any other error, such as a full disk, is kept.
    """

    ends_with_reader = False
    error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.ends_with_reader:
                raise
        except OSError as error:
            self.error = error
        return memoryview(data).nbytes


def end_with_reader() -> None:
    """Make a command that answers repeatedly end with a `BrokenPipeError` when its reader closes the answer."""
    answer: Any = sys.stdout  # possibly inside a stream that masks secrets
    answer.buffer.raw.ends_with_reader = True


def find_lost_answer() -> OSError | None:
    """Return why a part of the answer could not be written; None if all of it was."""
    sys.stdout.flush()
    file = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return file.error if isinstance(file, _StreamFile) else None


def _open_stream(descriptor: int, encoding: str, *, by_line: bool = False) -> TextIO:
    # A character that the encoding lacks is written as an escape, so that no file or column name stops the output.
    file = _StreamFile(descriptor, "w")
    return TextIOWrapper(BufferedWriter(file), encoding, "backslashreplace", line_buffering=by_line or file.isatty())


def _print_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Print a library's warning as one line, without the source line that raised it."""
    print(f"engine: {category.__name__}: {str(message).strip().partition(chr(10))[0]}", file=sys.stderr)
