"""Compose the message of a reporter from the facts of a run.

A missing part never suppresses an alert: a condition that cannot be decided, a name without a value or a log that
cannot be read becomes a visible note in the message. The message is composed completely once, so that an attempt days
later sends the data of the run, although its log may be gone and its datasets may have changed.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engine import views
from engine.errors import DataError, EngineError
from engine.formatting.control_characters import remove_controls, single_line
from engine.notifications.facts import RunFacts, message_values
from engine.notifications.html_body import render_html_body
from engine.notifications.mime import HEADER_CHARACTERS, create_content_id, create_html_part
from engine.spec.resources.scenarios import Reporter, SendMessageStep
from engine.spec.secrets.values import Secrets
from engine.spec.variables.references import VariableReference, fill_references
from engine.store import Attachment, OutboxMessage

if TYPE_CHECKING:
    from engine.views import EvaluationFacts

MAX_ATTACHMENT_BYTES = 2_000_000
"""Most bytes of an attachment: mail servers commonly refuse mails of more than 10 MB, and base64 adds a third."""

MEGABYTES = MAX_ATTACHMENT_BYTES // 1_000_000

PAGE_ATTACHMENTS = ("report", "chart")
"""Attachments that are made from the run's evaluations."""

EvaluationReader = Callable[[], Sequence["EvaluationFacts"]]
CsvReader = Callable[[str], Iterable[bytes]]
"""Returns a dataset as CSV in pieces, header first, so that only the attached part is read."""

START_TEXTS = {"subject": "${scenarioName} started", "message": "${scenarioName} of ${projectKey} started.\n"}
"""Default texts of a message at the start: the usual defaults mention an outcome, which is not known yet."""

RECOVERED = "Recovered: "
"""The beginning of the subject of a message about a recovery."""


def compose_message(
    sender: Reporter | SendMessageStep,
    facts: RunFacts,
    secrets: Secrets,
    *,
    message_id: str,
    now: datetime,
    csv_of: CsvReader,
    evaluations: EvaluationReader = tuple,
    recovery: str = "",
) -> OutboxMessage:
    """Return the message of `sender` about a run.

    Parameters
    ----------
    sender
        A step that sends a message, or a reporter that sends (the caller has checked this).
    facts
        The facts of the run so far.
    secrets
        Masked in all texts and attachments.
    message_id
        An id that is unique among all messages.
    now
        The time of the message.
    csv_of
        Reads a dataset to attach.
    evaluations
        Returns the run's evaluations, for reports and charts.
    recovery
        A text about the recovery that the message reports; empty for any other message.
    """
    notes: list[str] = [*facts.notes]
    texts = {"subject": sender.subject, "message": sender.message}
    if isinstance(sender, Reporter) and sender.at == "start":
        texts = {name: text if name in sender.model_fields_set else START_TEXTS[name] for name, text in texts.items()}
    if recovery:
        escaped = recovery.replace("${", "$${")
        texts = {"subject": f"{RECOVERED}{texts['subject']}", "message": f"{escaped}\n\n{texts['message']}"}
    names = message_values(facts, texts.values())
    subject = single_line(secrets.redact(fill_references(texts["subject"], names, _mark_missing)), HEADER_CHARACTERS)
    body = remove_controls(secrets.redact(fill_references(texts["message"], names, _mark_missing)))
    files: list[Attachment] = []
    pictures: list[tuple[str, str]] = []
    for wanted in sender.attach:
        try:
            if wanted in PAGE_ATTACHMENTS:
                drawn = [_render_page(wanted, evaluation, secrets.redact) for evaluation in evaluations()]
                files += [file for file, _ in drawn]
                if wanted == "chart":
                    pictures += [(create_content_id(message_id, file.name), text) for file, text in drawn]
                if not drawn:
                    notes.append(f"{wanted} is not attached: the run has no evaluation")
                continue
            attachment, cut = _read_attachment(wanted, facts, csv_of)
        except (EngineError, OSError) as error:
            notes.append(f"{wanted} is not attached: {error}")
            continue
        files.append(_redact_attachment(attachment, secrets))
        if cut:
            notes.append(f"{attachment.name} is truncated: only its {cut} {MEGABYTES} MB are attached")
    notes = [remove_controls(secrets.redact(f"Note: {note}")) for note in notes]
    return OutboxMessage(
        id=message_id,
        run=facts.run_id,
        reporter=sender.name,
        channel=sender.channel,
        to=tuple(sender.to),
        cc=tuple(sender.cc),
        bcc=tuple(sender.bcc),
        sender=sender.from_,
        subject=subject,
        text="\n".join([body, *notes]),
        created=now,
        scenario=facts.scenario,
        recovered=bool(recovery),
        attachments=(create_html_part(render_html_body(subject, body, notes, facts, secrets.redact, pictures)), *files),
    )


def _mark_missing(reference: VariableReference) -> str:
    return f"[{reference.text} has no value in this run]"


def _render_page(wanted: str, facts: "EvaluationFacts", redact: Callable[[str], str]) -> tuple[Attachment, str]:
    """Return the report or the chart of an evaluation as an attachment, and its description as text."""
    view = views.describe_evaluation(facts)
    name = redact(facts.file_name)
    if wanted == "chart":
        return Attachment(f"{name}.png", "image/png", views.draw_overview(view, redact)), views.describe_overview(view)
    content = views.render_page(view, redact).encode("utf-8")
    if len(content) > MAX_ATTACHMENT_BYTES:
        size = f"{len(content) / 1_000_000:.1f} MB; attachments are limited to {MEGABYTES} MB"
        raise DataError(f"the report of {facts.evaluation.name} has {size}. `engine report` writes it into a file")
    return Attachment(f"{name}.html", "text/html", content), ""


def _read_attachment(wanted: str, facts: RunFacts, csv_of: CsvReader) -> tuple[Attachment, str]:
    """Return an attachment, and which part of it was kept ("first" or "last") if it is too long, else ""."""
    if wanted == "scenario_log":
        if facts.log is None:
            raise DataError("the run keeps no log")
        content, cut = _read_tail(facts.log), "last"
        name, media_type = "scenario_log.txt", "text/plain"
    else:
        dataset = wanted.removeprefix("dataset:")
        content, cut = _read_head(csv_of(dataset)), "first"
        name, media_type = f"{dataset}.csv", "text/csv"
    whole = len(content) <= MAX_ATTACHMENT_BYTES
    if not whole:
        # Cut at the end of a line, so that no half row or half character remains.
        content = content[content.index(b"\n") + 1 :] if cut == "last" else content[: content.rindex(b"\n") + 1]
    return Attachment(name, media_type, content), "" if whole else cut


def _read_tail(path: Path) -> bytes:
    """Return the end of a file: at most one byte more than the limit, so that the caller sees that it is too long."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MAX_ATTACHMENT_BYTES - 1))
        return file.read()


def _read_head(pieces: Iterable[bytes]) -> bytes:
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > MAX_ATTACHMENT_BYTES:
            break
    return bytes(content[: MAX_ATTACHMENT_BYTES + 1])


def _redact_attachment(attachment: Attachment, secrets: Secrets) -> Attachment:
    text = secrets.redact((attachment.content or b"").decode("utf-8", "replace"))
    return Attachment(attachment.name, attachment.media_type, text.encode("utf-8"))
