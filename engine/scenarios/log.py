"""The run's log: `log.txt` for people and `log.jsonl` for programs, the same lines in both, secrets masked.

Written line by line, so that what a killed run did can be read, and handed to listeners (the terminal). The standard
logging module is not used: its loggers are global, and two runs in one process would write into each other's files.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log. `step` is empty for what concerns the whole run."""

    at: datetime
    level: Level
    scenario: str
    step: str
    text: str


@dataclass(frozen=True, slots=True)
class RunLog:
    """Writes a run's lines into its folder and hands them to the listeners.

    Without a folder, as before a run has one, the listeners alone are told.
    """

    folder: Path | None
    scenario: str
    clock: Callable[[], datetime]
    redact: Callable[[str], str]
    listeners: Sequence[Callable[[Line], None]] = ()
    step: str = ""

    @property
    def text_path(self) -> Path | None:
        """The log for people."""
        return self.folder / "log.txt" if self.folder else None

    def info(self, text: str) -> None:
        self.write("info", text)

    def warning(self, text: str) -> None:
        self.write("warning", text)

    def error(self, text: str) -> None:
        self.write("error", text)

    def write(self, level: Level, text: str) -> None:
        """Add a line. A text of several lines stays one entry."""
        line = Line(self.clock(), level, self.scenario, self.step, self.redact(text))
        if self.folder:
            _append(line, self.folder)
        for listen in self.listeners:
            listen(line)


def _append(line: Line, folder: Path) -> None:
    where = f"[{line.step}] " if line.step else ""
    with (folder / "log.txt").open("a", encoding="utf-8") as people:
        people.write(f"{line.at:%Y-%m-%d %H:%M:%S}Z {line.level:7} {where}{line.text}\n")
    with (folder / "log.jsonl").open("a", encoding="utf-8") as programs:
        programs.write(json.dumps({**asdict(line), "at": line.at.isoformat()}, ensure_ascii=False) + "\n")
