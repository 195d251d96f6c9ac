"""Channels: where messages go."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import Resource, SecretText


class FileChannel(Resource):
    """A folder: each message becomes a file in it."""

    kind: Literal["file"] = "file"
    path: str = Field(description="The folder, relative to the spec; made if it is not there.")


class MailChannel(Resource):
    """Mail through an SMTP server, encrypted unless the server is this machine or the URL says tls=none."""

    kind: Literal["mail"] = "mail"
    url: SecretText = Field(
        description="smtp://user:password@host:587?tls=starttls (or none) or smtps://user:password@host:465, special "
        "characters percent-encoded; ?ca=path trusts an authority of your own. Usually a ${secret.name}."
    )
    from_: str = Field(alias="from", description="The sender's address.")
    timeout: float = Field(30, gt=0, le=600, description="Seconds to wait for the server.")
    fallback: FileChannel | None = Field(None, description="Used where the secret is absent.")


class AppriseChannel(Resource):
    """Any service that Apprise knows: Slack, Teams, Telegram, webhooks and a hundred more."""

    kind: Literal["apprise"] = "apprise"
    url: SecretText = Field(description="An Apprise URL; usually a ${secret.name}.")
    fallback: FileChannel | None = Field(None, description="Used where the secret is absent.")


Channel = Annotated[MailChannel | FileChannel | AppriseChannel, Field(discriminator="kind")]
CHANNEL_KINDS: dict[str, type[Resource]] = {"mail": MailChannel, "file": FileChannel, "apprise": AppriseChannel}
