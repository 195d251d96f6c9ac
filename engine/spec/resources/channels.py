"""The kinds of `channels:`, which deliver messages."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import Names, Resource, SecretText, WrittenPath


class FileChannel(Resource):
    """A folder; each message is written to a file of its own."""

    kind: Literal["file"] = "file"
    path: WrittenPath = Field(description="Folder for the messages, relative to the spec; created if missing.")


class MailChannel(Resource):
    """E-mail through an SMTP server. It is encrypted unless the server is this machine or the URL contains tls=none."""

    kind: Literal["mail"] = "mail"
    url: SecretText = Field(
        description="Address of the SMTP server: smtp://user:password@host:587?tls=starttls (or tls=none), or "
        "smtps://user:password@host:465. Percent-encode special characters; ?ca=path trusts your own certificate "
        "authority. Usually a ${secret.name}."
    )
    from_: str = Field(alias="from", description="Address of the sender.")
    timeout: float = Field(30, gt=0, le=120, description="How many seconds to wait for a response from the server.")
    fallback: FileChannel | None = Field(None, description="Channel to use instead if the secret in url is missing.")


class AppriseChannel(Resource):
    """A service that Apprise supports, such as Slack, Teams, Telegram, PagerDuty and a hundred more."""

    kind: Literal["apprise"] = "apprise"
    url: SecretText = Field(description="Apprise URL of the service; usually a ${secret.name}.")
    fallback: FileChannel | None = Field(None, description="Channel to use instead if the secret in url is missing.")


class WebhookChannel(Resource):
    """An HTTP server of yours; each message is sent to it as JSON with a POST request."""

    kind: Literal["webhook"] = "webhook"
    url: SecretText = Field(description="Address to post to: https://host/path; usually a ${secret.name}.")
    headers: dict[str, SecretText] = Field(
        {}, description="HTTP headers, such as Authorization: Bearer ${secret.name}."
    )
    timeout: float = Field(30, gt=0, le=120, description="How many seconds to wait for a response from the server.")
    fallback: FileChannel | None = Field(
        None, description="Channel to use instead if a secret in url or headers is missing."
    )


class CommandChannel(Resource):
    """A program of yours; it receives each message as JSON on its standard input."""

    kind: Literal["command"] = "command"
    argv: Names = Field(
        min_length=1,
        description="The program and its arguments, one per entry; no shell is involved. It starts in the folder of "
        "the spec, so ./notify.sh is a file there.",
    )
    timeout: float = Field(30, gt=0, le=120, description="How many seconds the program may take; then it is killed.")


class DatasetChannel(Resource):
    """A file to which each message is added as a row, so that a dataset can read all messages."""

    kind: Literal["dataset"] = "dataset"
    path: WrittenPath = Field(
        description="Path of the file, relative to the spec, ending in .csv or .ndjson; created if missing."
    )


Channel = Annotated[
    MailChannel | FileChannel | AppriseChannel | WebhookChannel | CommandChannel | DatasetChannel,
    Field(discriminator="kind"),
]
CHANNEL_KINDS: dict[str, type[Resource]] = {
    "mail": MailChannel,
    "file": FileChannel,
    "apprise": AppriseChannel,
    "webhook": WebhookChannel,
    "command": CommandChannel,
    "dataset": DatasetChannel,
}
ServerChannel = MailChannel | AppriseChannel | WebhookChannel
"""The kinds that have a URL, and a fallback if a secret is missing."""


def list_secret_texts(channel: ServerChannel) -> Mapping[tuple[str, ...], str]:
    """Return the texts of a channel that may contain secrets, by their place in it."""
    headers = channel.headers if isinstance(channel, WebhookChannel) else {}
    return {("url",): channel.url, **{("headers", name): text for name, text in headers.items()}}
