"""The file channel: each message becomes one .eml file that any mail program opens.

A name made of the message's time and id, and not a counter, makes sending again harmless: the file is there already.
It is written beside its place and then moved there, so that nobody ever reads half a message.
"""

import os
from datetime import UTC

from engine.errors import DeliveryError
from engine.reporting.letter import compose_letter
from engine.reporting.post import Post
from engine.spec.resources.channels import FileChannel


def send(channel: FileChannel, post: Post) -> None:
    """Write a message into the channel's folder; once, however often it is sent.

    Raises
    ------
    DeliveryError
        The file cannot be written.
    """
    message = post.message
    path = post.folder / channel.path / f"{message.created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{message.id}.eml"
    part = path.with_name(f".{path.name}.{os.getpid()}")
    letter = bytes(compose_letter(message, post.sender))
    try:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(letter)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DeliveryError(f"cannot write into {path.parent}: {error.strerror or error}") from error


def describe(channel: FileChannel, _url: str) -> str:
    """Return where messages go, for people."""
    return f"files in {channel.path}"
