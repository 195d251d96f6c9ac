"""The report of an import: a line for each object of the project, with its outcome."""

from dataclasses import dataclass, field

from engine.formatting.control_characters import single_line

_TODO = "TODO "
"""The prefix of a note that says what a person has to do."""


@dataclass(slots=True)
class ObjectLine:
    """The outcome of the import of an object.

    Attributes
    ----------
    kind, name, place
        Its kind and name in DSS, and its file and JSON path.
    target
        Its place in the spec.
    notes
        What differs, or has to be done.
    reason
        The reason why it is left out; None if it is imported. A disabled replacement in the spec is the target.
    needless
        The reason why the spec does not need it; None if it does.
    """

    kind: str
    name: str
    place: str
    target: str = ""
    notes: list[str] = field(default_factory=list)
    reason: str | None = None
    needless: str | None = None

    def note(self, text: str) -> None:
        """Add a note, unless it exists already."""
        if text not in self.notes:
            self.notes.append(text)

    def note_name(self, name: str, original: str) -> None:
        """Add a note on the object's name in the spec, if it is another one than in DSS."""
        if name != original:
            self.note(f"renamed {name}")

    def leave_out(self, reason: str) -> None:
        """Mark the object as left out, with the reason."""
        self.reason, self.target = reason, ""

    def drop(self, why: str) -> None:
        """Mark the object as unnecessary in the spec, with the reason."""
        self.needless, self.target = why, ""

    @property
    def outcome(self) -> str:
        """The outcome, in words."""
        if self.reason is not None:
            return "left out"
        if self.needless is not None:
            return "not needed"
        return "imported with a note" if self.notes else "imported"


@dataclass(slots=True)
class ImportReport:
    """The lines of an import.

    Attributes
    ----------
    remarks
        Values of an unexpected type and unreadable files: the place and the problem.
    mistakes
        Mistakes of the project's authors: the places and the problem.
    unread
        Keys that were not read: their path, the number of occurrences, and the first place.
    """

    lines: list[ObjectLine] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)
    mistakes: list[tuple[str, str]] = field(default_factory=list)
    unread: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, kind: str, name: str, place: str, target: str = "") -> ObjectLine:
        """Add a line for an object and return it."""
        line = ObjectLine(kind, name, place, target)
        self.lines.append(line)
        return line

    def report_type(self, place: str, expected: str) -> None:
        """Report that a value is not of the expected type; it counts as missing."""
        self.remarks.setdefault(place, f"{expected} was expected; the value counts as missing")

    def add_mistake(self, place: str, text: str) -> None:
        """Add a mistake of the project's authors, unless it exists already."""
        if (place, text) not in self.mistakes:
            self.mistakes.append((place, text))

    @property
    def left_out(self) -> list[ObjectLine]:
        """The lines of the objects that are left out."""
        return [line for line in self.lines if line.reason is not None]

    def summarize(self) -> str:
        """Return the number of objects by outcome: `12 imported, 3 imported with a note, 1 left out`."""
        outcomes = [line.outcome for line in self.lines]
        words = ("imported", "imported with a note", "not needed", "left out")
        return ", ".join(f"{outcomes.count(word)} {word}" for word in words)


DIFFERENCES = """\
- **Data drift** is in both the accuracy of a classifier that separates reference and batch. DSS measures it on samples
  and does not state a held-out part; here it is measured on held-out rows. No drift is 0.5, so that a limit of 0.5 or
  less always warns: choose the limit anew.
- **A metric without a value** is EMPTY in both. Here EMPTY counts as WARNING, unless the check has `when_empty:`.
- **All rows count here**, also those outside the sample that DSS took, so counts and drift differ.
- **Checks of a dataset** are applied whenever a build reads it; in DSS after a build only if they run automatically.
- **Empty texts.** A rule on empty values counts missing values here; a text of blanks is a value.
- **A variable of a message without a value** stops the message in DSS. Here it is sent, with a note.
"""
"""Differences between DSS and the engine that affect every project."""


def format_report(report: ImportReport, project: str, source: str, findings: str) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    source
        The name of the folder or archive.
    findings
        The output of `engine validate` for the spec; may be empty.
    """
    parts = [f"# Import of {_format_cell(project)}", f"From `{_format_cell(source)}`: {report.summarize()}."]
    if report.mistakes:
        listed = "\n".join(f"- `{_format_cell(place)}`: {_format_cell(what)}" for place, what in report.mistakes)
        parts.append(f"## Mistakes found in the project\n\nIn DSS they do what is said here.\n\n{listed}")
    if todos := [(line, note) for line in report.lines for note in line.notes if note.startswith(_TODO)]:
        listed = "\n".join(
            f"- {line.kind} {_format_cell(line.name)}: {_format_cell(note.removeprefix(_TODO))}" for line, note in todos
        )
        parts.append(f"## What is left to do\n\n{listed}")
    parts.append(
        "## Objects\n\n| DSS | name | file and JSON path | outcome | in the spec | notes |\n|---|---|---|---|---|---|\n"
        + "\n".join(map(_format_line, report.lines))
    )
    if report.remarks:
        listed = "\n".join(f"- `{_format_cell(place)}`: {_format_cell(what)}" for place, what in report.remarks.items())
        parts.append(f"## Values that could not be read\n\n{listed}")
    if report.unread:
        listed = "\n".join(
            f"- `{_format_cell(path)}`"
            + (f", {count} times, first in" if count > 1 else ", in")
            + f" `{_format_cell(first)}`"
            for path, (count, first) in report.unread.items()
        )
        parts.append(f"## Keys that were not read\n\nWhat they say in DSS has no effect here.\n\n{listed}")
    verdict = f"```\n{findings.replace('```', chr(39) * 3)}\n```" if findings else "Nothing: the spec is valid."
    parts.append(f"## What `engine validate` says\n\n{verdict}")
    parts.append(f"## What is different in any case\n\n{DIFFERENCES}")
    return "\n\n".join(parts)


def _format_line(line: ObjectLine) -> str:
    said = "; ".join([*(one for one in (line.reason, line.needless) if one), *line.notes])
    cells = (line.kind, line.name, line.place, line.outcome, line.target, said)
    return "| " + " | ".join(map(_format_cell, cells)) + " |"


def _format_cell(text: str) -> str:
    """Return a text on one line that cannot end a table cell or start HTML."""
    return single_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
