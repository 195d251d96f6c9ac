"""The command channel: a program of the user gets each message as JSON on its standard input.

No shell is used, and no text of a message becomes an argument, so that a column name that is a shell command is not
executed. Exit code 0 means that the program has accepted the message. After any other code, the message is tried again.
"""

import os
import signal
import subprocess
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from engine.errors import DeliveryError, UnreachableError
from engine.formatting.control_characters import single_line
from engine.notifications.envelope import Envelope
from engine.notifications.message_document import describe_message
from engine.spec.resources.channels import CommandChannel

QUOTED_BYTES = 1000
"""Bytes at the end of the program's standard error that an error message quotes."""
MARGIN = 0.5
"""Seconds reserved to kill a program before the time for its message is over."""


def send(channel: CommandChannel, post: Envelope) -> None:
    """Run the program with a message.

    Raises
    ------
    UnreachableError
        The program cannot be started, or took too long and was killed with its process group.
    DeliveryError
        It ended with another code than 0, or there is no room for the message.
    """
    # Files instead of pipes: a program that reads nothing or writes without end cannot block this process.
    try:
        with TemporaryFile() as body, TemporaryFile() as errors:
            body.write(describe_message(post).model_dump_json().encode("utf-8", "replace"))
            body.seek(0)
            _run_program(channel, post, body, errors)
    except OSError as error:
        raise DeliveryError(f"the message cannot be kept in a temporary file: {error.strerror or error}") from None


def _run_program(channel: CommandChannel, post: Envelope, body: IO[bytes], errors: IO[bytes]) -> None:
    limit = min(channel.timeout, max(post.seconds - MARGIN, MARGIN))
    try:
        process = subprocess.Popen(  # noqa: S603  (the spec names the program, and no shell reads it)
            channel.argv,
            cwd=post.folder,
            env=dict(post.environ),
            stdin=body,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreachableError(f"{channel.argv[0]} cannot be started: {words}") from None
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        raise UnreachableError(
            f"{channel.argv[0]} did not end in {limit:g} s and was killed{_quote_errors(errors)}"
        ) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise DeliveryError(f"{channel.argv[0]} {how}{_quote_errors(errors)}")


def _quote_errors(errors: IO[bytes]) -> str:
    """Return the end of what the program has written to standard error."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - QUOTED_BYTES))
    text = single_line(errors.read(QUOTED_BYTES).decode("utf-8", "replace").strip(), QUOTED_BYTES)
    return f": {text}" if text else ""


def describe(channel: CommandChannel, _url: str) -> str:
    """Return the program that gets the messages."""
    return f"the program {channel.argv[0]}"
