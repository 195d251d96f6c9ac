"""The run's log: `log.txt` for people and `log.jsonl` for programs, with the same lines and masked secrets.

Each line is written at once, so that the log of a killed run is complete, and passed to listeners (the terminal). The
standard logging module is not used: its loggers are global, so two runs in one process would share their log files.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

Level = Literal["info", "warning", "error"]
_ENGINE_FOLDER = Path(__file__).parents[1]

STARTED = "started"
"""The entry at the start of each step, which shows the step in which a run was killed."""


class LogLine(NamedTuple):
    """One entry of the log. `step` is empty if the entry concerns the whole run."""

    at: datetime
    level: Level
    scenario: str
    step: str
    text: str

    @property
    def located_text(self) -> str:
        """The text after the scenario and the step, such as `daily [build] 3 rows are read`."""
        return " ".join(part for part in (self.scenario, f"[{self.step}]" if self.step else "", self.text) if part)


class LogFiles:
    """The two files of one run's log. A file that cannot be written does not end the run.

    Attributes
    ----------
    folder
        The folder of the run.
    failure
        The first reason why an entry could not be written; None if all were written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failure: OSError | None = None

    @property
    def text_path(self) -> Path:
        """The path of the log for people."""
        return self.folder / "log.txt"

    def append(self, line: LogLine) -> OSError | None:
        """Write an entry; return the error if it is the first one."""
        where = f"[{line.step}] " if line.step else ""
        try:
            with self.text_path.open("a", encoding="utf-8") as people:
                people.write(f"{line.at:%Y-%m-%d %H:%M:%S}Z {line.level:7} {where}{line.text}\n")
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as programs:
                programs.write(json.dumps({**line._asdict(), "at": line.at.isoformat()}, ensure_ascii=False) + "\n")
        except OSError as error:
            first = self.failure is None
            self.failure = self.failure or error
            return error if first else None
        return None


@dataclass(frozen=True, slots=True)
class RunLog:
    """Writes a run's lines into its files and passes them to the listeners.

    Before a run has files, only the listeners get them. A closed terminal does not end the run.
    """

    files: LogFiles | None
    scenario: str
    clock: Callable[[], datetime]
    redact: Callable[[str], str]
    listeners: Sequence[Callable[[LogLine], None]] = ()
    step: str = ""

    def info(self, text: str) -> None:
        self.write("info", text)

    def warning(self, text: str) -> None:
        self.write("warning", text)

    def error(self, text: str) -> None:
        self.write("error", text)

    def write(self, level: Level, text: str) -> None:
        """Add an entry, which may have several lines."""
        line = LogLine(self.clock(), level, self.scenario, self.step, self.redact(text))
        if self.files and (error := self.files.append(line)):
            problem = f"{self.files.text_path} cannot be written: {error.strerror or error}; the run goes on without it"
            self.pass_on(line._replace(level="warning", text=self.redact(problem)))
        self.pass_on(line)

    def pass_on(self, line: LogLine) -> None:
        """Pass a line to the listeners, except those with a closed terminal or stream."""
        for listen in self.listeners:
            try:
                listen(line)
            except OSError:
                continue
            except ValueError as error:
                if "closed file" not in str(error):
                    raise


@contextmanager
def log_warnings(log: RunLog) -> Iterator[None]:
    """Write the warnings of libraries and of users' functions into the log, each once, and not to the terminal.

    A warning of a user's function begins with its file and line. Users cannot act on a warning from the engine's own
    code: its effect on a result is reported with the result, so the warning is only logged.
    """
    seen: set[str] = set()

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        text = f"{category.__name__}: {str(message).strip().partition(chr(10))[0]}"
        own = _ENGINE_FOLDER in Path(filename).parents
        if not own and "site-packages" not in filename and Path(filename).is_file():
            text = f"{filename}:{lineno}: {text}"
        if text not in seen:
            seen.add(text)
            log.write("info" if own else "warning", text)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
