"""The text of a message before it is sent, for `--preview-reporters`."""

from engine.errors import DeliveryError
from engine.reporting.channels import describe
from engine.reporting.letter import is_html
from engine.spec import Project
from engine.spec.resources.scenarios import Reporter
from engine.spec.secrets import Secrets
from engine.store.records import OutboxMessage


def preview(reporter: Reporter, message: OutboxMessage | None, project: Project, secrets: Secrets) -> str:
    """Return what `reporter` would send as text, without sending it. `message` is what `compose_message` returned."""
    if message is None:
        why = "its run condition does not hold" if reporter.active else "it is not active"
        return f'Reporter "{reporter.name}" would send nothing: {why}.\n'
    try:
        where = describe(project.channels[message.channel], secrets)
    except DeliveryError as error:
        where = f"which cannot be used: {secrets.redact(str(error))}"
    files = [f"{file.name} ({len(file.content or b'')} bytes)" for file in message.attachments if not is_html(file)]
    return "\n".join(
        [
            f'Reporter "{reporter.name}" would send through channel "{message.channel}", {where}:',
            f"  To: {', '.join(message.to) or '-'}",
            f"  Subject: {message.subject}",
            f"  Attached: {', '.join(files) or '-'}",
            "",
            *(f"  {line}".rstrip() for line in message.text.split("\n")),
            "",
        ]
    )
