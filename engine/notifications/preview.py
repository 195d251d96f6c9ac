"""The text of a message before it is sent, for `--preview-reporters`."""

from engine.errors import DeliveryError
from engine.notifications.channels import describe_channel
from engine.notifications.mime import list_files
from engine.spec import ProjectSpec
from engine.spec.resources.scenarios import Reporter, SendMessageStep
from engine.spec.secrets.values import Secrets
from engine.store import OutboxMessage

SILENT = "would send nothing: "
"""Part of the first line of a preview for a reporter that sends no message."""


def is_silent(preview: str) -> bool:
    """Return whether a preview says that its reporter would send nothing."""
    return SILENT in preview.partition("\n")[0]


def preview_silence(reporter: Reporter, reason: str, secrets: Secrets) -> str:
    """Return the preview of a reporter that would send nothing, with the reason."""
    return f'Reporter "{reporter.name}" {SILENT}{secrets.redact(reason)}.\n'


def preview_message(
    sender: Reporter | SendMessageStep, message: OutboxMessage, project: ProjectSpec, secrets: Secrets
) -> str:
    """Return what a reporter or a step would send as text, without sending it."""
    who = "Reporter" if isinstance(sender, Reporter) else "Step"
    try:
        where = describe_channel(project.channels[message.channel], secrets)
    except DeliveryError as error:
        where = f"which cannot be used: {secrets.redact(str(error))}"
    files = [f"{file.name} ({len(file.content or b'')} bytes)" for file in list_files(message)]
    return "\n".join(
        [
            f'{who} "{sender.name}" would send through channel "{message.channel}", {where}:',
            *([f"  From: {message.sender}"] if message.sender else []),
            f"  To: {', '.join(message.to) or '-'}",
            *(f"  {name}: {', '.join(who)}" for name, who in (("Cc", message.cc), ("Bcc", message.bcc)) if who),
            f"  Subject: {message.subject}",
            f"  Attached: {', '.join(files) or '-'}",
            "",
            *(f"  {line}".rstrip() for line in message.text.split("\n")),
            "",
        ]
    )
