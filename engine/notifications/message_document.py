"""A message as JSON: the body for a webhook and the standard input of a command. `engine schema` documents it.

The format has a version. Keys may be added to it; any other change needs a new version.
"""

import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.notifications.envelope import Envelope
from engine.notifications.mime import add_left_out_files, list_files
from engine.outcome import Outcome

SCHEMA_FILE = "message.v1.json"
MAX_CONTENT_BYTES = 1_000_000
"""If all attachments together have more bytes than this, the document names them without their content."""


class AttachmentDocument(BaseModel):
    """A file that is attached to a message."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    name: str = Field(description="The name of the file.")
    media_type: str = Field(description="What it holds, such as text/csv.")
    size: int = Field(description="Its size in bytes.")
    content: str | None = Field(
        description="Its content in base64; null if the attachments of the message have more than 1 MB together."
    )


class MessageDocument(BaseModel):
    """A message of a reporter about a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    schema_version: Literal[1] = Field(1, description="The version of this format.")
    id: str = Field(description="The message's id: the same at every try, so that a repeat is recognized.")
    event: Literal["message", "recovery"] = Field(
        description="recovery: what an earlier message reported has ended; message: any other."
    )
    project: str = Field(description="The project's name.")
    scenario: str | None = Field(description="The scenario's name; null in a message of an early version of engine.")
    run: str | None = Field(description="The run's id.")
    outcome: Outcome | None = Field(description="The run's outcome; null while it is running.")
    reporter: str = Field(description="The reporter's name.")
    created: datetime = Field(description="When the message was made, UTC.")
    tries: int = Field(description="Which try this is: 1, 2, …")
    subject: str = Field(description="The subject of the message, on one line.")
    text: str = Field(description="The text of the message.")
    attachments: list[AttachmentDocument] = Field(description="The files that are attached.")


def describe_message(post: Envelope) -> MessageDocument:
    """Return a message with its attachments."""
    message = post.message
    files = list_files(message)
    whole = sum(len(file.content) for file in files) <= MAX_CONTENT_BYTES
    return MessageDocument(
        id=message.id,
        event="recovery" if message.recovered else "message",
        project=post.project,
        scenario=message.scenario,
        run=message.run,
        outcome=post.outcome,
        reporter=message.reporter,
        created=message.created.astimezone(UTC),
        tries=max(message.tries, 1),
        subject=message.subject,
        text=message.text if whole else add_left_out_files(message.text, files, "they have more than 1 MB together"),
        attachments=[
            AttachmentDocument(
                name=file.name,
                media_type=file.media_type,
                size=len(file.content),
                content=b64encode(file.content).decode("ascii") if whole else None,
            )
            for file in files
        ],
    )


def write_message_schema(folder: Path) -> Path:
    """Write the JSON Schema of a message into a folder; return the path."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **MessageDocument.model_json_schema(mode="serialization"),
        "title": "engine message, version 1",
    }
    path = folder / SCHEMA_FILE
    path.write_text(json.dumps(schema, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path
