"""The file channel: each message becomes one .eml file that any mail program opens.

The file is named by the message's time and id, not by a counter, so sending a message again changes nothing.
"""

from datetime import UTC

from engine.atomic_files import remove_parts, replace_file
from engine.errors import UnreachableError
from engine.notifications.envelope import Envelope
from engine.notifications.mime import build_mail
from engine.spec.resources.channels import FileChannel


def send(channel: FileChannel, post: Envelope) -> None:
    """Write a message into the channel's folder, unless it is already there.

    Raises
    ------
    UnreachableError
        The file cannot be written.
    """
    message = post.message
    path = post.home / channel.path / f"{message.created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{message.id}.eml"
    letter = bytes(build_mail(message, post.sender))
    try:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(path)  # nobody else writes it: the message is claimed
        with replace_file(path) as part:
            part.write_bytes(letter)
    except OSError as error:
        raise UnreachableError(f"cannot write into {path.parent}: {error.strerror or error}") from error


def describe(channel: FileChannel, _url: str) -> str:
    """Return where messages go."""
    return f"files in {channel.path}"
