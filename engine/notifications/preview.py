"""The text of a message before it is sent, for `--preview-reporters`."""

from engine.errors import DeliveryError
from engine.notifications.channels import describe_channel
from engine.notifications.mime import is_html_part
from engine.spec import ProjectSpec
from engine.spec.resources.scenarios import Reporter
from engine.spec.secrets import Secrets
from engine.store.records import OutboxMessage


def preview_message(reporter: Reporter, message: OutboxMessage | None, project: ProjectSpec, secrets: Secrets) -> str:
    """Return what `reporter` would send as text, without sending it. `message` is what `compose_message` returned."""
    if message is None:
        why = "its run condition does not hold" if reporter.active else "it is not active"
        return f'Reporter "{reporter.name}" would send nothing: {why}.\n'
    try:
        where = describe_channel(project.channels[message.channel], secrets)
    except DeliveryError as error:
        where = f"which cannot be used: {secrets.redact(str(error))}"
    files = [
        f"{file.name} ({len(file.content or b'')} bytes)" for file in message.attachments if not is_html_part(file)
    ]
    return "\n".join(
        [
            f'Reporter "{reporter.name}" would send through channel "{message.channel}", {where}:',
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


def is_silent(preview: str) -> bool:
    """Tell whether a preview says that its reporter would send nothing."""
    return '" would send nothing: ' in preview.partition("\n")[0]
