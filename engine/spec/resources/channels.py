"""The kinds of `channels:`: how a message is delivered."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import Resource, SecretText


class FileChannel(Resource):
    """A folder in which each message becomes a file."""

    kind: Literal["file"] = "file"
    path: str = Field(description="Folder for the messages, relative to the spec; created if missing.")


class MailChannel(Resource):
    """E-mail through an SMTP server; encrypted unless the server is this machine or the URL says tls=none."""

    kind: Literal["mail"] = "mail"
    url: SecretText = Field(
        description="Address of the SMTP server: smtp://user:password@host:587?tls=starttls (or tls=none), or "
        "smtps://user:password@host:465. Percent-encode special characters; ?ca=path trusts your own certificate "
        "authority. Usually a ${secret.name}."
    )
    from_: str = Field(alias="from", description="Address of the sender.")
    timeout: float = Field(30, gt=0, le=600, description="How many seconds to wait for an answer of the server.")
    fallback: FileChannel | None = Field(None, description="Channel to use instead while the secret of url is absent.")


class AppriseChannel(Resource):
    """Any service that Apprise supports: Slack, Teams, Telegram, webhooks and a hundred more."""

    kind: Literal["apprise"] = "apprise"
    url: SecretText = Field(description="Apprise URL of the service; usually a ${secret.name}.")
    fallback: FileChannel | None = Field(None, description="Channel to use instead while the secret of url is absent.")


Channel = Annotated[MailChannel | FileChannel | AppriseChannel, Field(discriminator="kind")]
CHANNEL_KINDS: dict[str, type[Resource]] = {"mail": MailChannel, "file": FileChannel, "apprise": AppriseChannel}
